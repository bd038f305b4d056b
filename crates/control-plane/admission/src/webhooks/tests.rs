//! Whom webhooks are asked about, and what becomes of their answers.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use parking_lot::Mutex;
use serde_json::{Value, json};
use windlass_api::{GroupVersionKind, GroupVersionResource, Status};
use windlass_auth::User;
use windlass_telemetry::Metrics;

use super::{Figures, MutatingAdmissionWebhook, ValidatingAdmissionWebhook};
use crate::chain::{Chain, Plugin};
use crate::fake::Fake;
use crate::quota::ResourceQuota;
use crate::reinvocation::Reinvocation;
use crate::review::{Operation, Review};

const MUTATING: &str = "mutatingwebhookconfigurations.admissionregistration.k8s.io";
const VALIDATING: &str = "validatingwebhookconfigurations.admissionregistration.k8s.io";

/// A webhook about everything that is done to config maps.
fn webhook(name: &str, more: &Value) -> Value {
    let rules = json!([{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]);
    let mut webhook = json!({
        "name": name, "clientConfig": {"url": format!("https://{name}")}, "rules": rules, "sideEffects": "None",
        "failurePolicy": "Fail", "matchPolicy": "Equivalent", "timeoutSeconds": 7, "admissionReviewVersions": ["v1"],
        "namespaceSelector": {}, "objectSelector": {},
    });
    webhook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    webhook
}

fn cluster(table: &'static str, webhooks: Vec<Value>, answers: Vec<Value>) -> Fake {
    let configuration = json!({"metadata": {"name": "conf", "resourceVersion": "1"}, "webhooks": webhooks});
    let namespace = json!({"metadata": {"name": "n"}});
    let answers = answers.into_iter().map(|response| {
        json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response}).to_string()
    });
    Fake {
        revision: 1,
        objects: [(table, vec![configuration]), ("namespaces", vec![namespace])].into(),
        answers: Mutex::new(answers.collect()),
        ..Fake::default()
    }
}

fn allow() -> Value {
    json!({"uid": "uid", "allowed": true})
}

fn patch(operations: &Value) -> Value {
    json!({"uid": "uid", "allowed": true, "patchType": "JSONPatch", "patch": BASE64.encode(operations.to_string())})
}

/// Runs all steps of a chain about the creation of a config map; returns it as it has become.
async fn create(chain: &Chain, cluster: &Fake, dry_run: bool) -> Result<Value, Status> {
    let mut object = json!({"metadata": {"name": "c", "namespace": "n"}, "data": {}});
    let mut review = Review {
        operation: Operation::Create,
        kind: &GroupVersionKind::of("", "v1", "ConfigMap"),
        resource: &GroupVersionResource::of("", "v1", "configmaps"),
        subresource: "",
        namespace: "n",
        name: "",
        user: &User::new("jane", &["admins"]),
        object: Some(&mut object),
        old: None,
        dry_run,
        options: &json!({"kind": "CreateOptions"}),
        warnings: cluster,
        reinvocation: Reinvocation::default(),
    };
    chain.admit(&mut review, cluster).await?;
    chain.validate(&review, cluster).await?;
    Ok(object)
}

fn chain(metrics: &Metrics) -> Chain {
    let figures = Arc::new(Figures::new(metrics));
    let plugins: Vec<Arc<dyn Plugin>> = vec![
        Arc::new(MutatingAdmissionWebhook::new(figures.clone())),
        Arc::new(ValidatingAdmissionWebhook::new(figures)),
    ];
    Chain::new(plugins, ResourceQuota::default())
}

/// What a creation comes to when one webhook of the table is asked.
async fn outcome(table: &'static str, more: &Value, answer: Value) -> Result<Value, String> {
    let cluster = cluster(table, vec![webhook("w.x.io", more)], vec![answer]);
    create(&chain(&Metrics::default()), &cluster, false).await.map_err(|status| status.message)
}

#[tokio::test]
async fn the_question() {
    let cluster = cluster(VALIDATING, vec![webhook("w.x.io", &json!({}))], vec![allow()]);
    create(&chain(&Metrics::default()), &cluster, false).await.unwrap();
    let questions = cluster.questions.lock();
    let [(_, question)] = questions.as_slice() else { panic!("{questions:?}") };
    let resource = json!({"group": "", "version": "v1", "resource": "configmaps"});
    let kind = json!({"group": "", "version": "v1", "kind": "ConfigMap"});
    let expected = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": "uid", "kind": kind, "resource": resource, "requestKind": kind, "requestResource": resource,
        "name": "c", "namespace": "n", "operation": "CREATE", "userInfo": {"username": "jane", "groups": ["admins", "system:authenticated"]},
        "object": {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "c", "namespace": "n"}, "data": {}},
        "oldObject": null, "dryRun": false, "options": {"kind": "CreateOptions"}}});
    assert_eq!(*question, expected);
}

#[tokio::test]
async fn refusals_and_failures() {
    let denied = |rest: &str| Err(format!("admission webhook \"w.x.io\" denied the request{rest}"));
    let failed = |why: &str| Err(format!("Internal error occurred: failed calling webhook \"w.x.io\": {why}"));
    let no = json!({"uid": "uid", "allowed": false, "status": {"message": "no"}});
    let other = json!({"uid": "other", "allowed": true});
    let unchanged = || Ok(json!({"metadata": {"name": "c", "namespace": "n"}, "data": {}}));
    let ignore = json!({"failurePolicy": "Ignore"});
    for table in [MUTATING, VALIDATING] {
        assert_eq!(outcome(table, &json!({}), allow()).await, unchanged());
        assert_eq!(outcome(table, &json!({}), no.clone()).await, denied(": no"));
        assert_eq!(outcome(table, &ignore, no.clone()).await, denied(": no"), "a refusal is no failure");
        let invalid = "received invalid webhook response: expected response.uid=\"uid\", got \"other\"";
        assert_eq!(outcome(table, &json!({}), other.clone()).await, failed(invalid));
        assert_eq!(outcome(table, &ignore, other.clone()).await, unchanged());
        let unknown = json!({"admissionReviewVersions": ["v3"]});
        let why =
            "could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)";
        assert_eq!(outcome(table, &unknown, allow()).await, failed(why));
        let absent = json!({"matchConditions": [{"name": "a", "expression": "object.data.size() > 0"}]});
        assert_eq!(outcome(table, &absent, no.clone()).await, unchanged(), "it is not asked");
    }
}

#[tokio::test]
async fn dry_runs() {
    let effects = json!({"sideEffects": "Some"});
    let cluster = cluster(VALIDATING, vec![webhook("w.x.io", &effects)], vec![allow()]);
    let refused = create(&chain(&Metrics::default()), &cluster, true).await.unwrap_err();
    assert_eq!((refused.code, &*refused.message), (400, "admission webhook \"w.x.io\" does not support dry run"));
    assert!(cluster.questions.lock().is_empty());
}

#[tokio::test]
async fn changes_and_a_second_round() {
    let set = |key: &str, value: &str| patch(&json!([{"op": "add", "path": format!("/data/{key}"), "value": value}]));
    let again = json!({"reinvocationPolicy": "IfNeeded"});
    let webhooks = vec![webhook("a.x.io", &again), webhook("b.x.io", &json!({}))];
    // The second webhook changes what the first has seen, so the first is asked again; it changes nothing more.
    let cluster = cluster(MUTATING, webhooks, vec![set("a", "1"), set("b", "2"), allow()]);
    let metrics = Metrics::default();
    let object = create(&chain(&metrics), &cluster, false).await.unwrap();
    assert_eq!(object["data"], json!({"a": "1", "b": "2"}));
    let questions = cluster.questions.lock();
    let seen: Vec<&Value> = questions.iter().map(|(_, question)| &question["request"]["object"]["data"]).collect();
    assert_eq!(seen, [&json!({}), &json!({"a": "1"}), &json!({"a": "1", "b": "2"})]);
    let annotations = cluster.annotations.lock();
    let mutated = r#"{"configuration":"conf","mutated":true,"webhook":"b.x.io"}"#;
    assert_eq!(annotations["mutation.webhook.admission.k8s.io/round_0_index_1"], mutated);
    let text = String::from_utf8(metrics.text().1).unwrap();
    let counted = r#"apiserver_admission_webhook_request_total{code="200",name="a.x.io",operation="CREATE",rejected="false",type="admit"} 2"#;
    assert!(text.contains(counted), "{text}");
}

#[tokio::test]
async fn patches_that_do_not_fit() {
    let missing = patch(&json!([{"op": "remove", "path": "/data/absent"}]));
    let refused = outcome(MUTATING, &json!({}), missing).await.unwrap_err();
    assert!(refused.starts_with("Internal error occurred: "), "{refused}");
    let unpatched = json!({"uid": "uid", "allowed": true, "patch": "W10="});
    let why = "Internal error occurred: failed calling webhook \"w.x.io\": received invalid webhook response: webhook \
               returned response.patch but not response.patchType";
    assert_eq!(outcome(MUTATING, &json!({}), unpatched).await.unwrap_err(), why);
}
