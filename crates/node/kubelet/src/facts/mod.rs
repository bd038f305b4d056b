//! What the rest of the kubelet knows of the node.
//!
//! - [`machine`]: reading the machine, once and again
//! - [`user_namespaces`]: ranges of user IDs for pods that have their own

pub(crate) mod machine;
mod user_namespaces;

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tokio::sync::watch;
use windlass_api::Quantity;
use windlass_api::k8s::api::core::v1::Node;
use windlass_cri::RuntimeStatus;
use windlass_tree::FileSystem;

use self::machine::Machine;
pub(crate) use self::user_namespaces::UserNamespaces;

/// Which pressures the node is under.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pressure {
    pub(crate) memory: bool,
    pub(crate) disk: bool,
    pub(crate) pids: bool,
}

pub(crate) struct NodeFacts {
    machine: Machine,
    capacity: BTreeMap<String, Quantity>,
    allocatable: BTreeMap<String, Quantity>,
    user_namespaces: UserNamespaces,
    runtime: watch::Sender<Option<RuntimeStatus>>,
    /// Somebody knows that the runtime has something new to say.
    news: tokio::sync::Notify,
    pressure: watch::Sender<Pressure>,
    /// The Node object as the API has it.
    node: Mutex<Option<Node>>,
}

impl NodeFacts {
    /// `reserved` is kept back from pods, hard eviction thresholds in it already.
    pub(crate) fn new(
        machine: Machine,
        storage: FileSystem,
        max_pods: u32,
        reserved: &BTreeMap<String, Quantity>,
        user_namespaces: UserNamespaces,
    ) -> Self {
        let capacity = machine.capacity(max_pods, storage);
        let mut allocatable = capacity.clone();
        for (name, amount) in reserved {
            if let Some(left) = allocatable.get_mut(name) {
                *left = (*left - *amount).max(Quantity::ZERO);
            }
        }
        Self {
            machine,
            capacity,
            allocatable,
            user_namespaces,
            runtime: watch::Sender::new(None),
            news: tokio::sync::Notify::new(),
            pressure: watch::Sender::new(Pressure::default()),
            node: Mutex::default(),
        }
    }

    pub(crate) fn machine(&self) -> &Machine {
        &self.machine
    }

    pub(crate) fn hostname(&self) -> String {
        self.machine.hostname.clone()
    }

    pub(crate) fn memory_bytes(&self) -> i64 {
        self.machine.memory_bytes
    }

    pub(crate) fn capacity(&self) -> &BTreeMap<String, Quantity> {
        &self.capacity
    }

    pub(crate) fn allocatable(&self) -> &BTreeMap<String, Quantity> {
        &self.allocatable
    }

    pub(crate) fn for_volumes(&self) -> windlass_volumes::NodeFacts {
        windlass_volumes::NodeFacts { allocatable: self.allocatable.clone() }
    }

    pub(crate) fn user_namespaces(&self) -> &UserNamespaces {
        &self.user_namespaces
    }

    /// Takes the runtime's answer; returns whether it is news.
    pub(crate) fn set_runtime(&self, status: Option<RuntimeStatus>) -> bool {
        self.runtime.send_if_modified(|known| {
            let changed = *known != status;
            *known = status;
            changed
        })
    }

    /// Has the runtime asked at once.
    pub(crate) fn expect_news(&self) {
        self.news.notify_one();
    }

    pub(crate) async fn news_expected(&self) {
        self.news.notified().await;
    }

    pub(crate) fn runtime(&self) -> Option<RuntimeStatus> {
        self.runtime.borrow().clone()
    }

    pub(crate) fn runtime_changes(&self) -> watch::Receiver<Option<RuntimeStatus>> {
        self.runtime.subscribe()
    }

    /// Why no pod can join the network now.
    pub(crate) fn network_problem(&self) -> Option<String> {
        let runtime = self.runtime.borrow();
        let Some(status) = runtime.as_ref() else {
            return Some("container runtime status check may not have completed yet".to_owned());
        };
        let network = status.conditions.iter().find(|condition| condition.kind == "NetworkReady");
        network.filter(|condition| !condition.status).map(|condition| {
            let (reason, message) = (&condition.reason, &condition.message);
            format!("container runtime network not ready: NetworkReady=false reason:{reason} message:{message}")
        })
    }

    pub(crate) fn recursive_read_only(&self) -> bool {
        let runtime = self.runtime.borrow();
        runtime.as_ref().is_some_and(|status| {
            status.handlers.iter().any(|handler| handler.name.is_empty() && handler.recursive_read_only_mounts)
        })
    }

    pub(crate) fn pressure(&self) -> Pressure {
        *self.pressure.borrow()
    }

    pub(crate) fn set_pressure(&self, pressure: Pressure) {
        self.pressure.send_if_modified(|known| std::mem::replace(known, pressure) != pressure);
    }

    pub(crate) fn pressure_changes(&self) -> watch::Receiver<Pressure> {
        self.pressure.subscribe()
    }

    pub(crate) fn node(&self) -> Option<Node> {
        self.node.lock().clone()
    }

    pub(crate) fn set_node(&self, node: Node) {
        *self.node.lock() = Some(node);
    }
}
