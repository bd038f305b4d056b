//! `/pods`: the pods as the kubelet has them; `/runningpods/`: those that the runtime has.

use std::collections::HashMap;

use http::{Response, StatusCode};
use serde_json::{Value, json};
use windlass_cri::{ContainerFilter, ContainerState, RuntimeService, SandboxFilter};

use crate::respond::{self, Body, text};

fn list(items: Vec<Value>) -> Value {
    json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})
}

pub(crate) fn pods(pods: Vec<Value>) -> Value {
    list(pods)
}

pub(crate) async fn running_pods(runtime: &dyn RuntimeService) -> Response<Body> {
    match running(runtime).await {
        Ok(pods) => respond::json(&list(pods)),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

async fn running(runtime: &dyn RuntimeService) -> windlass_cri::Result<Vec<Value>> {
    let filter = ContainerFilter { state: Some(ContainerState::Running), ..ContainerFilter::default() };
    let mut containers: HashMap<String, Vec<Value>> = HashMap::new();
    for container in runtime.list_containers(filter).await? {
        let entry = json!({"name": container.metadata.name, "image": container.image_ref, "resources": {}});
        containers.entry(container.sandbox_id).or_default().push(entry);
    }
    let sandboxes = runtime.list_sandboxes(SandboxFilter::default()).await?;
    let pods = sandboxes.into_iter().filter_map(|sandbox| {
        let containers = containers.remove(&sandbox.id)?;
        let of = sandbox.metadata;
        Some(json!({
            "metadata": {"name": of.name, "namespace": of.namespace, "uid": of.uid, "creationTimestamp": null},
            "spec": {"containers": containers},
            "status": {},
        }))
    });
    Ok(pods.collect())
}
