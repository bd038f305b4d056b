//! What a pod's status is made from.

use std::collections::HashMap;
use std::net::IpAddr;

use jiff::Timestamp;
use windlass_api::Quantity;
use windlass_api::k8s::api::core::v1::{
    Container, ContainerStatus, Pod, PodCondition, PodStatus, ResourceRequirements,
};
use windlass_api::pod::resources::{CPU, MEMORY};

use crate::observe::{ContainerView, Observed, State};
use crate::pod::resources;
use crate::probe::Verdicts;

/// The reason of a pod that was ended for the sake of the node.
pub(crate) const EVICTED: &str = "Evicted";

/// Why the kubelet itself ends a pod: pressure on the node, a deadline, no room.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Eviction {
    pub(crate) reason: String,
    pub(crate) message: String,
    /// Conditions that say more, such as DisruptionTarget.
    pub(crate) conditions: Vec<PodCondition>,
}

pub(crate) struct StatusInput<'a> {
    pub(crate) pod: &'a Pod,
    /// The status that was wanted last, or the API's when there was none.
    pub(crate) old: &'a PodStatus,
    pub(crate) observed: &'a Observed,
    pub(crate) verdicts: &'a Verdicts,
    /// Why containers wait: reason and message by name.
    pub(crate) waiting: &'a HashMap<String, (String, String)>,
    /// Nothing of the pod runs any more, nor will.
    pub(crate) finished: bool,
    pub(crate) eviction: Option<&'a Eviction>,
    /// Conditions of a resize.
    pub(crate) resize: &'a [PodCondition],
    pub(crate) host_ips: &'a [IpAddr],
    pub(crate) runtime_name: &'a str,
    pub(crate) recursive_read_only: bool,
    pub(crate) now: Timestamp,
}

impl StatusInput<'_> {
    /// `RUNTIME://ID`
    pub(super) fn container_id(&self, id: &str) -> String {
        format!("{}://{id}", self.runtime_name)
    }

    /// What a container really has: the specification, with what the runtime says where that can differ.
    pub(super) fn resources(
        &self,
        container: &Container,
        view: &ContainerView,
        _old: Option<&ContainerStatus>,
    ) -> ResourceRequirements {
        let specified = container.resources.clone().unwrap_or_default();
        let mut limits = resources::amounts(specified.limits.as_ref());
        let mut requests = resources::amounts(specified.requests.as_ref());
        if view.state == State::Running {
            let actual = &view.resources;
            if actual.memory_limit_bytes > 0 && limits.contains_key(MEMORY) {
                keep_equal(&mut limits, MEMORY, Quantity::from_bytes(actual.memory_limit_bytes));
            }
            if actual.cpu_quota_us > 0 && actual.cpu_period_us > 0 && limits.contains_key(CPU) {
                let milli = (actual.cpu_quota_us * 1000 + actual.cpu_period_us - 1) / actual.cpu_period_us;
                let tiny = limits.get(CPU).is_some_and(|limit| limit.milli() <= 10) && milli <= 10;
                if !tiny {
                    keep_equal(&mut limits, CPU, Quantity::from_milli(milli));
                }
            }
            if let Some(request) = requests.get(CPU)
                && actual.cpu_shares > 0
                && resources::cpu_shares(request.milli()) != actual.cpu_shares
            {
                let milli = (actual.cpu_shares * 1000 + 1023) / 1024;
                requests.insert(CPU.to_owned(), Quantity::from_milli(milli));
            }
        }
        let some = |amounts: resources::Amounts| (!amounts.is_empty()).then(|| resources::texts(amounts));
        ResourceRequirements { limits: some(limits), requests: some(requests), claims: specified.claims }
    }
}

/// Replaces an amount unless it is the same, so that its spelling stays.
fn keep_equal(amounts: &mut resources::Amounts, name: &str, actual: Quantity) {
    if amounts.get(name).is_none_or(|known| *known != actual) {
        amounts.insert(name.to_owned(), actual);
    }
}
