//! Pods made from a template, and pods given up, in batches.

use std::future::Future;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use windlass_api::resource::PODS;
use windlass_api::{Meta, OwnerReference, Status};
use windlass_client::{Client, DeleteOptions, EventType, Informer, Object, ObjectReference, Recorder};

use crate::owners::OwnerKind;
use crate::pods::Pod;

/// Longest prefix of a generated name.
const PREFIX_MAX: usize = 253;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Template {
    metadata: TemplateMeta,
    spec: Value,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TemplateMeta {
    labels: Option<Value>,
    annotations: Option<Value>,
    finalizers: Option<Value>,
}

/// The pod that a template describes, controlled by `owner`; without a name.
pub(crate) fn pod_of(template: &Value, owner: OwnerReference) -> Result<Value, Status> {
    let template: Template = serde_json::from_value(template.clone()).map_err(Status::internal)?;
    let mut metadata = Map::new();
    for (name, value) in [
        ("labels", template.metadata.labels),
        ("annotations", template.metadata.annotations),
        ("finalizers", template.metadata.finalizers),
    ] {
        if let Some(value) = value {
            metadata.insert(name.to_owned(), value);
        }
    }
    let prefix: String = owner.name.chars().take(PREFIX_MAX).chain(['-']).collect();
    metadata.insert("generateName".to_owned(), json!(prefix));
    metadata.insert("ownerReferences".to_owned(), json!([owner]));
    Ok(json!({"metadata": metadata, "spec": template.spec}))
}

/// Refers to the object that `meta` describes.
pub(crate) fn reference(kind: OwnerKind, meta: &Meta) -> ObjectReference {
    ObjectReference {
        api_version: kind.api_version.to_owned(),
        kind: kind.kind.to_owned(),
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
        ..ObjectReference::default()
    }
}

/// Creates and deletes pods for a controller, and tells about it in events.
pub(crate) struct PodControl {
    pub client: Client,
    pub recorder: Recorder,
}

impl PodControl {
    pub(crate) async fn create(&self, about: &ObjectReference, pod: &Value) -> Result<Object, Status> {
        match self.client.create(&PODS, &about.namespace, pod).await {
            Ok(created) => {
                let message = format!("Created pod: {}", created.key.name);
                self.recorder.event(about, EventType::Normal, "SuccessfulCreate", message);
                Ok(created)
            }
            Err(status) => {
                if !status.is_namespace_terminating() {
                    let message = format!("Error creating: {}", status.message);
                    self.recorder.event(about, EventType::Warning, "FailedCreate", message);
                }
                Err(status)
            }
        }
    }

    /// Deletes a pod, and waits until the cache no longer shows it as active. A pod that has gone already is no failure.
    pub(crate) async fn delete(&self, about: &ObjectReference, pods: &Informer, pod: &Meta) -> Result<(), Status> {
        let key = pod.key();
        match self.client.delete(&PODS, &key, &DeleteOptions::of_uid(pod.uid.clone())).await {
            Ok(_) => {
                let message = format!("Deleted pod: {}", key.name);
                self.recorder.event(about, EventType::Normal, "SuccessfulDelete", message);
            }
            Err(status) if status.is_not_found() => {}
            Err(status) => {
                let message = format!("Error deleting: {}", status.message);
                self.recorder.event(about, EventType::Warning, "FailedDelete", message);
                return Err(status);
            }
        }
        pods.until(|pods| {
            pods.read::<Pod>(&key).is_none_or(|now| now.metadata.uid != pod.uid || now.metadata.is_deleting())
        })
        .await;
        Ok(())
    }
}

/// Does something `count` times, in batches that double as long as all goes well, so that what cannot work is not tried too often.
/// Says how many succeeded, and the first failure.
pub(crate) async fn slow_start<F: Future<Output = Result<(), Status>>>(
    count: usize,
    act: impl Fn(usize) -> F,
) -> (usize, Result<(), Status>) {
    let (mut done, mut batch) = (0, 1);
    while done < count {
        let size = batch.min(count - done);
        let results = futures::future::join_all((done..done + size).map(&act)).await;
        let failed = results.into_iter().find_map(Result::err);
        if let Some(status) = failed {
            return (done, Err(status));
        }
        done += size;
        batch *= 2;
    }
    (done, Ok(()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn batches_grow_until_something_fails() {
        let calls = AtomicUsize::new(0);
        let act = async |limit: usize, index: usize| {
            calls.fetch_add(1, Ordering::SeqCst);
            if index < limit { Ok(()) } else { Err(Status::internal("no")) }
        };
        let (done, result) = slow_start(10, |index| act(100, index)).await;
        assert_eq!((done, result.is_ok(), calls.swap(0, Ordering::SeqCst)), (10, true, 10));
        let (_, result) = slow_start(100, |index| act(0, index)).await;
        assert!(result.is_err());
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_template_becomes_a_pod() {
        let template = json!({"metadata": {"labels": {"a": "b"}, "name": "x"}, "spec": {"containers": []}});
        let owner = OwnerReference { name: "web-1".to_owned(), ..OwnerReference::default() };
        let pod = pod_of(&template, owner).unwrap();
        assert_eq!(pod["metadata"]["generateName"], "web-1-");
        assert_eq!(pod["metadata"]["labels"], json!({"a": "b"}));
        assert!(pod["metadata"].get("name").is_none());
    }
}
