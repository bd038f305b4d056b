//! Service: a stable address for a set of pods.

use crate::{Resource, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("", "v1", "Service", "services")
        .short_names(&["svc"])
        .categories(&["all"])
        .subresources(&[Subresource::Proxy, Subresource::Status])
        .creates_on_update()
}
