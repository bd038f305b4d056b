//! Node: a machine that runs pods.

use crate::{Resource, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::cluster("", "v1", "Node", "nodes")
        .short_names(&["no"])
        .subresources(&[Subresource::Proxy, Subresource::Status])
}
