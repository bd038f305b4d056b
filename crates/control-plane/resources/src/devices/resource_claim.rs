//! ResourceClaim: a wish for devices.

use crate::{Resource, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("resource.k8s.io", "v1", "ResourceClaim", "resourceclaims")
        .subresources(&[Subresource::Status])
}
