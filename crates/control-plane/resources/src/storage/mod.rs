//! `storage.k8s.io/v1`: storage drivers and classes.

pub(crate) mod csi_driver;
pub(crate) mod csi_node;
pub(crate) mod csi_storage_capacity;
pub(crate) mod storage_class;
mod validation;
pub(crate) mod volume_attachment;
pub(crate) mod volume_attributes_class;
