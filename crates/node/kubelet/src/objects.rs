//! Objects that pods refer to: Secrets, ConfigMaps, claims, RuntimeClasses. Each is watched by itself for as long as a pod on this
//! node uses it, since that is all that a node may read; a change wakes the pods that use it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde_json::json;
use windlass_api::fields::FieldSelector;
use windlass_api::k8s::api::core::v1::{ConfigMap, PersistentVolume, PersistentVolumeClaim, Pod, Secret};
use windlass_api::resource::{CONFIG_MAPS, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, SECRETS, SERVICE_ACCOUNTS};
use windlass_api::{GroupVersionResource, ObjectKey};
use windlass_client::{Client, Informer, Informers, Options};
use windlass_volumes::plan::{CertificateSource, TrustBundle};
use windlass_volumes::{ConfigMapData, Credentials, SecretData, SourceError, Sources, Token, TokenRequest};

use crate::pod_certificates::PodCertificates;
use crate::registry::Registry;
use crate::trust_bundles::TrustBundles;

/// How long the first look at an object may take.
const SYNC_TIMEOUT: Duration = Duration::from_secs(10);

type Id = (GroupVersionResource, ObjectKey);

/// Objects that are watched, with the pods that use them.
pub(crate) struct Objects {
    client: Client,
    registry: Arc<Registry>,
    bundles: TrustBundles,
    certificates: Arc<PodCertificates>,
    entries: Mutex<HashMap<Id, Entry>>,
}

struct Entry {
    /// Dropping it ends the watch.
    _watch: Informers,
    informer: Arc<Informer>,
    users: Arc<Mutex<HashSet<String>>>,
    subscribed: Arc<AtomicBool>,
}

impl Objects {
    pub(crate) fn new(
        client: Client,
        registry: Arc<Registry>,
        bundles: TrustBundles,
        certificates: Arc<PodCertificates>,
    ) -> Self {
        Self { client, registry, bundles, certificates, entries: Mutex::default() }
    }

    /// What the pod with this UID refers to.
    pub(crate) fn of_pod<'a>(&'a self, uid: &'a str) -> PodSources<'a> {
        PodSources { objects: self, uid }
    }

    /// The pod uses nothing any more.
    pub(crate) fn release(&self, uid: &str) {
        self.bundles.release(uid);
        self.certificates.forget(uid);
        self.entries.lock().retain(|_, entry| {
            let mut users = entry.users.lock();
            users.remove(uid);
            !users.is_empty()
        });
    }

    fn watch(&self, resource: &GroupVersionResource, key: &ObjectKey, uid: &str) -> (Arc<Informer>, bool) {
        let mut entries = self.entries.lock();
        let entry = entries.entry((resource.clone(), key.clone())).or_insert_with(|| {
            let watch = Informers::new(self.client.clone());
            let options =
                Options { fields: FieldSelector::equal("metadata.name", key.name.clone()), ..Options::default() };
            let informer = watch.selected(resource, &key.namespace, options);
            Entry { _watch: watch, informer, users: Arc::default(), subscribed: Arc::default() }
        });
        entry.users.lock().insert(uid.to_owned());
        (entry.informer.clone(), entry.subscribed.load(Ordering::Acquire))
    }

    /// Wakes users from the next change on.
    fn subscribe(&self, resource: &GroupVersionResource, key: &ObjectKey) {
        let entries = self.entries.lock();
        let Some(entry) = entries.get(&(resource.clone(), key.clone())) else { return };
        if entry.subscribed.swap(true, Ordering::AcqRel) {
            return;
        }
        let (users, registry) = (entry.users.clone(), self.registry.clone());
        let informer = entry.informer.clone();
        drop(entries);
        let live = Arc::new(AtomicBool::new(false));
        let is_live = live.clone();
        informer.subscribe(move |_| {
            // What is there already has just been read.
            if is_live.load(Ordering::Acquire) {
                let users: Vec<String> = users.lock().iter().cloned().collect();
                users.iter().for_each(|uid| registry.inputs_changed(uid));
            }
        });
        live.store(true, Ordering::Release);
    }

    /// An object as it is now; `None` when there is none.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        resource: &GroupVersionResource,
        key: &ObjectKey,
        uid: &str,
    ) -> Result<Option<T>, SourceError> {
        let (informer, subscribed) = self.watch(resource, key, uid);
        if tokio::time::timeout(SYNC_TIMEOUT, informer.synced()).await.is_err() {
            let what = resource.resource.trim_end_matches('s');
            return Err(SourceError(format!("failed to sync {what} cache: timed out waiting for the condition")));
        }
        if !subscribed {
            self.subscribe(resource, key);
        }
        match informer.get(key) {
            None => Ok(None),
            Some(object) => object.decode().map(Some).map_err(|status| SourceError(status.to_string())),
        }
    }
}

/// The view of one pod; what it reads is watched from then on.
#[derive(Clone, Copy)]
pub(crate) struct PodSources<'a> {
    objects: &'a Objects,
    uid: &'a str,
}

#[async_trait]
impl Sources for PodSources<'_> {
    async fn config_map(&self, namespace: &str, name: &str) -> Result<Option<Arc<ConfigMapData>>, SourceError> {
        let key = ObjectKey::new(namespace, name);
        let found: Option<ConfigMap> = self.objects.get(&CONFIG_MAPS, &key, self.uid).await?;
        Ok(found.map(|map| {
            let binary = map.binary_data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0));
            Arc::new(ConfigMapData { data: map.data.unwrap_or_default(), binary_data: binary.collect() })
        }))
    }

    async fn secret(&self, namespace: &str, name: &str) -> Result<Option<Arc<SecretData>>, SourceError> {
        let key = ObjectKey::new(namespace, name);
        let found: Option<Secret> = self.objects.get(&SECRETS, &key, self.uid).await?;
        Ok(found.map(|secret| {
            let data = secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0));
            Arc::new(SecretData { data: data.collect() })
        }))
    }

    async fn token(&self, request: &TokenRequest) -> Result<Token, SourceError> {
        let mut spec = json!({
            "expirationSeconds": request.expiration_seconds,
            "audiences": request.audience.iter().collect::<Vec<_>>(),
        });
        spec["boundObjectRef"] = json!({
            "apiVersion": "v1", "kind": "Pod", "name": request.pod_name, "uid": request.pod_uid,
        });
        let key = ObjectKey::new(&request.namespace, &request.service_account);
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
        let answer = self.objects.client.create_sub(&SERVICE_ACCOUNTS, &key, "token", &body).await;
        let failed = |error: &dyn std::fmt::Display| SourceError(format!("failed to fetch token: {error}"));
        let answer: serde_json::Value = answer.and_then(|object| object.decode()).map_err(|status| failed(&status))?;
        let text = |name: &str| answer["status"][name].as_str().unwrap_or_default().to_owned();
        let expires_at = windlass_api::time::parse_rfc3339(&text("expirationTimestamp"))
            .ok_or_else(|| failed(&"the answer has no expirationTimestamp"))?;
        Ok(Token { token: text("token"), expires_at })
    }

    async fn trust_bundle(&self, bundle: &TrustBundle) -> Result<Option<Vec<u8>>, SourceError> {
        match bundle {
            // Without a selector none of them is meant.
            TrustBundle::Signer { selector: None, .. } => Ok(None),
            bundle => self.objects.bundles.get(self.uid, bundle).await,
        }
    }

    async fn credentials(&self, pod: &Pod, source: &CertificateSource) -> Result<Arc<Credentials>, SourceError> {
        self.objects.certificates.credentials(pod, source)
    }

    async fn claim(&self, namespace: &str, name: &str) -> Result<Arc<PersistentVolume>, SourceError> {
        let key = ObjectKey::new(namespace, name);
        let claim: Option<PersistentVolumeClaim> = self.objects.get(&PERSISTENT_VOLUME_CLAIMS, &key, self.uid).await?;
        let claim = claim.ok_or_else(|| {
            SourceError(format!("failed to fetch PVC from API server: persistentvolumeclaims {name:?} not found"))
        })?;
        if claim.metadata.deletion_timestamp.is_some() {
            return Err(SourceError("PVC is being deleted".to_owned()));
        }
        let bound = claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound");
        let volume = claim.spec.and_then(|spec| spec.volume_name).filter(|name| !name.is_empty());
        let volume = volume.filter(|_| bound).ok_or_else(|| SourceError("PVC is not bound".to_owned()))?;
        let found: Option<PersistentVolume> =
            self.objects.get(&PERSISTENT_VOLUMES, &ObjectKey::new("", &volume), self.uid).await?;
        let found = found.ok_or_else(|| SourceError(format!("failed to find PV {volume}")))?;
        let claimed_by = found.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
        if claimed_by.and_then(|claim| claim.uid.as_ref()) != claim.metadata.uid.as_ref() {
            return Err(SourceError(format!("PV {volume} is bound to another claim")));
        }
        Ok(Arc::new(found))
    }
}
