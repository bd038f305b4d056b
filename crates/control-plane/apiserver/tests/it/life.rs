//! The life of a write, end to end: what upstream's order of defaults, admission, preparation and validation means to clients.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{TestServer, json as read};

const NAMESPACE: &str = "/api/v1/namespaces/default";
const JSON: &[&str] = &["content-type: application/json"];

fn pod(name: &str, resources: &Value) -> Value {
    json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i", "resources": resources}]}})
}

#[tokio::test(flavor = "multi_thread")]
async fn what_admission_fills_in_counts_for_the_class_and_is_nobodys() {
    let server = TestServer::start().await;
    server.create(&format!("{NAMESPACE}/serviceaccounts"), &json!({"metadata": {"name": "default"}})).await;
    let range = json!({"metadata": {"name": "r"},
        "spec": {"limits": [{"type": "Container", "default": {"cpu": "100m", "memory": "64Mi"}}]}});
    server.create(&format!("{NAMESPACE}/limitranges"), &range).await;
    let created = server.create(&format!("{NAMESPACE}/pods"), &pod("p", &json!({}))).await;
    assert_eq!(created["status"]["qosClass"], "Guaranteed", "{}", created["spec"]);
    let fields = &created["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"];
    assert!(fields.get("f:dnsPolicy").is_some(), "defaults belong to who creates: {fields}");
    assert!(fields.get("f:tolerations").is_none() && fields.get("f:volumes").is_none(), "{fields}");
    assert!(fields.pointer("/f:containers/k:{\"name\":\"c\"}/f:resources/f:limits").is_none(), "{fields}");
    // A request above the limit that was filled in makes the pod invalid.
    let above = pod("above", &json!({"requests": {"cpu": "200m"}}));
    let (code, status) =
        read(server.send(Method::POST, &format!("{NAMESPACE}/pods"), JSON, &above.to_string()).await).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(status["message"].as_str().unwrap().contains("must be less than or equal to cpu limit"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_on_a_cluster_scoped_kind_is_dropped() {
    let server = TestServer::start().await;
    let path = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    let role = json!({"metadata": {"name": "r", "namespace": "kube-system"}, "rules": []});
    let created = server.create(path, &role).await;
    assert!(created["metadata"].get("namespace").is_none(), "{created}");
    let (code, updated) = read(server.send(Method::PUT, &format!("{path}/r"), JSON, &role.to_string()).await).await;
    assert_eq!(code, StatusCode::OK, "{updated}");
    assert!(updated["metadata"].get("namespace").is_none(), "{updated}");
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_owners_are_dropped_with_a_warning() {
    let server = TestServer::start().await;
    let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": "o", "uid": "u"});
    let map = json!({"metadata": {"name": "m", "ownerReferences": [owner, owner]}});
    let response = server.send(Method::POST, &format!("{NAMESPACE}/configmaps"), JSON, &map.to_string()).await;
    let warning = windlass_http::header::text(&response.headers()["warning"]).into_owned();
    assert!(warning.contains("duplicate UID(s) observed: [u]"), "{warning}");
    let (_, created) = read(response).await;
    assert_eq!(created["metadata"]["ownerReferences"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_names_reach_the_label_of_a_namespace() {
    let server = TestServer::start().await;
    let created = server.create("/api/v1/namespaces", &json!({"metadata": {"generateName": "team-"}})).await;
    assert_eq!(created["metadata"]["labels"]["kubernetes.io/metadata.name"], created["metadata"]["name"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn families_that_the_cluster_does_not_have_are_refused() {
    let server = TestServer::start().await;
    let path = format!("{NAMESPACE}/services");
    for (spec, complaint) in [
        (
            json!({"ipFamilyPolicy": "RequireDualStack"}),
            "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured for dual-stack services",
        ),
        (
            json!({"ipFamilies": ["IPv6"]}),
            "spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster",
        ),
    ] {
        let mut service = json!({"metadata": {"name": "s"}, "spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}});
        for (field, value) in spec.as_object().unwrap() {
            service["spec"][field] = value.clone();
        }
        let (code, status) = read(server.send(Method::POST, &path, JSON, &service.to_string()).await).await;
        assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY, "{status}");
        assert!(status["message"].as_str().unwrap().contains(complaint), "{status}");
    }
    // One that would like two, and one whose endpoints come from elsewhere, are content.
    for spec in [
        json!({"ipFamilyPolicy": "PreferDualStack", "selector": {"a": "b"}, "ports": [{"port": 80}]}),
        json!({"ipFamilyPolicy": "RequireDualStack", "clusterIP": "None", "ports": [{"port": 80}]}),
    ] {
        server.create(&path, &json!({"metadata": {"generateName": "s-"}, "spec": spec})).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_a_pod_are_taken_and_the_rest_stays() {
    let server = TestServer::start().await;
    server.create(&format!("{NAMESPACE}/serviceaccounts"), &json!({"metadata": {"name": "default"}})).await;
    let mut wanted = server.create(&format!("{NAMESPACE}/pods"), &pod("p", &json!({}))).await;
    wanted["metadata"]["labels"] = json!({"not": "taken"});
    wanted["spec"]["ephemeralContainers"] = json!([{"name": "debug", "image": "i"}]);
    let path = format!("{NAMESPACE}/pods/p/ephemeralcontainers");
    let (code, changed) = read(server.send(Method::PUT, &path, JSON, &wanted.to_string()).await).await;
    assert_eq!(code, StatusCode::OK, "{changed}");
    assert!(changed["metadata"].get("labels").is_none(), "{changed}");
    assert_eq!(changed["spec"]["ephemeralContainers"][0]["name"], "debug");
    let mut without = changed.clone();
    without["spec"]["ephemeralContainers"] = json!([]);
    let (code, status) = read(server.send(Method::PUT, &path, JSON, &without.to_string()).await).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(status["message"].as_str().unwrap().contains("existing ephemeral containers \"debug\" may not be removed"));
}
