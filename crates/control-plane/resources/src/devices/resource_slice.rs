//! ResourceSlice: the devices of a node or pool.

use crate::Resource;

pub(crate) fn resource() -> Resource {
    Resource::cluster("resource.k8s.io", "v1", "ResourceSlice", "resourceslices").counts_generations()
}
