//! ControllerRevision: a state of a DaemonSet or StatefulSet that it can be rolled back to.

use crate::Resource;

pub(crate) fn resource() -> Resource {
    Resource::namespaced("apps", "v1", "ControllerRevision", "controllerrevisions")
}
