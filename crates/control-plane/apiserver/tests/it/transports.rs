//! The same components over both transports: one suite, run twice.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use windlass_api::labels::Selector;
use windlass_api::meta::PartialObject;
use windlass_api::time::Clock;
use windlass_api::{GroupVersionResource, ObjectKey};
use windlass_client::leader_election::Candidate;
use windlass_client::{
    Client, DeleteOptions, EventType, Informer, Informers, OBJECT, ObjectReference, Options, Recorder,
};

use crate::harness::TestServer;

const CONFIG_MAPS: GroupVersionResource = GroupVersionResource::of("", "v1", "configmaps");
const EVENTS: GroupVersionResource = GroupVersionResource::of("", "v1", "events");

fn config_map(name: &str, label: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"l": label}}})
}

/// Waits until an informer is as `check` wants it; the bound only ends a test that has failed.
async fn until(what: &str, informer: &Informer, check: impl Fn(&Informer) -> bool) {
    let waiting = tokio::time::timeout(Duration::from_secs(60), informer.until(check));
    waiting.await.unwrap_or_else(|_| panic!("{what} never came true"));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests() {
    let server = TestServer::start().await;
    for (transport, client) in server.clients() {
        let key = ObjectKey::new("default", format!("requests-{transport}"));
        let created = client.create(&CONFIG_MAPS, "default", &config_map(&key.name, "a")).await.unwrap();
        assert_eq!(created.key, key);
        assert!(
            client.create(&CONFIG_MAPS, "default", &config_map(&key.name, "a")).await.unwrap_err().is_already_exists()
        );
        let patched = client.patch(&CONFIG_MAPS, &key, OBJECT, &json!({"data": {"x": "y"}})).await.unwrap();
        assert!(patched.revision > created.revision);
        let stale = json!({"metadata": {"resourceVersion": created.revision.to_string()}, "data": {"x": "z"}});
        assert!(client.patch(&CONFIG_MAPS, &key, OBJECT, &stale).await.unwrap_err().is_conflict());
        let read = client.get(&CONFIG_MAPS, &key).await.unwrap();
        assert_eq!(
            (read.revision, read.decode::<Value>().unwrap()["data"]["x"].as_str()),
            (patched.revision, Some("y"))
        );
        for n in 0..7 {
            client
                .create(&CONFIG_MAPS, "default", &config_map(&format!("page-{transport}-{n}"), transport))
                .await
                .unwrap();
        }
        let labels = Selector::parse(&format!("l={transport}")).unwrap();
        let list =
            client.list(&CONFIG_MAPS, "default", Options { labels, limit: 3, ..Options::default() }).await.unwrap();
        assert_eq!(list.items.len(), 7);
        let other = DeleteOptions::of_uid("other");
        assert!(client.delete(&CONFIG_MAPS, &key, &other).await.unwrap_err().is_conflict());
        client.delete(&CONFIG_MAPS, &key, &DeleteOptions::default()).await.unwrap();
        assert!(client.get(&CONFIG_MAPS, &key).await.unwrap_err().is_not_found());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn informers() {
    let server = TestServer::start().await;
    for (transport, client) in server.clients() {
        let name = |n: usize| format!("informer-{transport}-{n}");
        client.create(&CONFIG_MAPS, "default", &config_map(&name(0), "before")).await.unwrap();
        let informers = Informers::new(client.clone());
        let informer = informers.of(&CONFIG_MAPS);
        assert!(Arc::ptr_eq(&informer, &informers.of(&CONFIG_MAPS)), "one informer for a resource");
        informers.synced().await;
        assert!(informer.get(&ObjectKey::new("default", name(0))).is_some());
        informer.add_index("label", |object| {
            object.decode::<PartialObject>().map(|o| o.metadata.labels.into_values().collect()).unwrap_or_default()
        });
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = seen.clone();
        informer.subscribe(move |change| {
            let kind = match (&change.old, &change.new) {
                (None, _) => '+',
                (Some(_), Some(_)) => '~',
                (Some(_), None) => '-',
            };
            log.lock().push(format!("{kind}{}", change.object().key.name));
        });
        client.create(&CONFIG_MAPS, "default", &config_map(&name(1), "during")).await.unwrap();
        let key = ObjectKey::new("default", name(1));
        client.patch(&CONFIG_MAPS, &key, OBJECT, &json!({"metadata": {"labels": {"l": "after"}}})).await.unwrap();
        until("the change of a label", &informer, |informer| informer.by_index("label", "after").len() == 1).await;
        assert!(informer.by_index("label", "during").is_empty());
        client.delete(&CONFIG_MAPS, &key, &DeleteOptions::default()).await.unwrap();
        until("the deletion", &informer, |informer| informer.get(&key).is_none()).await;
        let of_this = |entry: &&String| entry.contains(&name(1));
        let log: Vec<String> = seen.lock().iter().filter(of_this).cloned().collect();
        assert_eq!(log, [format!("+{}", name(1)), format!("~{}", name(1)), format!("-{}", name(1))]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selection_is_all_that_an_informer_sees() {
    let server = TestServer::start().await;
    for (transport, client) in server.clients() {
        let labels = Selector::parse(&format!("l={transport}")).unwrap();
        let informers = Informers::new(client.clone());
        let informer = informers.selected(&CONFIG_MAPS, "default", Options { labels, ..Options::default() });
        informer.synced().await;
        let key = ObjectKey::new("default", format!("selected-{transport}"));
        client.create(&CONFIG_MAPS, "default", &config_map(&key.name, "other")).await.unwrap();
        client.patch(&CONFIG_MAPS, &key, OBJECT, &json!({"metadata": {"labels": {"l": transport}}})).await.unwrap();
        until("it comes into the selection", &informer, |informer| informer.len() == 1).await;
        client.patch(&CONFIG_MAPS, &key, OBJECT, &json!({"metadata": {"labels": {"l": "other"}}})).await.unwrap();
        until("it leaves the selection", &informer, Informer::is_empty).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_recorded_and_counted() {
    let server = TestServer::start().await;
    for (transport, client) in server.clients() {
        let recorder = Recorder::start(client.clone(), Clock::system(), transport, "");
        let about = ObjectReference {
            kind: "ConfigMap".to_owned(),
            namespace: "default".to_owned(),
            name: "x".to_owned(),
            ..ObjectReference::default()
        };
        for _ in 0..3 {
            recorder.event(&about, EventType::Warning, "Testing", "something happened");
        }
        let informers = Informers::new(client.clone());
        let events = informers.of(&EVENTS);
        let counted = |events: &Informer| {
            events.list("default").iter().any(|event| {
                let event: Value = event.decode().unwrap();
                event["count"] == 3 && event["source"]["component"] == transport && event["type"] == "Warning"
            })
        };
        until("three occurrences in one event", &events, counted).await;
    }
}

fn candidate(client: &Client, lease: &str, identity: &str) -> Candidate {
    Candidate {
        client: client.clone(),
        clock: Clock::system(),
        lease: ObjectKey::new("default", lease),
        identity: identity.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_candidate_leads_at_a_time() {
    let server = TestServer::start().await;
    for (transport, client) in server.clients() {
        let (ended, first_ended) = tokio::sync::oneshot::channel::<()>();
        let (started, first_started) = tokio::sync::oneshot::channel::<()>();
        let first = candidate(&client, transport, "one");
        let leading = tokio::spawn(async move {
            first
                .lead(|| async {
                    started.send(()).unwrap();
                    first_ended.await.unwrap();
                })
                .await;
        });
        first_started.await.unwrap();
        let second = candidate(&client, transport, "two");
        let (took_over, second_leads) = tokio::sync::oneshot::channel::<()>();
        let standing_by = tokio::spawn(async move { second.lead(|| async { took_over.send(()).unwrap() }).await });
        // The first lets go when its work ends; only then can the second lead.
        assert!(!standing_by.is_finished());
        ended.send(()).unwrap();
        leading.await.unwrap();
        second_leads.await.unwrap();
        standing_by.await.unwrap();
    }
}
