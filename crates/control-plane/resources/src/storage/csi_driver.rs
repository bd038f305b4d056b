//! CSIDriver: what a storage driver can do.

use crate::Resource;

pub(crate) fn resource() -> Resource {
    Resource::cluster("storage.k8s.io", "v1", "CSIDriver", "csidrivers")
}
