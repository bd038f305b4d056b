//! What a default role or binding has lost since it was made, and how it gets it back. What others have added to it stays.
//!
//! Source: component-helpers `auth/rbac/reconciliation`.

use serde_json::{Map, Value, json};
use windlass_api::well_known::annotation;

use super::{Rule, uncovered};

/// How an object comes to be what it should be.
#[derive(Clone, Debug, PartialEq)]
pub enum Reconciliation {
    Nothing,
    /// By this merge patch.
    Patch(Value),
    /// By being made anew: a binding to another role cannot be changed.
    Recreate,
}

/// Compares a role or a binding with the one that was made at first.
pub fn reconciliation(found: &Value, wanted: &Value) -> Reconciliation {
    // So an administrator keeps it as it is.
    if found["metadata"]["annotations"][annotation::RBAC_AUTOUPDATE] == "false" {
        return Reconciliation::Nothing;
    }
    let mut patch = Map::new();
    match wanted.get("roleRef") {
        Some(role) if ["apiGroup", "kind", "name"].iter().any(|field| role[*field] != found["roleRef"][*field]) => {
            return Reconciliation::Recreate;
        }
        Some(_) => {
            let fields = ["apiGroup", "kind", "name", "namespace"];
            let is_same = |a: &Value, b: &Value| fields.iter().all(|field| a[*field] == b[*field]);
            add_missing(&mut patch, "subjects", &found["subjects"], &wanted["subjects"], is_same);
        }
        None => {
            let rules = |role: &Value| serde_json::from_value::<Vec<Rule>>(role["rules"].clone()).unwrap_or_default();
            let lost = uncovered(&rules(found), &rules(wanted));
            if !lost.is_empty() {
                let mut all = list(&found["rules"]).to_vec();
                all.extend(lost.iter().map(|rule| json!(rule)));
                patch.insert("rules".to_owned(), Value::Array(all));
            }
            let mut aggregation = Map::new();
            let selectors = "clusterRoleSelectors";
            let (own, first) = (&found["aggregationRule"], &wanted["aggregationRule"]);
            add_missing(&mut aggregation, selectors, &own[selectors], &first[selectors], Value::eq);
            if first.is_null() && !own.is_null() {
                patch.insert("aggregationRule".to_owned(), Value::Null);
            } else if !aggregation.is_empty() {
                patch.insert("aggregationRule".to_owned(), Value::Object(aggregation));
            }
        }
    }
    let mut metadata = Map::new();
    for field in ["annotations", "labels"] {
        let own = &found["metadata"][field];
        let entries = wanted["metadata"][field].as_object().into_iter().flatten();
        let lost: Map<String, Value> = entries
            .filter(|(key, _)| own.get(key.as_str()).is_none())
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if !lost.is_empty() {
            metadata.insert(field.to_owned(), Value::Object(lost));
        }
    }
    if !metadata.is_empty() {
        patch.insert("metadata".to_owned(), Value::Object(metadata));
    }
    if patch.is_empty() { Reconciliation::Nothing } else { Reconciliation::Patch(Value::Object(patch)) }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Adds what is missing in a list behind what is in it.
fn add_missing(
    patch: &mut Map<String, Value>,
    field: &str,
    found: &Value,
    wanted: &Value,
    is_same: impl Fn(&Value, &Value) -> bool,
) {
    let found = list(found);
    let missing = list(wanted).iter().filter(|wanted| !found.iter().any(|own| is_same(own, wanted)));
    let all: Vec<Value> = found.iter().chain(missing).cloned().collect();
    if all.len() > found.len() {
        patch.insert(field.to_owned(), Value::Array(all));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(labels: Value, rules: Value, aggregation: Value) -> Value {
        json!({"metadata": {"name": "r", "labels": labels}, "rules": rules, "aggregationRule": aggregation})
    }

    #[test]
    fn roles() {
        let rule = |verb: &str| json!({"verbs": [verb], "apiGroups": [""], "resources": ["pods"]});
        let selector = |value: &str| json!({"matchLabels": {"to": value}});
        let wanted = role(json!({"a": "1"}), json!([rule("get")]), Value::Null);
        assert_eq!(reconciliation(&wanted, &wanted), Reconciliation::Nothing);
        let more = role(json!({"a": "other", "b": "2"}), json!([rule("get"), rule("list")]), Value::Null);
        assert_eq!(reconciliation(&more, &wanted), Reconciliation::Nothing, "what was added or changed stays");
        let less = role(json!({"b": "2"}), json!([rule("list")]), json!({"clusterRoleSelectors": [selector("x")]}));
        let expected = json!({
            "metadata": {"labels": {"a": "1"}},
            "rules": [rule("list"), rule("get")],
            "aggregationRule": null,
        });
        assert_eq!(reconciliation(&less, &wanted), Reconciliation::Patch(expected));

        let wanted = role(json!({}), Value::Null, json!({"clusterRoleSelectors": [selector("admin")]}));
        let found = role(json!({}), json!([rule("get")]), json!({"clusterRoleSelectors": [selector("mine")]}));
        let both = json!({"aggregationRule": {"clusterRoleSelectors": [selector("mine"), selector("admin")]}});
        assert_eq!(reconciliation(&found, &wanted), Reconciliation::Patch(both));
    }

    #[test]
    fn bindings() {
        let user = |name: &str| json!({"kind": "User", "name": name, "apiGroup": "rbac.authorization.k8s.io"});
        let binding = |role: &str, subjects: Value| {
            let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role});
            json!({"metadata": {"name": "b"}, "roleRef": role, "subjects": subjects})
        };
        let wanted = binding("view", json!([user("a")]));
        let added = reconciliation(&binding("view", json!([user("b")])), &wanted);
        assert_eq!(added, Reconciliation::Patch(json!({"subjects": [user("b"), user("a")]})));
        assert_eq!(
            reconciliation(&binding("view", Value::Null), &wanted),
            Reconciliation::Patch(json!({"subjects": [user("a")]}))
        );
        assert_eq!(reconciliation(&binding("cluster-admin", json!([user("a")])), &wanted), Reconciliation::Recreate);
        let mut kept = binding("cluster-admin", json!([]));
        kept["metadata"]["annotations"] = json!({annotation::RBAC_AUTOUPDATE: "false"});
        assert_eq!(reconciliation(&kept, &wanted), Reconciliation::Nothing);
    }
}
