//! CSINode: the storage drivers of a node.

use crate::{Resource, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::cluster("storage.k8s.io", "v1", "CSINode", "csinodes").subresources(&[Subresource::Status])
}
