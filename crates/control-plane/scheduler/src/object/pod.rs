//! Pods.
//!
//! A pod that runs somewhere is known by what it takes from others: resources, ports, labels, affinity, volumes. What it asks of a
//! node ([`Wishes`]) is kept only as long as it waits for one.

use std::sync::Arc;

use windlass_api::node_selector::NodeSelector;
use windlass_api::pod::resources::{CPU, MEMORY, has_pod_level_requests};
use windlass_api::pod::{self, AnyPod, HostPort, Options, host_ports};
use windlass_api::taint::Toleration;
use windlass_api::{Condition, ObjectKey, OwnerReference, Timestamp, time};
use windlass_client::ObjectReference;

use super::affinity::{self, PodAffinity};
use super::pod_raw::{Container, PreferredTerm, RawPod};
use super::resources::MISSING;
use super::spread::SpreadConstraint;
use super::volume::Volume;
use super::{Labels, Resources};

/// A pod as the scheduler sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pod {
    pub key: ObjectKey,
    pub uid: String,
    pub generation: i64,
    /// Empty until it is bound.
    pub node_name: String,
    pub(crate) scheduler_name: String,
    pub(crate) labels: Arc<Labels>,
    pub(crate) priority: i32,
    pub(crate) started: Option<Timestamp>,
    /// Its deletion has begun.
    pub(crate) terminating: bool,
    /// Its deletion was this scheduler's wish, to make room.
    pub(crate) preempted: bool,
    /// It has run to its end, and takes nothing any more.
    pub(crate) finished: bool,
    pub(crate) requests: Resources,
    /// CPU and memory for scores: what requests nothing counts as something.
    pub(crate) scored: Scored,
    pub(crate) ports: Vec<HostPort>,
    pub(crate) affinity: Option<Arc<PodAffinity>>,
    pub(crate) volumes: Vec<Volume>,
    /// Only of a pod without a node.
    pub(crate) wishes: Option<Box<Wishes>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scored {
    pub milli_cpu: i64,
    pub memory: i64,
}

/// What a pod that waits for a node asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Wishes {
    pub gates: Vec<String>,
    pub node_selector: Labels,
    pub node_affinity: Option<NodeSelector>,
    pub preferred_nodes: Vec<PreferredTerm>,
    pub tolerations: Vec<Toleration>,
    pub spread: Vec<SpreadConstraint>,
    /// Images of containers and volumes, with their tag.
    pub images: Vec<String>,
    pub never_preempts: bool,
    pub nominated_node: String,
    pub controller: Option<OwnerReference>,
    /// The condition PodScheduled as it stands.
    pub condition: Option<Condition>,
}

impl Pod {
    pub(crate) fn from_raw(raw: RawPod) -> Self {
        let (requests, scored) = requests_of(&raw);
        let ports = host_ports(&raw).collect();
        let RawPod { metadata, mut spec, status } = raw;
        let labels = metadata.labels;
        let bound = !spec.node_name.is_empty();
        let mut pod_affinity = None;
        let mut node_affinity = None;
        if let Some(affinity) = spec.affinity.take() {
            let (with, apart) = (affinity.pod_affinity, affinity.pod_anti_affinity);
            pod_affinity = affinity::parse(with, apart, &metadata.namespace, &labels).map(Arc::new);
            node_affinity = affinity.node_affinity;
        }
        let images = spec.containers.iter().chain(&spec.init_containers).map(|container| container.image.as_str());
        let images = images.chain(spec.volumes.iter().filter_map(super::volume::RawVolume::image));
        let images = if bound { Vec::new() } else { images.map(with_tag).collect() };
        let volumes = std::mem::take(&mut spec.volumes);
        let preempted = status.conditions.iter().any(|condition| {
            condition.kind == pod::DISRUPTION_TARGET
                && condition.is_true()
                && condition.reason == "PreemptionByScheduler"
        });
        let wishes = (!bound).then(|| {
            let (node_affinity, preferred_nodes) =
                node_affinity.map_or((None, Vec::new()), |affinity| (affinity.required, affinity.preferred));
            Box::new(Wishes {
                gates: spec.scheduling_gates.into_iter().map(|gate| gate.name).collect(),
                node_selector: spec.node_selector,
                node_affinity,
                preferred_nodes,
                tolerations: spec.tolerations,
                spread: spec.topology_spread_constraints.into_iter().map(|raw| raw.parse(&labels)).collect(),
                images,
                never_preempts: spec.preemption_policy.as_deref() == Some("Never"),
                nominated_node: status.nominated_node_name,
                controller: metadata.owner_references.into_iter().find(|owner| owner.controller == Some(true)),
                condition: status.conditions.into_iter().find(|condition| condition.kind == "PodScheduled"),
            })
        });
        Self {
            volumes: volumes.into_iter().filter_map(|volume| volume.parse(&metadata.name)).collect(),
            key: ObjectKey::new(metadata.namespace, metadata.name),
            uid: metadata.uid,
            generation: metadata.generation,
            node_name: spec.node_name,
            scheduler_name: spec.scheduler_name,
            labels: Arc::new(labels),
            priority: spec.priority.unwrap_or(0),
            started: status.start_time.as_deref().and_then(time::parse_rfc3339),
            terminating: metadata.deletion_timestamp.is_some(),
            preempted,
            finished: windlass_api::pod::has_ended(&status.phase),
            requests,
            scored,
            ports,
            affinity: pod_affinity,
            wishes,
        }
    }

    /// What the pod asks for; of a bound pod nothing is known.
    pub(crate) fn wishes(&self) -> &Wishes {
        static NONE: std::sync::LazyLock<Wishes> = std::sync::LazyLock::new(Wishes::default);
        self.wishes.as_deref().unwrap_or(&NONE)
    }

    pub(crate) fn nominated_node(&self) -> &str {
        &self.wishes().nominated_node
    }

    pub(crate) fn reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            namespace: self.key.namespace.clone(),
            name: self.key.name.clone(),
            uid: self.uid.clone(),
            ..ObjectReference::default()
        }
    }

    /// Whether a change from `self` to `new` can make a pod schedulable that was not.
    pub(crate) fn asks_differently(&self, new: &Self) -> bool {
        let (ours, theirs) = (self.wishes(), new.wishes());
        self.labels != new.labels
            || self.requests != new.requests
            || self.priority != new.priority
            || self.affinity != new.affinity
            || ours.gates != theirs.gates
            || ours.node_selector != theirs.node_selector
            || ours.node_affinity != theirs.node_affinity
            || ours.tolerations != theirs.tolerations
            || ours.spread != theirs.spread
    }

    fn claim_names(&self) -> impl Iterator<Item = (&str, bool)> {
        self.volumes.iter().filter_map(|volume| match volume {
            Volume::Claim { name, ephemeral } => Some((name.as_str(), *ephemeral)),
            Volume::Disk(_) => None,
        })
    }

    /// The claims that the pod uses, in its own namespace; `true` marks those that are made for it.
    pub(crate) fn claims(&self) -> impl Iterator<Item = (ObjectKey, bool)> {
        self.claim_names().map(|(name, ephemeral)| (ObjectKey::new(self.key.namespace.as_str(), name), ephemeral))
    }

    pub(crate) fn has_claims(&self) -> bool {
        self.claim_names().next().is_some()
    }
}

/// An image's name as nodes report it.
fn with_tag(image: &str) -> String {
    let tagged = image.rfind(':') > image.rfind('/');
    if tagged { image.to_owned() } else { format!("{image}:latest") }
}

/// What the pod requests, and what scores take it to request (`PodInfo.calculateResource` in kube-scheduler's framework).
fn requests_of(raw: &RawPod) -> (Resources, Scored) {
    let options = Options { use_pod_level_status: true, ..Options::STATUS };
    let requests = pod::requests(raw, options);
    let own = Resources::from_total(&requests);
    let is_said = |container: &Container| {
        let named = |name: &str| container.resources.requests.as_ref().is_some_and(|list| list.contains_key(name));
        named(CPU) && named(MEMORY)
    };
    if raw.all_containers().all(is_said) {
        let scored = Scored { milli_cpu: own.milli_cpu, memory: own.memory };
        return (own, scored);
    }
    let is_open = |name: &str| !has_pod_level_requests(raw) || requests.get(name).is_none();
    let missing: Vec<_> = MISSING.into_iter().filter(|(name, _)| is_open(name)).collect();
    let scored = pod::requests(raw, Options { missing: &missing, ..options });
    (own, Scored { milli_cpu: scored.amount(CPU).milli(), memory: scored.amount(MEMORY).units() })
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A pod from its JSON.
    pub(crate) fn pod(value: Value) -> Pod {
        Pod::from_raw(serde_json::from_value(value).unwrap())
    }

    fn container(cpu: &str, memory: &str) -> Value {
        json!({"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu, "memory": memory}}})
    }

    #[test]
    fn requests_of_a_pod() {
        let sidecar = json!({"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "100m"}}});
        // spec, CPU, memory, CPU for scores, memory for scores
        let cases = [
            (json!({"containers": [container("1", "1Ki"), container("500m", "1Ki")]}), 1500, 2048, 1500, 2048),
            (json!({"containers": [{"name": "c"}]}), 0, 0, 100, 200 << 20),
            (
                json!({"containers": [container("1", "1Ki")], "initContainers": [container("3", "1")]}),
                3000,
                1024,
                3000,
                1024,
            ),
            (
                json!({"containers": [container("1", "1Ki")], "initContainers": [sidecar, container("1", "1")]}),
                1100,
                1024,
                1100,
                1024 + (200 << 20),
            ),
            (json!({"containers": [container("1", "1Ki")], "overhead": {"cpu": "250m"}}), 1250, 1024, 1250, 1024),
            (
                json!({"containers": [container("1", "1Ki")], "resources": {"requests": {"cpu": "4"}}}),
                4000,
                1024,
                4000,
                1024,
            ),
        ];
        for (spec, cpu, memory, scored_cpu, scored_memory) in cases {
            let pod = pod(json!({"metadata": {"name": "p"}, "spec": spec}));
            assert_eq!((pod.requests.milli_cpu, pod.requests.memory), (cpu, memory), "{spec}");
            assert_eq!((pod.scored.milli_cpu, pod.scored.memory), (scored_cpu, scored_memory), "{spec}");
        }
    }

    #[test]
    fn a_resize_counts_with_its_greater_side() {
        let pod = pod(json!({
            "spec": {"nodeName": "n", "containers": [container("1", "1Ki")]},
            "status": {"containerStatuses": [{"name": "c", "allocatedResources": {"cpu": "2"}, "resources": {"requests": {"cpu": "3"}}}]},
        }));
        assert_eq!(pod.requests.milli_cpu, 3000);
    }

    #[test]
    fn an_infeasible_resize_does_not_count() {
        let pod = pod(json!({
            "spec": {"nodeName": "n", "containers": [container("8", "1Ki")]},
            "status": {"containerStatuses": [{"name": "c", "allocatedResources": {"cpu": "2"}}],
                "conditions": [{"type": "PodResizePending", "status": "True", "reason": "Infeasible"}]},
        }));
        assert_eq!(pod.requests.milli_cpu, 2000);
    }

    #[test]
    fn fractions_are_rounded_once() {
        let pod = pod(json!({"spec": {"containers": [container("1", "1500m"), container("1", "1500m")]}}));
        assert_eq!(pod.requests.memory, 3);
    }

    #[test]
    fn ports_and_images() {
        let pod = pod(json!({"spec": {"containers": [
            {"name": "c", "image": "registry:5000/a", "ports": [{"containerPort": 1}, {"hostPort": 80}, {"hostPort": 80, "hostIP": "10.0.0.1", "protocol": "UDP"}]},
            {"name": "d", "image": "b:1"},
        ]}}));
        assert_eq!(pod.wishes().images, ["registry:5000/a:latest", "b:1"]);
        assert_eq!(pod.ports.len(), 2);
    }
}
