//! Pod: containers that share a network and volumes, on one node.

use crate::{Resource, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("", "v1", "Pod", "pods")
        .short_names(&["po"])
        .categories(&["all"])
        .subresources(&[
            Subresource::Attach,
            Subresource::Binding,
            Subresource::EphemeralContainers,
            Subresource::Eviction,
            Subresource::Exec,
            Subresource::Log,
            Subresource::PortForward,
            Subresource::Proxy,
            Subresource::Resize,
            Subresource::Status,
        ])
        .counts_generations()
        .deletes_gracefully()
}
