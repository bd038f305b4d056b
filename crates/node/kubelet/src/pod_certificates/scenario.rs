//! The manager against an API server, on paused time, with a signer that the test plays.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use windlass_api::fields::FieldSelector;
use windlass_api::k8s::api::core::v1::Pod;
use windlass_api::resource::{EVENTS, NODES, POD_CERTIFICATE_REQUESTS, PODS};
use windlass_api::time::{parse_rfc3339, rfc3339};
use windlass_api::{Chance, ObjectKey};
use windlass_client::{Informer, Informers, Options, Recorder, STATUS};
use windlass_pki::{CertificateRequest, KeyKind, RequestedKey, SigningPolicy};
use windlass_testing::{Cluster, Kubelet, Running};
use windlass_volumes::Credentials;
use windlass_volumes::plan::CertificateSource;

use super::{Context, PodCertificates};
use crate::registry::Mailbox;
use crate::registry::{Entry, Registry};

const NODE: &str = "n0";
const SIGNER: &str = "example.com/signer";

struct Scene {
    cluster: Cluster,
    manager: Arc<PodCertificates>,
    registry: Arc<Registry>,
    requests: Arc<Informer>,
    /// Both informers live as long as these.
    _informers: [Arc<Informers>; 2],
    _running: Running,
}

impl Scene {
    async fn start() -> Self {
        let cluster = Cluster::start().await.with_default_account().await;
        cluster.create(&NODES, "", json!({"metadata": {"name": NODE}})).await;
        let client = cluster.client(Kubelet::user(NODE), "kubelet");
        let informers = Arc::new(Informers::new(client.clone()));
        let all = Arc::new(Informers::new(cluster.admin.clone()));
        let fields = FieldSelector::equal("metadata.name", NODE);
        let own_node = informers.selected(&NODES, "", Options { fields, ..Options::default() });
        own_node.synced().await;
        let registry = Arc::new(Registry::default());
        let manager = PodCertificates::new(Context {
            recorder: Recorder::start(client.clone(), cluster.clock, "kubelet", NODE),
            client,
            informers: Arc::downgrade(&informers),
            clock: cluster.clock,
            chance: Chance::seeded(1),
            registry: registry.clone(),
            node_name: NODE.to_owned(),
            own_node: Arc::downgrade(&own_node),
        });
        let running = Running::start(manager.clone().run());
        let requests = all.of(&POD_CERTIFICATE_REQUESTS);
        Self { cluster, manager, registry, requests, _informers: [informers, all], _running: running }
    }

    /// A pod that the node has to run, with one source.
    async fn pod(&self, name: &str, certificate: Value) -> Arc<Pod> {
        let mut source = json!({"signerName": SIGNER, "keyType": "ED25519", "credentialBundlePath": "bundle.pem"});
        source.as_object_mut().unwrap().extend(certificate.as_object().unwrap().clone());
        let spec = json!({
            "nodeName": NODE,
            "containers": [{"name": "c", "image": "i"}],
            "volumes": [{"name": "tls", "projected": {"sources": [{"podCertificate": source}]}}],
        });
        let made = self.cluster.create(&PODS, "default", json!({"metadata": {"name": name}, "spec": spec})).await;
        let pod: Arc<Pod> = Arc::new(serde_json::from_value(made).unwrap());
        let entry = Entry { mailbox: Arc::new(Mailbox::new(pod.clone())), record: Arc::default() };
        self.registry.insert(pod.metadata.uid.as_deref().unwrap(), entry);
        self.manager.track(&pod);
        pod
    }

    /// Waits for a request that nobody has answered.
    async fn asked(&self) -> Value {
        let pending = |requests: &Informer| -> Option<Value> {
            let all = requests.list("").into_iter().map(|object| object.decode::<Value>().unwrap());
            all.into_iter().find(|request| request["status"]["conditions"].is_null())
        };
        self.requests.until(|requests| pending(requests).is_some()).await;
        pending(&self.requests).unwrap()
    }

    async fn answer(&self, request: &Value, status: Value) {
        let key = ObjectKey::new("default", request["metadata"]["name"].as_str().unwrap());
        let written = self.cluster.patch(&POD_CERTIFICATE_REQUESTS, &key, STATUS, json!({"status": status})).await;
        let revision = written["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        self.requests.reached(revision).await;
    }

    /// Signs, for two hours, of which the last is for renewal.
    async fn sign(&self, request: &Value) {
        let hour = Duration::from_secs(3600);
        let stub = STANDARD.decode(request["spec"]["stubPKCS10Request"].as_str().unwrap()).unwrap();
        let policy = SigningPolicy { ttl: 2 * hour, usages: vec!["client auth".to_owned()] };
        // The authority dates back by five minutes, which is just too much.
        let now = self.cluster.clock.now() + Duration::from_secs(60);
        let leaf = self.cluster.ca.sign_request(&CertificateRequest::from_der(&stub).unwrap(), &policy, now).unwrap();
        let mut status = condition("Issued");
        status["certificateChain"] = json!(format!("by the test\n{}", leaf.to_pem()));
        status["notBefore"] = json!(rfc3339(leaf.not_before));
        status["beginRefreshAt"] = json!(rfc3339(leaf.not_after - hour));
        status["notAfter"] = json!(rfc3339(leaf.not_after));
        self.answer(request, status).await;
    }

    fn credentials(&self, pod: &Pod) -> Result<Arc<Credentials>, String> {
        let source = CertificateSource { volume: "tls".to_owned(), index: 0 };
        self.manager.credentials(pod, &source).map_err(|error| error.to_string())
    }

    /// Waits until the volumes of the pod are to be set up anew, and they are as `check` wants them.
    async fn until(&self, pod: &Pod, check: impl Fn(&Result<Arc<Credentials>, String>) -> bool) {
        let entry = self.registry.get(pod.metadata.uid.as_deref().unwrap()).unwrap();
        while !check(&self.credentials(pod)) {
            entry.mailbox.news().await;
        }
        assert!(entry.mailbox.take().inputs_changed);
    }

    async fn event(&self, reason: &str) -> Value {
        let is = |event: &Value| event["reason"] == reason;
        let events = self.cluster.until_all(&EVENTS, "default", reason, |events| events.iter().any(is)).await;
        events.into_iter().find(is).unwrap()
    }
}

fn condition(kind: &str) -> Value {
    json!({"conditions": [{"type": kind, "status": "True", "reason": "Because", "message": "of it",
        "lastTransitionTime": "2026-11-21T06:00:00Z"}]})
}

#[tokio::test(start_paused = true)]
async fn asked_for_signed_and_renewed() {
    let scene = Scene::start().await;
    let annotations = json!({"example.com/path": "/here"});
    let pod = scene
        .pod("web", json!({"keyType": "ECDSAP521", "maxExpirationSeconds": 7800, "userAnnotations": annotations}))
        .await;
    let request = scene.asked().await;
    assert_eq!(scene.credentials(&pod).unwrap_err(), "credential bundle is not issued yet");
    let spec = &request["spec"];
    let uid = pod.metadata.uid.as_deref().unwrap();
    assert_eq!((&spec["podName"], &spec["podUID"], &spec["nodeName"]), (&json!("web"), &json!(uid), &json!(NODE)));
    assert_eq!((&spec["serviceAccountName"], &spec["signerName"]), (&json!("default"), &json!(SIGNER)));
    assert_eq!((&spec["maxExpirationSeconds"], &spec["unverifiedUserAnnotations"]), (&json!(7800), &annotations));
    assert_eq!(request["metadata"]["ownerReferences"][0]["uid"], json!(uid));
    assert!(request["metadata"]["name"].as_str().unwrap().starts_with("req-"));
    let stub = STANDARD.decode(spec["stubPKCS10Request"].as_str().unwrap()).unwrap();
    assert_eq!(RequestedKey::parse(&stub).unwrap().key().kind(), KeyKind::Ecdsa("P-521"));

    scene.sign(&request).await;
    scene.until(&pod, Result::is_ok).await;
    let first = scene.credentials(&pod).unwrap();
    assert!(first.key.starts_with("-----BEGIN PRIVATE KEY-----\n"));
    assert!(first.chain.starts_with("-----BEGIN CERTIFICATE-----\n"), "nothing but certificates");
    let counted = |state| scene.manager.counts().get(&(SIGNER.to_owned(), state)).copied();
    assert_eq!(counted("fresh"), Some(1));

    // An hour later, give or take the jitter.
    let signed_at = scene.cluster.clock.now();
    let renewal = scene.asked().await;
    let waited = scene.cluster.clock.now().duration_since(signed_at).as_secs();
    assert!((3000..3600 + 360).contains(&waited), "{waited}");
    assert_eq!(scene.credentials(&pod).unwrap(), first, "in use until there is another");
    scene.sign(&renewal).await;
    scene.until(&pod, |found| found.as_ref().is_ok_and(|found| *found != first)).await;
    assert_ne!(scene.credentials(&pod).unwrap().key, first.key);

    scene.manager.forget(uid);
    let error = scene.credentials(&pod).unwrap_err();
    assert_eq!(error, format!("no credentials yet for key={{default web {uid} tls 0}}"));
    assert!(scene.manager.counts().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_and_stays() {
    let scene = Scene::start().await;
    let pod = scene.pod("web", json!({})).await;
    let request = scene.asked().await;
    scene.answer(&request, condition("Denied")).await;
    scene.until(&pod, |found| found.as_ref().is_err_and(|error| error.contains("permanently denied"))).await;
    let event = scene.event("Denied").await;
    let name = request["metadata"]["name"].as_str().unwrap();
    assert_eq!(
        event["message"],
        json!(format!("PodCertificateRequest default/{name} was denied, reason=\"Because\", message=\"of it\""))
    );
    assert_eq!((&event["type"], &event["involvedObject"]["name"]), (&json!("Warning"), &json!("web")));
}

#[tokio::test(start_paused = true)]
async fn a_signer_that_is_late() {
    let scene = Scene::start().await;
    let pod = scene.pod("web", json!({})).await;
    scene.sign(&scene.asked().await).await;
    scene.until(&pod, Result::is_ok).await;
    let renewal = scene.asked().await;
    scene.event("CertificateOverdueForRefresh").await;
    tokio::time::advance(Duration::from_secs(3600)).await;
    scene.event("CertificateExpired").await;
    // Somebody removes the request, as the cluster's cleaner does: another one is made.
    let key = ObjectKey::new("default", renewal["metadata"]["name"].as_str().unwrap());
    scene.cluster.delete(&POD_CERTIFICATE_REQUESTS, &key).await;
    scene.requests.until(|requests| requests.get(&key).is_none()).await;
    let expired = scene.credentials(&pod).unwrap();
    scene.sign(&scene.asked().await).await;
    scene.until(&pod, |found| found.as_ref().is_ok_and(|found| *found != expired)).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_is_tried_again_until_it_can_be_made() {
    let scene = Scene::start().await;
    let accounts = &windlass_api::resource::SERVICE_ACCOUNTS;
    let account = ObjectKey::new("default", "robot");
    scene.cluster.create(accounts, "default", json!({"metadata": {"name": "robot"}})).await;
    let pod = scene.pod("web", json!({})).await;
    scene.asked().await;
    // Another pod, whose account goes before it is seen.
    let made = {
        let mut other = pod.as_ref().clone();
        other.metadata = Default::default();
        other.metadata.name = Some("other".to_owned());
        if let Some(spec) = &mut other.spec {
            spec.service_account_name = Some("robot".to_owned());
            spec.service_account = Some("robot".to_owned());
        }
        scene.cluster.create(&PODS, "default", serde_json::to_value(other).unwrap()).await
    };
    scene.cluster.delete(accounts, &account).await;
    let other: Arc<Pod> = Arc::new(serde_json::from_value(made).unwrap());
    let entry = Entry { mailbox: Arc::new(Mailbox::new(other.clone())), record: Arc::default() };
    scene.registry.insert(other.metadata.uid.as_deref().unwrap(), entry);
    scene.manager.track(&other);
    let begun = parse_rfc3339(&scene.cluster.clock.now_rfc3339()).unwrap();
    let minute_later = || scene.cluster.clock.now().duration_since(begun).as_secs() > 60;
    while !minute_later() {
        tokio::task::yield_now().await;
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!(scene.requests.len(), 1, "nobody asks for an account that is not there");
    scene.cluster.create(accounts, "default", json!({"metadata": {"name": "robot"}})).await;
    scene.requests.until(|requests| requests.len() == 2).await;
}
