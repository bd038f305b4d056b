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

/// Some give a pod more time to end than there are dates. It can be deleted all the same, in each way.
#[tokio::test(flavor = "multi_thread")]
async fn all_the_time_there_is() {
    let server = TestServer::start().await;
    server.create(&format!("{NAMESPACE}/serviceaccounts"), &json!({"metadata": {"name": "default"}})).await;
    let pods = format!("{NAMESPACE}/pods");
    let create = async |seconds: Option<i64>| {
        let mut pod = pod("a", &json!({}));
        pod["spec"]["nodeName"] = json!("n");
        pod["spec"]["terminationGracePeriodSeconds"] = json!(seconds);
        server.create(&pods, &pod).await
    };
    let delete = async |path: &str| read(server.send(Method::DELETE, path, &[], "").await).await;
    for seconds in [i64::MAX, 260_000_000_000, i64::MIN] {
        let is_long = |pod: &Value| {
            let metadata = &pod["metadata"];
            let grace = metadata["deletionGracePeriodSeconds"].as_i64();
            let last = "9999-12-30T22:00:00Z";
            if seconds < 0 { grace == Some(1) } else { grace == Some(seconds) && metadata["deletionTimestamp"] == last }
        };
        let gone = format!("{pods}/a?gracePeriodSeconds=0");
        create(Some(seconds)).await;
        let (code, marked) = delete(&format!("{pods}/a")).await;
        assert!(code == StatusCode::OK && is_long(&marked), "{seconds}: {marked}");
        assert_eq!(delete(&gone).await.0, StatusCode::OK);

        create(None).await;
        let (code, marked) = delete(&format!("{pods}/a?gracePeriodSeconds={seconds}")).await;
        assert!(code == StatusCode::OK && is_long(&marked), "{seconds}: {marked}");
        assert_eq!(delete(&gone).await.0, StatusCode::OK);

        create(Some(seconds)).await;
        let eviction = json!({"metadata": {"name": "a"}}).to_string();
        let response = server.send(Method::POST, &format!("{pods}/a/eviction"), JSON, &eviction).await;
        assert_eq!(response.status(), StatusCode::CREATED, "{seconds}");
        assert!(is_long(&server.get(&format!("{pods}/a")).await.1), "{seconds}");
        assert_eq!(delete(&gone).await.0, StatusCode::OK);

        create(Some(seconds)).await;
        assert_eq!(delete(&pods).await.0, StatusCode::OK);
        assert!(is_long(&server.get(&format!("{pods}/a")).await.1), "{seconds}");
        assert_eq!(delete(&gone).await.0, StatusCode::OK);
    }
    let watch = format!("{pods}?watch=1&timeoutSeconds={}", i64::MAX);
    assert_eq!(server.send(Method::GET, &watch, &[], "").await.status(), StatusCode::OK);
}
