//! StorageClass: a kind of storage that can be claimed.

use crate::Resource;

pub(crate) fn resource() -> Resource {
    Resource::cluster("storage.k8s.io", "v1", "StorageClass", "storageclasses").short_names(&["sc"])
}
