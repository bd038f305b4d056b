//! Who asks, whom he acts as, and what he may ask for.

use http::header::WARNING;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{TestServer, json as read};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const WHO_AM_I: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

/// Gives jane a role of these rules, over all namespaces.
async fn allow_jane(server: &TestServer, name: &str, rules: Value) {
    allow(server, name, rules, ("User", "jane")).await;
}

async fn allow(server: &TestServer, name: &str, rules: Value, (kind, who): (&str, &str)) {
    let group = "rbac.authorization.k8s.io";
    let role = json!({"metadata": {"name": name}, "rules": rules});
    server.create(&format!("{RBAC}/clusterroles"), &role).await;
    let binding = json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": group, "kind": kind, "name": who}],
    });
    server.create(&format!("{RBAC}/clusterrolebindings"), &binding).await;
}

/// A certificate for jane, so that she can act as others herself.
async fn janes_server() -> TestServer {
    let jane = windlass_auth::User::new("jane", &[]);
    let server = TestServer::start_with(windlass_apiserver::http::REQUEST_TIMEOUT, jane).await;
    let everything = format!("{RBAC}/clusterrolebindings/all");
    let of_roles = json!([{"verbs": ["*"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["*"]}]);
    allow_jane(&server, "writes-roles", of_roles).await;
    let asks =
        json!([{"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]}]);
    allow(&server, "asks", asks, ("Group", "system:authenticated")).await;
    assert_eq!(server.send(Method::DELETE, &everything, &[], "").await.status(), StatusCode::OK);
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_is_in_itself() {
    let server = TestServer::start().await;
    server.create("/api/v1/namespaces", &json!({"metadata": {"name": "team"}})).await;
    let group = "rbac.authorization.k8s.io";
    let rules = json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["namespaces"]}]);
    server.create(&format!("{RBAC}/namespaces/team/roles"), &json!({"metadata": {"name": "r"}, "rules": rules})).await;
    let binding = json!({
        "metadata": {"name": "b"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "r"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "jane"}],
    });
    server.create(&format!("{RBAC}/namespaces/team/rolebindings"), &binding).await;
    let get =
        async |method: Method, path: &str| read(server.send(method, path, &["impersonate-user: jane"], "").await).await;
    assert_eq!(get(Method::GET, "/api/v1/namespaces/team").await.0, StatusCode::OK);
    for path in ["/api/v1/namespaces/default", "/api/v1/namespaces"] {
        assert_eq!(get(Method::GET, path).await.0, StatusCode::FORBIDDEN, "{path}");
    }
    let (code, refusal) = get(Method::DELETE, "/api/v1/namespaces/team").await;
    assert_eq!(code, StatusCode::FORBIDDEN);
    let expected = "namespaces \"team\" is forbidden: User \"jane\" cannot delete resource \"namespaces\" in API group \
                    \"\" in the namespace \"team\"";
    assert_eq!(refusal["message"], expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn constrained_impersonation() {
    let server = janes_server().await;
    let list = async |headers: &[&str]| read(server.send(Method::GET, MAPS, headers, "").await).await;
    let of_authentication = |verbs: &[&str], resource: &str, names: &[&str]| json!({"verbs": verbs, "apiGroups": ["authentication.k8s.io"], "resources": [resource], "resourceNames": names});
    let lists = |verb: &str| json!({"verbs": [verb], "apiGroups": [""], "resources": ["configmaps"]});
    let (code, refusal) = list(&["impersonate-user: joe"]).await;
    assert_eq!(code, StatusCode::FORBIDDEN);
    let first_way = "cannot impersonate-on:user-info:list resource \"configmaps\"";
    assert!(refusal["message"].as_str().unwrap().contains(first_way), "{refusal}");

    // She may act as joe, and list as somebody; joe himself may not list.
    let as_joe = of_authentication(&["impersonate:user-info"], "users", &["joe"]);
    allow_jane(&server, "as-joe", json!([as_joe, lists("impersonate-on:user-info:list")])).await;
    let (code, refusal) = list(&["impersonate-user: joe"]).await;
    assert_eq!(code, StatusCode::FORBIDDEN);
    assert!(refusal["message"].as_str().unwrap().contains("User \"joe\" cannot list"), "{refusal}");
    // Neither as somebody else, nor in a group, nor anything else.
    for headers in [&["impersonate-user: ann"][..], &["impersonate-user: joe", "impersonate-group: g"]] {
        let (_, refusal) = list(headers).await;
        assert!(refusal["message"].as_str().unwrap().contains("cannot impersonate:user-info"), "{refusal}");
    }
    let (code, refusal) = read(server.send(Method::DELETE, MAPS, &["impersonate-user: joe"], "").await).await;
    assert_eq!(code, StatusCode::FORBIDDEN);
    let expected = "cannot impersonate-on:user-info:deletecollection";
    assert!(refusal["message"].as_str().unwrap().contains(expected), "{refusal}");

    // As a node there is another way, and a node is in the group of nodes.
    let as_node = of_authentication(&["impersonate:arbitrary-node"], "nodes", &["n1"]);
    let asks = of_authentication(&["impersonate-on:arbitrary-node:create"], "selfsubjectreviews", &[]);
    allow_jane(&server, "as-node", json!([as_node, asks])).await;
    let ask = async |headers: &[&str]| {
        let headers = [headers, &["content-type: application/json"]].concat();
        read(server.send(Method::POST, WHO_AM_I, &headers, "{}").await).await
    };
    let (code, review) = ask(&["impersonate-user: system:node:n1"]).await;
    assert_eq!(code, StatusCode::CREATED, "{review}");
    assert_eq!(review["status"]["userInfo"]["groups"], json!(["system:nodes", "system:authenticated"]));
    assert_eq!(ask(&["impersonate-user: system:node:n2"]).await.0, StatusCode::FORBIDDEN);

    // No constrained way leads to the administrators.
    let groups = of_authentication(&["impersonate:user-info"], "groups", &[]);
    allow_jane(&server, "any-group", json!([groups])).await;
    let masters = ["impersonate-user: joe", "impersonate-group: system:masters"];
    assert_eq!(list(&masters).await.0, StatusCode::FORBIDDEN);
    // Not among others either: about four groups one question is asked, about all that there are.
    let others = ["impersonate-group: a", "impersonate-group: b", "impersonate-group: c"];
    let (_, refusal) = list(&[&masters[..], &others].concat()).await;
    let expected = "impersonating the system:masters group is not allowed";
    assert!(refusal["message"].as_str().unwrap().contains(expected), "{refusal}");
    let (_, refusal) = list(&[&masters[..1], &others, &["impersonate-group: d"]].concat()).await;
    assert!(refusal["message"].as_str().unwrap().contains("User \"joe\" cannot list"), "{refusal}");
    let (code, _) = read(server.send(Method::GET, MAPS, &["impersonate-group: g"], "").await).await;
    assert_eq!(code, StatusCode::BAD_REQUEST, "a group without a user");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_token() {
    let server = TestServer::start().await;
    let ask = async |header: &str| server.send_as(Some(""), Method::GET, MAPS, &[header], "").await;
    for (header, code) in [
        ("authorization: Basic YTpi", StatusCode::FORBIDDEN),
        ("authorization: Bearer", StatusCode::FORBIDDEN),
        ("authorization: Bearer x", StatusCode::UNAUTHORIZED),
    ] {
        assert_eq!(ask(header).await.status(), code, "{header}");
    }
    // What the client should know is said with the refusal.
    let response = ask("authorization: Bearer  x").await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let warning = windlass_http::header::text(&response.headers()[WARNING]).into_owned();
    assert!(warning.contains("extra space before the bearer token"), "{warning}");
}
