//! PriorityLevelConfiguration: how many requests of a kind are served at once.

use crate::{Resource, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::cluster("flowcontrol.apiserver.k8s.io", "v1", "PriorityLevelConfiguration", "prioritylevelconfigurations")
        .subresources(&[Subresource::Status])
        .counts_generations()
}
