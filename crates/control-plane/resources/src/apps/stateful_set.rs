//! StatefulSet: replicas of a pod with names and storage of their own.

use crate::{Resource, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("apps", "v1", "StatefulSet", "statefulsets")
        .short_names(&["sts"])
        .categories(&["all"])
        .subresources(&[Subresource::Scale, Subresource::Status])
        .counts_generations()
}
