//! PriorityClass: how important pods are.

use crate::Resource;

pub(crate) fn resource() -> Resource {
    Resource::cluster("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses")
        .short_names(&["pc"])
        .counts_generations()
}
