//! APIService: who serves an API group's version.

use crate::{Resource, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::cluster("apiregistration.k8s.io", "v1", "APIService", "apiservices")
        .categories(&["api-extensions"])
        .subresources(&[Subresource::Status])
}
