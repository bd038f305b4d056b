//! Admission as a client meets it: refusals and warnings.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{TestServer, json as read};

const JSON: &[&str] = &["content-type: application/json"];

/// Sends an object; gives the code, the answer and the texts of its warnings.
async fn send(server: &TestServer, method: Method, path: &str, object: &Value) -> (StatusCode, Value, Vec<String>) {
    let response = server.send(method, path, JSON, &object.to_string()).await;
    let headers = response
        .headers()
        .get_all("warning")
        .iter()
        .map(|text| windlass_http::header::text(text).into_owned())
        .collect();
    let (code, answer) = read(response).await;
    (code, answer, headers)
}

async fn create(server: &TestServer, path: &str, object: &Value) -> (StatusCode, Value, Vec<String>) {
    send(server, Method::POST, path, object).await
}

/// A server with a namespace `guarded` of these labels.
async fn guarded(labels: Value) -> TestServer {
    let server = TestServer::start().await;
    server.create("/api/v1/namespaces", &json!({"metadata": {"name": "guarded", "labels": labels}})).await;
    server.create("/api/v1/namespaces/guarded/serviceaccounts", &json!({"metadata": {"name": "default"}})).await;
    server
}

const PODS: &str = "/api/v1/namespaces/guarded/pods";

fn privileged() -> Value {
    json!({"metadata": {"name": "p"}, "spec": {"containers": [
        {"name": "c", "image": "i", "securityContext": {"privileged": true}}]}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_refuses_pods_beyond_the_level_that_it_enforces() {
    let server = guarded(json!({"pod-security.kubernetes.io/enforce": "baseline"})).await;
    let (code, status, warnings) = create(&server, PODS, &privileged()).await;
    assert_eq!((code, warnings), (StatusCode::FORBIDDEN, Vec::new()), "{status}");
    assert_eq!(
        (&status["reason"], &status["message"]),
        (
            &json!("Forbidden"),
            &json!(
                "pods \"p\" is forbidden: violates PodSecurity \"baseline:latest\": privileged (container \"c\" must not set \
                 securityContext.privileged=true)"
            )
        )
    );
    let harmless = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    assert_eq!(create(&server, PODS, &harmless).await.0, StatusCode::CREATED);
    let bad = json!({"metadata": {"name": "bad", "labels": {"pod-security.kubernetes.io/warn-version": "1.2"}}});
    let (code, status, _) = create(&server, "/api/v1/namespaces", &bad).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY, "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_warns_of_pods_beyond_its_level() {
    let server = guarded(json!({"pod-security.kubernetes.io/warn": "baseline"})).await;
    let would = r#"299 - "would violate PodSecurity \"baseline:latest\": privileged (container \"c\" must not set securityContext.privileged=true)""#;
    let (code, pod, warnings) = create(&server, PODS, &privileged()).await;
    assert_eq!((code, warnings), (StatusCode::CREATED, vec![would.to_owned()]), "{pod}");
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": privileged()["spec"]});
    let deployment =
        json!({"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}});
    let path = "/apis/apps/v1/namespaces/guarded/deployments";
    let (code, deployment, warnings) = create(&server, path, &deployment).await;
    assert_eq!((code, warnings), (StatusCode::CREATED, vec![would.to_owned()]), "{deployment}");
    // Who enforces it now hears of the pod that is there.
    let (_, mut namespace) = server.get("/api/v1/namespaces/guarded").await;
    namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = json!("baseline");
    let (code, namespace, warnings) = send(&server, Method::PUT, "/api/v1/namespaces/guarded", &namespace).await;
    let expected = [
        r#"299 - "existing pods in namespace \"guarded\" violate the new PodSecurity enforce level \"baseline:latest\"""#,
        r#"299 - "p: privileged""#,
    ];
    assert_eq!((code, warnings), (StatusCode::OK, expected.map(str::to_owned).to_vec()), "{namespace}");
}

#[tokio::test(flavor = "multi_thread")]
async fn services_take_over_no_addresses_of_the_outside() {
    let server = TestServer::start().await;
    let path = "/api/v1/namespaces/default/services";
    let service =
        |ips: &[&str]| json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}], "externalIPs": ips}});
    let (code, status, _) = create(&server, path, &service(&["203.0.113.1"])).await;
    assert_eq!(code, StatusCode::FORBIDDEN, "{status}");
    let message = status["message"].as_str().unwrap();
    let upstream = "services \"s\" is forbidden: Use of external IPs is denied by admission control";
    assert!(message.starts_with(upstream) && message.contains("--allow-service-external-ips"), "{message}");
    assert_eq!(create(&server, path, &service(&[])).await.0, StatusCode::CREATED);
    let merge = &["content-type: application/merge-patch+json"];
    let patch = json!({"spec": {"externalIPs": ["203.0.113.1"]}}).to_string();
    let (code, status) = read(server.send(Method::PATCH, &format!("{path}/s"), merge, &patch).await).await;
    assert_eq!(code, StatusCode::FORBIDDEN, "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_grows_only_where_its_class_allows_it() {
    let server = TestServer::start().await;
    const CLAIMS: &str = "/api/v1/namespaces/default/persistentvolumeclaims";
    for (name, allows) in [("fixed", false), ("elastic", true)] {
        let class = json!({"metadata": {"name": name}, "provisioner": "p/q", "allowVolumeExpansion": allows});
        server.create("/apis/storage.k8s.io/v1/storageclasses", &class).await;
        let claim = json!({"metadata": {"name": name}, "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": name,
            "volumeName": "v", "resources": {"requests": {"storage": "1Gi"}}}});
        server.create(CLAIMS, &claim).await;
    }
    let merge = &["content-type: application/merge-patch+json"];
    let patch = async |path: String, patch: Value| {
        read(server.send(Method::PATCH, &path, merge, &patch.to_string()).await).await
    };
    let grow = async |name: &str| {
        let more = json!({"spec": {"resources": {"requests": {"storage": "3Gi"}}}});
        let (code, answer) = patch(format!("{CLAIMS}/{name}"), more).await;
        (code, answer["message"].as_str().unwrap_or_default().to_owned())
    };
    for name in ["fixed", "elastic"] {
        let bound = json!({"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}});
        assert_eq!(patch(format!("{CLAIMS}/{name}/status"), bound).await.0, StatusCode::OK);
    }
    assert_eq!(grow("elastic").await.0, StatusCode::OK);
    let (code, message) = grow("fixed").await;
    let why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize";
    assert!(code == StatusCode::FORBIDDEN && message.ends_with(why), "{message}");
}
