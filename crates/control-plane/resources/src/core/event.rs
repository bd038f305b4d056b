//! Event: something that happened to an object, for people to read; gone after an hour.

use crate::Resource;

pub(crate) fn resource() -> Resource {
    Resource::namespaced("", "v1", "Event", "events").short_names(&["ev"]).creates_on_update()
}
