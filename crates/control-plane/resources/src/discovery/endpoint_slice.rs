//! EndpointSlice: some of the addresses behind a Service.

use crate::Resource;

pub(crate) fn resource() -> Resource {
    Resource::namespaced("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices").counts_generations()
}
