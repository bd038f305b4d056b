//! Job: pods that run to completion.

use crate::{Resource, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("batch", "v1", "Job", "jobs")
        .categories(&["all"])
        .subresources(&[Subresource::Status])
        .counts_generations()
}
