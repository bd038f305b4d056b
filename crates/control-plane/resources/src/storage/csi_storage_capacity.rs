//! CSIStorageCapacity: how much room a storage driver has in a part of the cluster.

use crate::Resource;

pub(crate) fn resource() -> Resource {
    Resource::namespaced("storage.k8s.io", "v1", "CSIStorageCapacity", "csistoragecapacities")
}
