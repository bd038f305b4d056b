//! What is kept and published about certificates of pods.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use windlass_api::ObjectKey;
use windlass_api::resource::{CLUSTER_TRUST_BUNDLES, POD_CERTIFICATE_REQUESTS};
use windlass_client::OBJECT;
use windlass_pki::PrivateKey;

use crate::scene::{Scene, name};

#[tokio::test(start_paused = true)]
async fn a_request_is_kept_for_a_quarter_of_an_hour() {
    let scene = Scene::with_nodes(0).await;
    let stub = STANDARD.encode(PrivateKey::generate().unwrap().stub_request().unwrap());
    let request = |name: &str| {
        json!({"metadata": {"name": name}, "spec": {
            "signerName": "example.com/s", "podName": "p", "podUID": "1", "serviceAccountName": "default",
            "serviceAccountUID": "2", "nodeName": "n", "nodeUID": "3", "stubPKCS10Request": stub}})
    };
    let made = scene.cluster.clock.now();
    let first = scene.cluster.create(&POD_CERTIFICATE_REQUESTS, "default", request("first")).await;
    assert_eq!(first["spec"]["maxExpirationSeconds"], json!(86_400));
    tokio::time::advance(Duration::from_secs(600)).await;
    scene.cluster.create(&POD_CERTIFICATE_REQUESTS, "default", request("second")).await;
    scene.until_gone(&POD_CERTIFICATE_REQUESTS, "first").await;
    let waited = scene.cluster.clock.now().duration_since(made).as_secs();
    assert!((900..960).contains(&waited), "{waited}");
    scene.get(&POD_CERTIFICATE_REQUESTS, "second").await;
}

#[tokio::test(start_paused = true)]
async fn the_servers_authority_is_a_bundle() {
    let scene = Scene::with_nodes(0).await;
    let cluster = &scene.cluster;
    let one = |bundles: &[Value]| bundles.len() == 1;
    let bundles = cluster.until_all(&CLUSTER_TRUST_BUNDLES, "", "the bundle", one).await;
    let (bundle, pem) = (&bundles[0], cluster.ca.certificate().to_pem());
    assert_eq!(bundle["spec"]["trustBundle"], json!(pem));
    assert_eq!(bundle["spec"]["signerName"], "kubernetes.io/kube-apiserver-serving");
    let prefix = "kubernetes.io:kube-apiserver-serving:";
    assert!(name(bundle).starts_with(prefix) && name(bundle).len() == prefix.len() + 24, "{bundle}");

    // Another one of the signer is of an authority that is no more; those of others are nobody's business here.
    let spec = json!({"signerName": "kubernetes.io/kube-apiserver-serving", "trustBundle": pem});
    let old = format!("{prefix}0123");
    cluster.create(&CLUSTER_TRUST_BUNDLES, "", json!({"metadata": {"name": old}, "spec": spec})).await;
    let free = json!({"metadata": {"name": "roots"}, "spec": {"trustBundle": pem}});
    cluster.create(&CLUSTER_TRUST_BUNDLES, "", free).await;
    cluster.until(&CLUSTER_TRUST_BUNDLES, &ObjectKey::new("", old), "its end", Value::is_null).await;
    cluster.get(&CLUSTER_TRUST_BUNDLES, &ObjectKey::new("", "roots")).await;

    // Nobody changes it for long, nor removes it.
    let other = windlass_pki::Ca::create("other", cluster.clock.now()).unwrap().certificate().to_pem();
    let key = ObjectKey::new("", name(bundle));
    cluster.patch(&CLUSTER_TRUST_BUNDLES, &key, OBJECT, json!({"spec": {"trustBundle": other}})).await;
    let is_restored = |bundle: &Value| bundle["spec"]["trustBundle"] == json!(pem);
    cluster.until(&CLUSTER_TRUST_BUNDLES, &key, "its contents", is_restored).await;
    let uid = bundle["metadata"]["uid"].clone();
    cluster.delete(&CLUSTER_TRUST_BUNDLES, &key).await;
    let is_back = |bundle: &Value| bundle["metadata"]["uid"].is_string() && bundle["metadata"]["uid"] != uid;
    cluster.until(&CLUSTER_TRUST_BUNDLES, &key, "another", is_back).await;
}
