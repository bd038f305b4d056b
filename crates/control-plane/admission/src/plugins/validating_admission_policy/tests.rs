//! What policies decide about writes, in upstream's words.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use windlass_api::{GroupVersionKind, GroupVersionResource};
use windlass_auth::User;

use super::*;
use crate::fake::Fake;
use crate::reinvocation::Reinvocation;
use crate::review::Operation;

const POLICIES: &str = "validatingadmissionpolicies.admissionregistration.k8s.io";
const BINDINGS: &str = "validatingadmissionpolicybindings.admissionregistration.k8s.io";

/// A policy named `p` about creations of config maps, with these fields of the specification beside.
fn policy(more: Value) -> Value {
    let mut spec = json!({"failurePolicy": "Fail", "matchConstraints": constraints("configmaps")});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"metadata": {"name": "p", "resourceVersion": "1"}, "spec": spec})
}

fn constraints(resource: &str) -> Value {
    json!({"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {},
        "resourceRules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": [resource]}]})
}

fn binding(actions: &[&str], more: Value) -> Value {
    let mut spec = json!({"policyName": "p", "validationActions": actions});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"metadata": {"name": "b", "resourceVersion": "1"}, "spec": spec})
}

fn cluster(policies: Vec<Value>, bindings: Vec<Value>) -> Fake {
    let namespace = json!({"metadata": {"name": "n", "labels": {"color": "blue"}}, "status": {"phase": "Active"}});
    let param = |name: &str, max: &str| json!({"metadata": {"name": name, "namespace": "n", "labels": {"kind": "limit"}}, "data": {"max": max}});
    let objects = BTreeMap::from([
        (POLICIES, policies),
        (BINDINGS, bindings),
        ("namespaces", vec![namespace]),
        ("configmaps", vec![param("large", "5"), param("small", "0")]),
    ]);
    Fake { revision: 1, objects, verbs: vec!["get"], ..Fake::default() }
}

/// The refusal of the creation of a config map with one entry.
async fn refusal(cluster: &Fake) -> Option<Status> {
    let mut object = json!({"metadata": {"name": "c", "namespace": "n"}, "data": {"a": "1"}});
    let review = Review {
        operation: Operation::Create,
        kind: &GroupVersionKind::of("", "v1", "ConfigMap"),
        resource: &GroupVersionResource::of("", "v1", "configmaps"),
        subresource: "",
        namespace: "n",
        name: "",
        user: &User::new("jane", &[]),
        object: Some(&mut object),
        old: None,
        dry_run: false,
        options: &Value::Null,
        warnings: cluster,
        reinvocation: Reinvocation::default(),
    };
    ValidatingAdmissionPolicy::new(&Metrics::default()).validate(&review, cluster).await.err()
}

/// The message of the refusal, without what all have in common; empty when nothing is refused.
async fn told(policies: Vec<Value>, bindings: Vec<Value>) -> String {
    let Some(status) = refusal(&cluster(policies, bindings)).await else { return String::new() };
    assert_eq!((status.code, status.reason), (422, Reason::Invalid), "{}", status.message);
    let common = "configmaps \"c\" is forbidden: ValidatingAdmissionPolicy 'p' ";
    let message = status.message.strip_prefix(common).unwrap_or_else(|| panic!("{}", status.message));
    assert_eq!(status.details.unwrap().causes[0].message, status.message["configmaps \"c\" is forbidden: ".len()..]);
    message.to_owned()
}

async fn told_of(spec: Value) -> String {
    told(vec![policy(spec)], vec![binding(&["Deny"], json!({}))]).await
}

fn validation(expression: &str) -> Value {
    json!({"validations": [{"expression": expression}]})
}

#[tokio::test]
async fn validations() {
    let message = |more: Value| {
        let mut validation = json!({"expression": " object.data.a == '2' "});
        validation.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"validations": [validation]})
    };
    let denied = "with binding 'b' denied request: ";
    let cases = [
        (validation("object.data.a == '1'"), ""),
        (message(json!({})), "failed expression: object.data.a == '2'"),
        (message(json!({"message": " too small "})), "too small"),
        (message(json!({"messageExpression": "'a is ' + object.data.a", "message": "m"})), "a is 1"),
        (message(json!({"messageExpression": "object.data.b", "message": "m"})), "m"),
        (message(json!({"messageExpression": "'a\\nb'"})), "failed expression: object.data.a == '2'"),
        (validation("object.data.b == '1'"), "expression 'object.data.b == '1'' resulted in error: no such key: b"),
        (validation("object.data"), "compilation error: must evaluate to bool but got dyn"),
        (
            validation("namespaceObject.metadata.labels.color == 'red'"),
            "failed expression: namespaceObject.metadata.labels.color == 'red'",
        ),
        (
            validation("namespaceObject.status.phase == 'Active' && !has(namespaceObject.metadata.uid) || true"),
            "compilation error: compilation failed: ERROR: <input>:1:49: undefined field 'uid'\n | namespaceObject.status.phase == 'Active' && !has(namespaceObject.metadata.uid) || true\n | ................................................^",
        ),
        (
            validation(
                "authorizer.requestResource.check('get').allowed() && oldObject == null && params == null || false",
            ),
            "compilation error: compilation failed: ERROR: <input>:1:75: undeclared reference to 'params' (in container '')\n | authorizer.requestResource.check('get').allowed() && oldObject == null && params == null || false\n | ..........................................................................^",
        ),
        (validation("authorizer.requestResource.check('get').allowed() && oldObject == null"), ""),
    ];
    for (spec, expected) in cases {
        let expected = if expected.is_empty() { String::new() } else { format!("{denied}{expected}") };
        assert_eq!(told_of(spec.clone()).await, expected, "{spec}");
    }
    let mut ignoring = validation("object.data.b == '1'");
    ignoring["failurePolicy"] = json!("Ignore");
    assert_eq!(told_of(ignoring).await, "");
    let mut conditional = validation("false");
    conditional["matchConditions"] = json!([{"name": "m", "expression": "object.data.a == '2'"}]);
    assert_eq!(told_of(conditional.clone()).await, "");
    conditional["matchConditions"] = json!([{"name": "m", "expression": "object.data.b == '2'"}]);
    let why = "expression 'object.data.b == '2'' resulted in error: no such key: b";
    assert_eq!(told_of(conditional).await, format!("{denied}{why}"));
}

#[tokio::test]
async fn reasons() {
    for (reason, code) in [("Forbidden", 403), ("Invalid", 422), ("RequestEntityTooLarge", 413)] {
        let spec = json!({"validations": [{"expression": "false", "reason": reason}]});
        let status = refusal(&cluster(vec![policy(spec)], vec![binding(&["Deny"], json!({}))])).await.unwrap();
        assert_eq!((status.code, format!("{:?}", status.reason).as_str()), (code, reason));
    }
}

#[tokio::test]
async fn budgets() {
    let ten = "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]";
    let costly = format!("{ten}.all(a, {ten}.all(b, {ten}.all(c, {ten}.all(d, a + b + c + d > 0))))");
    let spent = "with binding 'b' denied request: validation failed due to running out of cost budget, no further validation rules will be run";
    let all: Vec<Value> = (0..90).map(|_| json!({"expression": costly})).collect();
    assert_eq!(told_of(json!({"validations": all})).await, spent);
    // Variables are charged where they are used, and once in each group.
    let variables = json!([{"name": "v", "expression": costly}]);
    let all: Vec<Value> = (0..90).map(|_| json!({"expression": "variables.v"})).collect();
    assert_eq!(told_of(json!({"variables": variables, "validations": all})).await, "");
    let messages: Vec<Value> =
        (0..90).map(|_| json!({"expression": "true", "messageExpression": format!("string({costly})")})).collect();
    let spent = "with binding 'b' denied request: failed messageExpression: validation failed due to running out of cost budget, no further validation rules will be run";
    assert_eq!(told_of(json!({"validations": messages})).await, spent);
}

#[tokio::test]
async fn parameters() {
    let kind = json!({"apiVersion": "v1", "kind": "ConfigMap"});
    let spec = |expression: &str| json!({"paramKind": kind, "validations": [{"expression": expression}]});
    let at_most = spec("object.data.size() <= int(params.data.max)");
    let with = |reference: Value| vec![binding(&["Deny"], json!({"paramRef": reference}))];
    let named = |name: &str| json!({"name": name, "parameterNotFoundAction": "Deny"});
    let broken = "with binding 'b' denied request: failed expression: object.data.size() <= int(params.data.max)";
    let absent = "with binding 'b' denied request: failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction";
    let cases = [
        (at_most.clone(), with(named("large")), ""),
        (at_most.clone(), with(named("small")), broken),
        (at_most.clone(), with(json!({"selector": {}, "parameterNotFoundAction": "Deny"})), broken),
        (
            at_most.clone(),
            with(json!({"selector": {"matchLabels": {"kind": "x"}}, "parameterNotFoundAction": "Deny"})),
            absent,
        ),
        (at_most.clone(), with(named("absent")), absent),
        (at_most.clone(), with(json!({"name": "absent", "parameterNotFoundAction": "Allow"})), ""),
        (at_most.clone(), with(json!({"name": "small", "namespace": "other", "parameterNotFoundAction": "Allow"})), ""),
        (spec("params == null"), vec![binding(&["Deny"], json!({}))], ""),
        (spec("params.kind == 'ConfigMap' && params.apiVersion == 'v1'"), with(named("large")), ""),
        (
            json!({"paramKind": {"apiVersion": "a.b/v1", "kind": "X"}, "validations": [{"expression": "true"}]}),
            with(named("x")),
            "denied request: failed to configure policy: failed to find resource referenced by paramKind: 'a.b/v1, Kind=X'",
        ),
        (
            json!({"paramKind": {"apiVersion": "v1", "kind": "Node"}, "validations": [{"expression": "true"}]}),
            with(json!({"name": "x", "namespace": "n", "parameterNotFoundAction": "Allow"})),
            "with binding 'b' denied request: failed to configure binding: paramRef.namespace must not be provided for a cluster-scoped `paramKind`",
        ),
    ];
    for (spec, bindings, expected) in cases {
        assert_eq!(told(vec![policy(spec.clone())], bindings.clone()).await, expected, "{spec} {}", bindings[0]);
    }
}

#[tokio::test]
async fn bindings_say_what_is_done() {
    let spec = || {
        json!({"validations": [{"expression": "true"}, {"expression": "false", "message": "no"}],
        "auditAnnotations": [
            {"key": "a", "valueExpression": "' value of ' + object.data.a"}, {"key": "none", "valueExpression": "null"},
            {"key": "blank", "valueExpression": "' '"}]})
    };
    let warning = "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': no";
    let warned = cluster(vec![policy(spec())], vec![binding(&["Warn", "Audit"], json!({}))]);
    assert!(refusal(&warned).await.is_none());
    assert_eq!(*warned.warnings.lock(), [warning]);
    let annotations = warned.annotations.lock().clone();
    let keys: Vec<&str> = annotations.keys().map(String::as_str).collect();
    assert_eq!(keys, ["p/a", "validation.policy.admission.k8s.io/validation_failure"]);
    assert_eq!(annotations["p/a"], "value of 1");
    let failures: Value = serde_json::from_str(&annotations[keys[1]]).unwrap();
    let expected = json!([{"message": "no", "policy": "p", "binding": "b", "expressionIndex": 1, "validationActions": ["Warn", "Audit"]}]);
    assert_eq!(failures, expected);
    // An annotation that cannot be had refuses the write, whatever the binding says.
    let broken = json!({"validations": [{"expression": "true"}], "auditAnnotations": [{"key": "a", "valueExpression": "object.data.b"}]});
    assert_eq!(
        told(vec![policy(broken)], vec![binding(&["Audit"], json!({}))]).await,
        "with binding 'b' denied request: compilation error: must evaluate to one of [string null_type] but got dyn"
    );
}

#[tokio::test]
async fn where_bindings_apply() {
    let elsewhere = json!({"matchResources": constraints("secrets")});
    let no = || vec![policy(validation("false"))];
    assert_eq!(told(no(), vec![binding(&["Deny"], elsewhere)]).await, "");
    assert_eq!(told(no(), vec![]).await, "");
    let mut other = binding(&["Deny"], json!({}));
    other["spec"]["policyName"] = json!("q");
    assert_eq!(told(no(), vec![other]).await, "");
    let mut of_namespace = constraints("configmaps");
    of_namespace["namespaceSelector"] = json!({"matchLabels": {"color": "red"}});
    assert_eq!(told(no(), vec![binding(&["Deny"], json!({"matchResources": of_namespace}))]).await, "");
    // What policies are is not for policies to judge.
    let everything = policy(json!({"matchConstraints": constraints("*"), "validations": [{"expression": "false"}]}));
    let cluster = cluster(vec![everything], vec![binding(&["Deny"], json!({}))]);
    let refused = async |group: &'static str, resource: &'static str| {
        let review = Review {
            operation: Operation::Delete,
            kind: &GroupVersionKind::of(group, "v1", "Any"),
            resource: &GroupVersionResource::of(group, "v1", resource),
            subresource: "",
            namespace: "",
            name: "x",
            user: &User::anonymous(),
            object: None,
            old: Some(&json!({})),
            dry_run: false,
            options: &Value::Null,
            warnings: &cluster,
            reinvocation: Reinvocation::default(),
        };
        ValidatingAdmissionPolicy::new(&Metrics::default()).validate(&review, &cluster).await.is_err()
    };
    assert!(refused("", "nodes").await);
    assert!(refused("admissionregistration.k8s.io", "validatingwebhookconfigurations").await);
    assert!(!refused("admissionregistration.k8s.io", "validatingadmissionpolicies").await);
    assert!(!refused("admissionregistration.k8s.io", "mutatingadmissionpolicybindings").await);
    assert!(!refused("authorization.k8s.io", "subjectaccessreviews").await);
}
