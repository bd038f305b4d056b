//! What a watch was told.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use windlass_api::{GroupVersionResource, ObjectKey};
use windlass_client::{Event, EventKind, Request};

/// One watch, as the server answered it; cloning shares it.
#[derive(Clone, Debug)]
pub struct Watched {
    pub component: Arc<str>,
    pub resource: GroupVersionResource,
    pub namespace: String,
    /// It has neither label nor field selector.
    pub is_whole: bool,
    /// The revision that it goes on from; `None` when it begins with what there is.
    pub from: Option<u64>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub kind: EventKind,
    pub key: ObjectKey,
    pub revision: u64,
    pub initial_events_end: bool,
}

impl Watched {
    pub(crate) fn new(component: &Arc<str>, request: &Request) -> Self {
        let options = &request.options;
        let initial = options.send_initial_events == Some(true);
        Self {
            component: component.clone(),
            resource: request.resource.clone(),
            namespace: request.namespace.clone(),
            is_whole: options.labels.is_everything() && options.fields.is_everything() && request.name.is_empty(),
            from: options.resource_version.filter(|_| !initial),
            seen: Arc::default(),
        }
    }

    pub(crate) fn see(&self, event: &Event) {
        self.seen().push(Seen {
            kind: event.kind,
            key: event.object.key.clone(),
            revision: event.object.revision,
            initial_events_end: event.initial_events_end,
        });
    }

    pub fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock()
    }
}
