//! RuntimeClass: which container runtime a pod is run with.

use crate::Resource;

pub(crate) fn resource() -> Resource {
    Resource::cluster("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses")
}
