//! Who may ask for certificates of pods, who may answer, and who says whom to trust.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use windlass_api::resource::{CLUSTER_TRUST_BUNDLES, NODES, POD_CERTIFICATE_REQUESTS, PODS, SERVICE_ACCOUNTS};
use windlass_api::{GroupVersionResource, ObjectKey};
use windlass_auth::User;
use windlass_client::{Client, OBJECT, Options, STATUS};
use windlass_pki::PrivateKey;
use windlass_testing::{Cluster, Kubelet};

const SIGNER: &str = "example.com/signer";

fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap()
}

/// A cluster with two nodes and a pod on the first one, and a request that is fine.
async fn scene() -> (Cluster, Value) {
    let cluster = Cluster::start().await.with_default_account().await;
    let mut nodes = Vec::new();
    for name in ["n0", "n1"] {
        nodes.push(cluster.create(&NODES, "", json!({"metadata": {"name": name}})).await);
    }
    let certificate = json!({"signerName": SIGNER, "keyType": "ED25519", "credentialBundlePath": "b"});
    let volume = json!({"name": "v", "projected": {"sources": [{"podCertificate": certificate}]}});
    let spec = json!({"nodeName": "n0", "containers": [{"name": "c", "image": "i"}], "volumes": [volume]});
    let pod = cluster.create(&PODS, "default", json!({"metadata": {"name": "p"}, "spec": spec})).await;
    let account = cluster.get(&SERVICE_ACCOUNTS, &ObjectKey::new("default", "default")).await;
    let stub = STANDARD.encode(PrivateKey::generate().unwrap().stub_request().unwrap());
    let spec = json!({
        "signerName": SIGNER, "podName": "p", "podUID": uid(&pod), "serviceAccountName": "default",
        "serviceAccountUID": uid(&account), "nodeName": "n0", "nodeUID": uid(&nodes[0]), "stubPKCS10Request": stub});
    (cluster, json!({"metadata": {"generateName": "req-"}, "spec": spec}))
}

/// Gives a user the right to verbs on a resource, with a name if one is given.
async fn allow(cluster: &Cluster, user: &str, verbs: &[&str], resources: &[&str], names: &[&str]) {
    let rbac = |resource| GroupVersionResource::of("rbac.authorization.k8s.io", "v1", resource);
    let role = format!("{user}-{}", resources.join("-").replace('/', "-"));
    let rules =
        json!([{"apiGroups": ["certificates.k8s.io"], "resources": resources, "resourceNames": names, "verbs": verbs}]);
    cluster.create(&rbac("clusterroles"), "", json!({"metadata": {"name": role}, "rules": rules})).await;
    let group = "rbac.authorization.k8s.io";
    let binding = json!({"metadata": {"name": role}, "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}]});
    cluster.create(&rbac("clusterrolebindings"), "", binding).await;
}

fn kubelet(cluster: &Cluster, node: &str) -> Client {
    cluster.client(Kubelet::user(node), "kubelet")
}

#[tokio::test(start_paused = true)]
async fn a_node_asks_for_its_own_pods_only() {
    let (cluster, request) = scene().await;
    let own = kubelet(&cluster, "n0");
    let ask = async |client: &Client, field: &str, value: &str| {
        let mut wanted = request.clone();
        if !field.is_empty() {
            wanted["spec"][field] = json!(value);
        }
        client
            .create(&POD_CERTIFICATE_REQUESTS, "default", &wanted)
            .await
            .map_err(|status| (status.code, status.message))
    };
    let made = ask(&own, "", "").await.unwrap();
    for (field, value, code, why) in [
        ("nodeName", "n1", 403, "PodCertificateRequest.Spec.NodeName=\"n1\", which is not the requesting node \"n0\""),
        (
            "nodeUID",
            "x",
            500,
            "PodCertificateRequest for pod \"default/p\" names node UID \"x\", inconsistent with the running node",
        ),
        (
            "podName",
            "q",
            500,
            "while retrieving pod \"default/q\" named in the PodCertificateRequest: pod \"q\" not found",
        ),
        (
            "podUID",
            "x",
            500,
            "PodCertificateRequest for pod \"default/p\" contains pod UID (\"x\") which differs from running pod",
        ),
        (
            "serviceAccountName",
            "x",
            403,
            "contains serviceAccountName (\"x\") that differs from running pod (\"default\")",
        ),
        (
            "serviceAccountUID",
            "x",
            500,
            "names service account UID \"x\", which differs from the running service account",
        ),
        (
            "signerName",
            "example.com/other",
            403,
            "pod \"default/p\" does not mount a podCertificate projected volume for signer \"example.com/other\"",
        ),
    ] {
        let (found, message) = ask(&own, field, value).await.unwrap_err();
        assert!(found == code && message.contains(why), "{field}: {found} {message}");
    }
    let (code, message) = ask(&kubelet(&cluster, "n1"), "nodeName", "n1").await.unwrap_err();
    assert!(code == 500 && message.contains("names node UID"), "{message}");
    // Somebody may let nodes ask on behalf of pods that mount nothing.
    let verbs = ["request-serviceaccounts-podcertificate-signer"];
    allow(&cluster, "system:node:n0", &verbs, &["example.com:other"], &["default"]).await;
    ask(&own, "signerName", "example.com/other").await.unwrap();

    // It reads what is its own, and answers nothing.
    own.get(&POD_CERTIFICATE_REQUESTS, &made.key).await.unwrap();
    assert_eq!(kubelet(&cluster, "n1").get(&POD_CERTIFICATE_REQUESTS, &made.key).await.unwrap_err().code, 403);
    let fields = windlass_api::fields::FieldSelector::equal("spec.nodeName", "n0");
    let listed = own.list(&POD_CERTIFICATE_REQUESTS, "", Options { fields, ..Options::default() }).await.unwrap();
    assert_eq!(listed.items.len(), 2);
    assert_eq!(own.list(&POD_CERTIFICATE_REQUESTS, "", Options::default()).await.unwrap_err().code, 403);
    let answer = own.patch(&POD_CERTIFICATE_REQUESTS, &made.key, STATUS, &denial()).await;
    assert_eq!(answer.unwrap_err().code, 403);
}

fn denial() -> Value {
    json!({"status": {"conditions": [{"type": "Denied", "status": "True", "reason": "No", "message": "",
        "lastTransitionTime": "2026-11-21T06:00:00Z"}]}})
}

#[tokio::test(start_paused = true)]
async fn only_who_may_sign_answers() {
    let (cluster, request) = scene().await;
    let made = cluster.create(&POD_CERTIFICATE_REQUESTS, "default", request).await;
    let key = ObjectKey::new("default", made["metadata"]["name"].as_str().unwrap());
    let user = |name: &str| cluster.client(User::new(name, &[]), "test");
    for name in ["jane", "by-name", "by-domain"] {
        allow(&cluster, name, &["get", "patch"], &["podcertificaterequests", "podcertificaterequests/status"], &[])
            .await;
    }
    allow(&cluster, "by-name", &["sign"], &["signers"], &[SIGNER]).await;
    allow(&cluster, "by-domain", &["sign"], &["signers"], &["example.com/*"]).await;
    let refused = user("jane").patch(&POD_CERTIFICATE_REQUESTS, &key, STATUS, &denial()).await.unwrap_err();
    assert_eq!(refused.code, 422);
    let why =
        "spec.signerName: Forbidden: User \"jane\" is not permitted to \"sign\" for signer \"example.com/signer\"";
    assert!(refused.message.ends_with(why), "{refused}");
    // What changes nothing needs no right.
    user("jane").patch(&POD_CERTIFICATE_REQUESTS, &key, STATUS, &json!({})).await.unwrap();
    let changed = json!({"spec": {"podName": "other"}});
    let refused = user("by-name").patch(&POD_CERTIFICATE_REQUESTS, &key, OBJECT, &changed).await.unwrap_err();
    assert!(refused.code == 422 && refused.message.contains("field is immutable"), "{refused}");
    user("by-name").patch(&POD_CERTIFICATE_REQUESTS, &key, STATUS, &denial()).await.unwrap();
    let again = user("by-domain").patch(&POD_CERTIFICATE_REQUESTS, &key, STATUS, &json!({"status": null})).await;
    assert!(again.unwrap_err().message.contains("immutable after PodCertificateRequest is issued, denied, or failed"));
}

#[tokio::test(start_paused = true)]
async fn only_who_may_attest_says_whom_to_trust() {
    let cluster = Cluster::start().await;
    let pem = cluster.ca.certificate().to_pem();
    let bundle = |name: &str, signer: &str| json!({"metadata": {"name": name}, "spec": {"signerName": signer, "trustBundle": pem}});
    let user = |name: &str| cluster.client(User::new(name, &[]), "test");
    for name in ["jane", "by-name"] {
        allow(&cluster, name, &["create", "get", "patch"], &["clustertrustbundles"], &[]).await;
    }
    allow(&cluster, "by-name", &["attest"], &["signers"], &[SIGNER]).await;
    let create = async |who: &str, name: &str, signer: &str| {
        user(who).create(&CLUSTER_TRUST_BUNDLES, "", &bundle(name, signer)).await
    };
    create("jane", "roots", "").await.unwrap();
    let refused = create("jane", "example.com:signer:a", SIGNER).await.unwrap_err();
    let why = "user not permitted to attest for signerName \"example.com/signer\"";
    assert!(refused.code == 403 && refused.message.ends_with(why), "{refused}");
    create("by-name", "example.com:signer:a", SIGNER).await.unwrap();

    let key = ObjectKey::new("", "example.com:signer:a");
    let patch = async |who: &str, patch: Value| user(who).patch(&CLUSTER_TRUST_BUNDLES, &key, OBJECT, &patch).await;
    let labelled = json!({"metadata": {"labels": {"a": "b"}}});
    assert_eq!(patch("jane", labelled.clone()).await.unwrap_err().code, 403);
    patch("jane", json!({"metadata": {"finalizers": ["example.com/hold"]}})).await.unwrap();
    patch("by-name", labelled).await.unwrap();
}
