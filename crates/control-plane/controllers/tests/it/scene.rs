//! A cluster with everything that a scenario needs, and words for what is asked of it again and again.

use serde_json::{Value, json};
use windlass_api::resource::{EVENTS, PODS, SERVICE_ACCOUNTS};
use windlass_api::{GroupVersionResource, ObjectKey};
use windlass_client::{DeleteOptions, OBJECT, Propagation};
use windlass_testing::{Cluster, Kubelet, Running};

pub(crate) struct Scene {
    pub cluster: Cluster,
    pub kubelets: Vec<Kubelet>,
    _control_plane: [Running; 2],
}

impl Scene {
    /// Starts a cluster with nodes `n0`, `n1`, …
    pub(crate) async fn with_nodes(count: usize) -> Self {
        let cluster = Cluster::start().await;
        let control_plane = [cluster.start_controllers(), cluster.start_scheduler()];
        let kubelets = (0..count).map(|n| Kubelet::start(&cluster, &format!("n{n}"))).collect();
        Self { cluster, kubelets, _control_plane: control_plane }
    }

    pub(crate) async fn create(&self, resource: &GroupVersionResource, name: &str, spec: Value) -> Value {
        self.cluster.create(resource, "default", json!({"metadata": {"name": name}, "spec": spec})).await
    }

    pub(crate) async fn patch(&self, resource: &GroupVersionResource, name: &str, patch: Value) -> Value {
        self.cluster.patch(resource, &key(name), OBJECT, patch).await
    }

    pub(crate) async fn get(&self, resource: &GroupVersionResource, name: &str) -> Value {
        self.cluster.get(resource, &key(name)).await
    }

    pub(crate) async fn delete(&self, resource: &GroupVersionResource, name: &str, policy: Propagation) {
        let options = DeleteOptions::default().propagation(policy);
        self.cluster.admin.delete(resource, &key(name), &options).await.unwrap();
    }

    pub(crate) async fn until(
        &self,
        resource: &GroupVersionResource,
        name: &str,
        what: &str,
        is: impl Fn(&Value) -> bool,
    ) -> Value {
        self.cluster.until(resource, &key(name), what, is).await
    }

    /// Waits for the service account that pods have unless they name another.
    pub(crate) async fn until_account(&self) {
        self.until(&SERVICE_ACCOUNTS, "default", "the account", Value::is_object).await;
    }

    pub(crate) async fn until_gone(&self, resource: &GroupVersionResource, name: &str) {
        self.until(resource, name, "its end", Value::is_null).await;
    }

    /// Waits until the pods of the namespace `default` that are not ending are as wanted; returns them.
    pub(crate) async fn until_pods(&self, what: &str, are: impl Fn(&[&Value]) -> bool) -> Vec<Value> {
        let all = |pods: &[Value]| are(&pods.iter().filter(|pod| !is_going(pod)).collect::<Vec<_>>());
        let pods = self.cluster.until_all(&PODS, "default", what, all).await;
        pods.into_iter().filter(|pod| !is_going(pod)).collect()
    }
}

pub(crate) fn key(name: &str) -> ObjectKey {
    ObjectKey::new("default", name)
}

pub(crate) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

pub(crate) fn is_going(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// The status of a condition; empty when it is not there.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> &'a str {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let mut found = conditions.filter(|condition| condition["type"] == kind);
    found.next().and_then(|condition| condition["status"].as_str()).unwrap_or_default()
}

pub(crate) fn is_ready(object: &Value) -> bool {
    condition(object, "Ready") == "True"
}

/// The spec of a workload with pods of the label `app`.
pub(crate) fn workload(app: &str, replicas: usize) -> Value {
    json!({"replicas": replicas, "selector": {"matchLabels": {"app": app}}, "template": template(app)})
}

pub(crate) fn template(app: &str) -> Value {
    json!({"metadata": {"labels": {"app": app}}, "spec": {"containers": [{"name": "c", "image": "one"}]}})
}

/// A patch that gives a workload's pods another image.
pub(crate) fn image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}})
}

pub(crate) fn image_of(pod: &Value) -> &str {
    pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default()
}

/// An event: reason, message and how often.
pub(crate) type Told = (String, String, u64);

/// Waits until the events about an object are as wanted; returns them.
pub(crate) async fn until_events(
    scene: &Scene,
    kind: &str,
    name: &str,
    what: &str,
    are: impl Fn(&[Told]) -> bool,
) -> Vec<Told> {
    let about = |all: &[Value]| -> Vec<Told> {
        let is_about = |event: &&Value| {
            let object = &event["involvedObject"];
            object["kind"] == kind && object["name"] == name
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let told = |e: &Value| (text(&e["reason"]), text(&e["message"]), e["count"].as_u64().unwrap_or(1));
        all.iter().filter(is_about).map(told).collect()
    };
    about(&scene.cluster.until_all(&EVENTS, "", what, |all| are(&about(all))).await)
}
