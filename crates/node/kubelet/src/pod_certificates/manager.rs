//! Asks for the certificates of this node's pods, and follows the answers.
//!
//! Work goes by source: whatever happens to a request, and every time that something is due, puts its source into the queue; the work
//! observes, and asks if it is time. The requests of this node are watched once the first pod wants a certificate.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::json;
use windlass_api::fields::FieldSelector;
use windlass_api::k8s::api::core::v1::{Pod, PodCertificateProjection};
use windlass_api::resource::{POD_CERTIFICATE_REQUESTS, SERVICE_ACCOUNTS};
use windlass_api::text::{quoted, with_causes};
use windlass_api::time::{Clock, parse_rfc3339};
use windlass_api::{Chance, Meta, ObjectKey, Status};
use windlass_client::{Change, Client, EventType, Informer, Informers, Options, Outcome, Recorder, WorkQueue};
use windlass_pki::{KeyType, PkiError, PrivateKey};
use windlass_volumes::plan::CertificateSource;
use windlass_volumes::{Credentials, SourceError};

use super::answer::{RefusalKind, Request};
use super::sources::{self, Key};
use super::state::{Asked, LOST_AFTER, Next, Notice, State};
use crate::pod::PodView;
use crate::registry::Registry;

const NAME: &str = "kubelet-pod-certificates";
/// A key may take a second to be made.
const WORKERS: usize = 2;
const JITTER_MAX_MILLIS: usize = 5 * 60 * 1000;

/// What certificates of pods need.
pub(crate) struct Context {
    pub(crate) client: Client,
    /// Not held: informers end with the kubelet, and those who subscribe to them hold what holds this.
    pub(crate) informers: Weak<Informers>,
    pub(crate) recorder: Recorder,
    pub(crate) clock: Clock,
    pub(crate) chance: Chance,
    pub(crate) registry: Arc<Registry>,
    pub(crate) node_name: String,
    /// Of this node alone; not held, either.
    pub(crate) own_node: Weak<Informer>,
}

pub(crate) struct PodCertificates {
    context: Context,
    queue: WorkQueue<Key>,
    /// Those of pods that are tracked. Bounded by the sources of the node's pods.
    states: Mutex<HashMap<Key, State>>,
    requests: OnceLock<Arc<Informer>>,
}

/// Why no request was made; it is tried again.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("while fetching service account")]
    Account(#[source] Status),
    #[error("while getting node object from local cache: node {0:?} not found")]
    Node(String),
    #[error("unknown key type {0:?}")]
    KeyType(String),
    #[error("while generating keypair")]
    Key(#[source] PkiError),
    #[error("while creating PodCertificateRequest")]
    Create(#[source] Status),
    #[error("the PodCertificateRequest that was created cannot be read")]
    Created(#[source] Status),
}

impl PodCertificates {
    pub(crate) fn new(context: Context) -> Arc<Self> {
        Arc::new(Self { context, queue: WorkQueue::new(), states: Mutex::default(), requests: OnceLock::new() })
    }

    /// Works for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        self.queue.run(NAME, WORKERS, |key| self.sync(key)).await;
    }

    /// A pod has come that is to run: its certificates are asked for.
    pub(crate) fn track(self: &Arc<Self>, pod: &Pod) {
        let keys: Vec<Key> = sources::of_pod(pod).map(|(key, _)| key).collect();
        if keys.is_empty() {
            return;
        }
        self.requests();
        for key in keys {
            self.states.lock().entry(key.clone()).or_default();
            self.queue.add(key);
        }
    }

    /// The pod needs no certificates any more.
    pub(crate) fn forget(&self, pod_uid: &str) {
        self.states.lock().retain(|key, _| key.pod_uid != pod_uid);
    }

    /// The key and certificate of a pod's source, once they are there.
    pub(crate) fn credentials(&self, pod: &Pod, source: &CertificateSource) -> Result<Arc<Credentials>, SourceError> {
        let key = Key { pod_uid: pod.uid().to_owned(), source: source.clone() };
        let states = self.states.lock();
        let state = states.get(&key).ok_or_else(|| {
            let CertificateSource { volume, index } = source;
            SourceError(format!(
                "no credentials yet for key={{{} {} {} {volume} {index}}}",
                pod.namespace(),
                pod.name(),
                pod.uid()
            ))
        })?;
        state.credentials().map_err(SourceError)
    }

    /// How many sources there are of each signer in each state.
    pub(crate) fn counts(&self) -> BTreeMap<(String, &'static str), i64> {
        let (now, states) = (self.context.clock.now(), self.states.lock());
        let mut counts = BTreeMap::new();
        for pod in self.context.registry.pods() {
            for (key, source) in sources::of_pod(&pod) {
                if let Some(state) = states.get(&key) {
                    *counts.entry((source.signer_name.clone(), state.metric(now))).or_default() += 1;
                }
            }
        }
        counts
    }

    /// The requests of this node, which are watched from the first call on; `None` when the kubelet is ending.
    fn requests(self: &Arc<Self>) -> Option<&Arc<Informer>> {
        let informers = self.context.informers.upgrade()?;
        let requests = self.requests.get_or_init(|| {
            let own = FieldSelector::equal("spec.nodeName", &self.context.node_name);
            let selection = Options { fields: own, ..Options::default() };
            let requests = informers.selected(&POD_CERTIFICATE_REQUESTS, "", selection);
            let this = Arc::downgrade(self);
            requests.subscribe(move |change| changed(&this, change));
            requests
        });
        Some(requests)
    }

    async fn sync(self: &Arc<Self>, key: Key) -> Result<Outcome, String> {
        let pod = self.context.registry.get(&key.pod_uid).map(|entry| entry.mailbox.pod());
        let Some(pod) = pod else {
            self.forget(&key.pod_uid);
            return Ok(Outcome::Done);
        };
        let Some(source) = sources::find(&pod, &key) else { return Ok(Outcome::Done) };
        let Some(requests) = self.requests() else { return Ok(Outcome::Done) };
        requests.synced().await;
        let Some(next) = self.observe(&pod, &key, requests) else { return Ok(Outcome::Done) };
        if next == Next::Ask {
            let asked = self.ask(&pod, source).await.map_err(|error| with_causes(&error))?;
            // Its answer may have been there before we knew of it.
            let looked = self.states.lock().get_mut(&key).map(|state| state.asked(asked));
            return Ok(if looked.is_some() { Outcome::Again(Duration::ZERO) } else { Outcome::Done });
        }
        Ok(match next {
            Next::At(at) => {
                Outcome::Again(Duration::try_from(at.duration_since(self.context.clock.now())).unwrap_or_default())
            }
            Next::Ask | Next::Nothing => Outcome::Done,
        })
    }

    /// Takes note of what there is, tells those whom it concerns, and says what is next; `None` if the pod is not tracked any more.
    fn observe(&self, pod: &Pod, key: &Key, requests: &Informer) -> Option<Next> {
        let now = self.context.clock.now();
        let jitter = self.jitter();
        let (is_news, notices, next) = {
            let mut states = self.states.lock();
            let state = states.get_mut(key)?;
            let awaited = state.awaited().map(|name| ObjectKey::new(pod.namespace(), name));
            let shown = awaited.and_then(|name| requests.read::<Request>(&name)).map(|request| request.answer());
            let (is_news, notices) = state.observe(shown, jitter, now);
            (is_news, notices, state.next(now))
        };
        for notice in notices {
            self.tell(pod, notice);
        }
        if is_news {
            self.context.registry.inputs_changed(&key.pod_uid);
        }
        Some(next)
    }

    fn tell(&self, pod: &Pod, notice: Notice) {
        let (reason, message) = match notice {
            // Upstream hands the sentence to a format that has no place for it (podcertificatemanager.go); it is meant to be read.
            Notice::Refused { request, refusal } => {
                let (reason, how) = match refusal.kind {
                    RefusalKind::Denied => ("Denied", "was denied"),
                    RefusalKind::Failed => ("Failed", "failed"),
                };
                let (why, message) = (quoted(&refusal.reason), quoted(&refusal.message));
                let request = format!("{}/{request}", pod.namespace());
                (reason, format!("PodCertificateRequest {request} {how}, reason={why}, message={message}"))
            }
            Notice::Overdue => ("CertificateOverdueForRefresh", "PodCertificate refresh overdue".to_owned()),
            Notice::Expired => ("CertificateExpired", "PodCertificate expired".to_owned()),
        };
        self.context.recorder.event(&pod.reference(), EventType::Warning, reason, message);
    }

    /// Makes a key, and a request for its certificate.
    async fn ask(&self, pod: &Pod, source: &PodCertificateProjection) -> Result<Asked, AskError> {
        let context = &self.context;
        let account = pod.pod_spec().service_account_name.as_deref().unwrap_or_default();
        let found = context.client.get(&SERVICE_ACCOUNTS, &ObjectKey::new(pod.namespace(), account)).await;
        let account_uid = found.and_then(|object| object.decode::<Owner>()).map_err(AskError::Account)?.metadata.uid;
        let own_node = context.own_node.upgrade();
        let node = own_node.and_then(|own| own.read::<Owner>(&ObjectKey::new("", context.node_name.as_str())));
        let node = node.ok_or_else(|| AskError::Node(context.node_name.clone()))?;
        let kind = KeyType::named(&source.key_type).ok_or_else(|| AskError::KeyType(source.key_type.clone()))?;
        let (key, stub) = make_key(kind).await.map_err(AskError::Key)?;
        let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": pod.name(), "uid": pod.uid()});
        let spec = json!({
            "signerName": source.signer_name,
            "podName": pod.name(),
            "podUID": pod.uid(),
            "serviceAccountName": account,
            "serviceAccountUID": account_uid,
            "nodeName": context.node_name,
            "nodeUID": node.metadata.uid,
            "maxExpirationSeconds": source.max_expiration_seconds,
            "stubPKCS10Request": stub,
            "unverifiedUserAnnotations": source.user_annotations,
        });
        let metadata = json!({"namespace": pod.namespace(), "generateName": "req-", "ownerReferences": [owner]});
        let request = json!({"metadata": metadata, "spec": spec});
        let made = context.client.create(&POD_CERTIFICATE_REQUESTS, pod.namespace(), &request).await;
        let made = made.map_err(AskError::Create)?;
        let metadata = made.decode::<Owner>().map_err(AskError::Created)?.metadata;
        let created = metadata.creation_timestamp.as_deref().and_then(parse_rfc3339);
        let lost_at = lost_at(created.unwrap_or_else(|| context.clock.now()), self.jitter());
        tracing::debug!(
            pod = pod.name(),
            namespace = pod.namespace(),
            request = made.key.name,
            "asked for a certificate"
        );
        Ok(Asked { request: made.key.name, key, lost_at })
    }

    fn jitter(&self) -> Duration {
        Duration::from_millis(self.context.chance.below(JITTER_MAX_MILLIS) as u64)
    }
}

/// An object's identity.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Owner {
    metadata: Meta,
}

fn lost_at(created: Timestamp, jitter: Duration) -> Timestamp {
    created.saturating_add(LOST_AFTER + jitter).unwrap_or(Timestamp::MAX)
}

/// A request has changed: its pod's sources look.
fn changed(manager: &Weak<PodCertificates>, change: &Change) {
    let Some(manager) = manager.upgrade() else { return };
    let Ok(request) = change.object().decode::<Request>() else { return };
    let keys: Vec<Key> =
        manager.states.lock().keys().filter(|key| key.pod_uid == request.spec.pod_uid).cloned().collect();
    keys.into_iter().for_each(|key| manager.queue.add(key));
}

/// A key in PEM and a request for its certificate in base64, made where blocking is allowed.
async fn make_key(kind: KeyType) -> Result<(String, String), PkiError> {
    use base64::Engine;
    let make = move || {
        let key = PrivateKey::generate_of(kind)?;
        let stub = base64::engine::general_purpose::STANDARD.encode(key.stub_request()?);
        Ok((key.to_pem().to_string(), stub))
    };
    match tokio::task::spawn_blocking(make).await {
        Ok(made) => made,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
