//! A cluster without kubelets: an API server, nodes that are only objects, and a scheduler.

use std::ops::Deref;

use serde_json::{Value, json};
use windlass_api::ObjectKey;
use windlass_api::resource::{NODES, PODS};
use windlass_client::{OBJECT, STATUS};
use windlass_testing::Running;

pub(crate) struct Cluster(windlass_testing::Cluster);

impl Deref for Cluster {
    type Target = windlass_testing::Cluster;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        Self(windlass_testing::Cluster::start().await.with_default_account().await)
    }

    /// Starts a scheduler with the rights that a scheduler has.
    pub(crate) fn schedule(&self) -> Running {
        let options = windlass_scheduler::Options { host_name: "host".to_owned(), ..Default::default() };
        Running::start(self.scheduler(&self.way(), options).1)
    }

    /// A node with some CPUs, 8 GiB and room for 110 pods.
    pub(crate) async fn node(&self, name: &str, cpus: &str, labels: Value) {
        let mut all = json!({"kubernetes.io/hostname": name});
        all.as_object_mut().unwrap().extend(labels.as_object().unwrap().clone());
        self.create(&NODES, "", json!({"metadata": {"name": name, "labels": all}})).await;
        let amounts = json!({"cpu": cpus, "memory": "8Gi", "pods": "110"});
        let key = ObjectKey::new("", name);
        self.patch(&NODES, &key, STATUS, json!({"status": {"capacity": amounts, "allocatable": amounts}})).await;
        // Admission taints new nodes until a controller sees them ready.
        self.patch(&NODES, &key, OBJECT, json!({"spec": {"taints": null}})).await;
    }

    /// A pod that requests some CPU; `spec` is laid over its spec.
    pub(crate) async fn pod(&self, name: &str, cpu: &str, spec: Value) -> Value {
        self.labelled_pod(name, cpu, json!({}), spec).await
    }

    pub(crate) async fn labelled_pod(&self, name: &str, cpu: &str, labels: Value, spec: Value) -> Value {
        let mut pod = json!({
            "metadata": {"name": name, "namespace": "default", "labels": labels},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}],
            },
        });
        pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        self.create(&PODS, "default", pod).await
    }

    pub(crate) async fn get_pod(&self, name: &str) -> Value {
        self.get(&PODS, &ObjectKey::new("default", name)).await
    }

    pub(crate) async fn until_pod(&self, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        self.until(&PODS, &ObjectKey::new("default", name), what, is).await
    }

    /// The node that a pod gets.
    pub(crate) async fn node_of(&self, name: &str) -> String {
        let pod = self.until_pod(name, "a node", |pod| pod["spec"]["nodeName"].is_string()).await;
        pod["spec"]["nodeName"].as_str().unwrap().to_owned()
    }

    /// Waits until the pod's condition PodScheduled has this message.
    pub(crate) async fn waits_because(&self, name: &str, message: &str) -> Value {
        self.until_pod(name, message, |pod| scheduled(pod)["message"] == message).await
    }
}

/// The condition PodScheduled.
pub(crate) fn scheduled(pod: &Value) -> Value {
    let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.into_iter().find(|condition| condition["type"] == "PodScheduled").unwrap_or(Value::Null)
}
