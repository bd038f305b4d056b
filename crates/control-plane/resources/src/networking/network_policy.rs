//! NetworkPolicy: which traffic pods may have.

use crate::Resource;

pub(crate) fn resource() -> Resource {
    Resource::namespaced("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
        .short_names(&["netpol"])
        .counts_generations()
}
