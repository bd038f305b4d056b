//! RuntimeClass: what the class of a pod's runtime adds to the pod: overhead, and where it may run.

use async_trait::async_trait;
use serde_json::{Value, json};
use windlass_api::Status;
use windlass_machinery::tree::{child, items, put, set, text};

use super::created;
use crate::chain::Plugin;
use crate::review::{Cluster, Review};

pub(super) struct RuntimeClass;

#[async_trait]
impl Plugin for RuntimeClass {
    fn name(&self) -> &'static str {
        "RuntimeClass"
    }

    async fn admit(&self, review: &mut Review<'_>, cluster: &dyn Cluster) -> Result<(), Status> {
        let Some(pod) = created(review, "", "pods") else { return Ok(()) };
        let name = text(&pod["spec"], "runtimeClassName").to_owned();
        if name.is_empty() {
            if pod["spec"].get("overhead").is_some() {
                let why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
                return Err(review.forbidden(why));
            }
            return Ok(());
        }
        let Some(class) = cluster.object("runtimeclasses.node.k8s.io", "", &name) else {
            return Err(review.forbidden(format!("pod rejected: RuntimeClass {name:?} not found")));
        };
        let spec = child(pod, "spec");
        match apply(spec, &class) {
            Ok(()) => Ok(()),
            Err(why) => Err(review.forbidden(why)),
        }
    }
}

fn apply(spec: &mut Value, class: &Value) -> Result<(), String> {
    if let Some(overhead) = class.pointer("/overhead/podFixed").filter(|overhead| overhead.is_object()) {
        if spec.get("overhead").is_some_and(|given| given != overhead) {
            return Err("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead".to_owned());
        }
        put(spec, "overhead", overhead.clone());
    } else if spec.get("overhead").is_some() {
        return Err("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead".to_owned());
    }
    let scheduling = &class["scheduling"];
    for (key, value) in scheduling.get("nodeSelector").and_then(Value::as_object).into_iter().flatten() {
        let selector = child(spec, "nodeSelector");
        if selector.get(key).is_some_and(|given| given != value) {
            return Err(format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {}; pod.spec.nodeSelector[{key}] = {}",
                value.as_str().unwrap_or_default(),
                text(selector, key)
            ));
        }
        put(selector, key, value.clone());
    }
    for toleration in items(scheduling, "tolerations") {
        if !items(spec, "tolerations").any(|given| given == toleration) {
            set(spec, "tolerations", json!([]));
            if let Some(tolerations) = spec["tolerations"].as_array_mut() {
                tolerations.push(toleration.clone());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_adds_its_own() {
        let class = json!({"overhead": {"podFixed": {"cpu": "10m"}}, "scheduling": {"nodeSelector": {"a": "b"}, "tolerations": [{"key": "k"}]}});
        let mut spec = json!({"nodeSelector": {"c": "d"}});
        apply(&mut spec, &class).unwrap();
        assert_eq!(
            spec,
            json!({"nodeSelector": {"a": "b", "c": "d"}, "overhead": {"cpu": "10m"}, "tolerations": [{"key": "k"}]})
        );
        assert!(apply(&mut json!({"nodeSelector": {"a": "x"}}), &class).is_err());
        assert!(apply(&mut json!({"overhead": {"cpu": "1"}}), &class).is_err());
    }
}
