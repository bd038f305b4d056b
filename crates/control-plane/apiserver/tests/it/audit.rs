//! What requests leave in the audit log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use windlass_api::time::Clock;
use windlass_audit::{Auditor, Backend, Delivery, Destination, Policy, Webhook};
use windlass_auth::User;
use windlass_eventually::until_true;
use windlass_telemetry::Metrics;

use crate::harness::{TestServer, json as read};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const JSON: &[&str] = &["content-type: application/json"];

/// Takes what is recorded of configmaps, unless it is broken.
#[derive(Clone, Default)]
struct Log {
    events: Arc<Mutex<Vec<Value>>>,
    is_broken: Arc<AtomicBool>,
}

#[async_trait]
impl Webhook for Log {
    async fn send(&self, events: Bytes) -> Result<(), String> {
        if self.is_broken.load(Ordering::Relaxed) {
            return Err("the disk is full".to_owned());
        }
        let list: Value = serde_json::from_slice(&events).unwrap();
        self.events.lock().extend(list["items"].as_array().unwrap().clone());
        Ok(())
    }
}

impl Log {
    fn take(&self) -> Vec<Value> {
        std::mem::take(&mut *self.events.lock())
    }

    /// What is recorded by the time that there are so many.
    async fn wait_for(&self, count: usize) -> Vec<Value> {
        until_true("the events", || async { self.events.lock().len() >= count }).await;
        self.take()
    }
}

async fn start(level: &str, more: &str) -> (TestServer, Log) {
    let log = Log::default();
    let policy = format!(
        "apiVersion: audit.k8s.io/v1\nkind: Policy\n{more}\nrules:\n- {{level: None, users: [admin]}}\n\
         - {{level: {level}, resources: [{{resources: ['configmaps', 'pods', 'pods/*', 'serviceaccounts/token']}}]}}\n\
         - {{level: {level}, nonResourceURLs: ['/version']}}\n"
    );
    let metrics = Metrics::default();
    let to = Destination::Webhook(Box::new(log.clone()));
    let backend = Backend::new(to, Delivery::Blocking { strict: true }, None, &metrics);
    let auditor = Auditor::new(Policy::parse(&policy).unwrap(), vec![backend], Clock::system(), &metrics);
    let server = TestServer::start_audited(Arc::new(auditor), User::new("jane", &["ops"])).await;
    log.take();
    (server, log)
}

fn map() -> Value {
    json!({"metadata": {"name": "a", "labels": {"l": "1"}}, "data": {"k": "v"}})
}

fn stages(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["stage"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata() {
    let (server, log) = start("Metadata", "").await;
    let headers =
        &["content-type: application/json", "audit-id: mine", "user-agent: kubectl", "x-forwarded-for: 10.9.8.7"];
    let path = format!("{MAPS}?fieldManager=m");
    let response = server.send(Method::POST, &path, headers, &map().to_string()).await;
    assert_eq!((response.status(), &response.headers()["audit-id"]), (StatusCode::CREATED, &"mine".parse().unwrap()));
    let events = log.take();
    assert_eq!(stages(&events), ["RequestReceived", "ResponseComplete"]);
    let (first, last) = (&events[0], &events[1]);
    assert_eq!(first["objectRef"], json!({"resource": "configmaps", "namespace": "default", "apiVersion": "v1"}));
    assert_eq!(first["stageTimestamp"], first["requestReceivedTimestamp"]);
    assert!(first.get("responseStatus").is_none() && first.get("annotations").is_none());
    let expected = json!({"resource": "configmaps", "namespace": "default", "name": "a", "apiVersion": "v1"});
    assert_eq!(last["objectRef"], expected);
    assert_eq!(
        (&last["auditID"], &last["verb"], &last["userAgent"]),
        (&json!("mine"), &json!("create"), &json!("kubectl"))
    );
    assert_eq!(last["requestURI"], json!(path));
    assert_eq!(last["sourceIPs"], json!(["10.9.8.7", "127.0.0.1"]));
    assert_eq!(last["user"], json!({"username": "jane", "groups": ["ops", "system:authenticated"]}));
    assert_eq!(last["responseStatus"], json!({"metadata": {}, "code": 201}));
    let why = "RBAC: allowed by ClusterRoleBinding \"all\" of ClusterRole \"all\" to User \"jane\"";
    let annotations = json!({"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": why});
    assert_eq!(last["annotations"], annotations);
    assert!(last.get("requestObject").is_none() && last.get("responseObject").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_why() {
    let (server, log) = start("Metadata", "omitStages: [RequestReceived]").await;
    let (code, _) = read(server.send(Method::GET, &format!("{MAPS}/none"), &[], "").await).await;
    assert_eq!(code, StatusCode::NOT_FOUND);
    let status = json!({"metadata": {}, "status": "Failure", "message": "configmaps \"none\" not found",
        "reason": "NotFound", "details": {"name": "none", "kind": "configmaps"}, "code": 404});
    assert_eq!(log.take()[0]["responseStatus"], status);
    let as_joe = &["impersonate-user: joe", "impersonate-group: g"];
    let (code, _) = read(server.send(Method::GET, MAPS, as_joe, "").await).await;
    assert_eq!(code, StatusCode::FORBIDDEN);
    let event = log.take().remove(0);
    assert_eq!(event["impersonatedUser"], json!({"username": "joe", "groups": ["g", "system:authenticated"]}));
    assert_eq!(
        event["annotations"],
        json!({"authorization.k8s.io/decision": "forbid", "authorization.k8s.io/reason": ""})
    );
    assert_eq!((&event["responseStatus"]["reason"], &event["user"]["username"]), (&json!("Forbidden"), &json!("jane")));
    server.send(Method::GET, MAPS, &["authorization: Bearer nonsense"], "").await;
    assert_eq!(log.take()[0]["user"]["username"], "jane", "a certificate comes first");
    server.send(Method::GET, "/version", &[], "").await;
    let event = log.take().remove(0);
    assert_eq!((&event["verb"], event.get("objectRef")), (&json!("get"), None));
    assert_eq!(event["responseStatus"], json!({"metadata": {}, "code": 200}));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_nobody() {
    let (server, log) = start("Metadata", "").await;
    let mut connection = server.http2::<http_body_util::Empty<Bytes>>(false).await;
    let request = http::Request::get(format!("https://localhost{MAPS}")).header("authorization", "Bearer nonsense");
    let answer = connection.send_request(request.body(http_body_util::Empty::new()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let events = log.take();
    assert_eq!(stages(&events), ["ResponseStarted"]);
    let status =
        json!({"metadata": {}, "status": "Failure", "message": "Unauthorized", "reason": "Unauthorized", "code": 401});
    assert_eq!((&events[0]["user"], &events[0]["responseStatus"]), (&json!({}), &status));
}

#[tokio::test(flavor = "multi_thread")]
async fn objects() {
    let (server, log) = start("RequestResponse", "omitStages: [RequestReceived]\nomitManagedFields: true").await;
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let (code, _) =
        read(server.send(Method::POST, "/api/v1/namespaces/default/pods", JSON, &pod.to_string()).await).await;
    let event = log.take().remove(0);
    assert_eq!(event["requestObject"]["kind"], "Pod");
    assert_eq!(event["requestObject"]["spec"]["restartPolicy"], "Always", "with its defaults");
    assert_eq!(code == StatusCode::CREATED, event["responseObject"]["kind"] == "Pod");
    server.send(Method::POST, MAPS, JSON, &map().to_string()).await;
    let event = log.take().remove(0);
    let uid = event["responseObject"]["metadata"]["uid"].clone();
    assert!(uid.is_string() && event["responseObject"]["metadata"].get("managedFields").is_none());
    assert!(event["requestObject"]["metadata"].get("uid").is_none(), "before anything is done to it");
    let patch = &["content-type: application/merge-patch+json"];
    server.send(Method::PATCH, &format!("{MAPS}/a"), patch, r#"{"data":{"k":"w"}}"#).await;
    assert_eq!(log.take()[0]["requestObject"], json!({"data": {"k": "w"}}));
    let apply = &["content-type: application/apply-patch+yaml"];
    let document = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    server.send(Method::PATCH, &format!("{MAPS}/a?fieldManager=f"), apply, document).await;
    assert_eq!(
        log.take()[0]["requestObject"],
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})
    );
    // The client wants a table in YAML; the log has the table in JSON.
    let table = &["accept: application/yaml;as=Table;v=v1;g=meta.k8s.io"];
    server.send(Method::GET, MAPS, table, "").await;
    let event = log.take().remove(0);
    assert_eq!(event["responseObject"]["kind"], "Table");
    assert!(event["responseObject"]["rows"][0]["object"]["metadata"].get("managedFields").is_none());
    let options = r#"{"propagationPolicy":"Background"}"#;
    server.send(Method::DELETE, &format!("{MAPS}/a"), JSON, options).await;
    let event = log.take().remove(0);
    assert_eq!(event["requestObject"]["propagationPolicy"], "Background");
    assert_eq!(event["responseStatus"]["status"], "Success");
    assert_eq!(event["responseObject"]["details"]["name"], "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_begin_and_end() {
    let (server, log) = start("Metadata", "omitStages: [RequestReceived]").await;
    let response = server.send(Method::GET, &format!("{MAPS}?watch=1"), &[], "").await;
    assert_eq!(stages(&log.take()), ["ResponseStarted"]);
    drop(response);
    let events = log.wait_for(1).await;
    assert_eq!(stages(&events), ["ResponseComplete"]);
    assert_eq!(events[0]["verb"], "watch");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_recorded_is_not_done() {
    let (server, log) = start("Metadata", "").await;
    log.is_broken.store(true, Ordering::Relaxed);
    let (code, status) = read(server.send(Method::POST, MAPS, JSON, &map().to_string()).await).await;
    assert_eq!(code, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(status["message"], "Internal error occurred: failed to store audit event");
    log.is_broken.store(false, Ordering::Relaxed);
    let (code, _) = read(server.send(Method::GET, &format!("{MAPS}/a"), &[], "").await).await;
    assert_eq!(code, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn components_are_recorded_too() {
    let (server, log) = start("Metadata", "omitStages: [RequestReceived]").await;
    let component = server.cluster().client(User::new("component", &["system:masters"]), "controller");
    let maps = windlass_api::GroupVersionResource::of("", "v1", "configmaps");
    component.create(&maps, "default", &map()).await.unwrap();
    let event = log.take().remove(0);
    assert_eq!((&event["user"]["username"], &event["userAgent"]), (&json!("component"), &json!("controller")));
    assert_eq!((&event["requestURI"], &event["responseStatus"]["code"]), (&json!(MAPS), &json!(201)));
}
