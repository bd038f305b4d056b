//! What policies make of objects, in upstream's words where they cannot.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use windlass_api::{GroupVersionKind, GroupVersionResource};
use windlass_auth::User;

use super::*;
use crate::chain::Chain;
use crate::fake::Fake;
use crate::quota::ResourceQuota;
use crate::reinvocation::Reinvocation;
use crate::review::Operation;

const POLICIES: &str = "mutatingadmissionpolicies.admissionregistration.k8s.io";
const BINDINGS: &str = "mutatingadmissionpolicybindings.admissionregistration.k8s.io";

fn policy(name: &str, more: Value) -> Value {
    let constraints = json!({"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {},
        "resourceRules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}]});
    let mut spec = json!({"failurePolicy": "Fail", "reinvocationPolicy": "Never", "matchConstraints": constraints});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"metadata": {"name": name, "resourceVersion": "1"}, "spec": spec})
}

fn apply(expression: &str) -> Value {
    json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}})
}

fn json_patch(expression: &str) -> Value {
    json!({"patchType": "JSONPatch", "jsonPatch": {"expression": expression}})
}

fn pod() -> Value {
    json!({"metadata": {"name": "p", "namespace": "n", "labels": {"a": "1"}},
        "spec": {"containers": [{"name": "c", "image": "i", "imagePullPolicy": "Always"}]}})
}

/// What becomes of a new pod under some policies, each of which has a binding; and what is refused.
async fn made(policies: Vec<Value>) -> Result<Value, Status> {
    let bind = |policy: &Value| {
        let name = policy["metadata"]["name"].as_str().unwrap();
        json!({"metadata": {"name": format!("{name}-b"), "resourceVersion": "1"}, "spec": {"policyName": name}})
    };
    let bindings = policies.iter().map(bind).collect();
    let namespace = json!({"metadata": {"name": "n"}});
    let objects = BTreeMap::from([(BINDINGS, bindings), (POLICIES, policies), ("namespaces", vec![namespace])]);
    let cluster = Fake { revision: 1, objects, ..Fake::default() };
    let mut object = pod();
    let mut review = Review {
        operation: Operation::Create,
        kind: &GroupVersionKind::of("", "v1", "Pod"),
        resource: &GroupVersionResource::of("", "v1", "pods"),
        subresource: "",
        namespace: "n",
        name: "",
        user: &User::new("jane", &[]),
        object: Some(&mut object),
        old: None,
        dry_run: false,
        options: &Value::Null,
        warnings: &cluster,
        reinvocation: Reinvocation::default(),
    };
    let plugin = Arc::new(MutatingAdmissionPolicy::new(&Metrics::default()));
    Chain::new(vec![plugin], ResourceQuota::default()).admit(&mut review, &cluster).await?;
    Ok(object)
}

async fn made_by(mutation: Value) -> Result<Value, Status> {
    made(vec![policy("p", json!({"mutations": [mutation]}))]).await
}

#[tokio::test]
async fn objects_are_changed() {
    let cases = [
        (
            apply("Object{metadata: Object.metadata{labels: {'b': object.metadata.labels.a + '0'}}}"),
            "/metadata/labels/b",
            json!("10"),
        ),
        (apply("Object{spec: Object.spec{hostNetwork: true}}"), "/spec/hostNetwork", json!(true)),
        (
            apply("Object{spec: Object.spec{containers: [Object.spec.containers{name: 'c', tty: true}]}}"),
            "/spec/containers/0/image",
            json!("i"),
        ),
        (
            apply("Object{spec: Object.spec{containers: [Object.spec.containers{name: 'd', image: 'j'}]}}"),
            "/spec/containers/1/image",
            json!("j"),
        ),
        // What is added gets its defaults.
        (
            apply("Object{spec: Object.spec{containers: [Object.spec.containers{name: 'd', image: 'j:1'}]}}"),
            "/spec/containers/1/imagePullPolicy",
            json!("IfNotPresent"),
        ),
        (
            json_patch(
                "[JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('x/y'), value: string(size(object.spec.containers))}]",
            ),
            "/metadata/labels/x~1y",
            json!("1"),
        ),
        (
            json_patch(
                "[JSONPatch{op: 'test', path: '/kind', value: 'Pod'}, JSONPatch{op: 'add', path: '/spec/hostPID', value: true}]",
            ),
            "/spec/hostPID",
            json!(true),
        ),
        (
            json_patch(
                "[JSONPatch{op: 'add', path: '/spec/dnsConfig', value: Object.spec.dnsConfig{nameservers: ['1.1.1.1']}}]",
            ),
            "/spec/dnsConfig/nameservers",
            json!(["1.1.1.1"]),
        ),
    ];
    for (mutation, pointer, expected) in cases {
        let object = made_by(mutation.clone()).await.unwrap();
        assert_eq!(object.pointer(pointer), Some(&expected), "{mutation}");
        assert!(object.get("kind").is_none() && object.get("apiVersion").is_none(), "{mutation}");
    }
    let failed_test = json_patch(
        "[JSONPatch{op: 'add', path: '/spec/hostPID', value: true}, JSONPatch{op: 'test', path: '/metadata/name', value: 'q'}]",
    );
    assert_eq!(made_by(failed_test).await.unwrap(), pod());
    let not_of_it = policy(
        "p",
        json!({"mutations": [apply("Object{spec: Object.spec{hostPID: true}}")],
        "matchConditions": [{"name": "m", "expression": "object.metadata.name == 'q'"}]}),
    );
    assert_eq!(made(vec![not_of_it]).await.unwrap(), pod());
}

#[tokio::test]
async fn what_cannot_be_done() {
    let policy_fault =
        |why: &str| (403, Reason::Invalid, format!("policy 'p' with binding 'p-b' denied request: {why}"));
    let server_fault = |why: &str| (500, Reason::InternalError, format!("Internal error occurred: {why}"));
    let cases = [
        (
            apply("Object{spec: Object.spec{nodes: 1}}"),
            policy_fault(
                "error applying patch: failed to convert patch object to typed object: .spec.nodes: field not declared in schema",
            ),
        ),
        (
            apply("Object{spec: Object.spec{nodeSelector: {'a': 'b'}}}"),
            policy_fault(
                "error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.nodeSelector",
            ),
        ),
        (
            apply("Object{spec: Object.metadata{}}"),
            policy_fault(
                "type mismatch: unexpected type name \"Object.metadata\", expected \"Object.spec\", which matches field name path from root Object type",
            ),
        ),
        (
            apply("Object{metadata: Object.metadata{name: object.spec.absent}}"),
            policy_fault(
                "expression 'Object{metadata: Object.metadata{name: object.spec.absent}}' resulted in error: no such key: absent",
            ),
        ),
        (apply("{'a': 1}"), policy_fault("must evaluate to Object but got map(string, int)")),
        (json_patch("[1]"), policy_fault("must evaluate to list(JSONPatch) but got list(int)")),
        (
            json_patch("[JSONPatch{op: 'add', path: '/spec/nodes', value: 1}]"),
            server_fault("strict decoding error: unknown field \"spec.nodes\""),
        ),
    ];
    for (mutation, expected) in cases {
        let status = made_by(mutation.clone()).await.unwrap_err();
        assert_eq!((status.code, status.reason, status.message), expected, "{mutation}");
        let ignoring = policy("p", json!({"mutations": [mutation], "failurePolicy": "Ignore"}));
        assert_eq!(made(vec![ignoring]).await.is_ok(), expected.0 == 403);
    }
    let unknown =
        policy("p", json!({"mutations": [apply("Object{}")], "paramKind": {"apiVersion": "a.b/v1", "kind": "X"}}));
    let status = made(vec![unknown]).await.unwrap_err();
    let why = "policy \"p\" denied request: failed to configure policy: failed to find resource referenced by paramKind: 'a.b/v1, Kind=X'";
    assert_eq!((status.code, status.reason, &*status.message), (403, Reason::Forbidden, why));
    assert_eq!(status.details.unwrap().causes[0].message, why);
}

#[tokio::test]
async fn policies_see_what_others_have_made() {
    // Adds to a label what stands in another one.
    let copy = |from: &str, to: &str| {
        json!([apply(&format!(
            "Object{{metadata: Object.metadata{{labels: {{'{to}': object.metadata.labels.?{from}.orValue('none')}}}}}}"
        ))])
    };
    let labels = |policies: Vec<Value>| async { made(policies).await.unwrap()["metadata"]["labels"].take() };
    let first =
        |reinvocation: &str| policy("a", json!({"mutations": copy("y", "x"), "reinvocationPolicy": reinvocation}));
    let second = || policy("b", json!({"mutations": copy("a", "y")}));
    assert_eq!(labels(vec![first("Never"), second()]).await, json!({"a": "1", "x": "none", "y": "1"}));
    assert_eq!(labels(vec![first("IfNeeded"), second()]).await, json!({"a": "1", "x": "1", "y": "1"}));
    // Two mutations of one policy follow each other as well, and each sees the variables of the object as it is.
    let both = policy(
        "a",
        json!({"variables": [{"name": "count", "expression": "string(size(object.metadata.labels))"}],
        "mutations": [
            apply("Object{metadata: Object.metadata{labels: {'b': variables.count}}}"),
            apply("Object{metadata: Object.metadata{labels: {'c': variables.count}}}")]}),
    );
    assert_eq!(labels(vec![both]).await, json!({"a": "1", "b": "1", "c": "2"}));
}
