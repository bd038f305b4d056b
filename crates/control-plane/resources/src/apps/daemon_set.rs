//! DaemonSet: a pod on every node.

use crate::{Resource, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("apps", "v1", "DaemonSet", "daemonsets")
        .short_names(&["ds"])
        .categories(&["all"])
        .subresources(&[Subresource::Status])
        .counts_generations()
}
