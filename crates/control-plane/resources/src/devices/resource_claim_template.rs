//! ResourceClaimTemplate: a ResourceClaim to be made for each pod.

use crate::Resource;

pub(crate) fn resource() -> Resource {
    Resource::namespaced("resource.k8s.io", "v1", "ResourceClaimTemplate", "resourceclaimtemplates")
}
