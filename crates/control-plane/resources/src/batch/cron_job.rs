//! CronJob: a Job at set times.

use crate::{Resource, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("batch", "v1", "CronJob", "cronjobs")
        .short_names(&["cj"])
        .categories(&["all"])
        .subresources(&[Subresource::Status])
        .counts_generations()
}
