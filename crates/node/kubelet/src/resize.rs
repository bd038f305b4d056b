//! Resizing pods in place: what is allocated, whether what is wanted fits, and which containers do not have it yet. Pure.
//!
//! A pod's specification says what is wanted. What is *allocated* follows it when the node has room; containers follow what is
//! allocated. Everything else in the kubelet works with the allocated pod.

use std::collections::BTreeMap;
use std::sync::Arc;

use windlass_api::Quantity;
use windlass_api::k8s::api::core::v1::{Container, Pod, PodCondition, ResourceRequirements};
use windlass_api::pod::resources::{CPU, MEMORY};
use windlass_api::pod::{Options, requests};
use windlass_cri::Resources;

use crate::observe::{ContainerView, Observed, State};
use crate::pod::{PodView, is_sidecar, resources};

pub(crate) const PENDING: &str = "PodResizePending";
pub(crate) const IN_PROGRESS: &str = "PodResizeInProgress";

/// Whether what is wanted can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Fits,
    /// Perhaps later.
    Deferred(String),
    /// Never on this node.
    Infeasible(String),
}

fn all_resources(pod: &Pod) -> impl Iterator<Item = Option<&ResourceRequirements>> {
    let containers = pod.init_containers().iter().chain(pod.app_containers());
    containers.map(|container| container.resources.as_ref()).chain([pod.pod_spec().resources.as_ref()])
}

pub(crate) fn differs(wanted: &Pod, allocated: &Pod) -> bool {
    !all_resources(wanted).eq(all_resources(allocated))
}

/// The pod as it is wanted, with the resources that are allocated.
pub(crate) fn with_allocated(wanted: &Pod, allocated: &Pod) -> Pod {
    let mut pod = wanted.clone();
    let Some(spec) = &mut pod.spec else { return pod };
    for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
        if let Some((_, known)) = allocated.container(&container.name) {
            container.resources.clone_from(&known.resources);
        }
    }
    spec.resources.clone_from(&allocated.pod_spec().resources);
    pod
}

/// `others` are the pods that run here beside this one, as allocated.
pub(crate) fn judge(wanted: &Pod, others: &[Arc<Pod>], allocatable: &BTreeMap<String, Quantity>) -> Verdict {
    if wanted.is_static() {
        return Verdict::Infeasible("In-place resize of static-pods is not supported".to_owned());
    }
    let asked = requests(wanted, Options::SPEC);
    let count = |amount: &Quantity, name: &str| if name == CPU { amount.milli() } else { amount.units() };
    for name in [CPU, MEMORY] {
        let (Some(requested), Some(capacity)) = (asked.get(name), allocatable.get(name)) else { continue };
        let (requested, capacity) = (count(&requested, name), count(capacity, name));
        if requested > capacity {
            return Verdict::Infeasible(format!(
                "Node didn't have enough capacity: {name}, requested: {requested}, capacity: {capacity}"
            ));
        }
        let used = others.iter().map(|other| requests(&**other, Options::SPEC));
        let used: i64 = used.filter_map(|amounts| amounts.get(name).map(|amount| count(&amount, name))).sum();
        if used + requested > capacity {
            return Verdict::Deferred(format!(
                "Node didn't have enough resource: {name}, requested: {requested}, used: {used}, capacity: {capacity}"
            ));
        }
    }
    Verdict::Fits
}

/// Which of a running container's resources are not as allocated.
fn changes(container: &Container, view: &ContainerView) -> (bool, bool) {
    let wanted = resources::for_runtime(container.resources.as_ref());
    let actual = &view.resources;
    let cpu = wanted.cpu_shares != actual.cpu_shares || wanted.cpu_quota_us.max(0) != actual.cpu_quota_us.max(0);
    let memory = wanted.memory_limit_bytes.max(0) != actual.memory_limit_bytes.max(0);
    (cpu, memory)
}

pub(crate) fn is_pending(container: &Container, view: &ContainerView) -> bool {
    view.state == State::Running && changes(container, view) != (false, false)
}

/// Whether the container wants to be restarted for a change that is pending.
pub(crate) fn needs_restart(container: &Container, view: &ContainerView) -> bool {
    let (cpu, memory) = changes(container, view);
    let restarts = |name: &str| {
        let mut policies = container.resize_policy.iter().flatten();
        policies.any(|policy| policy.resource_name == name && policy.restart_policy == "RestartContainer")
    };
    (cpu && restarts(CPU)) || (memory && restarts(MEMORY))
}

/// Running containers whose limits are to be changed as they run.
pub(crate) fn updates<'a>(pod: &'a Pod, observed: &'a Observed) -> Vec<(&'a Container, &'a ContainerView)> {
    let init = pod.init_containers().iter().filter(|container| {
        // One that is not a sidecar is resized while it runs, too.
        is_sidecar(container) || observed.active(&container.name).is_some_and(|view| view.state == State::Running)
    });
    init.chain(pod.app_containers())
        .filter_map(|container| Some((container, observed.latest(&container.name)?)))
        .filter(|(container, view)| is_pending(container, view) && !needs_restart(container, view))
        .collect()
}

pub(crate) fn in_progress(pod: &Pod, observed: &Observed) -> bool {
    let all = pod.init_containers().iter().chain(pod.app_containers());
    all.filter_map(|container| Some((container, observed.latest(&container.name)?)))
        .any(|(container, view)| is_pending(container, view))
}

/// A container's limits for an update, where leaving one out would leave it as it is.
pub(crate) fn for_update(container: &Container, oom_score_adj: i64) -> Resources {
    let mut all = resources::for_runtime(container.resources.as_ref());
    if all.cpu_quota_us == 0 {
        all.cpu_quota_us = -1;
    }
    all.oom_score_adj = oom_score_adj;
    all
}

pub(crate) fn condition(kind: &str, reason: &str, message: &str, generation: i64) -> PodCondition {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    PodCondition {
        type_: kind.to_owned(),
        status: "True".to_owned(),
        reason: some(reason),
        message: some(message),
        observed_generation: Some(generation).filter(|generation| *generation > 0),
        ..PodCondition::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(cpu: &str) -> Arc<Pod> {
        Arc::new(
            serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": {"containers": [
                {"name": "c", "resources": {"requests": {"cpu": cpu}}}]}}))
            .unwrap(),
        )
    }

    #[test]
    fn what_fits() {
        let allocatable = BTreeMap::from([(CPU.to_owned(), Quantity::from_units(2))]);
        let others = [pod("1500m")];
        assert_eq!(judge(&pod("500m"), &others, &allocatable), Verdict::Fits);
        let deferred = "Node didn't have enough resource: cpu, requested: 501, used: 1500, capacity: 2000";
        assert_eq!(judge(&pod("501m"), &others, &allocatable), Verdict::Deferred(deferred.to_owned()));
        let never = "Node didn't have enough capacity: cpu, requested: 3000, capacity: 2000";
        assert_eq!(judge(&pod("3"), &others, &allocatable), Verdict::Infeasible(never.to_owned()));
    }

    #[test]
    fn what_is_allocated_stands_until_more_is() {
        let (wanted, allocated) = (pod("2"), pod("1"));
        assert!(differs(&wanted, &allocated));
        let effective = with_allocated(&wanted, &allocated);
        assert!(!differs(&effective, &allocated));
    }
}
