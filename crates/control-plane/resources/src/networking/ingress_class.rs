//! IngressClass: which controller an Ingress is for.

use crate::Resource;

pub(crate) fn resource() -> Resource {
    Resource::cluster("networking.k8s.io", "v1", "IngressClass", "ingressclasses").counts_generations()
}
