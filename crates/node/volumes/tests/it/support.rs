//! A kubelet's directory that is cleaned up whatever happens, pods, and an API server of a few maps.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use rustix::mount::{UnmountFlags, unmount};
use serde_json::{Value, json};
use tempfile::TempDir;
use windlass_api::k8s::api::core::v1::{PersistentVolume, Pod};
use windlass_api::time::Clock;
use windlass_volumes::plan::{CertificateSource, TrustBundle};
use windlass_volumes::{
    ConfigMapData, Credentials, Mounted, NodeFacts, SecretData, SetUp, SourceError, Sources, Token, TokenRequest,
    Volumes,
};

/// A kubelet's directory with its volumes.
pub(crate) struct Kubelet {
    pub(crate) volumes: Volumes,
    pub(crate) api: Api,
    pub(crate) node: NodeFacts,
    dir: TempDir,
}

impl Kubelet {
    pub(crate) fn new() -> Self {
        assert!(rustix::process::geteuid().is_root(), "these tests mount file systems: run them as root");
        let dir = tempfile::Builder::new().prefix("windlass-volumes-").tempdir().unwrap();
        let allocatable =
            [("cpu", "2"), ("memory", "1Gi")].map(|(name, text)| (name.to_owned(), text.parse().unwrap())).into();
        Self {
            volumes: Volumes::new(dir.path().join("kubelet"), Clock::system()),
            api: Api::default(),
            node: NodeFacts { allocatable },
            dir,
        }
    }

    /// A path beside the kubelet's directory.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) async fn set_up(&self, pod: &Arc<Pod>) -> SetUp {
        self.volumes.set_up(pod, &self.node, &self.api).await
    }

    /// Sets up a pod all of whose volumes succeed, and returns the path of volume `v`.
    pub(crate) async fn path(&self, pod: &Arc<Pod>) -> PathBuf {
        path_of(&self.mounted(pod).await["v"])
    }

    pub(crate) async fn mounted(&self, pod: &Arc<Pod>) -> BTreeMap<String, Mounted> {
        let done = self.set_up(pod).await;
        assert!(done.failures.is_empty(), "{:?}", done.failures);
        done.volumes
    }

    /// The message of the one failure.
    pub(crate) async fn failure(&self, pod: &Arc<Pod>) -> String {
        let done = self.set_up(pod).await;
        assert_eq!(done.failures.len(), 1, "{done:?}");
        done.failures[0].1.event_message("v").replace("MountVolume.SetUp failed for volume \"v\" : ", "")
    }

    pub(crate) fn mounts(&self) -> Vec<PathBuf> {
        mounts_below(self.dir.path())
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        for path in mounts_below(self.dir.path()) {
            let _ = unmount(&path, UnmountFlags::DETACH);
        }
    }
}

pub(crate) fn path_of(mounted: &Mounted) -> PathBuf {
    match mounted {
        Mounted::Path { path, .. } => path.clone(),
        other => panic!("{other:?} has no path"),
    }
}

/// What is mounted below a directory, the last first.
fn mounts_below(base: &Path) -> Vec<PathBuf> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let paths = table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    let mut found: Vec<PathBuf> = paths.filter(|path| path.starts_with(base)).collect();
    found.reverse();
    found
}

/// A pod whose one container mounts volume `v`.
pub(crate) fn pod(source: Value) -> Arc<Pod> {
    pod_with(source, json!({}), json!({}))
}

/// The same with more in its spec and container.
pub(crate) fn pod_with(source: Value, spec: Value, container: Value) -> Arc<Pod> {
    let mut volume = json!({"name": "v"});
    merge(&mut volume, source);
    let mut own = json!({"name": "c", "volumeMounts": [{"name": "v", "mountPath": "/v"}]});
    merge(&mut own, container);
    let mut full = json!({"containers": [own], "volumes": [volume], "serviceAccountName": "robot"});
    merge(&mut full, spec);
    let metadata = json!({"name": "web", "namespace": "shop", "uid": "11-22", "labels": {"app": "web"}});
    Arc::new(serde_json::from_value(json!({"metadata": metadata, "spec": full})).unwrap())
}

fn merge(into: &mut Value, from: Value) {
    into.as_object_mut().unwrap().extend(from.as_object().unwrap().clone());
}

/// Permission bits, owner and group.
pub(crate) fn look(path: &Path) -> (u32, u32, u32) {
    let stat = std::fs::symlink_metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    (stat.mode() & 0o7777, stat.uid(), stat.gid())
}

pub(crate) fn is_tmpfs(path: &Path) -> bool {
    rustix::fs::statfs(path).unwrap().f_type == 0x0102_1994
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Objects by name.
#[derive(Default)]
pub(crate) struct Api {
    pub(crate) config_maps: Mutex<BTreeMap<String, ConfigMapData>>,
    pub(crate) secrets: Mutex<BTreeMap<String, SecretData>>,
    pub(crate) bundles: Mutex<BTreeMap<String, Vec<u8>>>,
    pub(crate) claims: Mutex<BTreeMap<String, Value>>,
    /// By the volume's name and the place of the source.
    pub(crate) credentials: Mutex<BTreeMap<CertificateSource, Credentials>>,
    pub(crate) tokens: Mutex<Vec<TokenRequest>>,
}

impl Api {
    pub(crate) fn config_map(&self, name: &str, data: &[(&str, &str)]) {
        let data = data.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
        self.config_maps.lock().insert(name.into(), ConfigMapData { data, ..ConfigMapData::default() });
    }

    pub(crate) fn secret(&self, name: &str, data: &[(&str, &str)]) {
        let data = data.iter().map(|(key, text)| ((*key).to_owned(), text.as_bytes().to_vec())).collect();
        self.secrets.lock().insert(name.into(), SecretData { data });
    }
}

#[async_trait]
impl Sources for Api {
    async fn config_map(&self, namespace: &str, name: &str) -> Result<Option<Arc<ConfigMapData>>, SourceError> {
        assert_eq!(namespace, "shop");
        Ok(self.config_maps.lock().get(name).cloned().map(Arc::new))
    }

    async fn secret(&self, namespace: &str, name: &str) -> Result<Option<Arc<SecretData>>, SourceError> {
        assert_eq!(namespace, "shop");
        Ok(self.secrets.lock().get(name).cloned().map(Arc::new))
    }

    async fn token(&self, request: &TokenRequest) -> Result<Token, SourceError> {
        let mut tokens = self.tokens.lock();
        tokens.push(request.clone());
        let lifetime = std::time::Duration::from_secs(request.expiration_seconds.unsigned_abs());
        Ok(Token { token: format!("token-{}", tokens.len()), expires_at: Clock::system().now() + lifetime })
    }

    async fn trust_bundle(&self, bundle: &TrustBundle) -> Result<Option<Vec<u8>>, SourceError> {
        let (TrustBundle::Name(name) | TrustBundle::Signer { name, .. }) = bundle;
        Ok(self.bundles.lock().get(name).cloned())
    }

    async fn credentials(&self, pod: &Pod, source: &CertificateSource) -> Result<Arc<Credentials>, SourceError> {
        assert_eq!(pod.metadata.uid.as_deref(), Some("11-22"));
        let found = self.credentials.lock().get(source).cloned().map(Arc::new);
        found.ok_or_else(|| SourceError("credential bundle is not issued yet".into()))
    }

    async fn claim(&self, _: &str, name: &str) -> Result<Arc<PersistentVolume>, SourceError> {
        match self.claims.lock().get(name) {
            Some(volume) => Ok(Arc::new(serde_json::from_value(volume.clone()).unwrap())),
            None => Err(SourceError("PVC is not bound".into())),
        }
    }
}
