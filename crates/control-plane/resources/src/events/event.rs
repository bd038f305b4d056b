//! Event: the newer view of the core group's events.

use crate::Resource;

pub(crate) fn resource() -> Resource {
    Resource::namespaced("events.k8s.io", "v1", "Event", "events").short_names(&["ev"]).creates_on_update()
}
