//! What the scheduler knows and decides, without any I/O: changes go in, decisions come out.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::Instant;
use windlass_api::ObjectKey;

use crate::cache::{Cluster, Nominator};
use crate::cycle::{Found, Search, find};
use crate::framework::{Event, PluginSet, Profile, Rejection};
use crate::metrics::Metrics;
use crate::object::{Labels, Node, Pod};
use crate::queue::{Attempt, Queue};

pub(crate) struct Core {
    pub cluster: Cluster,
    pub queue: Queue,
    nominator: Nominator,
    profiles: HashMap<String, Arc<Profile>>,
    search: Search,
    events: Vec<Event>,
    metrics: Metrics,
}

/// What is to be done about a pod.
#[derive(Debug)]
pub(crate) enum Decision {
    Bind(Binding),
    Wait(Waiting),
}

/// The pod counts as being on the node already; [`Core::bound`] or [`Core::not_bound`] must follow.
#[derive(Clone)]
pub(crate) struct Binding {
    pub attempt: Attempt,
    pub profile: Arc<Profile>,
    pub node: String,
}

impl std::fmt::Debug for Binding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} -> {}", self.attempt.pod.key, self.node)
    }
}

/// There is no node for the pod now.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub pod: Arc<Pod>,
    pub profile: String,
    pub message: String,
    /// Where it is nominated from now on; `None` leaves that as it is.
    pub nominate: Option<String>,
    /// Pods that have to go for it.
    pub victims: Vec<Arc<Pod>>,
    /// Pods of lower rank that lose their nomination for the same node.
    pub superseded: Vec<Arc<Pod>>,
}

impl Core {
    pub(crate) fn new(profiles: Vec<Profile>, search: Search, metrics: Metrics) -> Self {
        Self {
            cluster: Cluster::default(),
            queue: Queue::default(),
            nominator: Nominator::default(),
            profiles: profiles.into_iter().map(|profile| (profile.name.clone(), Arc::new(profile))).collect(),
            search,
            events: Vec::new(),
            metrics,
        }
    }

    /// Takes a pod as the API has it now, if it has it.
    pub(crate) fn set_pod(&mut self, key: &ObjectKey, pod: Option<Pod>, now: Instant) {
        let known = self.cluster.pod(key).is_some_and(|known| pod.as_ref().is_none_or(|pod| pod.uid != known.uid));
        if known {
            self.leave_node(key);
        }
        match pod {
            Some(pod) if pod.finished => {
                self.leave_node(key);
                self.leave_queue(key);
            }
            Some(pod) if !pod.node_name.is_empty() => self.set_bound(Arc::new(pod)),
            // What is assumed here will be seen there.
            Some(pod) if self.cluster.is_assumed(&pod.key) => {}
            Some(pod) if pod.terminating => self.leave_queue(key),
            Some(pod) => self.set_waiting(Arc::new(pod), now),
            None => self.leave_queue(key),
        }
    }

    fn leave_node(&mut self, key: &ObjectKey) {
        if let Some(pod) = self.cluster.remove_pod(key) {
            self.events.push(Event::PodDeleted(pod));
        }
    }

    fn leave_queue(&mut self, key: &ObjectKey) {
        self.queue.remove(key);
        self.nominator.remove(key);
    }

    fn set_bound(&mut self, pod: Arc<Pod>) {
        self.leave_queue(&pod.key);
        let was_assumed = self.cluster.is_assumed(&pod.key);
        match self.cluster.pod(&pod.key).filter(|_| !was_assumed) {
            Some(known) if **known == *pod => {}
            Some(known) => {
                self.events.push(Event::PodUpdated { old: known.clone(), new: pod.clone() });
                self.cluster.set_pod(pod);
            }
            None => {
                self.events.push(Event::PodAdded(pod.clone()));
                self.cluster.set_pod(pod);
            }
        }
    }

    fn set_waiting(&mut self, pod: Arc<Pod>, now: Instant) {
        let Some(profile) = self.profiles.get(&pod.scheduler_name) else { return self.leave_queue(&pod.key) };
        let gated = profile.pre_enqueue.iter().any(|plugin| plugin.pre_enqueue(&pod).is_err());
        let rank = profile.queue_sort.rank(&pod);
        // A nomination that is not written yet is not forgotten.
        let unwritten = self.queue.pod(&pod.key).is_some_and(|known| known.nominated_node() == pod.nominated_node());
        let nominated = self.nominator.node_of(&pod.key).filter(|_| unwritten).unwrap_or(pod.nominated_node());
        let nominated = nominated.to_owned();
        self.nominator.set(&pod, &nominated);
        self.queue.put(pod, rank, gated, now);
    }

    pub(crate) fn set_node(&mut self, name: &str, node: Option<Node>) {
        match node {
            Some(node) => {
                let old = self.cluster.set_node(node);
                let Some(new) = self.cluster.node_named(name).map(|info| info.node.clone()) else { return };
                if old.as_ref().is_none_or(|old| **old != *new) {
                    self.events.push(Event::Node { old, new });
                }
            }
            None => {
                if self.cluster.remove_node(name).is_some() {
                    self.events.push(Event::NodeRemoved);
                }
            }
        }
    }

    pub(crate) fn set_namespace(&mut self, name: &str, labels: Option<Labels>) {
        let namespaces = &mut self.cluster.surroundings.namespaces;
        let changed = match labels {
            Some(labels) => namespaces.insert(name.to_owned(), labels.clone()).as_ref() != Some(&labels),
            None => namespaces.remove(name).is_some(),
        };
        if changed {
            self.events.push(Event::Namespace);
        }
    }

    pub(crate) fn storage_changed(&mut self) {
        self.events.push(Event::Storage);
    }

    /// Wakes the pods that what has happened since the last call may help.
    pub(crate) fn settle(&mut self, now: Instant) {
        self.cluster.refresh();
        let events = std::mem::take(&mut self.events);
        let Some(first) = events.first() else { return };
        let profiles = &self.profiles;
        let helped = |pod: &Pod, refused_by: PluginSet| {
            let Some(profile) = profiles.get(&pod.scheduler_name) else { return false };
            let plugins = profile.pre_filter.iter().enumerate().filter(|(plugin, _)| refused_by.contains(*plugin));
            // Whoever was refused by no plugin waits for nodes.
            let any_node = refused_by.is_empty() && events.iter().any(|e| matches!(e, Event::Node { .. }));
            any_node || plugins.into_iter().any(|(_, plugin)| events.iter().any(|event| plugin.may_help(pod, event)))
        };
        let woken = self.queue.wake(now, helped);
        self.metrics.incoming(first.name(), woken);
    }

    /// Tries the next pod; `None` when no pod is to be tried now.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Decision> {
        loop {
            let attempt = self.queue.take(now)?;
            let Some(profile) = self.profiles.get(&attempt.pod.scheduler_name).cloned() else {
                self.queue.remove(&attempt.pod.key);
                continue;
            };
            let found = find(&self.cluster, &profile, &self.nominator, &mut self.search, &attempt.pod);
            return Some(match found {
                Found::Node(node) => match self.assume(&profile, &attempt.pod, &node) {
                    Ok(()) => Decision::Bind(Binding { attempt, profile, node }),
                    Err(rejection) => {
                        let message = rejection.message();
                        self.wait(&profile, attempt.pod, PluginSet::default(), message, Some(String::new()), &[], now)
                    }
                },
                Found::NoNodes => {
                    let message = "no nodes available to schedule pods".to_owned();
                    self.wait(&profile, attempt.pod, PluginSet::default(), message, Some(String::new()), &[], now)
                }
                Found::Nothing { diagnosis, post } => {
                    let mut message = diagnosis.message(self.cluster.node_count());
                    let (nominate, victims) = match post {
                        Some(post) => {
                            message = format!("{message} {}", post.message);
                            (post.nominate, post.victims)
                        }
                        None => (Some(String::new()), Vec::new()),
                    };
                    self.wait(&profile, attempt.pod, diagnosis.plugins, message, nominate, &victims, now)
                }
            });
        }
    }

    fn assume(&mut self, profile: &Profile, pod: &Arc<Pod>, node: &str) -> Result<(), Rejection> {
        let mut reserve = || {
            for plugin in &profile.reserve {
                plugin.reserve(&mut self.cluster, pod, node)?;
            }
            profile.permit.iter().try_for_each(|plugin| plugin.permit(&self.cluster, pod, node))
        };
        let result = reserve();
        match result {
            Ok(()) => {
                self.cluster.assume(pod.clone(), node);
                self.nominator.remove(&pod.key);
            }
            Err(_) => profile.reserve.iter().rev().for_each(|plugin| plugin.unreserve(&mut self.cluster, pod)),
        }
        result
    }

    #[expect(clippy::too_many_arguments, reason = "each is a part of the one decision that is put together here")]
    fn wait(
        &mut self,
        profile: &Profile,
        pod: Arc<Pod>,
        refused_by: PluginSet,
        message: String,
        nominate: Option<String>,
        victims: &[ObjectKey],
        now: Instant,
    ) -> Decision {
        self.queue.refused(&pod, refused_by, !victims.is_empty(), now);
        let mut superseded = Vec::new();
        if let Some(node) = &nominate {
            self.nominator.set(&pod, node);
            if !victims.is_empty() {
                let lower = self.nominator.on(node).iter().filter(|other| other.priority < pod.priority);
                superseded = lower.cloned().collect();
                superseded.iter().for_each(|other: &Arc<Pod>| self.nominator.remove(&other.key));
            }
        }
        let victims = victims.iter().filter_map(|key| self.cluster.pod(key).cloned()).collect();
        Decision::Wait(Waiting { pod, profile: profile.name.clone(), message, nominate, victims, superseded })
    }

    /// The API has taken the binding. The pod stays assumed until it is seen as bound.
    pub(crate) fn bound(&mut self, binding: &Binding) {
        let pod = &binding.attempt.pod;
        if self.queue.pod(&pod.key).is_some_and(|queued| queued.uid == pod.uid) {
            self.queue.remove(&pod.key);
        }
    }

    /// The binding has failed: the pod is not on the node after all, unless the API says so.
    pub(crate) fn not_bound(&mut self, binding: &Binding, now: Instant) {
        let pod = &binding.attempt.pod;
        let ours = self.cluster.pod(&pod.key).is_some_and(|known| known.uid == pod.uid);
        if ours && self.cluster.is_assumed(&pod.key) {
            self.leave_node(&pod.key);
        }
        binding.profile.reserve.iter().rev().for_each(|plugin| plugin.unreserve(&mut self.cluster, pod));
        self.queue.failed(pod, now);
    }
}
