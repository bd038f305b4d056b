//! Certificates that are asked for.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::{Value, json};
use windlass_api::GroupVersionResource;
use windlass_api::ObjectKey;
use windlass_api::resource::CERTIFICATE_SIGNING_REQUESTS as REQUESTS;
use windlass_client::Client;
use windlass_testing::Kubelet;

use crate::scene::{Scene, condition};

const BINDINGS: GroupVersionResource =
    GroupVersionResource::of("rbac.authorization.k8s.io", "v1", "clusterrolebindings");

/// Asks as `client` for a client certificate.
async fn ask(client: &Client, name: &str, signer: &str, subject: &str, organization: &str) {
    let mut wanted = CertificateParams::new(Vec::new()).unwrap();
    wanted.distinguished_name.push(DnType::CommonName, subject);
    wanted.distinguished_name.push(DnType::OrganizationName, organization);
    let request = wanted.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap();
    let spec = json!({"request": STANDARD.encode(request), "signerName": signer, "usages": ["client auth", "digital signature"]});
    client.create(&REQUESTS, "", &json!({"metadata": {"name": name}, "spec": spec})).await.unwrap();
}

fn is_signed(request: &Value) -> bool {
    let certificate = request["status"]["certificate"].as_str().and_then(|text| STANDARD.decode(text).ok());
    certificate.is_some_and(|pem| pem.starts_with(b"-----BEGIN CERTIFICATE-----"))
}

#[tokio::test(start_paused = true)]
async fn what_is_approved_is_signed() {
    let scene = Scene::with_nodes(0).await;
    let cluster = &scene.cluster;
    ask(&cluster.admin, "mine", "kubernetes.io/kube-apiserver-client", "jane", "people").await;
    let key = ObjectKey::new("", "mine");
    let mut request = cluster.get(&REQUESTS, &key).await;
    assert!(!is_signed(&request));
    request["status"]["conditions"] = json!([{"type": "Approved", "status": "True", "reason": "Known", "message": ""}]);
    cluster.admin.update(&REQUESTS, &key, "approval", &request).await.unwrap();
    cluster.until(&REQUESTS, &key, "its certificate", is_signed).await;
}

#[tokio::test(start_paused = true)]
async fn a_kubelet_needs_nobody_to_approve() {
    let scene = Scene::with_nodes(0).await;
    // As an installer does it: nodes may have their certificates renewed.
    let binding = json!({"metadata": {"name": "renewal"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
            "name": "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:nodes"}]});
    scene.cluster.create(&BINDINGS, "", binding).await;
    let kubelet = scene.cluster.client(Kubelet::user("n7"), "kubelet");
    ask(&kubelet, "node", "kubernetes.io/kube-apiserver-client-kubelet", "system:node:n7", "system:nodes").await;
    let request = scene.cluster.until(&REQUESTS, &ObjectKey::new("", "node"), "its certificate", is_signed).await;
    assert_eq!(condition(&request, "Approved"), "True");
}
