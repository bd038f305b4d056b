//! What a resize may change of a pod: how much cpu and memory its containers and the pod itself have, in the pod's class.

use serde_json::{Map, Value};
use windlass_api::field::{Error, Errors, Path};
use windlass_api::pod::tree::is_mirror;
use windlass_api::pod::{PodTree, qos_class};
use windlass_machinery::tree::{child, items, keep, text};

const RESIZED: [&str; 2] = ["cpu", "memory"];
const LISTS: [&str; 2] = ["containers", "initContainers"];

/// A resize of a pod; what holds for every pod has been checked.
///
/// Source: upstream `ValidatePodResize`.
pub(crate) fn validate_resize(errors: &mut Errors, object: &Value, old: &Value) {
    let (spec, old_spec) = (&object["spec"], &old["spec"]);
    let windows = text(&old_spec["os"], "name") == "windows";
    if is_mirror(old) || windows {
        let what = if windows { "windows" } else { "static" };
        *errors = Error::forbidden(&Path::new(""), format!("{what} pods cannot be resized")).into();
        return;
    }
    let path = Path::new("spec");
    let class = text(&old["status"], "qosClass");
    let class = if class.is_empty() { qos_class(PodTree::of_spec(old_spec)).name() } else { class };
    if class != qos_class(PodTree::of_spec(spec)).name() {
        let shown = text(&object["status"], "qosClass");
        errors.push(Error::invalid(&path, shown, "Pod QOS Class may not change as a result of resizing"));
    }
    if !is_supported(old) {
        errors.push(Error::forbidden(&path, "Pod running on node without support for resize"));
    }
    if is_bounded(spec) || is_bounded(old_spec) {
        validate_of_pod(errors, spec["resources"].clone(), &old_spec["resources"], &path);
    }
    let before = errors.len();
    for list in LISTS {
        validate_order(errors, spec, old_spec, list, &path.child(list));
    }
    if errors.len() > before {
        return;
    }
    for list in ["initContainers", "containers"] {
        for (index, (new, old)) in items(spec, list).zip(items(old_spec, list)).enumerate() {
            let lists = path.child(list);
            let container = lists.index(index);
            let resources = container.child("resources");
            for (kind, what) in [("requests", "resource requests"), ("limits", "resource limits")] {
                if is_removed(&new["resources"], &old["resources"], kind) {
                    errors.push(Error::forbidden(&resources.child(kind), format!("{what} cannot be removed")));
                }
            }
        }
    }
    for list in LISTS {
        for (index, (new, old)) in items(spec, list).zip(items(old_spec, list)).enumerate() {
            validate_rest(errors, new.clone(), old, list, index, &path);
        }
    }
}

/// Whether the node says what running containers have; before one runs, it is taken for able.
fn is_supported(pod: &Value) -> bool {
    let mut running =
        items(&pod["status"], "containerStatuses").filter(|status| status["state"]["running"].is_object());
    running.next().is_none_or(|status| status["resources"].is_object())
}

/// Whether the pod as a whole has resources.
fn is_bounded(spec: &Value) -> bool {
    ["requests", "limits"]
        .into_iter()
        .any(|kind| list_of(&spec["resources"], kind).is_some_and(|list| !list.is_empty()))
}

/// The resources of the pod as a whole.
fn validate_of_pod(errors: &mut Errors, mut new: Value, old: &Value, path: &Path<'_>) {
    let resources = path.child("resources");
    if old.is_object() && !new.is_object() {
        errors.push(Error::forbidden(&resources, "pod-level resources cannot be removed"));
        return;
    }
    for (kind, what) in [("requests", "pod-level resource requests"), ("limits", "pod-level resource limits")] {
        if is_removed(&new, old, kind) {
            errors.push(Error::forbidden(&resources.child(kind), format!("{what} cannot be removed")));
        }
    }
    put_back(&mut new, old);
    if !is_same(&new, old) {
        errors.push(Error::forbidden(path, "only cpu and memory resources are mutable at pod-level"));
    }
}

fn validate_order(errors: &mut Errors, spec: &Value, old: &Value, list: &str, path: &Path<'_>) {
    let (new, old): (Vec<&Value>, Vec<&Value>) = (items(spec, list).collect(), items(old, list).collect());
    if new.len() != old.len() {
        errors.push(Error::forbidden(path, format!("{list} may not be added or removed on resize")));
        return;
    }
    for (index, (new, old)) in new.into_iter().zip(old).enumerate() {
        if text(new, "name") != text(old, "name") {
            let why = format!("{list} may not be renamed or reordered on resize");
            errors.push(Error::forbidden(&path.index(index).child("name"), why));
        }
    }
}

/// What a container has beside cpu and memory must be as it was.
fn validate_rest(errors: &mut Errors, mut new: Value, old: &Value, list: &str, index: usize, path: &Path<'_>) {
    let is_changed = new != *old;
    put_back(child(&mut new, "resources"), &old["resources"]);
    if is_same(&new["resources"], &old["resources"]) {
        keep(&mut new, old, "resources");
    }
    let lists = path.child(list);
    let container = lists.index(index);
    if new != *old {
        errors.push(match list {
            "containers" => Error::forbidden(path, "only cpu and memory resources are mutable"),
            _ => {
                Error::forbidden(&container, "only cpu and memory resources for init or sidecar containers are mutable")
            }
        });
    }
    let is_sidecar = text(&new, "restartPolicy") == "Always";
    if list == "initContainers" && is_changed && !is_sidecar {
        for _ in items(&new, "resizePolicy").filter(|policy| text(policy, "restartPolicy") == "RestartContainer") {
            let why = "non-sidecar init containers with a resize policy of RestartContainer cannot be resized";
            errors.push(Error::forbidden(&container, why));
        }
    }
}

fn list_of<'a>(resources: &'a Value, kind: &str) -> Option<&'a Map<String, Value>> {
    resources.get(kind)?.as_object()
}

fn is_removed(new: &Value, old: &Value, kind: &str) -> bool {
    let new = list_of(new, kind);
    list_of(old, kind).is_some_and(|old| old.keys().any(|name| new.is_none_or(|new| !new.contains_key(name))))
}

/// Gives cpu and memory the amounts that they had.
fn put_back(new: &mut Value, old: &Value) {
    for kind in ["requests", "limits"] {
        let before = list_of(old, kind);
        if list_of(new, kind).is_none() && before.is_none() {
            continue;
        }
        for name in RESIZED {
            let list = child(new, kind);
            match before.and_then(|before| before.get(name)) {
                Some(amount) => list[name] = amount.clone(),
                None => {
                    list.as_object_mut().and_then(|list| list.remove(name));
                }
            }
        }
    }
}

/// Nothing and an empty list are the same.
fn is_same(new: &Value, old: &Value) -> bool {
    let filled = |resources: &Value| {
        let fields = resources.as_object().into_iter().flatten();
        let filled = fields
            .filter(|(_, value)| !matches!(value, Value::Null) && value.as_object().is_none_or(|map| !map.is_empty()));
        filled.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>()
    };
    filled(new) == filled(old)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(resources: Value) -> Value {
        json!({"metadata": {}, "spec": {"containers": [{"name": "r", "resources": resources}]}, "status": {"qosClass": "Burstable"}})
    }

    fn refused(new: &Value) -> Vec<String> {
        let old = pod(json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}}));
        let mut errors = Errors::new();
        validate_resize(&mut errors, new, &old);
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn cpu_and_memory_change_within_the_class() {
        let fine = pod(json!({"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "2Gi"}}));
        assert_eq!(refused(&fine), Vec::<String>::new());
        let cases = [
            (
                json!({"requests": {"cpu": "1", "memory": "1Gi"}}),
                vec!["spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed"],
            ),
            (
                json!({"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}}),
                vec!["spec: Invalid value: \"Burstable\": Pod QOS Class may not change as a result of resizing"],
            ),
            (
                json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi", "ephemeral-storage": "1Gi"}}),
                vec!["spec: Forbidden: only cpu and memory resources are mutable"],
            ),
        ];
        for (resources, expected) in cases {
            assert_eq!(refused(&pod(resources.clone())), expected, "{resources}");
        }
    }

    #[test]
    fn everything_else_stays() {
        let resources = json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}});
        let mut policy = pod(resources.clone());
        policy["spec"]["containers"][0]["resizePolicy"] =
            json!([{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]);
        assert_eq!(refused(&policy), ["spec: Forbidden: only cpu and memory resources are mutable"]);
        let mut more = pod(resources.clone());
        more["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "nope"}));
        assert_eq!(refused(&more), ["spec.containers: Forbidden: containers may not be added or removed on resize"]);
        let mut renamed = pod(resources.clone());
        renamed["spec"]["containers"][0]["name"] = json!("other");
        assert_eq!(
            refused(&renamed),
            ["spec.containers[0].name: Forbidden: containers may not be renamed or reordered on resize"]
        );
        let mut mirror = pod(resources);
        mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "h"});
        let mut errors = Errors::new();
        validate_resize(&mut errors, &mirror, &mirror);
        assert_eq!(errors[0].to_string(), ": Forbidden: static pods cannot be resized");
    }
}
