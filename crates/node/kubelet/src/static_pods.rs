//! Pods from files of this node: read from a directory, run without the API, and shown there by mirror pods.
//!
//! A manifest's content is its pod's identity: another content is another pod, which starts when the old one is gone. A file that
//! cannot be read is reported and left out; the others run.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use windlass_api::k8s::api::core::v1::{Pod, ResourceRequirements};
use windlass_api::resource::PODS;
use windlass_api::well_known::annotation;
use windlass_api::{ObjectKey, Status};
use windlass_client::{DeleteOptions, Informer};
use windlass_tree::{Changes, Told};

use crate::pod::PodView;
use crate::pods::Pods;
use crate::registry::Registry;
use crate::shared::Shared;

const MANIFEST_MAX_BYTES: u64 = 3 << 20;
/// A directory that cannot be watched is tried again after this time.
const RETRY: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
enum ManifestError {
    #[error("cannot read it")]
    Io(#[source] std::io::Error),
    #[error("it is neither YAML nor JSON: {0}")]
    Syntax(String),
    #[error("it is no pod: {0}")]
    Pod(serde_json::Error),
    #[error("the pod has no name or no containers")]
    Empty,
}

/// The pod of a manifest, as it is run on a node.
fn parse(text: &str, node: &str, path: &Path) -> Result<Pod, ManifestError> {
    let value: Value =
        serde_saphyr::from_str(text).map_err(|error| ManifestError::Syntax(error.without_snippet().to_string()))?;
    let mut pod: Pod = serde_json::from_value(value).map_err(ManifestError::Pod)?;
    let name = pod.metadata.name.clone().filter(|name| !name.is_empty()).ok_or(ManifestError::Empty)?;
    let spec = pod.spec.as_mut().filter(|spec| !spec.containers.is_empty()).ok_or(ManifestError::Empty)?;
    spec.node_name = Some(node.to_owned());
    // Nothing but the file decides where such a pod runs.
    let everything = serde_json::from_value(json!({"operator": "Exists", "effect": "NoExecute"}));
    spec.tolerations.get_or_insert_default().extend(everything.ok());
    let containers = spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten());
    let of_containers = containers.filter_map(|container| container.resources.as_mut());
    of_containers.chain(spec.resources.as_mut()).for_each(request_limits);
    let mut hasher = Sha256::new();
    for part in [node, &path.display().to_string(), text] {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    let hash: String = hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let metadata = &mut pod.metadata;
    metadata.name = Some(format!("{name}-{}", node.to_lowercase()));
    metadata.namespace.get_or_insert_with(|| "default".to_owned());
    metadata.uid = Some(metadata.uid.clone().unwrap_or_else(|| hash.clone()));
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.insert(annotation::CONFIG_SOURCE.to_owned(), "file".to_owned());
    annotations.insert(annotation::CONFIG_HASH.to_owned(), hash);
    pod.status =
        Some(windlass_api::k8s::api::core::v1::PodStatus { phase: Some("Pending".to_owned()), ..Default::default() });
    Ok(pod)
}

/// What is limited is requested, unless less is: the API server fills this in for other pods.
fn request_limits(resources: &mut ResourceRequirements) {
    for (name, limit) in resources.limits.iter().flatten() {
        resources.requests.get_or_insert_default().entry(name.clone()).or_insert_with(|| limit.clone());
    }
}

fn read(directory: &Path, node: &str) -> HashMap<String, Arc<Pod>> {
    let mut pods = HashMap::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        let fits = entry.metadata().is_ok_and(|it| it.is_file() && it.len() <= MANIFEST_MAX_BYTES);
        if hidden || !fits {
            continue;
        }
        let parsed =
            std::fs::read_to_string(&path).map_err(ManifestError::Io).and_then(|text| parse(&text, node, &path));
        match parsed {
            Ok(pod) => {
                pods.insert(pod.uid().to_owned(), Arc::new(pod));
            }
            Err(error) => tracing::error!(path = %path.display(), %error, "a manifest of a static pod is left out"),
        }
    }
    pods
}

pub(crate) struct StaticPods {
    shared: Arc<Shared>,
    registry: Arc<Registry>,
    pods: Arc<Pods>,
    informer: Arc<Informer>,
    directory: PathBuf,
    running: HashMap<String, Arc<Pod>>,
}

impl StaticPods {
    /// Reads the directory for the first time, so that static pods are known before anything is cleaned up.
    pub(crate) async fn load(
        shared: Arc<Shared>,
        registry: Arc<Registry>,
        pods: Arc<Pods>,
        informer: Arc<Informer>,
        directory: PathBuf,
    ) -> Self {
        let mut this = Self { shared, registry, pods, informer, directory, running: HashMap::new() };
        this.reconcile().await;
        this
    }

    /// Follows the directory, and the mirror pods in the API, for ever.
    pub(crate) async fn run(mut self) {
        self.informer.synced().await;
        let mirrors = Arc::new(Notify::new());
        let notify = mirrors.clone();
        self.informer.subscribe(move |change| {
            let mirror = |object: &windlass_client::Object| object.decode::<Pod>().is_ok_and(|pod| pod.is_mirror());
            // Versions that only differ in their status say nothing new.
            if (change.old.is_none() || change.new.is_none()) && mirror(change.object()) {
                notify.notify_one();
            }
        });
        loop {
            if let Err(error) = self.follow(&mirrors).await {
                self.reconcile().await;
                tracing::error!(path = %self.directory.display(), %error, "the directory of static pods cannot be watched yet");
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Follows for as long as the directory can be watched.
    async fn follow(&mut self, mirrors: &Notify) -> std::io::Result<()> {
        tokio::fs::create_dir_all(&self.directory).await?;
        let changes = Changes::of(&self.directory, Told::Finished)?;
        loop {
            self.reconcile().await;
            let wait = match self.mirror().await {
                Ok(()) => Duration::MAX,
                Err(status) => {
                    tracing::warn!(error = %status, "a mirror pod cannot be written yet");
                    Duration::from_secs(1)
                }
            };
            tokio::select! {
                result = changes.wait() => {
                    // What exactly it was does not matter: everything is read anew.
                    result?;
                    // Who takes the directory away ends its pods; the next one needs a watch of its own.
                    tokio::fs::metadata(&self.directory).await?;
                }
                () = mirrors.notified() => {}
                () = self.registry.removed() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Starts what is new and ends what is gone; what has only changed starts when its predecessor is gone.
    async fn reconcile(&mut self) {
        let (directory, node) = (self.directory.clone(), self.shared.options.node_name.clone());
        let wanted = tokio::task::spawn_blocking(move || read(&directory, &node)).await.unwrap_or_default();
        for uid in self.running.keys().filter(|uid| !wanted.contains_key(*uid)) {
            self.pods.take(uid);
        }
        self.running.retain(|uid, _| wanted.contains_key(uid));
        for (uid, pod) in wanted {
            if self.running.contains_key(&uid) {
                continue;
            }
            let predecessor = self.registry.by_name(pod.namespace(), pod.name());
            if predecessor.is_none_or(|it| it.mailbox.pod().uid() == uid) {
                self.pods.put(pod.clone());
                self.running.insert(uid, pod);
            }
        }
    }

    /// Makes the API show exactly the static pods that there are.
    async fn mirror(&self) -> Result<(), Status> {
        let mut present: HashMap<ObjectKey, Pod> = HashMap::new();
        for object in self.informer.list("") {
            let pod: Pod = object.decode()?;
            if pod.is_mirror() {
                present.insert(pod.key(), pod);
            }
        }
        let hash = |pod: &Pod| pod.annotation(annotation::CONFIG_HASH).unwrap_or_default().to_owned();
        for pod in self.running.values() {
            if let Some(mirror) = present.remove(&pod.key()) {
                if mirror.annotation(annotation::CONFIG_MIRROR) == Some(&hash(pod)) && !mirror.is_deleting() {
                    continue;
                }
                self.delete(&mirror).await?;
            }
            self.create(pod, &hash(pod)).await?;
        }
        for mirror in present.values() {
            self.delete(mirror).await?;
        }
        Ok(())
    }

    async fn create(&self, pod: &Pod, hash: &str) -> Result<(), Status> {
        let mut mirror = json!(pod);
        let metadata = &mut mirror["metadata"];
        metadata["annotations"][annotation::CONFIG_MIRROR] = json!(hash);
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.remove("uid");
        }
        let node = self.shared.node.node().and_then(|node| node.metadata.uid);
        if let Some(uid) = node {
            mirror["metadata"]["ownerReferences"] = json!([{
                "apiVersion": "v1", "kind": "Node", "name": self.shared.options.node_name, "uid": uid, "controller": true,
            }]);
        }
        if let Some(mirror) = mirror.as_object_mut() {
            mirror.remove("status");
        }
        match self.shared.client.create(&PODS, pod.namespace(), &mirror).await {
            Err(status) if !status.is_already_exists() => Err(status),
            _ => Ok(()),
        }
    }

    async fn delete(&self, mirror: &Pod) -> Result<(), Status> {
        let options = DeleteOptions::of_uid(mirror.uid()).grace_seconds(0);
        match self.shared.client.delete(&PODS, &mirror.key(), &options).await {
            Err(status) if !status.says_gone() => Err(status),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests() {
        let text =
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers:\n  - name: c\n    image: i\n";
        let path = Path::new("/manifests/web.yaml");
        let pod = parse(text, "Node-1", path).unwrap();
        assert_eq!((pod.name(), pod.namespace()), ("web-node-1", "default"));
        assert!(pod.is_static() && pod.is_critical());
        assert_eq!(pod.uid(), parse(text, "Node-1", path).unwrap().uid());
        assert_ne!(pod.uid(), parse(&text.replace("image: i", "image: j"), "Node-1", path).unwrap().uid());
        assert!(matches!(parse("metadata: {}", "n", path), Err(ManifestError::Empty)));
        let limited = format!("{text}    resources: {{limits: {{cpu: 1, memory: 1Gi}}, requests: {{cpu: 500m}}}}\n");
        let pod = parse(&limited, "n", path).unwrap();
        let requests = pod.app_containers()[0].resources.clone().and_then(|resources| resources.requests).unwrap();
        assert_eq!((requests["cpu"].0.as_str(), requests["memory"].0.as_str()), ("500m", "1Gi"));
        assert!(parse("a: [", "n", path).is_err());
    }
}
