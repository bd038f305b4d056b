//! Waiting for a condition: by a watch, never by asking again.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;
use windlass_api::fields::FieldSelector;
use windlass_api::{GroupVersionResource, ObjectKey};
use windlass_client::{EventKind, Options, VersionMatch};

use crate::cluster::Cluster;

/// How long a condition is waited for: on paused time this passes at once when nothing is left to do, on real time it ends a test that
/// has failed.
const PATIENCE: Duration = Duration::from_secs(1800);
const PATIENCE_REAL: Duration = Duration::from_secs(60);

impl Cluster {
    /// Waits until an object is as `is` wants it; while it is not there, `is` sees `Null`. Returns it.
    pub async fn until(
        &self,
        resource: &GroupVersionResource,
        key: &ObjectKey,
        what: &str,
        is: impl Fn(&Value) -> bool,
    ) -> Value {
        let fields = FieldSelector::equal("metadata.name", key.name.clone());
        let object = |all: &[Value]| all.first().cloned().unwrap_or_default();
        let all = self.until_selected(resource, &key.namespace, fields, what, |all| is(&object(all))).await;
        object(&all)
    }

    /// Waits until the objects of a namespace (empty: all) are as `are` wants them; returns them in the order of their names.
    pub async fn until_all(
        &self,
        resource: &GroupVersionResource,
        namespace: &str,
        what: &str,
        are: impl Fn(&[Value]) -> bool,
    ) -> Vec<Value> {
        self.until_selected(resource, namespace, FieldSelector::everything(), what, are).await
    }

    async fn until_selected(
        &self,
        resource: &GroupVersionResource,
        namespace: &str,
        fields: FieldSelector,
        what: &str,
        are: impl Fn(&[Value]) -> bool,
    ) -> Vec<Value> {
        let mut objects: BTreeMap<ObjectKey, Value> = BTreeMap::new();
        let seek = async {
            loop {
                // A watch ends after its time; the next one begins with what there is.
                objects.clear();
                let mut complete = false;
                let options = Options {
                    fields: fields.clone(),
                    send_initial_events: Some(true),
                    version_match: Some(VersionMatch::NotOlderThan),
                    allow_bookmarks: true,
                    ..Options::default()
                };
                let mut events = self.admin.watch(resource, namespace, options).await.unwrap();
                while let Some(event) = events.next().await {
                    let event = event.unwrap();
                    match event.kind {
                        EventKind::Bookmark => complete |= event.initial_events_end,
                        EventKind::Deleted => _ = objects.remove(&event.object.key),
                        _ => _ = objects.insert(event.object.key.clone(), event.object.decode().unwrap()),
                    }
                    let all: Vec<Value> = if complete { objects.values().cloned().collect() } else { continue };
                    if are(&all) {
                        return all;
                    }
                }
            }
        };
        let patience = if self.is_paused { PATIENCE } else { PATIENCE_REAL };
        match tokio::time::timeout(patience, seek).await {
            Ok(all) => all,
            Err(_) => {
                let last: Vec<&Value> = objects.values().collect();
                panic!("{what} never came true; the last state of {resource} was {:#}", serde_json::json!(last));
            }
        }
    }
}
