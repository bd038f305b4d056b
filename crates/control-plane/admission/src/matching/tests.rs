//! Which writes match, as upstream's matcher says.

use serde_json::{Value, json};
use windlass_api::{GroupVersionKind, GroupVersionResource};
use windlass_auth::User;

use super::{Followed, Matcher};
use crate::fake::Fake;
use crate::reinvocation::Reinvocation;
use crate::review::{Cluster, Equivalent, Operation, Review};

fn cluster() -> Fake {
    let served = |version: &'static str| Equivalent {
        resource: GroupVersionResource::of("autoscaling", version, "horizontalpodautoscalers"),
        kind: GroupVersionKind::of("autoscaling", version, "HorizontalPodAutoscaler"),
    };
    let namespaces = vec![
        json!({"metadata": {"name": "blue", "labels": {"color": "blue"}}}),
        json!({"metadata": {"name": "plain"}}),
    ];
    Fake {
        objects: [("namespaces", namespaces)].into(),
        equivalents: vec![served("v1"), served("v2")],
        ..Fake::default()
    }
}

/// A write: the operation, then `group/version/resource[/subresource]`, namespace and name.
struct Asked {
    operation: Operation,
    path: &'static str,
    namespace: &'static str,
    name: &'static str,
    labels: Value,
    old_labels: Value,
}

fn asked(operation: Operation, path: &'static str, namespace: &'static str, name: &'static str) -> Asked {
    Asked { operation, path, namespace, name, labels: Value::Null, old_labels: Value::Null }
}

/// What the write matches as: a resource, nothing, or an error.
fn matched(matcher: &Matcher, asked: &Asked) -> String {
    let parts: Vec<&'static str> = asked.path.split('/').collect();
    let object = |labels: &Value| json!({"metadata": {"name": asked.name, "labels": labels}});
    let (mut new, old) = (object(&asked.labels), object(&asked.old_labels));
    let review = Review {
        operation: asked.operation,
        kind: &GroupVersionKind::of(parts[0], parts[1], "Any"),
        resource: &GroupVersionResource::of(parts[0], parts[1], parts[2]),
        subresource: parts.get(3).copied().unwrap_or_default(),
        namespace: asked.namespace,
        name: asked.name,
        user: &User::anonymous(),
        object: (asked.operation != Operation::Delete).then_some(&mut new),
        old: (asked.operation != Operation::Create).then_some(&old),
        dry_run: false,
        options: &Value::Null,
        warnings: &cluster(),
        reinvocation: Reinvocation::default(),
    };
    match matcher.matches(&review, &cluster()) {
        Ok(Some(matched)) => format!("{}/{}", matched.resource.version, matched.kind.kind),
        Ok(None) => String::new(),
        Err(status) => status.message,
    }
}

fn rule(operations: &[&str], groups: &[&str], versions: &[&str], resources: &[&str]) -> Value {
    json!({"operations": operations, "apiGroups": groups, "apiVersions": versions, "resources": resources, "scope": "*"})
}

fn constraints(rules: Value) -> Value {
    json!({"resourceRules": rules, "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}})
}

fn with(mut owner: Value, field: &str, value: Value) -> Value {
    owner[field] = value;
    owner
}

#[test]
fn rules() {
    use Operation::{Connect, Create, Delete, Update};
    let pods = asked(Create, "/v1/pods", "blue", "p");
    let cases = [
        (rule(&["CREATE"], &[""], &["v1"], &["pods"]), &pods, "v1/Any"),
        (rule(&["UPDATE", "DELETE"], &[""], &["v1"], &["pods"]), &pods, ""),
        (rule(&["*"], &["*"], &["*"], &["*"]), &pods, "v1/Any"),
        (rule(&["*"], &["apps"], &["*"], &["*"]), &pods, ""),
        (rule(&["*"], &["*"], &["v2"], &["*"]), &pods, ""),
        (rule(&["*"], &["*"], &["*"], &["pods/*"]), &pods, "v1/Any"),
        (rule(&["*"], &["*"], &["*"], &["*/status"]), &pods, ""),
        (rule(&["*"], &["*"], &["*"], &["*"]), &asked(Update, "/v1/pods/status", "blue", "p"), ""),
        (rule(&["*"], &["*"], &["*"], &["*/status"]), &asked(Update, "/v1/pods/status", "blue", "p"), "v1/Any"),
        (rule(&["CONNECT"], &["*"], &["*"], &["pods/exec"]), &asked(Connect, "/v1/pods/exec", "blue", "p"), "v1/Any"),
        (with(rule(&["*"], &["*"], &["*"], &["*"]), "scope", json!("Cluster")), &pods, ""),
        (with(rule(&["*"], &["*"], &["*"], &["*"]), "scope", json!("Namespaced")), &pods, "v1/Any"),
        (
            with(rule(&["*"], &["*"], &["*"], &["*"]), "scope", json!("Cluster")),
            &asked(Create, "/v1/namespaces", "", "n"),
            "v1/Any",
        ),
        (
            with(rule(&["*"], &["*"], &["*"], &["*"]), "scope", json!("Namespaced")),
            &asked(Create, "/v1/nodes", "", "n"),
            "",
        ),
        (with(rule(&["*"], &["*"], &["*"], &["*"]), "resourceNames", json!(["p", "q"])), &pods, "v1/Any"),
        (with(rule(&["*"], &["*"], &["*"], &["*"]), "resourceNames", json!(["q"])), &pods, ""),
        (rule(&["*"], &["*"], &["*"], &["*"]), &asked(Delete, "/v1/pods", "blue", "p"), "v1/Any"),
    ];
    for (rule, asked, expected) in cases {
        let matcher = Matcher::of_match_resources(&constraints(json!([rule])));
        assert_eq!(matched(&matcher, asked), expected, "{rule} {}", asked.path);
    }
    let (open, closed) =
        (Matcher::of_match_resources(&constraints(json!([]))), Matcher::of_webhook(&constraints(json!([]))));
    assert_eq!((matched(&open, &pods), matched(&closed, &pods)), ("v1/Any".to_owned(), String::new()));
}

#[test]
fn equivalent_resources() {
    let v2 = asked(Operation::Create, "autoscaling/v2/horizontalpodautoscalers", "blue", "h");
    let scalers = |versions: &[&str]| json!([rule(&["*"], &["autoscaling"], versions, &["horizontalpodautoscalers"])]);
    let cases = [
        (constraints(scalers(&["v1"])), "v1/HorizontalPodAutoscaler"),
        (constraints(scalers(&["v1", "v2"])), "v2/Any"),
        (with(constraints(scalers(&["v1"])), "matchPolicy", json!("Exact")), ""),
        (with(constraints(json!([])), "excludeResourceRules", scalers(&["v1"])), ""),
        (with(constraints(scalers(&["v1"])), "excludeResourceRules", scalers(&["v3"])), "v1/HorizontalPodAutoscaler"),
    ];
    for (resources, expected) in cases {
        assert_eq!(matched(&Matcher::of_match_resources(&resources), &v2), expected, "{resources}");
    }
}

#[test]
fn selectors() {
    use Operation::{Create, Delete, Update};
    let all = || constraints(json!([rule(&["*"], &["*"], &["*"], &["*"])]));
    let blue = || json!({"matchLabels": {"color": "blue"}});
    let namespaces = Matcher::of_match_resources(&with(all(), "namespaceSelector", blue()));
    let labelled = |asked: Asked, labels: Value, old_labels: Value| Asked { labels, old_labels, ..asked };
    let is_blue = || json!({"color": "blue"});
    let cases = [
        (asked(Create, "/v1/pods", "blue", "p"), "v1/Any"),
        (asked(Create, "/v1/pods", "plain", "p"), ""),
        (asked(Create, "/v1/pods", "absent", "p"), "namespaces \"absent\" not found"),
        (asked(Create, "/v1/nodes", "", "n"), "v1/Any"),
        // A namespace that is written has the labels that it will have, and otherwise those that it has.
        (labelled(asked(Create, "/v1/namespaces", "", "new"), is_blue(), Value::Null), "v1/Any"),
        (labelled(asked(Update, "/v1/namespaces", "", "blue"), Value::Null, is_blue()), ""),
        (asked(Delete, "/v1/namespaces", "", "blue"), "v1/Any"),
        (asked(Delete, "/v1/namespaces", "", "plain"), ""),
        (labelled(asked(Update, "/v1/namespaces/status", "", "plain"), is_blue(), Value::Null), ""),
    ];
    for (asked, expected) in cases {
        assert_eq!(matched(&namespaces, &asked), expected, "{} {}", asked.path, asked.name);
    }
    let objects = Matcher::of_match_resources(&with(all(), "objectSelector", blue()));
    let cases = [
        (labelled(asked(Create, "/v1/pods", "plain", "p"), is_blue(), Value::Null), "v1/Any"),
        (labelled(asked(Update, "/v1/pods", "plain", "p"), Value::Null, is_blue()), "v1/Any"),
        (labelled(asked(Delete, "/v1/pods", "plain", "p"), Value::Null, is_blue()), "v1/Any"),
        (asked(Update, "/v1/pods", "plain", "p"), ""),
    ];
    for (asked, expected) in cases {
        assert_eq!(matched(&objects, &asked), expected, "{:?} {} {}", asked.operation, asked.labels, asked.old_labels);
    }
    let broken = json!({"matchExpressions": [{"key": "a", "operator": "Near"}]});
    let both = Matcher::of_match_resources(&with(with(all(), "namespaceSelector", broken), "objectSelector", blue()));
    let why = "Internal error occurred: \"Near\" is not a valid label selector operator";
    assert_eq!(matched(&both, &labelled(asked(Create, "/v1/pods", "blue", "p"), is_blue(), Value::Null)), why);
    assert_eq!(matched(&both, &asked(Create, "/v1/pods", "blue", "p")), "", "what does not matter is no error");
}

#[test]
fn what_is_compiled_follows_the_table() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static COMPILED: AtomicUsize = AtomicUsize::new(0);
    let object = |name: &str, version: &str| json!({"metadata": {"name": name, "resourceVersion": version}});
    let followed = Followed::new("things", |object: &Value| {
        COMPILED.fetch_add(1, Ordering::Relaxed);
        object["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
    });
    let shown = |objects: Vec<Value>, revision: u64| {
        let cluster = Fake { objects: [("things", objects)].into(), revision, ..Fake::default() };
        let all = followed.all(&cluster as &dyn Cluster);
        all.iter().map(|(name, version)| format!("{name}{version}")).collect::<Vec<_>>()
    };
    assert!(shown(vec![], 0).is_empty());
    assert_eq!(shown(vec![object("a", "1"), object("c", "2")], 2), ["a1", "c2"]);
    assert_eq!(shown(vec![], 2), ["a1", "c2"], "nobody looks while the revision stays");
    assert_eq!(shown(vec![object("a", "1"), object("b", "3"), object("c", "4")], 4), ["a1", "b3", "c4"]);
    assert_eq!(COMPILED.load(Ordering::Relaxed), 4);
    assert_eq!(shown(vec![object("c", "4")], 5), ["c4"]);
}
