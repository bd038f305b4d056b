//! Endpoints: the addresses behind a Service in one object; EndpointSlices have taken its place.

use crate::Resource;

pub(crate) fn resource() -> Resource {
    Resource::namespaced("", "v1", "Endpoints", "endpoints").short_names(&["ep"]).creates_on_update()
}
