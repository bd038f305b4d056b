//! Certificates of pods and bundles of those to trust, as files of a pod; the test is the signer.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt;
use serde_json::{Value, json};
use windlass_api::ObjectKey;
use windlass_api::resource::{CLUSTER_TRUST_BUNDLES, POD_CERTIFICATE_REQUESTS};
use windlass_api::time::{Clock, rfc3339};
use windlass_client::{OBJECT, Options, STATUS};
use windlass_pki::{Ca, Certificate, CertificateRequest, PrivateKey, PublicKey, SigningPolicy, pem_blocks};

use crate::cluster::{Cluster, on_cluster, shell, text, until};

const SIGNER: &str = "example.com/signer";

/// Waits for a request that nobody has answered.
async fn pending(cluster: &Cluster) -> Value {
    until("a request", || async {
        let list = cluster.admin.list(&POD_CERTIFICATE_REQUESTS, "default", Options::default()).await.unwrap();
        let all = list.items.into_iter().map(|object| object.decode::<Value>().unwrap());
        all.into_iter().find(|request| request["status"]["conditions"].is_null())
    })
    .await
}

async fn answer(cluster: &Cluster, request: &Value, kind: &str, mut status: Value) {
    status["conditions"] = json!([{"type": kind, "status": "True", "reason": "Because", "message": "of it",
        "lastTransitionTime": Clock::system().now_rfc3339()}]);
    let key = ObjectKey::new("default", text(&request["metadata"]["name"]));
    cluster.admin.patch(&POD_CERTIFICATE_REQUESTS, &key, STATUS, &json!({"status": status})).await.unwrap();
}

async fn sign(cluster: &Cluster, ca: &Ca, request: &Value) {
    let stub = STANDARD.decode(text(&request["spec"]["stubPKCS10Request"])).unwrap();
    let policy = SigningPolicy { ttl: Duration::from_secs(7200), usages: vec!["client auth".to_owned()] };
    let now = Clock::system().now() + Duration::from_secs(60);
    let leaf = ca.sign_request(&CertificateRequest::from_der(&stub).unwrap(), &policy, now).unwrap();
    let status = json!({
        "certificateChain": leaf.to_pem() + &ca.certificate().to_pem(),
        "notBefore": rfc3339(leaf.not_before),
        "beginRefreshAt": rfc3339(leaf.not_after - Duration::from_secs(3600)),
        "notAfter": rfc3339(leaf.not_after),
    });
    answer(cluster, request, "Issued", status).await;
}

fn ca() -> Ca {
    Ca::create("signer", Clock::system().now()).unwrap()
}

fn certificate(key_type: &str, paths: Value) -> Value {
    let mut certificate = json!({"signerName": SIGNER, "keyType": key_type});
    certificate.as_object_mut().unwrap().extend(paths.as_object().unwrap().clone());
    json!({"podCertificate": certificate})
}

fn spec(sources: Value, script: &str) -> Value {
    let mut main = shell("c", script);
    main["volumeMounts"] = json!([{"name": "tls", "mountPath": "/tls"}]);
    json!({"containers": [main], "serviceAccountName": "default", "volumes": [{"name": "tls", "projected": {"sources": sources}}]})
}

#[test]
fn a_pod_gets_its_certificate_and_those_to_trust() {
    on_cluster(|cluster| {
        async move {
            let (own, other) = (ca(), ca());
            let bundle = |name: &str, pem: String| {
                json!({"metadata": {"name": format!("example.com:signer:{name}"), "labels": {"live": "yes"}},
                    "spec": {"signerName": SIGNER, "trustBundle": pem}})
            };
            let (first, second) = (own.certificate().to_pem(), other.certificate().to_pem());
            cluster.admin.create(&CLUSTER_TRUST_BUNDLES, "", &bundle("a", first.clone())).await.unwrap();
            let sources = json!([
                certificate("ECDSAP256", json!({"credentialBundlePath": "bundle.pem"})),
                {"clusterTrustBundle": {"signerName": SIGNER, "labelSelector": {"matchLabels": {"live": "yes"}}, "path": "trust.pem"}},
                {"clusterTrustBundle": {"name": "none", "optional": true, "path": "none.pem"}},
            ]);
            let script = "cat /tls/bundle.pem; while true; do sleep 1000; done";
            cluster.create_pod("web", spec(sources, script)).await;
            let request = pending(cluster).await;
            let event = cluster.event("web", "FailedMount").await;
            assert!(event.ends_with("credential bundle is not issued yet") || event.contains("no credentials yet"), "{event}");
            sign(cluster, &own, &request).await;
            let pod = cluster.ready("web").await;

            let log = until("the pod shows its certificate", || async {
                let log = cluster.log(&pod, "c", 0);
                (pem_blocks(&log).len() == 3).then_some(log)
            })
            .await;
            let blocks = pem_blocks(&log);
            let labels: Vec<&str> = blocks.iter().map(|block| block.label.as_str()).collect();
            assert_eq!(labels, ["PRIVATE KEY", "CERTIFICATE", "CERTIFICATE"]);
            let leaf = Certificate::parse(blocks[1].contents.clone().into()).unwrap();
            assert!(leaf.is_signed_by(own.certificate()));
            let key = PrivateKey::from_pem(log.as_bytes()).unwrap();
            assert_eq!(*key.public(), PublicKey::from_spki(leaf.public_key()).unwrap());

            let uid = text(&pod["metadata"]["uid"]);
            let pods = cluster.directory.join("kubelet/pods");
            let volume = pods.join(&uid).join("volumes/kubernetes.io~projected/tls");
            let trusted = || std::fs::read_to_string(volume.join("trust.pem")).unwrap_or_default();
            assert_eq!(trusted(), first);
            assert_eq!(std::fs::read(volume.join("none.pem")).unwrap(), b"");
            // Another bundle of the signer, which repeats the first: both certificates are there, each once.
            let both = format!("{second}{first}");
            cluster.admin.create(&CLUSTER_TRUST_BUNDLES, "", &bundle("b", both)).await.unwrap();
            until("both are trusted", || async { (pem_blocks(&trusted()).len() == 2).then_some(()) }).await;
            let key = ObjectKey::new("", "example.com:signer:a");
            let unlabelled = json!({"metadata": {"labels": {"live": "no"}}, "spec": {"trustBundle": second.clone()}});
            cluster.admin.patch(&CLUSTER_TRUST_BUNDLES, &key, OBJECT, &unlabelled).await.unwrap();
            let key = ObjectKey::new("", "example.com:signer:b");
            let changed = json!({"spec": {"trustBundle": second.clone()}});
            cluster.admin.patch(&CLUSTER_TRUST_BUNDLES, &key, OBJECT, &changed).await.unwrap();
            until("the other one is trusted alone", || async { (trusted() == second).then_some(()) }).await;
        }
        .boxed()
    });
}

#[test]
fn a_pod_whose_certificate_is_denied_does_not_start() {
    on_cluster(|cluster| {
        async move {
            let paths = json!({"keyPath": "key.pem", "certificateChainPath": "chain.pem"});
            cluster.create_pod("web", spec(json!([certificate("ED25519", paths)]), "sleep 1000")).await;
            let request = pending(cluster).await;
            answer(cluster, &request, "Denied", json!({})).await;
            let name = text(&request["metadata"]["name"]);
            let told = format!("Denied: PodCertificateRequest default/{name} was denied, reason=\"Because\", message=\"of it\"");
            cluster.event("web", &told).await;
            let mount = "FailedMount: MountVolume.SetUp failed for volume \"tls\" : PodCertificateRequest was permanently denied: \
                         reason=\"Because\" message=\"of it\"";
            cluster.event("web", mount).await;
            let pod = cluster.pod("web").await;
            assert_eq!(pod["status"]["phase"], "Pending");
            cluster.delete("web", None).await;
            cluster.gone("web").await;
        }
        .boxed()
    });
}

#[test]
fn a_kubelet_that_comes_back_asks_anew() {
    on_cluster(|cluster| {
        async move {
            let signer = ca();
            let source = certificate("ED25519", json!({"certificateChainPath": "chain.pem"}));
            cluster.create_pod("web", spec(json!([source]), "sleep 1000")).await;
            let first = pending(cluster).await;
            sign(cluster, &signer, &first).await;
            let before = cluster.ready("web").await;
            cluster.stop().await;
            cluster.start().await;
            let second = pending(cluster).await;
            assert_ne!(first["spec"]["stubPKCS10Request"], second["spec"]["stubPKCS10Request"], "with another key");
            sign(cluster, &signer, &second).await;
            let after = cluster.ready("web").await;
            let started = |pod: &Value| text(&pod["status"]["containerStatuses"][0]["containerID"]);
            assert_eq!(started(&after), started(&before), "the pod has run on");
        }
        .boxed()
    });
}
