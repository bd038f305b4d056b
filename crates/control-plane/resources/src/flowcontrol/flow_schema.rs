//! FlowSchema: which requests belong to which priority level.

use crate::{Resource, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::cluster("flowcontrol.apiserver.k8s.io", "v1", "FlowSchema", "flowschemas")
        .subresources(&[Subresource::Status])
        .counts_generations()
}
