//! Tokens that a webhook knows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use windlass_api::Chance;
use windlass_api::time::Clock;
use windlass_apiserver::{Authentication, Authorization, TokenReviewVersion, TokenWebhook};
use windlass_telemetry::Metrics;
use windlass_testing::{Access, ISSUER};

use super::{Kubeconfig, let_all_ask, review, who_is};
use crate::harness::TestServer;
use crate::webhook_server::WebhookServer;

async fn server_with(kubeconfig: &Kubeconfig, version: &str) -> TestServer {
    let version = TokenReviewVersion::parse(version).unwrap();
    let webhook = TokenWebhook::new(kubeconfig.open(), version, Duration::from_secs(120), Chance::system());
    let authentication = Authentication::new(ISSUER, &Metrics::default(), Clock::system()).with_webhook(webhook);
    let access = Access { authentication, authorization: Authorization::default(), metrics: Metrics::default() };
    let server = TestServer::with_access(access).await;
    let_all_ask(&server).await;
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_know_tokens() {
    for version in ["v1", "v1beta1"] {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let hook = WebhookServer::start(true, move |target, review| {
            count.fetch_add(1, Ordering::Relaxed);
            assert_eq!(target, "/review");
            assert_eq!(review["apiVersion"], format!("authentication.k8s.io/{version}"));
            let status: Value = match review["spec"]["token"].as_str().unwrap() {
                "good" => json!({"authenticated": true, "user": {
                    "username": "jane", "uid": "7", "groups": ["dev"], "extra": {"example.org/a": ["b"]}}}),
                "elsewhere" => json!({"authenticated": true, "audiences": ["other"], "user": {"username": "joe"}}),
                "broken" => json!({"authenticated": "yes"}),
                "told" => json!({"authenticated": false, "error": "it was lost"}),
                _ => json!({"authenticated": false}),
            };
            json!({"kind": "TokenReview", "apiVersion": review["apiVersion"], "status": status})
        })
        .await;
        let server = server_with(&Kubeconfig::of(hook.port()), version).await;
        for _ in 0..3 {
            let (code, user) = who_is(&server, "good").await;
            assert_eq!(code, StatusCode::CREATED);
            let expected = json!({"username": "jane", "uid": "7", "groups": ["dev", "system:authenticated"], "extra": {"example.org/a": ["b"]}});
            assert_eq!(user, expected);
            assert_eq!(who_is(&server, "bad").await.0, StatusCode::UNAUTHORIZED);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2, "answers are remembered, both kinds");
        assert_eq!(review(&server, "good", &["other"]).await, json!({"user": {}, "error": "invalid bearer token"}));
        assert_eq!(review(&server, "elsewhere", &["other"]).await["audiences"], json!(["other"]));
        assert_eq!(who_is(&server, "elsewhere").await.0, StatusCode::UNAUTHORIZED, "it is for another server");
        assert_eq!(review(&server, "told", &[]).await["error"], "it was lost");
        let why = review(&server, "broken", &[]).await["error"].as_str().unwrap().to_owned();
        assert!(why.starts_with("the webhook that knows tokens sent no TokenReview"), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_gone_knows_nobody() {
    let server = server_with(&Kubeconfig::of(1), "v1").await;
    assert_eq!(who_is(&server, "good").await.0, StatusCode::UNAUTHORIZED);
    let why = review(&server, "good", &[]).await["error"].as_str().unwrap().to_owned();
    assert!(why.starts_with("Post \"https://localhost:1/review\": dial tcp"), "{why}");
    assert_eq!(server.get("/version").await.0, StatusCode::OK, "certificates need no webhook");
}
