//! LimitRanger: defaults and bounds for what pods and claims of a namespace ask for.
//!
//! Source: upstream `plugin/pkg/admission/limitranger`.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::Value;
use windlass_api::pod::{self, Options, PodTree, Total};
use windlass_api::{Quantity, Status};
use windlass_machinery::tree::{child, items, items_mut, put, set, text};

use crate::chain::Plugin;
use crate::review::{Cluster, Operation, Review};

const WITHOUT_OVERHEAD: Options<'_> = Options { exclude_overhead: true, ..Options::SPEC };

type Resources = BTreeMap<String, Quantity>;

pub(super) struct LimitRanger;

#[async_trait]
impl Plugin for LimitRanger {
    fn name(&self) -> &'static str {
        "LimitRanger"
    }

    async fn admit(&self, review: &mut Review<'_>, cluster: &dyn Cluster) -> Result<(), Status> {
        if review.operation != Operation::Create || !review.is_of("", "pods") {
            return Ok(());
        }
        for range in cluster.objects("limitranges", review.namespace) {
            if let Some(pod) = review.object.as_deref_mut() {
                set_defaults(pod, &range);
            }
        }
        Ok(())
    }

    async fn validate(&self, review: &Review<'_>, cluster: &dyn Cluster) -> Result<(), Status> {
        let resize = review.operation == Operation::Update && review.subresource == "resize";
        let about_pods = review.resource.group.is_empty() && review.resource.resource == "pods";
        let pods = about_pods && (resize || (review.operation == Operation::Create && review.subresource.is_empty()));
        let claims = review.is_of("", "persistentvolumeclaims")
            && matches!(review.operation, Operation::Create | Operation::Update);
        let Some(object) = review.object.as_deref().filter(|_| pods || claims) else { return Ok(()) };
        let mut problems = Vec::new();
        for range in cluster.objects("limitranges", review.namespace) {
            for limit in items(&range["spec"], "limits") {
                problems.extend(if claims { check_claim(object, limit) } else { check_pod(object, limit) });
            }
        }
        match problems.as_slice() {
            [] => Ok(()),
            [one] => Err(review.forbidden(one)),
            many => Err(review.forbidden(format!("[{}]", many.join(", ")))),
        }
    }
}

fn resources(list: Option<&Value>) -> Resources {
    let list = list.and_then(Value::as_object);
    list.into_iter().flatten().filter_map(|(name, q)| Some((name.clone(), q.as_str()?.parse().ok()?))).collect()
}

/// Containers that say nothing get the range's defaults.
fn set_defaults(pod: &mut Value, range: &Value) {
    let (mut limits, mut requests) = (Resources::new(), Resources::new());
    for limit in items(&range["spec"], "limits").filter(|limit| text(limit, "type") == "Container") {
        limits.extend(resources(limit.get("default")));
        requests.extend(resources(limit.get("defaultRequest")));
    }
    let spec = child(pod, "spec");
    let mut set_by_us = Vec::new();
    for list in ["containers", "initContainers"] {
        for container in items_mut(spec, list) {
            let name = text(container, "name").to_owned();
            let own = child(container, "resources");
            for (kind, defaults) in [("requests", &requests), ("limits", &limits)] {
                let mut added = Vec::new();
                for (resource, quantity) in defaults {
                    if own.get(kind).and_then(|all| all.get(resource)).is_none() {
                        set(child(own, kind), resource, quantity.to_string());
                        added.push(resource.as_str());
                    }
                }
                if !added.is_empty() {
                    let what = if kind == "limits" { "limit" } else { "request" };
                    let whose = if list == "containers" { "container" } else { "init container" };
                    set_by_us.push(format!("{} {what} for {whose} {name}", added.join(", ")));
                }
            }
        }
    }
    if !set_by_us.is_empty() {
        let note = format!("LimitRanger plugin set: {}", set_by_us.join("; "));
        put(child(child(pod, "metadata"), "annotations"), "kubernetes.io/limit-ranger", note);
    }
}

/// Holds one set of requests and limits against a range.
fn check(what: &str, requests: &Resources, limits: &Resources, limit: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, min) in resources(limit.get("min")) {
        match (requests.get(&name), limits.get(&name)) {
            (None, _) => problems.push(format!("minimum {name} usage per {what} is {min}.  No request is specified")),
            (Some(r), _) if *r < min => {
                problems.push(format!("minimum {name} usage per {what} is {min}, but request is {r}"));
            }
            (_, Some(l)) if *l < min => {
                problems.push(format!("minimum {name} usage per {what} is {min}, but limit is {l}"));
            }
            _ => {}
        }
    }
    for (name, max) in resources(limit.get("max")) {
        match (requests.get(&name), limits.get(&name)) {
            (_, None) => problems.push(format!("maximum {name} usage per {what} is {max}.  No limit is specified")),
            (_, Some(l)) if *l > max => {
                problems.push(format!("maximum {name} usage per {what} is {max}, but limit is {l}"));
            }
            (Some(r), _) if *r > max => {
                problems.push(format!("maximum {name} usage per {what} is {max}, but request is {r}"));
            }
            _ => {}
        }
    }
    for (name, ratio) in resources(limit.get("maxLimitRequestRatio")) {
        match (requests.get(&name), limits.get(&name)) {
            (Some(r), Some(l)) if !r.is_zero() && !l.is_zero() => {
                let observed = l.as_f64() / r.as_f64();
                if observed > ratio.as_f64() {
                    problems.push(format!(
                        "{name} max limit to request ratio per {what} is {ratio}, but provided ratio is {observed:.6}"
                    ));
                }
            }
            _ => problems.push(format!(
                "{name} max limit to request ratio per {what} is {ratio}, but no request is specified or request is 0"
            )),
        }
    }
    problems
}

fn owned(total: &Total<'_>) -> Resources {
    total.iter().map(|(name, quantity)| (name.to_owned(), quantity)).collect()
}

fn check_pod(pod: &Value, limit: &Value) -> Vec<String> {
    let spec = &pod["spec"];
    let of = |container: &Value, kind: &str| resources(container["resources"].get(kind));
    match text(limit, "type") {
        "Container" => ["containers", "initContainers"]
            .iter()
            .flat_map(|list| items(spec, list))
            .flat_map(|c| check("Container", &of(c, "requests"), &of(c, "limits"), limit))
            .collect(),
        "Pod" => {
            let tree = PodTree::of_spec(spec);
            let (requests, limits) = (pod::requests(tree, WITHOUT_OVERHEAD), pod::limits(tree, WITHOUT_OVERHEAD));
            check("Pod", &owned(&requests), &owned(&limits), limit)
        }
        _ => Vec::new(),
    }
}

fn check_claim(claim: &Value, limit: &Value) -> Vec<String> {
    if text(limit, "type") != "PersistentVolumeClaim" {
        return Vec::new();
    }
    let requests = resources(claim["spec"]["resources"].get("requests"));
    let storage = requests.get("storage").copied().unwrap_or_default();
    let mut problems = Vec::new();
    if let Some(min) = resources(limit.get("min")).get("storage").filter(|min| storage < **min) {
        problems.push(format!("minimum storage usage per PersistentVolumeClaim is {min}, but request is {storage}"));
    }
    if let Some(max) = resources(limit.get("max")).get("storage").filter(|max| storage > **max) {
        problems.push(format!("maximum storage usage per PersistentVolumeClaim is {max}, but request is {storage}"));
    }
    problems
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn range() -> Value {
        json!({"spec": {"limits": [{"type": "Container", "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m"},
            "min": {"cpu": "50m"}, "max": {"cpu": "1"}, "maxLimitRequestRatio": {"cpu": "10"}}]}})
    }

    #[test]
    fn defaults() {
        let mut pod = json!({"metadata": {}, "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "200m"}}}]}});
        set_defaults(&mut pod, &range());
        assert_eq!(
            pod["spec"]["containers"][0]["resources"],
            json!({"limits": {"cpu": "500m"}, "requests": {"cpu": "200m"}})
        );
        assert_eq!(
            pod["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
            "LimitRanger plugin set: cpu limit for container c"
        );
    }

    #[test]
    fn sidecars_and_the_pod_as_a_whole_count() {
        let limit = json!({"type": "Pod", "max": {"cpu": "1"}});
        let c = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}, "limits": {"cpu": cpu}}});
        let mut sidecar = c("600m");
        sidecar["restartPolicy"] = json!("Always");
        let pod = json!({"spec": {"containers": [c("500m")], "initContainers": [sidecar]}});
        assert_eq!(check_pod(&pod, &limit), ["maximum cpu usage per Pod is 1, but limit is 1100m"]);
        let own = json!({"spec": {"containers": [c("500m")], "resources": {"limits": {"cpu": "2"}}}});
        assert_eq!(check_pod(&own, &limit), ["maximum cpu usage per Pod is 1, but limit is 2"]);
    }

    #[test]
    fn bounds() {
        let problems = |requests: &str, limits: &str| {
            let pod = json!({"spec": {"containers": [{"resources": {"requests": {"cpu": requests}, "limits": {"cpu": limits}}}]}});
            check_pod(&pod, &range()["spec"]["limits"][0])
        };
        assert!(problems("100m", "500m").is_empty());
        assert_eq!(problems("20m", "100m"), ["minimum cpu usage per Container is 50m, but request is 20m"]);
        assert_eq!(problems("1", "2"), ["maximum cpu usage per Container is 1, but limit is 2"]);
        assert_eq!(problems("50m", "1").len(), 1);
    }
}
