//! Configurations that change while the server runs.

use http::StatusCode;
use serde_json::json;
use windlass_eventually::until_true;

use super::issuer::Provider;
use super::{access, document, let_all_ask, metric, who_is};
use crate::harness::TestServer;

const KIND: &str = "AuthenticationConfiguration";
const RELOADS: &str = "apiserver_authentication_config_controller_automatic_reloads_total";

/// How often a configuration was read again, with success and without.
async fn reloads(server: &TestServer, name: &str) -> (f64, f64) {
    let of = async |status: &str| {
        let (_, text) = server.get("/metrics").await;
        let lines = text.as_str().unwrap().lines().filter(|line| line.starts_with(name));
        let found = lines.filter(|line| line.contains(&format!("status=\"{status}\""))).collect::<Vec<_>>();
        found.first().and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or_default()
    };
    (of("success").await, of("failure").await)
}

#[tokio::test(flavor = "multi_thread")]
async fn new_issuers_replace_the_old_ones() {
    let (first, second) = (Provider::start().await, Provider::start().await);
    let text = |providers: &[&Provider]| {
        let settings: Vec<_> = providers.iter().map(|provider| provider.settings(&json!({}))).collect();
        document(KIND, &json!({"jwt": settings}))
    };
    let server = TestServer::with_access(access(Some(text(&[&first])), None)).await;
    let_all_ask(&server).await;
    let code = async |provider: &Provider, sub: &str| who_is(&server, &provider.token(&json!({"sub": sub}))).await.0;
    until_true("the issuer to be found", async || code(&first, "a").await == StatusCode::CREATED).await;
    assert_eq!(code(&second, "a").await, StatusCode::UNAUTHORIZED);
    let before = metric(&server, "apiserver_authentication_config_controller_last_config_info").await;
    assert_eq!((before, reloads(&server, RELOADS).await), (Some(1.0), (0.0, 0.0)));

    server.server.reload_authentication(Some(text(&[&first]))).await;
    assert_eq!(reloads(&server, RELOADS).await, (0.0, 0.0), "nothing has changed");
    server.server.reload_authentication(Some(text(&[&first, &second]))).await;
    assert_eq!((code(&first, "b").await, code(&second, "b").await), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!(reloads(&server, RELOADS).await, (1.0, 0.0));

    let anonymous = document(KIND, &json!({"anonymous": {"enabled": false}}));
    let wrong = document(KIND, &json!({"jwt": [{"issuer": {"url": "http://a"}}]}));
    for (number, bad) in
        [Some("{".to_owned()), Some(String::new()), Some(wrong), Some(anonymous), None].into_iter().enumerate()
    {
        server.server.reload_authentication(bad).await;
        assert_eq!(reloads(&server, RELOADS).await, (1.0, number as f64 + 1.0));
        let still = (code(&first, "c").await, code(&second, "c").await);
        assert_eq!(still, (StatusCode::CREATED, StatusCode::CREATED), "the old configuration stays");
    }
    server.server.reload_authentication(Some(text(&[&second]))).await;
    assert_eq!((code(&first, "d").await, code(&second, "d").await), (StatusCode::UNAUTHORIZED, StatusCode::CREATED));
    assert_eq!(code(&first, "b").await, StatusCode::UNAUTHORIZED, "what was remembered goes with its issuer");
}
