//! A DaemonSet has a pod on every node where one may run.
//!
//! [`placement`] says which nodes these are, [`plan`] what the next step is; this file carries the step out. What has failed on a
//! node is replaced with growing pauses, which are remembered here only: a new process starts with none.

mod placement;
mod plan;
mod view;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use windlass_api::labels::Selector;
use windlass_api::resource::{CONTROLLER_REVISIONS, DAEMON_SETS, NODES, PODS};
use windlass_api::time::Clock;
use windlass_api::well_known::label::CONTROLLER_REVISION_HASH;
use windlass_api::{GroupVersionResource, Meta, ObjectKey, Status, Timestamp};
use windlass_client::{Change, Client, EventType, Informer, Outcome, STATUS, WorkQueue};

use crate::context::Context;
use crate::history::{History, Revision};
use crate::node::view::Node;
use crate::owners::{Claimant, OwnerKind, index_by_controller};
use crate::pod_control::{PodControl, reference, slow_start};
use crate::pods::{Pod, until_available};
use crate::waking::{owners_of, wake_by_pods};
use crate::write::modify;
use plan::{Ended, Plan, Snapshot};
use view::DaemonSet;

const NAME: &str = "daemon-set-controller";
/// The component of its events.
const EVENTS: &str = "daemonset-controller";
const WORKERS: usize = 2;
/// Pods that one step creates or deletes at most.
const BURST: usize = 250;
const FAILED_FIRST: Duration = Duration::from_secs(1);
const FAILED_MAX: Duration = Duration::from_secs(15 * 60);
static RESOURCE: GroupVersionResource = DAEMON_SETS;
const KIND: OwnerKind = OwnerKind { api_version: "apps/v1", kind: "DaemonSet" };

struct Controller {
    client: Client,
    pod_control: PodControl,
    clock: Clock,
    sets: Arc<Informer>,
    pods: Arc<Informer>,
    nodes: Arc<Informer>,
    revisions: Arc<Informer>,
    /// When a pod of a set was last replaced on a node because it had failed.
    failed: Mutex<HashMap<(String, String), Failed>>,
}

#[derive(Clone, Copy)]
struct Failed {
    at: Timestamp,
    pause: Duration,
}

pub(crate) async fn run(context: Context) {
    let client = context.client(NAME);
    let controller = Controller {
        client: client.clone(),
        pod_control: PodControl { recorder: context.recorder(&client, EVENTS), client },
        clock: context.clock,
        sets: context.informer(&DAEMON_SETS),
        pods: context.informer(&PODS),
        nodes: context.informer(&NODES),
        revisions: context.informer(&CONTROLLER_REVISIONS),
        failed: Mutex::default(),
    };
    index_by_controller(&controller.pods);
    index_by_controller(&controller.revisions);
    let queue = WorkQueue::new();
    wake_by_pods(&controller.sets, &controller.pods, &queue, KIND, DaemonSet::selector);
    let changed = queue.clone();
    controller.revisions.subscribe(move |change| {
        owners_of(change, KIND).into_iter().for_each(|key| changed.add(key));
    });
    let (changed, sets) = (queue.clone(), controller.sets.clone());
    controller.nodes.subscribe(move |change| {
        if concerns_placement(change) {
            sets.list("").into_iter().for_each(|set| changed.add(set.key));
        }
    });
    for informer in [&controller.sets, &controller.pods, &controller.nodes, &controller.revisions] {
        informer.synced().await;
    }
    queue.run(NAME, WORKERS, async |key| controller.sync(key).await).await;
}

/// Whether a node came, went, or has other labels or taints. Its heartbeats are of no concern.
fn concerns_placement(change: &Change) -> bool {
    let placement = |object: &Option<windlass_client::Object>| {
        let node = object.as_ref()?.decode::<Node>().ok()?;
        Some((node.metadata.labels, node.spec.taints))
    };
    placement(&change.old) != placement(&change.new)
}

impl Controller {
    async fn sync(&self, key: ObjectKey) -> Result<Outcome, Status> {
        let Some(set) = self.sets.read::<DaemonSet>(&key) else { return Ok(Outcome::Done) };
        if set.metadata.is_deleting() {
            return Ok(Outcome::Done);
        }
        let selector = set.selector();
        if selector.is_everything() {
            let message = "This daemon set is selecting all pods. A non-empty selector is required.".to_owned();
            self.tell(&set, EventType::Warning, "SelectingAll", message);
            return Ok(Outcome::Done);
        }
        let history = self.history(&set, &selector);
        let all = history.all().await?;
        let collisions = set.status["collisionCount"].as_i64();
        let found = history.of_template(&all, &set.spec.template, collisions).await?;
        let Some(current) = found else {
            let patch = json!({"status": {"collisionCount": collisions.unwrap_or(0) + 1}});
            modify(&self.client, &self.sets, &DAEMON_SETS, &key, STATUS, &patch).await?;
            return Ok(Outcome::Again(Duration::ZERO));
        };
        let hash = current.metadata.labels.get(CONTROLLER_REVISION_HASH).cloned().unwrap_or_default();
        let nodes: Vec<Node> = self.nodes.list("").into_iter().filter_map(|node| node.decode().ok()).collect();
        let pods = self.claim(&set, &selector).await?;
        let result = self.step(&set, &hash, &nodes, &pods).await;
        let pods = self.claim(&set, &selector).await?;
        let now = self.clock.now();
        self.report(&set, Snapshot::new(&set, &hash, &nodes, &pods, now).status()).await?;
        let pause = result?;
        self.trim(&history, &all, &set, &current, &pods).await?;
        let wait = until_available(&pods, set.spec.min_ready_seconds, now).into_iter().chain(pause).min();
        Ok(wait.map_or(Outcome::Done, Outcome::Again))
    }

    fn tell(&self, set: &DaemonSet, kind: EventType, reason: &str, message: String) {
        self.pod_control.recorder.event(&reference(KIND, &set.metadata), kind, reason, message);
    }

    fn history<'a>(&'a self, set: &'a DaemonSet, selector: &'a Selector) -> History<'a> {
        History {
            client: &self.client,
            revisions: &self.revisions,
            kind: KIND,
            resource: &RESOURCE,
            owner: &set.metadata,
            selector,
            hash_label: CONTROLLER_REVISION_HASH,
        }
    }

    async fn claim(&self, set: &DaemonSet, selector: &Selector) -> Result<Vec<Pod>, Status> {
        let claimant =
            Claimant { client: &self.client, kind: KIND, resource: &DAEMON_SETS, owner: &set.metadata, selector };
        claimant.claim(&self.pods, &PODS).await
    }

    /// Brings nodes to have their pods; an update goes on when they have. Says when to look again at what has failed.
    async fn step(
        &self,
        set: &DaemonSet,
        hash: &str,
        nodes: &[Node],
        pods: &[Pod],
    ) -> Result<Option<Duration>, Status> {
        let snapshot = Snapshot::new(set, hash, nodes, pods, self.clock.now());
        let mut plan = snapshot.manage();
        let mut pause = None;
        for ended in std::mem::take(&mut plan.ended) {
            match self.pause(set, &ended) {
                Some(wait) => pause = pause.into_iter().chain([wait]).min(),
                None => plan.delete.push(self.give_up(set, ended)),
            }
        }
        if plan.create.is_empty() && plan.delete.is_empty() {
            plan = snapshot.roll();
        }
        self.act(set, hash, &plan).await.map(|()| pause)
    }

    /// How long a pod that has failed stays, because one was replaced on its node a moment ago.
    fn pause(&self, set: &DaemonSet, ended: &Ended) -> Option<Duration> {
        if !ended.failed {
            return None;
        }
        let now = self.clock.now();
        let mut all = self.failed.lock();
        let age = |failed: &Failed| Duration::try_from(now.duration_since(failed.at)).unwrap_or_default();
        all.retain(|_, failed| age(failed) < FAILED_MAX * 2);
        let key = (set.metadata.uid.clone(), ended.node.clone());
        let next = match all.get(&key) {
            Some(failed) if age(failed) < failed.pause => return Some(failed.pause - age(failed)),
            Some(failed) => (failed.pause * 2).min(FAILED_MAX),
            None => FAILED_FIRST,
        };
        all.insert(key, Failed { at: now, pause: next });
        None
    }

    fn give_up(&self, set: &DaemonSet, ended: Ended) -> Meta {
        let Ended { node, pod, failed } = ended;
        let name = pod.key();
        if failed {
            let message = format!("Found failed daemon pod {name} on node {node}, will try to kill it");
            self.tell(set, EventType::Warning, "FailedDaemonPod", message);
        } else {
            let message = format!("Found succeeded daemon pod {name} on node {node}, will try to delete it");
            self.tell(set, EventType::Normal, "SucceededDaemonPod", message);
        }
        pod
    }

    async fn act(&self, set: &DaemonSet, hash: &str, plan: &Plan) -> Result<(), Status> {
        let about = reference(KIND, &set.metadata);
        let template = placement::pod(set, KIND.controller_of(&set.metadata), hash)?;
        let create = async |index: usize| {
            let pod = placement::for_node(&template, &plan.create[index]);
            let created = self.pod_control.create(&about, &pod).await?;
            self.pods.reached(created.revision).await;
            Ok(())
        };
        let created = slow_start(plan.create.len().min(BURST), create).await.1;
        let deleted = plan.delete.iter().take(BURST).map(|pod| self.pod_control.delete(&about, &self.pods, pod));
        futures::future::join_all(deleted).await.into_iter().collect::<Result<(), Status>>()?;
        match created {
            Err(status) if status.is_namespace_terminating() => Ok(()),
            result => result,
        }
    }

    /// Old templates stay as long as pods are of them, and some more to roll back to.
    async fn trim(
        &self,
        history: &History<'_>,
        all: &[Revision],
        set: &DaemonSet,
        current: &Revision,
        pods: &[Pod],
    ) -> Result<(), Status> {
        let hash_of = |meta: &Meta| meta.labels.get(CONTROLLER_REVISION_HASH).cloned();
        let is_live = |revision: &Revision| {
            let hash = hash_of(&revision.metadata);
            revision.metadata.name == current.metadata.name || pods.iter().any(|pod| hash_of(&pod.metadata) == hash)
        };
        history.trim(all, set.history_limit(), is_live).await
    }

    async fn report(&self, set: &DaemonSet, status: Value) -> Result<(), Status> {
        if crate::status::is_up_to_date(&set.status, &status) {
            return Ok(());
        }
        let patch = json!({"metadata": {"uid": set.metadata.uid}, "status": status});
        modify(&self.client, &self.sets, &DAEMON_SETS, &set.metadata.key(), STATUS, &patch).await.map(drop)
    }
}
