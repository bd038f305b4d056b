//! Tokens of issuers: whose they are, and which are refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use windlass_api::time::Clock;
use windlass_apiserver::{Anonymous, Authentication, Authorization};
use windlass_auth::authentication::configuration::OidcFlags;
use windlass_eventually::until_true;
use windlass_pki::SignatureAlgorithm;
use windlass_telemetry::Metrics;
use windlass_testing::{Access, ISSUER};

use super::issuer::Provider;
use super::{MAPS, access, allow, document, let_all_ask, metric, review, who_is};
use crate::harness::{TestServer, authority_pem, json as read};

const KIND: &str = "AuthenticationConfiguration";

/// A server that accepts the tokens of these, once it has found them.
async fn server_for(settings: &[Value]) -> TestServer {
    let server = TestServer::with_access(access(Some(document(KIND, &json!({"jwt": settings}))), None)).await;
    let_all_ask(&server).await;
    server
}

async fn is_known(server: &TestServer, token: &str) {
    until_true("the issuer to be found", async || who_is(server, token).await.0 == StatusCode::CREATED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_of_several_issuers() {
    let (first, second) = (Provider::start().await, Provider::with_rsa().await);
    let mappings = json!({
        "claimMappings": {
            "username": {"expression": "claims.email.split('@')[0] + (claims.email_verified ? '' : '!')"},
            "groups": {"expression": "claims.roles.filter(r, r.startsWith('k8s-'))"},
            "uid": {"claim": "sub"},
            "extra": [{"key": "example.org/tenant", "valueExpression": "claims.tenant"}],
        },
        "userValidationRules": [{"expression": "!user.username.startsWith('system:')", "message": "reserved"}],
    });
    let server = server_for(&[first.settings(&json!({})), second.settings(&mappings)]).await;
    let jane = first.token(&json!({"groups": ["dev"], "jti": "t1"}));
    is_known(&server, &jane).await;
    let (_, user) = who_is(&server, &jane).await;
    let expected = json!({
        "username": "oidc:jane", "groups": ["oidc:dev", "system:authenticated"],
        "extra": {"authentication.kubernetes.io/credential-id": ["JTI=t1"]}});
    assert_eq!(user, expected);
    let joe = second.token(&json!({
        "sub": "7", "email": "joe@x", "email_verified": true, "roles": ["a", "k8s-b"], "tenant": "t"}));
    is_known(&server, &joe).await;
    let (_, user) = who_is(&server, &joe).await;
    let expected = json!({
        "username": "joe", "uid": "7", "groups": ["k8s-b", "system:authenticated"], "extra": {"example.org/tenant": ["t"]}});
    assert_eq!(user, expected);
    // What he may do follows from his groups.
    let rules = json!([{"verbs": ["list"], "apiGroups": [""], "resources": ["configmaps"]}]);
    allow(&server, "reads", &rules, "Group", "oidc:dev").await;
    for (token, expected) in [(&jane, StatusCode::OK), (&joe, StatusCode::FORBIDDEN)] {
        assert_eq!(server.send_as(Some(token), Method::GET, MAPS, &[], "").await.status(), expected);
    }
    let status = review(&server, &jane, &[]).await;
    assert_eq!((&status["authenticated"], &status["user"]["username"]), (&json!(true), &json!("oidc:jane")));
    assert_eq!(status["audiences"], json!([ISSUER]));
    let status = review(&server, &jane, &["elsewhere"]).await;
    assert_eq!(status, json!({"user": {}, "error": "invalid bearer token"}), "it is for this server alone");
    let system = second.token(&json!({"email": "system:admin@x", "email_verified": true, "roles": [], "tenant": "t"}));
    let status = review(&server, &system, &[]).await;
    let why = "oidc: error evaluating user info validation rule: validation expression '!user.username.startsWith('system:')' failed: reserved";
    assert_eq!(status["error"], why);
    assert_eq!(who_is(&server, &system).await.0, StatusCode::UNAUTHORIZED);
    let found = metric(&server, "apiserver_authentication_jwt_authenticator_latency_seconds_count").await;
    assert!(found.is_some_and(|count| count > 0.0), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_only_look_like_one() {
    let provider = Provider::with_rsa().await;
    let other = Provider::start().await;
    let server = server_for(&[provider.settings(&json!({}))]).await;
    let sound = provider.token(&json!({}));
    is_known(&server, &sound).await;
    let now = Clock::system().now().as_second();
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let claims = encode(&provider.claims(&json!({})).to_string());
    let [header, _, signature] = sound.split('.').collect::<Vec<_>>()[..] else { panic!() };
    // A forger takes the public key for a secret that both know.
    let by_hmac = {
        let signed = format!("{}.{claims}", encode("{\"alg\":\"HS256\"}"));
        let tag = hmac(provider.public_pem().as_bytes(), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    };
    let verify = "oidc: verify token: ";
    let algorithms = "oidc: id token signed with unsupported algorithm, expected [\"ES256\" \"ES384\" \"ES512\" \"PS256\" \"PS384\" \"PS512\" \"RS256\" \"RS384\" \"RS512\"] got";
    let signature_fails = "failed to verify signature: failed to verify id token signature";
    let cases = [
        (format!("{}.{claims}.", encode("{\"alg\":\"none\"}")), format!("{verify}{algorithms} \"none\"")),
        (by_hmac, format!("{verify}{algorithms} \"HS256\"")),
        (
            format!("{header}.{claims}.{}", signature.replace(&signature[..4], "AAAA")),
            format!("{verify}{signature_fails}"),
        ),
        (
            format!("{header}.{}.{signature}", encode(&provider.claims(&json!({"sub": "root"})).to_string())),
            format!("{verify}{signature_fails}"),
        ),
        (provider.token(&json!({"exp": now - 1})), format!("{verify}oidc: token is expired")),
        (provider.token(&json!({"nbf": now + 3600})), format!("{verify}oidc: current time")),
        (
            provider.token(&json!({"aud": "other"})),
            format!("{verify}oidc: expected audience \"client\" got [\"other\"]"),
        ),
        (
            provider.token(&json!({"sub": 1})),
            "oidc: parse username claims \"sub\": json: cannot unmarshal number".to_owned(),
        ),
        (other.token(&json!({"iss": provider.url()})), format!("{verify}{signature_fails}")),
        (other.token(&json!({})), "invalid bearer token".to_owned()),
        (provider.token(&json!({"iss": 1})), "invalid bearer token".to_owned()),
        (format!("{header}.{}.{signature}", "A".repeat(1 << 20)), "invalid bearer token".to_owned()),
        (".".repeat(1 << 20), "invalid bearer token".to_owned()),
        ("x".to_owned(), "invalid bearer token".to_owned()),
    ];
    for (token, why) in cases {
        let status = review(&server, &token, &[]).await;
        let shown = &token[..token.len().min(40)];
        assert!(status["error"].as_str().unwrap_or_default().starts_with(&why), "{shown}: {status}");
        if token.len() < 10_000 {
            assert_eq!(who_is(&server, &token).await.0, StatusCode::UNAUTHORIZED, "{shown}");
        }
    }
    assert_eq!(who_is(&server, &sound).await.0, StatusCode::CREATED);
}

/// HMAC with SHA-256 (RFC 2104).
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let mut block = [0; 64];
    let key = if key.len() > 64 { Sha256::digest(key).to_vec() } else { key.to_vec() };
    block[..key.len()].copy_from_slice(&key);
    let pad = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_fetched_again_when_none_fits() {
    let provider = Provider::start().await;
    let server = server_for(&[provider.settings(&json!({}))]).await;
    is_known(&server, &provider.token(&json!({}))).await;
    assert_eq!(provider.keys_fetched(), 1);
    for sub in ["a", "b", "c"] {
        assert_eq!(who_is(&server, &provider.token(&json!({"sub": sub}))).await.0, StatusCode::CREATED);
    }
    assert_eq!(provider.keys_fetched(), 1, "keys that fit are enough");
    provider.exchange_key();
    let new = provider.token(&json!({"sub": "new"}));
    assert_eq!(who_is(&server, &new).await.1["username"], "oidc:new");
    assert_eq!(provider.keys_fetched(), 2);
    let forged = Provider::start().await.token(&json!({"iss": provider.url()}));
    assert_eq!(who_is(&server, &forged).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(provider.keys_fetched(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_is_down_hinders_nobody() {
    let (sound, hanging, lying) = (Provider::start().await, Provider::start().await, Provider::start().await);
    hanging.hang();
    lying.claim_to_be("https://somebody.else");
    let gone = json!({
        "issuer": {"url": "https://localhost:1", "audiences": ["client"]},
        "claimMappings": {"username": {"claim": "sub", "prefix": ""}}});
    let all = [hanging.settings(&json!({})), lying.settings(&json!({})), gone, sound.settings(&json!({}))];
    let server = server_for(&all).await;
    is_known(&server, &sound.token(&json!({}))).await;
    for down in [&hanging, &lying] {
        let token = down.token(&json!({}));
        assert_eq!(who_is(&server, &token).await.0, StatusCode::UNAUTHORIZED);
        assert_eq!(review(&server, &token, &[]).await["error"], "oidc: authenticator not initialized");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discovery_document_may_be_elsewhere() {
    let provider = Provider::start().await;
    provider.claim_to_be("https://public.example");
    let issuer = json!({"issuer": {
        "url": "https://public.example", "discoveryURL": format!("{}/elsewhere", provider.url()),
        "audiences": ["client", "other"], "audienceMatchPolicy": "MatchAny", "certificateAuthority": authority_pem()}});
    let server = server_for(&[provider.settings(&issuer)]).await;
    is_known(&server, &provider.token(&json!({"iss": "https://public.example", "aud": ["x", "other"]}))).await;
    assert_eq!(who_is(&server, &provider.token(&json!({}))).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_issuer_by_flags() {
    let provider = Provider::with_rsa().await;
    let (metrics, clock) = (Metrics::default(), Clock::system());
    let flags = OidcFlags {
        issuer_url: provider.url(),
        client_id: "client".to_owned(),
        authorities: authority_pem(),
        groups_claim: Some("groups".to_owned()),
        required_claims: vec![("hd".to_owned(), "example.org".to_owned())],
        ..OidcFlags::default()
    };
    let with = |algorithm| {
        let authentication = Authentication::new(ISSUER, &metrics, clock).with_issuer(flags.clone(), vec![algorithm]);
        Access {
            authentication: authentication.unwrap(),
            authorization: Authorization::default(),
            metrics: metrics.clone(),
        }
    };
    let server = TestServer::with_access(with(SignatureAlgorithm::Rs256)).await;
    let_all_ask(&server).await;
    let token = provider.token(&json!({"hd": "example.org", "groups": "dev"}));
    is_known(&server, &token).await;
    let (_, user) = who_is(&server, &token).await;
    let name = format!("{}#jane", provider.url());
    assert_eq!((&user["username"], &user["groups"]), (&json!(name), &json!(["dev", "system:authenticated"])));
    assert_eq!(who_is(&server, &provider.token(&json!({"hd": "other"}))).await.0, StatusCode::UNAUTHORIZED);
    let strict = TestServer::with_access(with(SignatureAlgorithm::Es256)).await;
    let refused =
        "oidc: verify token: oidc: id token signed with unsupported algorithm, expected [\"ES256\"] got \"RS256\"";
    until_true("the issuer to be found", async || review(&strict, &token, &[]).await["error"] == refused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anonymous_requests_by_path() {
    let paths = json!({"anonymous": {"enabled": true, "conditions": [{"path": "/livez"}, {"path": "/readyz"}]}});
    let server = TestServer::with_access(access(Some(document(KIND, &paths)), None)).await;
    let get = async |server: &TestServer, path: &str| {
        let (code, body) = read(server.send_as(Some(""), Method::GET, path, &[], "").await).await;
        (code, body["message"].as_str().unwrap_or_default().to_owned())
    };
    // It is let in, and asked what it may do.
    assert_eq!(get(&server, "/livez").await.0, StatusCode::FORBIDDEN);
    for path in ["/version", "/livez/ping", "/api/v1/pods"] {
        assert_eq!(get(&server, path).await, (StatusCode::UNAUTHORIZED, "Unauthorized".to_owned()), "{path}");
    }
    let without = Authentication::new(ISSUER, &Metrics::default(), Clock::system());
    let without = Access { authentication: without.with_anonymous(Anonymous::new(false)), ..Access::default() };
    let server = TestServer::with_access(without).await;
    assert_eq!(get(&server, "/livez").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(server.get("/livez").await.0, StatusCode::OK, "whoever shows a credential is asked for no other");
}
