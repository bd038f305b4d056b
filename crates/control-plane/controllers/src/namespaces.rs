//! What controllers that keep something in every namespace have in common.

use windlass_api::meta::PartialObject;
use windlass_api::{ObjectKey, Status};
use windlass_client::{Informer, Object, Outcome, WorkQueue};

/// Queues every namespace when it appears and when it changes.
pub(crate) fn each(namespaces: &Informer, queue: &WorkQueue<String>) {
    let queue = queue.clone();
    namespaces.subscribe(move |change| {
        if let Some(namespace) = &change.new {
            queue.add(namespace.key.name.clone());
        }
    });
}

/// It exists and is not being deleted.
pub(crate) fn is_active(namespaces: &Informer, name: &str) -> bool {
    let namespace = namespaces.read::<PartialObject>(&ObjectKey::new("", name));
    namespace.is_some_and(|namespace| !namespace.metadata.is_deleting())
}

/// An object that somebody else has made, or whose namespace is going, needs no more work.
pub(crate) fn created(result: Result<Object, Status>) -> Result<Outcome, Status> {
    match result {
        Err(status) if status.is_already_exists() || status.is_namespace_terminating() || status.is_not_found() => {
            Ok(Outcome::Done)
        }
        result => result.map(|_| Outcome::Done),
    }
}
