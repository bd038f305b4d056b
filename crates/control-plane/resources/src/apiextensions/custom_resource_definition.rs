//! CustomResourceDefinition: a kind that users add.

use crate::{Resource, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::cluster("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions")
        .short_names(&["crd", "crds"])
        .categories(&["api-extensions"])
        .subresources(&[Subresource::Status])
        .counts_generations()
}
