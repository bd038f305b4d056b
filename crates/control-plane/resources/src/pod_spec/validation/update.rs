//! What may change of a pod that is there: little of its specification, and its status by rules of its own.

use std::collections::HashSet;

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_api::well_known::annotation::APP_ARMOR_PREFIX;
use windlass_machinery::tree::{by_name, items, number, text};

use super::metadata::MIRROR;
use super::validate_annotations;
use crate::rules::{complain, ip, map_at, required};

/// A change of a pod; what holds for every pod has been checked.
pub(crate) fn validate_pod_update(errors: &mut Errors, object: &Value, old: &Value) {
    let metadata = Path::new("metadata");
    validate_annotation_changes(errors, object, old, &metadata.child("annotations"));
    let path = Path::new("spec");
    let (spec, old_spec) = (&object["spec"], &old["spec"]);
    for list in ["containers", "initContainers"] {
        if !validate_images(errors, spec, old_spec, list, &path.child(list)) {
            return;
        }
    }
    if !validate_deadline(errors, spec, old_spec, &path.child("activeDeadlineSeconds")) {
        return;
    }
    let gates = path.child("schedulingGates");
    let old_gates = by_name(old_spec, "schedulingGates");
    for (index, gate) in items(spec, "schedulingGates").enumerate() {
        let name = text(gate, "name");
        if !old_gates.contains_key(name) {
            let detail = format!("only deletion is allowed, but found new scheduling gate '{name}'");
            errors.push(Error::forbidden(&gates.index(index).child("name"), detail));
        }
    }
    validate_toleration_changes(errors, spec, old_spec, &path.child("tolerations"));
    if spec == old_spec {
        return;
    }
    let munged = munge(errors, spec, old_spec, &path);
    if munged != *old_spec {
        let detail = format!(
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,\
             `spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
             `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n{}",
            difference(old_spec, &munged)
        );
        errors.push(Error::forbidden(&path, detail));
    }
}

/// The specification with everything that may change put back.
fn munge(errors: &mut Errors, spec: &Value, old: &Value, path: &Path<'_>) -> Value {
    let mut munged = spec.clone();
    for list in ["containers", "initContainers"] {
        let before: Vec<&Value> = items(old, list).collect();
        for (container, before) in windlass_machinery::tree::items_mut(&mut munged, list).zip(before) {
            windlass_machinery::tree::keep(container, before, "image");
        }
    }
    for field in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        windlass_machinery::tree::keep(&mut munged, old, field);
    }
    if number(old, "terminationGracePeriodSeconds") < 0 && number(spec, "terminationGracePeriodSeconds") == 1 {
        windlass_machinery::tree::keep(&mut munged, old, "terminationGracePeriodSeconds");
    }
    if items(old, "schedulingGates").next().is_none() {
        return munged;
    }
    // A gated pod may be directed more narrowly.
    if munged.get("nodeSelector") != old.get("nodeSelector") {
        let keeps = map_at(old, "nodeSelector")
            .into_iter()
            .flatten()
            .all(|(key, value)| map_at(spec, "nodeSelector").and_then(|selector| selector.get(key)) == Some(value));
        if !keeps {
            let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
            let selector = spec.get("nodeSelector").cloned().unwrap_or_default();
            errors.push(Error::invalid(&path.child("nodeSelector"), selector, detail));
        }
        windlass_machinery::tree::keep(&mut munged, old, "nodeSelector");
    }
    let of = |spec: &Value| spec.pointer("/affinity/nodeAffinity").cloned();
    if of(spec) != of(old) {
        validate_node_affinity_change(errors, of(spec).as_ref(), of(old).as_ref(), path);
        match (of(old), old.get("affinity")) {
            (Some(before), _) => munged["affinity"]["nodeAffinity"] = before,
            (None, None) if ["podAffinity", "podAntiAffinity"].iter().all(|f| munged["affinity"].get(*f).is_none()) => {
                windlass_machinery::tree::remove(&mut munged, "affinity");
            }
            (None, _) => {
                windlass_machinery::tree::remove(&mut munged["affinity"], "nodeAffinity");
            }
        }
    }
    munged
}

fn validate_node_affinity_change(errors: &mut Errors, new: Option<&Value>, old: Option<&Value>, path: &Path<'_>) {
    const TERMS: &str = "/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    let terms = |affinity: Option<&Value>| -> Vec<Value> {
        affinity.and_then(|a| a.pointer(TERMS)).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let (new, old) = (terms(new), terms(old));
    if old.is_empty() {
        return;
    }
    let affinity = path.child("affinity");
    let node = affinity.child("nodeAffinity");
    let required = node.child("requiredDuringSchedulingIgnoredDuringExecution");
    let path = required.child("nodeSelectorTerms");
    if new.len() != old.len() {
        let detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        errors.push(Error::invalid(&path, new, detail));
        return;
    }
    for (index, (new, old)) in new.iter().zip(&old).enumerate() {
        let only_adds = ["matchExpressions", "matchFields"]
            .iter()
            .all(|field| items(old, field).all(|requirement| items(new, field).any(|other| other == requirement)));
        if !only_adds || old.as_object().is_some_and(serde_json::Map::is_empty) {
            let detail = "only additions are allowed (no mutations or deletions)";
            errors.push(Error::invalid(&path.index(index), new.clone(), detail));
        }
    }
}

fn validate_images(errors: &mut Errors, spec: &Value, old: &Value, list: &str, path: &Path<'_>) -> bool {
    if items(spec, list).count() != items(old, list).count() {
        errors.push(Error::forbidden(path, "pod updates may not add or remove containers"));
        return false;
    }
    for (index, container) in items(spec, list).enumerate() {
        let path = path.index(index);
        required(errors, container, &path, "image");
        super::images::validate_image_of_pod(errors, container, &path);
    }
    true
}

fn validate_deadline(errors: &mut Errors, spec: &Value, old: &Value, path: &Path<'_>) -> bool {
    let deadline = |spec: &Value| spec.get("activeDeadlineSeconds").and_then(Value::as_i64);
    let (detail, shown) = match (deadline(spec), deadline(old)) {
        (Some(new), _) if !(0..=i64::from(i32::MAX)).contains(&new) => {
            (format!("must be between 0 and {}, inclusive", i32::MAX), Value::from(new))
        }
        (Some(new), Some(old)) if old < new => {
            ("must be less than or equal to previous value".to_owned(), Value::from(new))
        }
        (None, Some(_)) => ("must not update from a positive integer to nil value".to_owned(), Value::Null),
        _ => return true,
    };
    let goes_on = shown.is_null();
    errors.push(Error::invalid(path, shown, detail));
    goes_on
}

fn validate_toleration_changes(errors: &mut Errors, spec: &Value, old: &Value, path: &Path<'_>) {
    let without_seconds = |toleration: &Value| {
        let mut toleration = toleration.clone();
        windlass_machinery::tree::remove(&mut toleration, "tolerationSeconds");
        toleration
    };
    let now: HashSet<Value> = items(spec, "tolerations").map(without_seconds).collect();
    if items(old, "tolerations").any(|before| !now.contains(&without_seconds(before))) {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(Error::forbidden(path, detail));
        return;
    }
    super::validate_tolerations(errors, spec, path);
}

/// Some annotations are as good as fields, and do not change.
fn validate_annotation_changes(errors: &mut Errors, object: &Value, old: &Value, path: &Path<'_>) {
    let empty = serde_json::Map::new();
    let (new, before) = (
        map_at(&object["metadata"], "annotations").unwrap_or(&empty),
        map_at(&old["metadata"], "annotations").unwrap_or(&empty),
    );
    for (key, _) in before.iter().filter(|(key, value)| new.get(*key) != Some(value)) {
        if key.starts_with(APP_ARMOR_PREFIX) {
            errors.push(Error::forbidden(&path.key(key), "may not remove or update AppArmor annotations"));
        }
        if key == MIRROR {
            errors.push(Error::forbidden(&path.key(key), "may not remove or update mirror pod annotation"));
        }
    }
    for key in new.keys().filter(|key| !before.contains_key(*key)) {
        if key.starts_with(APP_ARMOR_PREFIX) {
            errors.push(Error::forbidden(&path.key(key), "may not add AppArmor annotations"));
        }
        if key == MIRROR {
            errors.push(Error::forbidden(&path.key(key), "may not add mirror pod annotation"));
        }
    }
    validate_annotations(errors, &object["metadata"], &object["spec"], path);
}

/// Ephemeral containers are added to a running pod, and never changed or taken away.
pub(crate) fn validate_ephemeral_containers_update(errors: &mut Errors, object: &Value, old: &Value) {
    let spec = Path::new("spec");
    let path = spec.child("ephemeralContainers");
    let now = by_name(&object["spec"], "ephemeralContainers");
    for before in items(&old["spec"], "ephemeralContainers") {
        let name = text(before, "name");
        let what = match now.get(name) {
            None => "removed",
            Some(now) if *now != before => "changed",
            Some(_) => continue,
        };
        let detail = format!("existing ephemeral containers {name:?} may not be {what}\n");
        errors.push(Error::forbidden(&path, detail));
    }
}

/// A change of a pod's status.
pub(crate) fn validate_status_update(errors: &mut Errors, object: &Value, old: &Value) {
    const NOT_A_GENERATION: &str = "must be a non-negative integer";
    let metadata = Path::new("metadata");
    validate_annotation_changes(errors, object, old, &metadata.child("annotations"));
    let path = Path::new("status");
    let (status, old_status) = (&object["status"], &old["status"]);
    let conditions = path.child("conditions");
    for (index, condition) in items(status, "conditions").enumerate() {
        let path = conditions.index(index);
        let generation = number(condition, "observedGeneration");
        if generation < 0 {
            errors.push(Error::invalid(&path.child("observedGeneration"), generation, NOT_A_GENERATION));
        }
        let kind = text(condition, "type");
        if !matches!(kind, "PodScheduled" | "Ready" | "Initialized") {
            complain(errors, &path.child("Type"), kind, names::qualified_name(kind));
        }
    }
    let (nominated, field) = (text(status, "nominatedNodeName"), path.child("nominatedNodeName"));
    if !nominated.is_empty() && nominated != text(old_status, "nominatedNodeName") {
        complain(errors, &field, nominated, names::dns1123_subdomain(nominated));
        if !text(&old["spec"], "nodeName").is_empty() {
            errors.push(Error::forbidden(&field, "may not be set on pods that are already bound to a node"));
        }
    }
    let generation = number(status, "observedGeneration");
    if generation < 0 {
        errors.push(Error::invalid(&path.child("observedGeneration"), generation, NOT_A_GENERATION));
    }
    if text(status, "qosClass") != text(old_status, "qosClass") {
        let class = text(status, "qosClass");
        errors.push(Error::invalid(&path.child("qosClass"), class, crate::rules::IMMUTABLE));
    }
    for list in ["containerStatuses", "initContainerStatuses"] {
        validate_state_changes(errors, status, old_status, list, &path, &old["spec"]);
    }
    validate_claim_statuses(errors, status, &object["spec"], &path.child("resourceClaimStatuses"));
    validate_addresses(errors, status, &path, "podIP", "podIPs");
    validate_addresses(errors, status, &path, "hostIP", "hostIPs");
}

/// What has ended does not begin again, where it is not to be started anew.
fn validate_state_changes(
    errors: &mut Errors,
    status: &Value,
    old_status: &Value,
    list: &str,
    path: &Path<'_>,
    spec: &Value,
) {
    let containers = if list == "containerStatuses" { "containers" } else { "initContainers" };
    let has_rules = |c: &Value| items(c, "restartPolicyRules").next().is_some();
    if ["containers", "initContainers"].iter().flat_map(|l| items(spec, l)).any(has_rules) {
        return;
    }
    let list_path = path.child(list);
    for (index, before) in items(old_status, list).enumerate() {
        let Some(end) = before.pointer("/state/terminated").filter(|end| end.is_object()) else { continue };
        let name = text(before, "name");
        let Some(now) = items(status, list).find(|now| text(now, "name") == name) else { continue };
        if now.pointer("/state/terminated").is_some_and(Value::is_object) {
            continue;
        }
        let own = items(spec, containers).find(|c| text(c, "name") == name).map_or("", |c| text(c, "restartPolicy"));
        let of_pod = match (text(spec, "restartPolicy"), containers) {
            ("Always", "initContainers") => "OnFailure",
            (policy, _) => policy,
        };
        let policy = if own.is_empty() { of_pod } else { own };
        let failed = number(end, "exitCode") != 0;
        if policy == "Always" || (policy == "OnFailure" && failed) {
            continue;
        }
        let detail = "may not be transitioned to non-terminated state";
        errors.push(Error::forbidden(&list_path.index(index).child("state"), detail));
    }
}

fn validate_claim_statuses(errors: &mut Errors, status: &Value, spec: &Value, path: &Path<'_>) {
    let mut seen = std::collections::BTreeSet::new();
    for (index, claim) in items(status, "resourceClaimStatuses").enumerate() {
        let (path, name) = (path.index(index), text(claim, "name"));
        if !items(spec, "resourceClaims").any(|claim| text(claim, "name") == name) {
            let detail = "must match the name of an entry in `spec.resourceClaims`";
            errors.push(Error::invalid(&path.child("name"), name, detail));
        }
        if !seen.insert(name) {
            errors.push(Error::duplicate(&path.child("name"), name));
        }
        if let Some(name) = claim.get("resourceClaimName").and_then(Value::as_str) {
            complain(errors, &path.child("resourceClaimName"), name, names::dns1123_subdomain(name));
        }
    }
}

/// At most one address of each family, the first of which is the singular field's.
fn validate_addresses(errors: &mut Errors, status: &Value, path: &Path<'_>, one: &str, many: &str) {
    let list = path.child(many);
    let all: Vec<&str> = items(status, many).map(|address| text(address, "ip")).collect();
    let single = text(status, one);
    let differs = |errors: &mut Errors| {
        if let Some(first) = all.first().filter(|first| **first != single) {
            let path = list.index(0);
            errors.push(Error::invalid(&path.child("ip"), *first, format!("must be equal to `{one}`")));
        }
    };
    if one == "hostIP" {
        differs(errors);
    }
    for (index, address) in all.iter().enumerate() {
        ip(errors, &list.index(index), address);
    }
    let shown = || Value::from(all.iter().map(|ip| serde_json::json!({"IP": ip})).collect::<Vec<_>>());
    if all.len() > 1 {
        let v6: Vec<bool> = all.iter().map(|address| address.contains(':')).collect();
        if all.len() > 2 || v6[0] == v6[1] {
            let detail = "may specify no more than one IP for each IP family";
            errors.push(Error::invalid(&list, shown(), detail));
        }
    }
    if one == "podIP" {
        if single.is_empty() != all.is_empty() {
            let detail = "podIP and podIPs must either both be set or both be unset";
            errors.push(Error::invalid(&list, shown(), detail));
        } else {
            differs(errors);
        }
    }
}

/// Which fields differ, one a line. Upstream prints Go's structures here; clients can only show it.
fn difference(old: &Value, new: &Value) -> String {
    fn walk(old: &Value, new: &Value, path: &str, lines: &mut Vec<String>) {
        match (old, new) {
            _ if old == new => {}
            (Value::Object(one), Value::Object(two)) => {
                let keys: std::collections::BTreeSet<&String> = one.keys().chain(two.keys()).collect();
                for key in keys {
                    walk(&old[key], &new[key], &format!("{path}.{key}"), lines);
                }
            }
            (Value::Array(one), Value::Array(two)) if one.len() == two.len() => {
                for (index, (one, two)) in one.iter().zip(two).enumerate() {
                    walk(one, two, &format!("{path}[{index}]"), lines);
                }
            }
            _ => lines.push(format!("{path}: {old} -> {new}")),
        }
    }
    let mut lines = Vec::new();
    walk(old, new, "spec", &mut lines);
    lines.join("\n")
}
