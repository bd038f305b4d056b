//! The pods of a Job. Pure functions.

use serde_json::{Value, json};
use windlass_api::{OwnerReference, Status};

use super::plan::NewPod;
use super::view::{FAILURES, FINALIZER, IGNORED_FAILURES, INDEX, Job};
use crate::pod_control::pod_of;

const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";
/// Longest prefix of a pod's name; five characters follow.
const PREFIX_MAX: usize = 58;

/// The pod for a place in a job.
pub(super) fn pod(job: &Job, owner: OwnerReference, new: &NewPod) -> Result<Value, Status> {
    let mut pod = pod_of(&job.spec.template, owner)?;
    add_finalizer(&mut pod);
    let Some(index) = new.index else { return Ok(pod) };
    let name = &job.metadata.name;
    let metadata = &mut pod["metadata"];
    metadata["annotations"][INDEX] = json!(index.to_string());
    metadata["labels"][INDEX] = json!(index.to_string());
    if let Some((counted, ignored)) = new.failures {
        metadata["annotations"][FAILURES] = json!(counted.to_string());
        if ignored > 0 {
            metadata["annotations"][IGNORED_FAILURES] = json!(ignored.to_string());
        }
    }
    let suffix = format!("-{index}-");
    let prefix: String = name.chars().take(PREFIX_MAX - suffix.len()).collect();
    metadata["generateName"] = json!(prefix + &suffix);
    pod["spec"]["hostname"] = json!(format!("{name}-{index}"));
    for list in ["initContainers", "containers"] {
        for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
            add_index(container);
        }
    }
    Ok(pod)
}

fn add_finalizer(pod: &mut Value) {
    let mut finalizers = pod["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
        finalizers.push(json!(FINALIZER));
    }
    pod["metadata"]["finalizers"] = json!(finalizers);
}

/// Tells a container its index, unless it knows already.
fn add_index(container: &mut Value) {
    let mut variables = container["env"].as_array().cloned().unwrap_or_default();
    if variables.iter().any(|variable| variable["name"] == INDEX_VARIABLE) {
        return;
    }
    let source = json!({"fieldRef": {"fieldPath": format!("metadata.labels['{INDEX}']")}});
    variables.push(json!({"name": INDEX_VARIABLE, "valueFrom": source}));
    container["env"] = json!(variables);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        serde_json::from_value(json!({"metadata": {"name": "j"}, "spec": {"template": {
            "metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c"}]}}}}))
        .unwrap()
    }

    #[test]
    fn pods() {
        let plain = pod(&job(), OwnerReference::default(), &NewPod::default()).unwrap();
        assert_eq!(plain["metadata"]["finalizers"], json!([FINALIZER]));
        assert!(plain["spec"].get("hostname").is_none());
        let indexed = NewPod { index: Some(3), failures: Some((1, 0)) };
        let indexed = pod(&job(), OwnerReference::default(), &indexed).unwrap();
        assert_eq!(indexed["metadata"]["generateName"], "j-3-");
        assert_eq!(indexed["metadata"]["labels"], json!({"a": "b", INDEX: "3"}));
        assert_eq!(indexed["metadata"]["annotations"], json!({INDEX: "3", FAILURES: "1"}));
        assert_eq!(indexed["spec"]["hostname"], "j-3");
        assert_eq!(indexed["spec"]["containers"][0]["env"][0]["name"], INDEX_VARIABLE);
    }
}
