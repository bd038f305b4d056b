//! Ingress: HTTP routes from outside to Services.

use crate::{Resource, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("networking.k8s.io", "v1", "Ingress", "ingresses")
        .short_names(&["ing"])
        .subresources(&[Subresource::Status])
        .counts_generations()
}
