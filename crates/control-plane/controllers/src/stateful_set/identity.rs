//! What the pod of an ordinal is called, which storage is its own, and who owns that.

use serde_json::{Map, Value, json};
use windlass_api::OwnerReference;
use windlass_api::well_known::label::CONTROLLER_REVISION_HASH;

use super::KIND;
use super::view::StatefulSet;
use crate::owners::OwnerKind;
use crate::pods::Pod;

const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
const POD_INDEX: &str = "apps.kubernetes.io/pod-index";
const POD: OwnerKind = OwnerKind { api_version: "v1", kind: "Pod" };

fn name(set: &StatefulSet, ordinal: i64) -> String {
    format!("{}-{ordinal}", set.metadata.name)
}

/// The pod of an ordinal, from a template.
pub(super) fn pod(set: &StatefulSet, ordinal: i64, template: &Value, revision: &str) -> Value {
    let name = name(set, ordinal);
    let mut metadata = template["metadata"].as_object().cloned().unwrap_or_default();
    metadata.remove("creationTimestamp");
    let mut labels = metadata.get("labels").and_then(Value::as_object).cloned().unwrap_or_default();
    labels.insert(POD_NAME.to_owned(), json!(name));
    labels.insert(POD_INDEX.to_owned(), json!(ordinal.to_string()));
    labels.insert(CONTROLLER_REVISION_HASH.to_owned(), json!(revision));
    metadata.insert("labels".to_owned(), Value::Object(labels));
    metadata.insert("name".to_owned(), json!(name));
    // Nothing is generated from it, for there is a name; upstream's pods have it.
    metadata.insert("generateName".to_owned(), json!(format!("{}-", set.metadata.name)));
    metadata.insert("namespace".to_owned(), json!(set.metadata.namespace));
    metadata.insert("ownerReferences".to_owned(), json!([KIND.controller_of(&set.metadata)]));
    let mut spec = template["spec"].clone();
    spec["hostname"] = json!(name);
    spec["subdomain"] = json!(set.spec.service_name);
    let own: Vec<(String, String)> = set
        .spec
        .volume_claim_templates
        .iter()
        .map(|claim| claim["metadata"]["name"].as_str().unwrap_or_default().to_owned())
        .map(|volume| (format!("{volume}-{name}"), volume))
        .collect();
    if !own.is_empty() {
        let mut volumes: Vec<Value> = own
            .iter()
            .map(|(claim, volume)| json!({"name": volume, "persistentVolumeClaim": {"claimName": claim}}))
            .collect();
        let others = spec["volumes"].as_array().cloned().unwrap_or_default();
        volumes.extend(others.into_iter().filter(|other| own.iter().all(|(_, volume)| other["name"] != **volume)));
        spec["volumes"] = json!(volumes);
    }
    json!({"metadata": metadata, "spec": spec})
}

/// The claims of an ordinal's pod.
pub(super) fn claims(set: &StatefulSet, ordinal: i64) -> Vec<Value> {
    let name = name(set, ordinal);
    let selector = set.spec.selector["matchLabels"].as_object().cloned().unwrap_or_default();
    let claims = set.spec.volume_claim_templates.iter().map(|template| {
        let mut metadata = template["metadata"].as_object().cloned().unwrap_or_default();
        let volume = template["metadata"]["name"].as_str().unwrap_or_default();
        let mut labels: Map<String, Value> =
            metadata.get("labels").and_then(Value::as_object).cloned().unwrap_or_default();
        labels.extend(selector.clone());
        metadata.insert("labels".to_owned(), Value::Object(labels));
        metadata.insert("name".to_owned(), json!(format!("{volume}-{name}")));
        metadata.insert("namespace".to_owned(), json!(set.metadata.namespace));
        json!({"metadata": metadata, "spec": template["spec"]})
    });
    claims.collect()
}

/// The owners that a pod's claim should have: those of others, and set or pod when the storage is to go with it.
pub(super) fn claim_owners(
    set: &StatefulSet,
    ordinal: i64,
    pod: &Pod,
    present: &[OwnerReference],
) -> Vec<OwnerReference> {
    let retention = &set.spec.persistent_volume_claim_retention_policy;
    let (with_set, with_pod) = (retention.when_deleted == "Delete", retention.when_scaled == "Delete");
    let is_condemned = !set.ordinals().contains(&ordinal);
    let mut wanted: Vec<OwnerReference> = present
        .iter()
        .filter(|owner| owner.uid != set.metadata.uid && owner.uid != pod.metadata.uid)
        .cloned()
        .collect();
    let plain = |mut owner: OwnerReference| {
        owner.controller = None;
        owner.block_owner_deletion = None;
        owner
    };
    if with_pod && is_condemned {
        wanted.push(plain(POD.controller_of(&pod.metadata)));
    } else if with_set {
        wanted.push(KIND.controller_of(&set.metadata));
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> StatefulSet {
        serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "ns", "uid": "s"},
            "spec": {"replicas": 2, "serviceName": "svc", "selector": {"matchLabels": {"a": "b"}},
                "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Delete"},
                "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"x": 1}}]}}))
        .unwrap()
    }

    #[test]
    fn a_pod_of_an_ordinal() {
        let template = json!({"metadata": {"labels": {"a": "b"}},
            "spec": {"volumes": [{"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}]}});
        let pod = pod(&set(), 1, &template, "web-1");
        assert_eq!(pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"], "1");
        assert_eq!((&pod["metadata"]["name"], &pod["metadata"]["generateName"]), (&json!("web-1"), &json!("web-")));
        assert_eq!((&pod["spec"]["hostname"], &pod["spec"]["subdomain"]), (&json!("web-1"), &json!("svc")));
        assert_eq!(pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"], "data-web-1");
        assert_eq!(pod["spec"]["volumes"].as_array().unwrap().len(), 2);
        let claim = &claims(&set(), 1)[0];
        assert_eq!(
            (&claim["metadata"]["name"], &claim["metadata"]["labels"]["a"]),
            (&json!("data-web-1"), &json!("b"))
        );
    }

    #[test]
    fn storage_goes_with_whom_the_policy_says() {
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "web-5", "uid": "p"}})).unwrap();
        let owners = |ordinal| claim_owners(&set(), ordinal, &pod, &[])[0].uid.clone();
        assert_eq!((owners(1).as_str(), owners(5).as_str()), ("s", "p"));
    }
}
