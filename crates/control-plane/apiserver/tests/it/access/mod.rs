//! Authentication and authorization by configuration: issuers and webhooks over HTTPS, and configurations that change.

mod issuer;
mod issuers;
mod reloads;
mod token_webhooks;
mod webhooks;

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use windlass_api::Chance;
use windlass_api::time::Clock;
use windlass_apiserver::{Authentication, Authorization, OpenRemote};
use windlass_telemetry::Metrics;
use windlass_testing::{Access, ISSUER};
use windlass_webhook::Remote;

use crate::harness::{TestServer, authority_pem, json as read};

const WHO_AM_I: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
const TOKEN_REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const ACCESS_REVIEWS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const JSON: &[&str] = &["content-type: application/json"];

/// A configuration's text: JSON is YAML.
fn document(kind: &str, fields: &Value) -> String {
    let mut document = json!({"apiVersion": "apiserver.config.k8s.io/v1", "kind": kind});
    document.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    document.to_string()
}

/// Access by configurations.
fn access(authentication: Option<String>, authorization: Option<String>) -> Access {
    let (metrics, clock) = (Metrics::default(), Clock::system());
    let mut known = Authentication::new(ISSUER, &metrics, clock);
    if let Some(text) = authentication {
        known = known.with_file(text, "this server").unwrap();
    }
    let authorization = authorization.map_or_else(Authorization::default, |text| {
        let open: OpenRemote = Arc::new(|path| Remote::open(path).map_err(|error| error.to_string()));
        Authorization::of_file(text, &metrics, (Chance::system(), clock), "this server", open).unwrap()
    });
    Access { authentication: known, authorization, metrics }
}

/// A kubeconfig that names a server on this machine, in a folder that lives as long as the test.
struct Kubeconfig {
    folder: tempfile::TempDir,
}

impl Kubeconfig {
    fn of(port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = Self { folder };
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "w", "user": "u"}}],
            "clusters": [{"name": "w", "cluster": {
                "server": format!("https://localhost:{port}/review"),
                "certificate-authority-data": BASE64.encode(authority_pem())}}],
            "users": [{"name": "u", "user": {}}],
        });
        std::fs::write(kubeconfig.path(), config.to_string()).unwrap();
        kubeconfig
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("webhook.kubeconfig")
    }

    fn open(&self) -> Remote {
        Remote::open(&self.path()).unwrap()
    }
}

async fn post(server: &TestServer, path: &str, object: &Value) -> (StatusCode, Value) {
    read(server.send(Method::POST, path, JSON, &object.to_string()).await).await
}

/// Who somebody with a token is, as he is told himself.
async fn who_is(server: &TestServer, token: &str) -> (StatusCode, Value) {
    let body = json!({}).to_string();
    let (code, review) = read(server.send_as(Some(token), Method::POST, WHO_AM_I, JSON, &body).await).await;
    (code, review["status"]["userInfo"].clone())
}

/// What a TokenReview says of a token.
async fn review(server: &TestServer, token: &str, audiences: &[&str]) -> Value {
    let review = json!({"spec": {"token": token, "audiences": audiences}});
    let (code, review) = post(server, TOKEN_REVIEWS, &review).await;
    assert_eq!(code, StatusCode::CREATED, "{review}");
    review["status"].clone()
}

/// Lets everybody who is authenticated ask who he is.
async fn let_all_ask(server: &TestServer) {
    let rules =
        json!([{"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]}]);
    allow(server, "asks", &rules, "Group", "system:authenticated").await;
}

async fn allow(server: &TestServer, name: &str, rules: &Value, kind: &str, who: &str) {
    let group = "rbac.authorization.k8s.io";
    server.create(&format!("{RBAC}/clusterroles"), &json!({"metadata": {"name": name}, "rules": rules})).await;
    let binding = json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": group, "kind": kind, "name": who}],
    });
    server.create(&format!("{RBAC}/clusterrolebindings"), &binding).await;
}

/// The value of a metric with these labels, written as they are shown.
async fn metric(server: &TestServer, line: &str) -> Option<f64> {
    let (_, text) = server.get("/metrics").await;
    let found = text.as_str()?.lines().find(|shown| shown.starts_with(line))?.to_owned();
    found.rsplit_once(' ')?.1.parse().ok()
}
