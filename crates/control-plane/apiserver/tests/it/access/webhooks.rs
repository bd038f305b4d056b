//! Authorizers that are webhooks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Method, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{ACCESS_REVIEWS, JSON, Kubeconfig, MAPS, access, document, metric, post};
use crate::harness::{TestServer, json as read};
use crate::webhook_server::WebhookServer;

const KIND: &str = "AuthorizationConfiguration";
const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
const BINDINGS: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings";

/// A webhook that says what it thinks of users by their names, and counts.
struct Judge {
    server: WebhookServer,
    asked: Arc<AtomicUsize>,
    last: Arc<Mutex<Value>>,
}

impl Judge {
    async fn start() -> Self {
        let (asked, last) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Value::Null)));
        let (count, seen) = (asked.clone(), last.clone());
        let server = WebhookServer::start(true, move |target, review| {
            assert_eq!(target, "/review");
            count.fetch_add(1, Ordering::Relaxed);
            seen.lock().clone_from(review);
            let status = match review["spec"]["user"].as_str().unwrap() {
                "friend" => json!({"allowed": true, "reason": "a friend"}),
                "foe" => json!({"allowed": false, "denied": true, "reason": "a foe"}),
                "both" => json!({"allowed": true, "denied": true}),
                _ => json!({"allowed": false, "reason": "a stranger"}),
            };
            json!({"kind": "SubjectAccessReview", "apiVersion": review["apiVersion"], "status": status})
        })
        .await;
        Self { server, asked, last }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// An entry of the chain.
fn webhook(kubeconfig: &Kubeconfig, more: &Value) -> Value {
    let mut webhook = json!({
        "timeout": "3s", "subjectAccessReviewVersion": "v1", "failurePolicy": "NoOpinion",
        "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": kubeconfig.path()},
    });
    webhook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"type": "Webhook", "name": "judge", "webhook": webhook})
}

fn rbac() -> Value {
    json!({"type": "RBAC", "name": "rbac"})
}

async fn server_with(authorizers: &[Value]) -> TestServer {
    TestServer::with_access(access(None, Some(document(KIND, &json!({"authorizers": authorizers}))))).await
}

/// Lists config maps as somebody.
async fn list(server: &TestServer, who: &str, query: &str) -> (StatusCode, String) {
    let path = format!("{MAPS}{query}");
    let (code, body) = read(server.send(Method::GET, &path, &[&format!("impersonate-user: {who}")], "").await).await;
    (code, body["message"].as_str().unwrap_or_default().to_owned())
}

/// Who may read config maps by a role.
async fn let_read(server: &TestServer, who: &str) {
    let rules = json!([{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["configmaps"]}]);
    super::allow(server, &format!("{who}-reads"), &rules, "User", who).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_with_a_webhook() {
    let judge = Judge::start().await;
    let kubeconfig = Kubeconfig::of(judge.server.port());
    let server = server_with(&[webhook(&kubeconfig, &json!({})), rbac()]).await;
    for who in ["foe", "reader"] {
        let_read(&server, who).await;
    }
    assert_eq!(judge.asked(), 0, "whoever is in system:masters is asked nothing");
    assert_eq!(list(&server, "friend", "").await.0, StatusCode::OK);
    assert_eq!(list(&server, "reader", "").await.0, StatusCode::OK, "who has no opinion lets the next one say");
    let (code, why) = list(&server, "foe", "").await;
    assert_eq!(code, StatusCode::FORBIDDEN);
    assert_eq!(
        why,
        "configmaps is forbidden: User \"foe\" cannot list resource \"configmaps\" in API group \"\" in the namespace \"default\": a foe"
    );
    let (code, why) = list(&server, "nobody", "").await;
    assert!(code == StatusCode::FORBIDDEN && why.ends_with("in the namespace \"default\": a stranger"), "{why}");
    let asked = judge.asked();
    for who in ["friend", "reader", "foe", "nobody"] {
        list(&server, who, "").await;
    }
    assert_eq!(judge.asked(), asked, "answers are remembered");
    let of = |decision: &str| {
        format!("apiserver_authorization_decisions_total{{decision=\"{decision}\",name=\"judge\",type=\"Webhook\"}}")
    };
    assert!(metric(&server, &of("allowed")).await.is_some_and(|count| count >= 2.0));
    assert!(metric(&server, &of("denied")).await.is_some_and(|count| count >= 2.0));
    let evaluations = "apiserver_authorization_webhook_evaluations_total{name=\"judge\",result=\"success\"}";
    assert_eq!(metric(&server, evaluations).await, Some(asked as f64));
}

#[tokio::test(flavor = "multi_thread")]
async fn selectors_are_part_of_the_question() {
    let judge = Judge::start().await;
    let kubeconfig = Kubeconfig::of(judge.server.port());
    let server = server_with(&[webhook(&kubeconfig, &json!({})), rbac()]).await;
    let question = || judge.last.lock()["spec"]["resourceAttributes"].clone();
    list(&server, "friend", "?labelSelector=a%3Db,c!%3Dd&fieldSelector=metadata.name%3Dx").await;
    let fields = json!({"requirements": [{"key": "metadata.name", "operator": "In", "values": ["x"]}]});
    let labels = json!({"requirements": [
        {"key": "a", "operator": "In", "values": ["b"]}, {"key": "c", "operator": "NotIn", "values": ["d"]}]});
    let expected = json!({
        "namespace": "default", "verb": "list", "version": "v1", "resource": "configmaps", "name": "x",
        "fieldSelector": fields, "labelSelector": labels});
    assert_eq!(question(), expected);
    let review = |user: &str, selectors: Value| {
        let mut attributes = json!({"namespace": "default", "verb": "list", "version": "v1", "resource": "secrets"});
        attributes.as_object_mut().unwrap().extend(selectors.as_object().unwrap().clone());
        json!({"spec": {"user": user, "resourceAttributes": attributes}})
    };
    let raw =
        json!({"fieldSelector": {"rawSelector": "metadata.name=x"}, "labelSelector": {"rawSelector": "a=b,c!=d"}});
    let (code, answer) = post(&server, ACCESS_REVIEWS, &review("friend", raw)).await;
    assert_eq!((code, &answer["status"]), (StatusCode::CREATED, &json!({"allowed": true, "reason": "a friend"})));
    assert_eq!((question()["fieldSelector"].clone(), question()["labelSelector"].clone()), (fields, labels));
    let unknown = json!({"labelSelector": {"requirements": [
        {"key": "a", "operator": "Near", "values": ["b"]}, {"key": "e", "operator": "Exists"}]}});
    let (_, answer) = post(&server, ACCESS_REVIEWS, &review("foe", unknown)).await;
    let expected = json!({
        "allowed": false, "denied": true, "reason": "a foe",
        "evaluationError": "spec.resourceAttributes.labelSelector ignored due to parse error"});
    assert_eq!(answer["status"], expected);
    assert_eq!(question()["labelSelector"], json!({"requirements": [{"key": "e", "operator": "Exists"}]}));
    let (_, answer) = post(&server, ACCESS_REVIEWS, &review("both", json!({}))).await;
    let error = "webhook subject access review returned both allow and deny response";
    assert_eq!(answer["status"], json!({"allowed": false, "denied": true, "evaluationError": error}));
    let rules = post(
        &server,
        "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
        &json!({"spec": {"namespace": "default"}}),
    )
    .await
    .1;
    assert_eq!(rules["status"]["incomplete"], true);
    assert_eq!(rules["status"]["evaluationError"], "webhook authorizer does not support user rule resolution");
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_say_who_is_asked_about() {
    let judge = Judge::start().await;
    let kubeconfig = Kubeconfig::of(judge.server.port());
    let conditions = json!({
    "matchConditionSubjectAccessReviewVersion": "v1", "failurePolicy": "Deny",
    "matchConditions": [
        {"expression": "has(request.resourceAttributes)"},
        {"expression": "request.user != 'unknown' || request.resourceAttributes.absent == ''"},
        {"expression": "!('system:serviceaccounts' in request.groups)"},
    ]});
    // A field that there is not is found when the configuration is read.
    let refused = windlass_auth::authorization::AuthorizationConfiguration::parse(&document(
        KIND,
        &json!({"authorizers": [webhook(&kubeconfig, &conditions)]}),
    ));
    let refused = refused.unwrap().authorizers(&|_| Ok(()), &[]).map(|all| all.len()).unwrap_err().to_string();
    assert!(refused.contains("undefined field 'absent'"), "{refused}");
    let mut conditions = conditions;
    conditions["matchConditions"][1]["expression"] =
        json!("request.user != 'unknown' || request.extra['absent'][0] == ''");
    let server = server_with(&[webhook(&kubeconfig, &conditions), rbac()]).await;
    assert_eq!(list(&server, "friend", "").await.0, StatusCode::OK);
    let asked = judge.asked();
    let (code, why) = list(&server, "system:serviceaccount:default:friend", "").await;
    assert!(code == StatusCode::FORBIDDEN && !why.contains("stranger"), "{why}");
    assert_eq!(judge.asked(), asked, "nobody was asked");
    let (code, why) = list(&server, "unknown", "").await;
    assert_eq!(code, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(why.contains("cel evaluation error: expression 'request.user != 'unknown' || request.extra['absent'][0] == ''' resulted in error: no such key: absent"), "{why}");
    let of = |name: &str| format!("apiserver_authorization_match_condition_{name}{{name=\"judge\",type=\"Webhook\"}}");
    assert_eq!(metric(&server, &of("evaluation_errors_total")).await, Some(1.0));
    assert!(metric(&server, &of("exclusions_total")).await.is_some_and(|count| count >= 1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_gone() {
    let kubeconfig = Kubeconfig::of(1);
    for (policy, expected) in [("NoOpinion", StatusCode::OK), ("Deny", StatusCode::INTERNAL_SERVER_ERROR)] {
        let server = server_with(&[webhook(&kubeconfig, &json!({"failurePolicy": policy})), rbac()]).await;
        let_read(&server, "reader").await;
        let (code, why) = list(&server, "reader", "").await;
        assert_eq!(code, expected, "{policy}: {why}");
        let (code, why) = list(&server, "nobody", "").await;
        assert_eq!(code, StatusCode::INTERNAL_SERVER_ERROR, "what could have been allowed is not known");
        assert!(why.contains("Post \"https://localhost:1/review\": dial tcp"), "{why}");
        let open = metric(&server, "apiserver_authorization_webhook_evaluations_fail_open_total").await;
        assert_eq!(open.is_some_and(|count| count > 0.0), policy == "NoOpinion");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn expressions_wait_for_webhooks() {
    let judge = Judge::start().await;
    let kubeconfig = Kubeconfig::of(judge.server.port());
    let server = server_with(&[webhook(&kubeconfig, &json!({})), rbac()]).await;
    let policy = json!({"metadata": {"name": "asks"}, "spec": {
        "matchConstraints": {"resourceRules": [{
            "operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]},
        "validations": [{"expression": "authorizer.group('').resource('secrets').namespace('default').check('list').allowed()"}]}});
    server.create(POLICIES, &policy).await;
    let binding = json!({"metadata": {"name": "asks"}, "spec": {"policyName": "asks", "validationActions": ["Deny"]}});
    server.create(BINDINGS, &binding).await;
    let rules = json!([{"verbs": ["create"], "apiGroups": [""], "resources": ["configmaps"]}]);
    super::allow(&server, "creates", &rules, "User", "nobody").await;
    let create = async |who: &str| {
        let headers = [JSON[0], &format!("impersonate-user: {who}")];
        let map = json!({"metadata": {"generateName": "m-"}}).to_string();
        read(server.send(Method::POST, MAPS, &headers, &map).await).await
    };
    let (code, answer) = create("friend").await;
    assert_eq!(code, StatusCode::CREATED, "{answer}");
    assert_eq!(judge.last.lock()["spec"]["resourceAttributes"]["resource"], "secrets");
    let (code, answer) = create("nobody").await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn chains_that_change() {
    let judge = Judge::start().await;
    let kubeconfig = Kubeconfig::of(judge.server.port());
    let text = |authorizers: Value| document(KIND, &json!({"authorizers": authorizers}));
    let server = server_with(&[rbac()]).await;
    assert_eq!(list(&server, "friend", "").await.0, StatusCode::FORBIDDEN);
    server.server.reload_authorization(Some(text(json!([webhook(&kubeconfig, &json!({})), rbac()]))));
    assert_eq!(list(&server, "friend", "").await.0, StatusCode::OK);
    let bad = [
        text(json!([webhook(&kubeconfig, &json!({}))])),
        text(json!([rbac(), {"type": "Node", "name": "node"}])),
        text(json!([webhook(&kubeconfig, &json!({"timeout": "1h"})), rbac()])),
        text(json!([webhook(&Kubeconfig::of(1), &json!({})), rbac()])),
        "{".to_owned(),
    ];
    // The last but one names a file that has gone with its folder.
    for bad in bad.map(Some).into_iter().chain([None]) {
        server.server.reload_authorization(bad.clone());
        assert_eq!(list(&server, "friend", "").await.0, StatusCode::OK, "{bad:?}");
    }
    let name = "apiserver_authorization_config_controller_automatic_reloads_total";
    let (_, metrics) = server.get("/metrics").await;
    let of = |status: &str| {
        let line = metrics.as_str().unwrap().lines().find(|line| line.starts_with(name) && line.contains(status));
        line.and_then(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).unwrap_or_default()
    };
    assert_eq!((of("success"), of("failure")), (1.0, 6.0));
    server.server.reload_authorization(Some(text(json!([rbac()]))));
    assert_eq!(list(&server, "friend", "").await.0, StatusCode::FORBIDDEN);
}
