//! What a seed simulates: the components, the machines, and who watches them.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use serde_json::{Value, json};
use windlass_api::resource::{
    CONFIG_MAPS, CONTROLLER_REVISIONS, CRON_JOBS, CUSTOM_RESOURCE_DEFINITIONS, DAEMON_SETS, DEPLOYMENTS,
    ENDPOINT_SLICES, ENDPOINTS, EVENTS, JOBS, LEASES, NAMESPACES, NODES, POD_DISRUPTION_BUDGETS, PODS, REPLICA_SETS,
    RESOURCE_QUOTAS, SERVICE_ACCOUNTS, SERVICES, STATEFUL_SETS,
};
use windlass_api::{GroupVersionResource, ObjectKey};
use windlass_client::{DeleteOptions, Informers, OBJECT};
use windlass_testing::{Cluster, Component, Dice, Faults, History, Kubelet, Life, Machines, NodeShape, Rates, Story};

/// What is followed and checked.
pub(crate) const RESOURCES: [GroupVersionResource; 20] = [
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    CRON_JOBS,
    CUSTOM_RESOURCE_DEFINITIONS,
    DAEMON_SETS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    EVENTS,
    JOBS,
    LEASES,
    NAMESPACES,
    NODES,
    POD_DISRUPTION_BUDGETS,
    PODS,
    REPLICA_SETS,
    RESOURCE_QUOTAS,
    SERVICE_ACCOUNTS,
    SERVICES,
    STATEFUL_SETS,
];

/// Informers of a component's present life.
type Views = Arc<Mutex<BTreeMap<&'static str, Weak<Informers>>>>;

pub(crate) struct World {
    pub cluster: Cluster,
    pub faults: Faults,
    pub history: History,
    pub story: Story,
    pub machines: Machines,
    /// Kubelets by the names of their nodes; one that is not here does not run.
    kubelets: BTreeMap<String, Component>,
    pub nodes: Vec<String>,
    pub views: Views,
    _control_plane: [Component; 2],
}

impl World {
    pub(crate) async fn start(cluster: Cluster, dice: &Dice) -> Self {
        let story = Story::default();
        let weather = *dice.pick(&[0.0, 0.3, 1.0, 1.0, 2.0]);
        story.tell(format_args!("faults: {weather} times those of a bad day"));
        let faults = Faults::new(dice.fork(), Rates::BAD.scaled(weather), story.clone());
        let history = History::of(&cluster, &RESOURCES).await;
        let views = Views::default();
        let control_plane = [
            Component::run(&faults, "controllers", {
                let (cluster, views) = (cluster.clone(), views.clone());
                move |life| {
                    let (informers, run) = cluster.controllers(&life.way(&cluster));
                    views.lock().insert("controllers", Arc::downgrade(&informers));
                    run
                }
            }),
            Component::run(&faults, "scheduler", {
                let (cluster, views, chance) = (cluster.clone(), views.clone(), dice.chance());
                move |life| {
                    let options = windlass_scheduler::Options { chance: chance.clone(), ..Default::default() };
                    let (informers, run) = cluster.scheduler(&life.way(&cluster), options);
                    views.lock().insert("scheduler", Arc::downgrade(&informers));
                    run
                }
            }),
        ];
        let mut world = Self {
            cluster,
            faults,
            history,
            story,
            machines: Machines::default(),
            kubelets: BTreeMap::new(),
            nodes: Vec::new(),
            views,
            _control_plane: control_plane,
        };
        for n in 0..dice.between(2, 4) {
            let name = format!("node-{n}");
            world.start_kubelet(&name, dice);
            world.nodes.push(name);
        }
        world
    }

    pub(crate) fn start_kubelet(&mut self, name: &str, dice: &Dice) {
        let (cluster, machine, dice) = (self.cluster.clone(), self.machines.machine(name), dice.fork());
        let kubelet = Component::run(&self.faults, name, move |life: Life| {
            let transport = life.over(cluster.transport(Kubelet::user(&machine.name), "kubelet"));
            Kubelet::run(transport, cluster.clock, machine.clone(), NodeShape::default(), dice.fork())
        });
        self.kubelets.insert(name.to_owned(), kubelet);
    }

    /// The node falls silent; what runs on it goes on.
    pub(crate) fn stop_kubelet(&mut self, name: &str) {
        self.kubelets.remove(name);
    }

    pub(crate) fn runs(&self, node: &str) -> bool {
        self.kubelets.contains_key(node)
    }

    /// Ends all faults and what users have held up: nodes come back or go for good, what was paused goes on, quotas are large.
    pub(crate) async fn heal(&mut self, dice: &Dice) {
        self.faults.stop();
        self.story.tell("the faults have ended; what was held up goes on");
        for node in self.nodes.clone() {
            let there = !self.cluster.lacks(&NODES, &ObjectKey::new("", node.clone())).await;
            if there {
                self.patch(&NODES, &json!({"metadata": {"name": node}}), json!({"spec": {"unschedulable": null}}))
                    .await;
            }
            if self.runs(&node) {
                continue;
            }
            if there && dice.happens(0.5) && self.kubelets.len() > 1 {
                self.story.tell(format_args!("{node} is given up"));
                self.machines.machine(&node).crash();
                let key = ObjectKey::new("", node.clone());
                self.cluster.admin.delete(&NODES, &key, &DeleteOptions::default()).await.unwrap();
            } else if there || self.kubelets.is_empty() {
                self.story.tell(format_args!("{node} comes back"));
                self.start_kubelet(&node, dice);
            }
        }
        let go_on: [(GroupVersionResource, Value); 4] = [
            (DEPLOYMENTS, json!({"spec": {"paused": null}})),
            (JOBS, json!({"spec": {"suspend": false}})),
            (CRON_JOBS, json!({"spec": {"suspend": true}})),
            (RESOURCE_QUOTAS, json!({"spec": {"hard": {"pods": "1000"}}})),
        ];
        for (resource, patch) in go_on {
            for object in self.cluster.list(&resource, "").await {
                self.patch(&resource, &object, patch.clone()).await;
            }
        }
    }

    async fn patch(&self, resource: &GroupVersionResource, object: &Value, patch: Value) {
        // One that is going meanwhile needs it no more.
        let _ = self.cluster.admin.patch(resource, &key_of(object), OBJECT, &patch).await;
    }

    pub(crate) fn last_changes(&self) -> String {
        let records = self.history.records();
        let busy = records.iter().filter(|record| ![LEASES, EVENTS, NODES].contains(&record.resource));
        let last: Vec<String> = busy
            .rev()
            .take(12)
            .map(|record| {
                format!("{:?} {} {} at {}", record.kind, record.resource.resource, record.key, record.revision)
            })
            .collect();
        last.join("; ")
    }
}

pub(crate) fn key_of(object: &Value) -> ObjectKey {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    ObjectKey::new(text("namespace"), text("name"))
}
