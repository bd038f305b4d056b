//! Binding: the scheduler's decision. A pod is bound once.

use serde_json::{Value, json};
use windlass_api::field::{Error, Errors, Path};
use windlass_api::{GroupResource, GroupVersionKind, Status, Timestamp, condition};
use windlass_machinery::tree::{child, put, text};
use windlass_resources::life;

use crate::body::BodyKind;
use crate::call::Call;
use crate::outcome::Outcome;
use crate::verbs::update::change;

const BINDING: GroupVersionKind = GroupVersionKind::of("", "v1", "Binding");

/// Binds the pod that the call names.
pub(crate) async fn bind(call: &Call<'_>) -> Result<Outcome, Status> {
    let request = call.request;
    let mut binding = call.body_as(BodyKind::builtin(&BINDING)?)?;
    life::ask(&mut binding, &Call { asks: Some(&BINDING), ..*call }, |binding| validate(binding, &request.name))
        .await?;
    // What the binding does to the pod, admission is not asked again.
    let call = &Call { is_admitted: true, ..*call };
    let resource = GroupResource::of("", "pods/binding");
    let now = call.storage.clock.now();
    change(call, |old| {
        let refuse = |why: String| Err(Status::conflict(&resource, &request.name, why));
        let (wanted, uid) = (text(&binding["metadata"], "uid"), text(&old["metadata"], "uid"));
        if !wanted.is_empty() && wanted != uid {
            return Err(Status::uid_precondition(&resource, &request.name, wanted, uid));
        }
        let node = text(&old["spec"], "nodeName");
        if !node.is_empty() {
            return refuse(format!("pod {} is already assigned to node {node:?}", request.name));
        }
        if old["metadata"].get("deletionTimestamp").is_some() {
            return refuse(format!("pod {} is being deleted, cannot be assigned to a host", request.name));
        }
        if old.pointer("/spec/schedulingGates/0").is_some() {
            return refuse(format!("pod {} has non-empty .spec.schedulingGates", request.name));
        }
        Ok(bound(old, &binding, now))
    })
    .await?;
    Ok(Outcome::success_of_creation())
}

fn validate(binding: &Value, name: &str) -> Result<(), Status> {
    if text(&binding["metadata"], "name") != name {
        return Err(Status::bad_request("name in URL does not match name in Binding object"));
    }
    let target = &binding["target"];
    let path = Path::new("target");
    let mut errors = Errors::new();
    let kind = text(target, "kind");
    if !matches!(kind, "" | "Node") {
        errors.push(Error::not_supported(&path.child("kind"), kind, &["Node", "<empty>"]));
    }
    if text(target, "name").is_empty() {
        errors.push(Error::required(&path.child("name"), ""));
    }
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid("", "Binding", name, &errors)) }
}

fn bound(pod: &Value, binding: &Value, now: Timestamp) -> Value {
    let mut pod = pod.clone();
    put(child(&mut pod, "spec"), "nodeName", text(&binding["target"], "name"));
    for field in ["annotations", "labels"] {
        for (key, value) in binding["metadata"].get(field).and_then(Value::as_object).into_iter().flatten() {
            put(child(child(&mut pod, "metadata"), field), key, value.clone());
        }
    }
    let scheduled = json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null});
    let status = child(&mut pod, "status");
    let mut conditions = condition::list(status).to_vec();
    condition::set(&mut conditions, scheduled, now);
    put(status, "conditions", conditions);
    pod
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_gets_its_node() {
        let pod = json!({"metadata": {}, "spec": {}, "status": {"conditions": [{"type": "PodScheduled", "status": "False"}]}});
        let binding = json!({"metadata": {"annotations": {"a": "b"}}, "target": {"kind": "Node", "name": "n1"}});
        let bound = bound(&pod, &binding, Timestamp::UNIX_EPOCH);
        assert_eq!(bound["spec"]["nodeName"], "n1");
        assert_eq!(bound["metadata"]["annotations"]["a"], "b");
        assert_eq!(bound["status"]["conditions"].as_array().unwrap().len(), 1);
        assert_eq!(bound["status"]["conditions"][0]["status"], "True");
        let to = |name: &str, kind: &str| json!({"metadata": {"name": name}, "target": {"kind": kind, "name": "n"}});
        assert!(validate(&to("p", "Node"), "p").is_ok());
        assert!(validate(&to("p", "Pod"), "p").is_err());
        assert!(validate(&to("", "Node"), "p").is_err() && validate(&to("q", "Node"), "p").is_err());
    }
}
