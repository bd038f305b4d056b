//! The kinds that a policy is about, as far as it names them.

use std::collections::BTreeSet;

use serde_json::Value;
use windlass_api::GroupVersionKind;
use windlass_client::ApiResource;
use windlass_machinery::tree::{items, text};

/// More kinds of a rule are not looked at.
const KINDS_MAX: usize = 10;

/// The kinds in their order. A rule with a wildcard for groups or versions says nothing, and resources with one, or of a part of an
/// object, are left out.
pub(super) fn kinds_of(spec: &Value, resources: &[ApiResource]) -> Vec<GroupVersionKind> {
    let mut kinds = BTreeSet::new();
    for rule in items(&spec["matchConstraints"], "resourceRules") {
        let words = |field: &str| -> BTreeSet<&str> { items(rule, field).filter_map(Value::as_str).collect() };
        let (groups, versions) = (words("apiGroups"), words("apiVersions"));
        if groups.iter().chain(&versions).any(|word| word.contains('*')) {
            continue;
        }
        let names: BTreeSet<&str> = words("resources").into_iter().filter(|name| !name.contains(['*', '/'])).collect();
        // Upstream goes through all that the rule names; what is served is less.
        let mut found: Vec<&ApiResource> = resources
            .iter()
            .filter(|served| {
                let resource = &served.resource;
                groups.contains(&*resource.group)
                    && versions.contains(&*resource.version)
                    && names.contains(&*resource.resource)
            })
            .collect();
        found.sort_by_key(|served| {
            let resource = &served.resource;
            (resource.group.clone(), resource.version.clone(), resource.resource.clone())
        });
        let is_full = found.len() >= KINDS_MAX;
        kinds.extend(found.into_iter().take(KINDS_MAX).map(kind));
        if is_full {
            break;
        }
    }
    kinds.into_iter().collect()
}

fn kind(served: &ApiResource) -> GroupVersionKind {
    let (group, version) = (served.resource.group.clone(), served.resource.version.clone());
    GroupVersionKind { group, version, kind: served.kind.clone().into() }
}

/// The kind of the policy's parameters.
pub(super) fn param_kind(spec: &Value) -> Option<GroupVersionKind> {
    let kind = spec.get("paramKind").filter(|kind| kind.is_object())?;
    let api_version = text(kind, "apiVersion");
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let (group, version) = (group.to_owned().into(), version.to_owned().into());
    Some(GroupVersionKind { group, version, kind: text(kind, "kind").to_owned().into() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use windlass_api::GroupVersionResource;

    use super::*;

    #[test]
    fn kinds_of_rules() {
        let served = |group: &'static str, version: &'static str, plural: &'static str, kind: &str| ApiResource {
            resource: GroupVersionResource::of(group, version, plural),
            kind: kind.to_owned(),
            namespaced: true,
            verbs: Vec::new(),
        };
        let mut resources = vec![
            served("apps", "v1", "deployments", "Deployment"),
            served("", "v1", "pods", "Pod"),
            served("apps", "v1", "daemonsets", "DaemonSet"),
        ];
        let many: Vec<String> = (0..20).map(|number| format!("many{number:02}")).collect();
        resources.extend(many.iter().map(|name| {
            let resource =
                GroupVersionResource { resource: name.clone().into(), ..GroupVersionResource::of("a.b", "v1", "") };
            ApiResource { resource, ..served("", "", "", name) }
        }));
        let kinds = |rules: Value| -> Vec<String> {
            let spec = json!({"matchConstraints": {"resourceRules": rules}});
            kinds_of(&spec, &resources).iter().map(|kind| kind.kind.to_string()).collect()
        };
        let rule = |groups: &[&str], versions: &[&str], resources: Value| json!({"apiGroups": groups, "apiVersions": versions, "resources": resources});
        let cases = [
            (
                json!([rule(&["apps", ""], &["v1"], json!(["deployments", "pods", "daemonsets"]))]),
                vec!["Pod", "DaemonSet", "Deployment"],
            ),
            (json!([rule(&["apps"], &["v1"], json!(["*", "deployments/scale", "pods"]))]), vec![]),
            (json!([rule(&["*"], &["v1"], json!(["pods"])), rule(&[""], &["v1"], json!(["pods"]))]), vec!["Pod"]),
            (json!([rule(&[""], &["v1", "*"], json!(["pods"]))]), vec![]),
        ];
        for (rules, expected) in cases {
            assert_eq!(kinds(rules.clone()), expected, "{rules}");
        }
        assert_eq!(
            kinds(json!([rule(&["a.b"], &["v1"], json!(many)), rule(&[""], &["v1"], json!(["pods"]))])).len(),
            10
        );
    }
}
