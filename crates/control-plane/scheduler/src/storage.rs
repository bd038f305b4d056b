//! Claims, volumes, classes and drivers: what ties a pod's data to nodes.

#[derive(Debug, Default)]
pub(crate) struct Storage {}
