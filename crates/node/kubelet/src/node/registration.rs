//! The Node object: made at the start, its status written when it changes and as often as the options say.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use windlass_api::condition;
use windlass_api::k8s::api::core::v1::{Node, NodeStatus};
use windlass_api::resource::NODES;
use windlass_api::well_known::{annotation, label, taint};
use windlass_api::{ObjectKey, Status};
use windlass_client::{EventType, OBJECT, ObjectReference, PatchType, STATUS};

use super::status::{self, StatusInput};
use crate::shared::Shared;

const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(7);
/// While the runtime or its network is not ready it is asked this often; then only as a safety net.
const ASK_UNREADY: Duration = Duration::from_millis(200);
const ASK_READY: Duration = Duration::from_secs(10);
const RUNTIME_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct NodeWriter {
    shared: Arc<Shared>,
    /// `NAME://VERSION` of the runtime.
    runtime_version: String,
    was_ready: Option<bool>,
    written_at: Option<Instant>,
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

impl NodeWriter {
    pub(crate) fn new(shared: Arc<Shared>, runtime_version: String) -> Self {
        Self { shared, runtime_version, was_ready: None, written_at: None }
    }

    fn key(&self) -> ObjectKey {
        ObjectKey::new("", &self.shared.options.node_name)
    }

    fn about(&self) -> ObjectReference {
        let name = self.shared.options.node_name.clone();
        // Events about nodes have always carried the node's name for its UID.
        ObjectReference { kind: "Node".to_owned(), uid: name.clone(), name, ..ObjectReference::default() }
    }

    /// Labels that the kubelet owns.
    fn labels(&self) -> Value {
        let options = &self.shared.options;
        let mut all = options.labels.clone();
        for (name, value) in [
            (label::HOSTNAME, options.node_name.as_str()),
            (label::OS, "linux"),
            (label::ARCH, architecture()),
            (label::BETA_OS, "linux"),
            (label::BETA_ARCH, architecture()),
        ] {
            all.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
        json!(all)
    }

    /// Keeps the Node object as it should be, for ever.
    pub(crate) async fn run(mut self) {
        self.ask_runtime().await;
        let mut retry = RETRY_FIRST;
        while let Err(status) = self.register().await {
            tracing::warn!(node = self.shared.options.node_name, error = %status, "unable to register the node");
            tokio::time::sleep(retry).await;
            retry = (retry * 2).min(RETRY_MAX);
        }
        self.shared.recorder.event(&self.about(), EventType::Normal, "Starting", "Starting kubelet.");
        let mut pressures = self.shared.node.pressure_changes();
        let mut retry = RETRY_FIRST;
        loop {
            let wait = match self.update().await {
                Ok(ready) => {
                    retry = RETRY_FIRST;
                    if ready { ASK_READY } else { ASK_UNREADY }
                }
                Err(status) => {
                    tracing::warn!(node = self.shared.options.node_name, error = %status, "failed to update the node's status");
                    retry = (retry * 2).min(RETRY_MAX);
                    retry
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = pressures.changed() => {}
                () = self.shared.node.news_expected() => {}
            }
            self.ask_runtime().await;
        }
    }

    async fn ask_runtime(&self) {
        let answer = tokio::time::timeout(RUNTIME_TIMEOUT, self.shared.runtime.status()).await;
        let status = match answer {
            Ok(Ok(status)) => Some(status),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the container runtime does not tell its status");
                None
            }
            Err(_) => None,
        };
        self.shared.node.set_runtime(status);
    }

    async fn status(&self, old: &NodeStatus) -> NodeStatus {
        let shared = &self.shared;
        let images = shared.image_service.list_images(None).await.unwrap_or_default();
        status::generate(&StatusInput {
            hostname: &shared.options.node_name,
            ips: &shared.options.node_ips,
            port: shared.options.port,
            info: shared.node.machine().info(&shared.options.version, &self.runtime_version),
            capacity: shared.node.capacity(),
            allocatable: shared.node.allocatable(),
            runtime: shared.node.runtime().as_ref(),
            problems: shared.loops.problems(),
            pressure: shared.node.pressure(),
            images: &images,
            old,
            now: shared.clock.now(),
        })
    }

    /// Creates the Node, or takes over the one that is there.
    async fn register(&mut self) -> Result<(), Status> {
        let options = &self.shared.options;
        let status = self.status(&NodeStatus::default()).await;
        let mut taints = json!(options.taints);
        let ready = is_ready(&status);
        if !ready {
            // Nothing is scheduled here before the node is known to be ready.
            let list = taints.as_array_mut();
            list.into_iter().for_each(|list| list.push(json!({"key": taint::NOT_READY, "effect": "NoSchedule"})));
        }
        let mut node = json!({
            "metadata": {
                "name": options.node_name,
                "labels": self.labels(),
                "annotations": {annotation::VOLUMES_ATTACH_DETACH: "true"},
            },
            "spec": {"taints": taints},
            "status": status,
        });
        if let Some(id) = &options.provider_id {
            node["spec"]["providerID"] = json!(id);
        }
        match self.shared.client.create(&NODES, "", &node).await {
            Ok(object) => {
                self.shared.node.set_node(object.decode()?);
                self.written_at = Some(Instant::now());
                tracing::info!(node = options.node_name, ready, "registered the node");
                self.note_readiness(ready);
                Ok(())
            }
            Err(error) if error.is_already_exists() => self.adopt().await,
            Err(error) => Err(error),
        }
    }

    /// The node has been here before: labels and annotations that are the kubelet's are set anew.
    async fn adopt(&self) -> Result<(), Status> {
        let patch = json!({"metadata": {
            "labels": self.labels(),
            "annotations": {annotation::VOLUMES_ATTACH_DETACH: "true"},
        }});
        let object = self.shared.client.patch(&NODES, &self.key(), OBJECT, &patch).await?;
        self.shared.node.set_node(object.decode()?);
        Ok(())
    }

    /// Writes the status if it has changed, or if it is time; returns whether the node is ready.
    async fn update(&mut self) -> Result<bool, Status> {
        let known = match self.shared.node.node() {
            Some(node) => node,
            None => self.shared.client.get(&NODES, &self.key()).await?.decode()?,
        };
        let old = known.status.clone().unwrap_or_default();
        let new = self.status(&old).await;
        let ready = is_ready(&new);
        let is_due = self.written_at.is_none_or(|at| at.elapsed() >= self.shared.options.status_report_interval);
        if !is_due && !status::differs(&old, &new) {
            return Ok(ready);
        }
        let mut patch = json!({"status": new});
        // Addresses would be merged by their type, of which there can be two.
        if let Some(list) = patch["status"]["addresses"].as_array_mut() {
            list.insert(0, json!({"$patch": "replace"}));
        }
        let written = self.shared.client.patch_as(PatchType::Strategic, &NODES, &self.key(), STATUS, &patch).await;
        let object = match written {
            Err(error) if error.is_not_found() => {
                // Somebody has deleted the node: it registers anew.
                self.register().await?;
                return Ok(ready);
            }
            result => result?,
        };
        let node: Node = object.decode()?;
        self.shared.node.set_node(node);
        self.written_at = Some(Instant::now());
        self.note_readiness(ready);
        Ok(ready)
    }

    fn note_readiness(&mut self, ready: bool) {
        if self.was_ready.replace(ready) == Some(ready) {
            return;
        }
        let (kind, reason) = if ready { (EventType::Normal, "NodeReady") } else { (EventType::Normal, "NodeNotReady") };
        let text = format!("Node {} status is now: {reason}", self.shared.options.node_name);
        self.shared.recorder.event(&self.about(), kind, reason, text);
    }
}

fn is_ready(status: &NodeStatus) -> bool {
    condition::is_true(status.conditions.iter().flatten(), "Ready")
}
