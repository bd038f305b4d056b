//! PodDisruptionBudget: how many of a set of pods may be down at once on purpose.

use crate::{Resource, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
        .short_names(&["pdb"])
        .subresources(&[Subresource::Status])
        .counts_generations()
}
