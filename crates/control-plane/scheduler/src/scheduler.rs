//! The loop: reads what has changed, tries pods, and takes note of what became of its decisions.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;
use tokio::time::Instant;
use windlass_api::k8s::apimachinery::pkg::apis::meta::v1::LabelSelector;
use windlass_api::meta::PartialObject;
use windlass_api::time::Clock;
use windlass_api::{GroupVersionResource, ObjectKey, OwnerReference, resource};
use windlass_client::leader_election::Candidate;
use windlass_client::{Client, Informer, Informers};

use crate::core::{Core, Decision};
use crate::cycle::Search;
use crate::event_log::EventLog;
use crate::executor::{Done, Executor};
use crate::inbox::{Inbox, Kind};
use crate::metrics::{Metrics, Outcome};
use crate::object::node::RawNode;
use crate::object::pod_raw::RawPod;
use crate::object::{Labels, Node, Pod};
use crate::options::Options;
use crate::plugins::default_profile;
use crate::queue::FLUSH_PERIOD;
use crate::storage::{RawCapacity, RawClaim, RawClass, RawCsiDriver, RawCsiNode, RawVolume, Volume};
use crate::surroundings::{Budget, Owners, RawBudget, RawService};

/// Pods that are tried before others of the process have their turn.
const BATCH: usize = 64;

/// Schedules pods until `shutdown`. What is being written then is not waited for: a pod that was not bound is found again.
pub async fn run(
    options: Options,
    client: Client,
    informers: Arc<Informers>,
    clock: Clock,
    metrics: windlass_telemetry::Metrics,
    shutdown: impl Future<Output = ()>,
) {
    let work = || async {
        let mut scheduler = Scheduler::start(&options, &client, &informers, clock, &metrics).await;
        scheduler.run().await;
    };
    let lead = async {
        match &options.leader_election_identity {
            None => work().await,
            Some(identity) => {
                let candidate = Candidate {
                    client: client.clone(),
                    clock,
                    lease: ObjectKey::new("kube-system", "kube-scheduler"),
                    identity: identity.clone(),
                };
                loop {
                    candidate.lead(work).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = shutdown => {}
        () = lead => {}
    }
}

struct Scheduler {
    core: Core,
    executor: Executor,
    inbox: Arc<Inbox>,
    sources: Sources,
    metrics: Metrics,
    flushed: Instant,
}

/// Where objects are read.
struct Sources {
    all: Vec<(Kind, Arc<Informer>)>,
}

impl Sources {
    fn read<T: serde::de::DeserializeOwned>(&self, kind: Kind, key: &ObjectKey) -> Option<T> {
        self.all.iter().find(|(of, _)| *of == kind).and_then(|(_, informer)| informer.read(key))
    }
}

impl Scheduler {
    async fn start(
        options: &Options,
        client: &Client,
        informers: &Arc<Informers>,
        clock: Clock,
        metrics: &windlass_telemetry::Metrics,
    ) -> Self {
        let sources: Vec<(Kind, Arc<Informer>)> =
            KINDS.into_iter().map(|(kind, resource)| (kind, informers.of(&resource))).collect();
        let owners = OwnerCaches(OWNERS.map(|(kind, resource)| (kind, informers.of(&resource))));
        informers.synced().await;
        let inbox = Arc::new(Inbox::default());
        for (kind, informer) in &sources {
            let (kind, inbox) = (*kind, Arc::downgrade(&inbox));
            informer.subscribe(move |change| {
                // The informers may outlive the scheduler.
                if let Some(inbox) = inbox.upgrade() {
                    inbox.put(kind, &change.object().key);
                }
            });
        }
        let metrics = Metrics::new(metrics);
        let profiles = options.scheduler_names.iter().map(|name| default_profile(name, client, informers)).collect();
        let search =
            Search { next_start: 0, percentage: options.percentage_of_nodes_to_score, chance: options.chance.fork() };
        let mut core = Core::new(profiles, search, metrics.clone());
        core.cluster.surroundings.owners = Some(Box::new(owners));
        let events = EventLog::start(client.clone(), clock, &options.host_name);
        Self {
            core,
            executor: Executor::new(client.clone(), clock, events, metrics.clone(), informers.of(&resource::PODS)),
            inbox,
            sources: Sources { all: sources },
            metrics,
            flushed: Instant::now(),
        }
    }

    async fn run(&mut self) {
        loop {
            self.read();
            let more = self.try_pods();
            self.metrics.show(&self.core.queue, &self.core.cluster);
            if more {
                tokio::task::yield_now().await;
                continue;
            }
            let due = self.core.queue.next_due(self.flushed);
            let wait = async {
                match due {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                done = self.executor.done() => self.take_note(done),
                () = self.inbox.changed() => {}
                () = wait => {}
            }
        }
    }

    /// Reads what has changed, and wakes the pods that it may help.
    fn read(&mut self) {
        let now = Instant::now();
        for (kind, key) in self.inbox.take() {
            self.read_object(kind, &key, now);
        }
        self.core.settle(now);
        if now.duration_since(self.flushed) >= FLUSH_PERIOD {
            self.flushed = now;
            self.core.queue.flush(now);
        }
    }

    fn read_object(&mut self, kind: Kind, key: &ObjectKey, now: Instant) {
        let (sources, core) = (&self.sources, &mut self.core);
        match kind {
            Kind::Pod => {
                let pod = sources.read::<RawPod>(kind, key).map(Pod::from_raw);
                core.set_pod(key, pod, now);
            }
            Kind::Node => core.set_node(&key.name, sources.read::<RawNode>(kind, key).map(Node::from)),
            Kind::Namespace => {
                let labels: Option<Labels> =
                    sources.read::<PartialObject>(kind, key).map(|object| object.metadata.labels);
                core.set_namespace(&key.name, labels);
            }
            Kind::Service => {
                let selector = sources.read::<RawService>(kind, key).map(|service| service.spec.selector);
                core.cluster.surroundings.set_service(key, selector);
            }
            Kind::PodDisruptionBudget => {
                let budgets = &mut core.cluster.surroundings.budgets;
                match sources.read::<RawBudget>(kind, key).map(Budget::from) {
                    Some(budget) => drop(budgets.insert(key.clone(), budget)),
                    None => drop(budgets.remove(key)),
                }
            }
            _ => self.read_storage(kind, key),
        }
    }

    fn read_storage(&mut self, kind: Kind, key: &ObjectKey) {
        fn put<K: Eq + std::hash::Hash, V: PartialEq>(all: &mut HashMap<K, V>, key: K, new: Option<V>) -> bool {
            match new {
                Some(new) if all.get(&key) == Some(&new) => false,
                Some(new) => {
                    all.insert(key, new);
                    true
                }
                None => all.remove(&key).is_some(),
            }
        }
        let (sources, storage) = (&self.sources, &mut self.core.cluster.surroundings.storage);
        let name = || key.name.clone();
        let changed = match kind {
            Kind::PersistentVolumeClaim => {
                put(&mut storage.claims, key.clone(), sources.read::<RawClaim>(kind, key).map(Into::into))
            }
            Kind::PersistentVolume => {
                let volume: Option<Volume> = sources.read::<RawVolume>(kind, key).map(Into::into);
                if volume.as_ref().is_none_or(|volume| volume.claim.is_some()) {
                    // What was decided here is known to everybody now.
                    storage.chosen.remove(&key.name);
                }
                put(&mut storage.volumes, name(), volume)
            }
            Kind::StorageClass => {
                put(&mut storage.classes, name(), sources.read::<RawClass>(kind, key).map(Into::into))
            }
            Kind::CsiNode => put(&mut storage.csi_nodes, name(), sources.read::<RawCsiNode>(kind, key).map(Into::into)),
            Kind::CsiDriver => {
                put(&mut storage.csi_drivers, name(), sources.read::<RawCsiDriver>(kind, key).map(Into::into))
            }
            Kind::CsiStorageCapacity => {
                put(&mut storage.capacities, key.clone(), sources.read::<RawCapacity>(kind, key).map(Into::into))
            }
            Kind::Node | Kind::Pod | Kind::Namespace | Kind::Service | Kind::PodDisruptionBudget => false,
        };
        if changed {
            self.core.storage_changed();
        }
    }

    /// Tries pods, as many as there is room for; whether there are more.
    fn try_pods(&mut self) -> bool {
        for _ in 0..BATCH {
            if self.executor.is_full() {
                return false;
            }
            let began = Instant::now();
            let Some(decision) = self.core.next(began) else { return false };
            self.metrics.decided(began.elapsed());
            match decision {
                Decision::Bind(binding) => self.executor.bind(binding, began),
                Decision::Wait(waiting) => {
                    if !waiting.victims.is_empty() {
                        self.metrics.preemption_victims.observe(waiting.victims.len() as f64);
                    }
                    self.metrics.preemption_attempts.inc();
                    self.metrics.attempted(&waiting.profile, Outcome::Unschedulable, began.elapsed());
                    self.executor.wait(waiting);
                }
            }
        }
        true
    }

    fn take_note(&mut self, done: Done) {
        let now = Instant::now();
        match done {
            Done::Bound { binding, result, began, .. } => {
                self.metrics.underway.dec();
                let (attempt, profile) = (&binding.attempt, &binding.profile.name);
                match result {
                    Ok(()) => {
                        self.metrics.attempted(profile, Outcome::Scheduled, now - began);
                        self.metrics.scheduled(attempt.number, now - attempt.first_seen);
                        self.executor.say_bound(&binding);
                        self.core.bound(&binding);
                    }
                    Err(status) => {
                        self.metrics.attempted(profile, Outcome::Error, now - began);
                        self.not_bound(&binding, &status, now);
                    }
                }
            }
            Done::Patched(key) => self.executor.patched(&key),
            Done::Preempted(key) => self.core.queue.preempted(&key, now),
        }
    }

    fn not_bound(&mut self, binding: &crate::core::Binding, status: &windlass_api::Status, now: Instant) {
        let pod = &binding.attempt.pod;
        self.core.not_bound(binding, now);
        // What the API has now is what counts: a pod that is gone, is going or has a node needs no more word.
        self.read_object(Kind::Pod, &pod.key, now);
        if self.core.queue.pod(&pod.key).is_none_or(|queued| queued.uid != pod.uid) {
            return;
        }
        tracing::warn!(pod = %pod.key, node = binding.node, error = %status, "the pod cannot be bound, and will be tried again");
        let message = format!("binding rejected: running Bind plugin \"DefaultBinder\": {status}");
        self.executor.say_waiting(pod, &binding.profile.name, "SchedulerError", &message, Some(""));
    }
}

const fn storage(resource: &'static str) -> GroupVersionResource {
    GroupVersionResource::of("storage.k8s.io", "v1", resource)
}

/// Pods come last: what they need is known by then.
const KINDS: [(Kind, GroupVersionResource); 11] = [
    (Kind::StorageClass, storage("storageclasses")),
    (Kind::CsiNode, storage("csinodes")),
    (Kind::CsiDriver, storage("csidrivers")),
    (Kind::CsiStorageCapacity, storage("csistoragecapacities")),
    (Kind::PersistentVolume, resource::PERSISTENT_VOLUMES),
    (Kind::PersistentVolumeClaim, resource::PERSISTENT_VOLUME_CLAIMS),
    (Kind::Namespace, resource::NAMESPACES),
    (Kind::Node, resource::NODES),
    (Kind::Service, resource::SERVICES),
    (Kind::PodDisruptionBudget, resource::POD_DISRUPTION_BUDGETS),
    (Kind::Pod, resource::PODS),
];

const OWNERS: [(&str, GroupVersionResource); 3] = [
    ("ReplicationController", resource::REPLICATION_CONTROLLERS),
    ("ReplicaSet", resource::REPLICA_SETS),
    ("StatefulSet", resource::STATEFUL_SETS),
];

/// The controllers whose pods are spread by default.
struct OwnerCaches([(&'static str, Arc<Informer>); 3]);

impl Owners for OwnerCaches {
    fn selector(&self, namespace: &str, owner: &OwnerReference) -> Option<LabelSelector> {
        let (_, informer) = self.0.iter().find(|(kind, _)| *kind == owner.kind)?;
        let key = ObjectKey::new(namespace, owner.name.as_str());
        if owner.kind == "ReplicationController" {
            let selector = informer.read::<RawService>(&key)?.spec.selector;
            return Some(LabelSelector { match_labels: Some(selector), match_expressions: None });
        }
        informer.read::<RawOwner>(&key)?.spec.selector
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawOwner {
    spec: RawOwnerSpec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawOwnerSpec {
    selector: Option<LabelSelector>,
}
