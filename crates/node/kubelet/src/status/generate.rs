//! The whole status of a pod from what is observed. Pure.

use jiff::Timestamp;
use windlass_api::k8s::api::core::v1::{ContainerStatus, HostIP, Pod, PodIP, PodStatus};
use windlass_api::pod::{DISRUPTION_TARGET, Options, requests};

use super::input::StatusInput;
use super::{conditions, containers, phase as phases, time};
use crate::pod::qos::class_of;
use crate::pod::{ContainerKind, PodView, phase, resources};

pub(crate) fn generate(input: &StatusInput<'_>) -> PodStatus {
    let StatusInput { pod, old, observed, .. } = input;
    let api = pod.pod_status();
    let apps = containers::statuses(input, ContainerKind::App);
    let init = containers::statuses(input, ContainerKind::Init);
    let ephemeral = containers::statuses(input, ContainerKind::Ephemeral);
    let all: Vec<ContainerStatus> = init.iter().chain(&apps).cloned().collect();
    let (phase, reason, message) = phase_and_reason(input, &all);
    let mut extra = input.resize.to_vec();
    extra.extend(conditions::find(old, DISRUPTION_TARGET).cloned());
    extra.extend(input.eviction.iter().flat_map(|eviction| eviction.conditions.clone()));
    let some = |list: Vec<ContainerStatus>| (!list.is_empty()).then_some(list);
    let mut status = PodStatus {
        phase: Some(phase.clone()),
        reason: reason.filter(|reason| !reason.is_empty()),
        message: message.filter(|message| !message.is_empty()),
        conditions: Some(conditions::all(pod, observed, &all, &phase, &extra)),
        container_statuses: some(apps),
        init_container_statuses: some(init),
        ephemeral_container_statuses: some(ephemeral),
        qos_class: Some(class_of(pod).name().to_owned()),
        observed_generation: Some(pod.generation()).filter(|generation| *generation > 0),
        start_time: old.start_time.clone().or_else(|| api.start_time.clone()).or_else(|| Some(time(input.now))),
        resource_claim_statuses: api.resource_claim_statuses.clone(),
        extended_resource_claim_status: api.extended_resource_claim_status.clone(),
        nominated_node_name: api.nominated_node_name.clone(),
        ..PodStatus::default()
    };
    addresses(input, &mut status);
    pod_level_resources(pod, &mut status);
    if phase::is_terminal(&phase) {
        conditions::end(&mut status, &phase);
    }
    conditions::stamp(status.conditions.as_deref_mut().unwrap_or_default(), old, input.now);
    status
}

fn phase_and_reason(input: &StatusInput<'_>, all: &[ContainerStatus]) -> (String, Option<String>, Option<String>) {
    let StatusInput { pod, old, observed, .. } = input;
    let api = pod.pod_status();
    let mut phase = phases::of(pod, all, input.finished, observed.is_initialized(pod)).to_owned();
    for before in [old.phase.as_deref(), api.phase.as_deref()].into_iter().flatten() {
        if phase::is_terminal(before) && !phase::is_terminal(&phase) {
            before.clone_into(&mut phase);
        }
    }
    let (mut reason, mut message) = (None, None);
    if old.phase.as_deref() == Some(&phase) {
        let kept = |own: &Option<String>, api: &Option<String>| own.clone().or_else(|| api.clone());
        reason = kept(&old.reason, &api.reason);
        message = kept(&old.message, &api.message);
    }
    if let Some(eviction) = input.eviction {
        phase = phase::FAILED.to_owned();
        reason = Some(eviction.reason.clone());
        message = Some(eviction.message.clone());
    }
    if let Some(before) = api.phase.as_deref().filter(|before| phase::is_terminal(before)) {
        // There is no way out of a terminal phase.
        before.clone_into(&mut phase);
    }
    (phase, reason, message)
}

/// A pod keeps the addresses that it had when its sandbox is gone.
fn addresses(input: &StatusInput<'_>, status: &mut PodStatus) {
    let StatusInput { pod, old, observed, host_ips, .. } = input;
    let hosts: Vec<String> = host_ips.iter().map(ToString::to_string).collect();
    status.host_ip = hosts.first().cloned();
    status.host_ips = (!hosts.is_empty()).then(|| hosts.iter().map(|ip| HostIP { ip: ip.clone() }).collect());
    let mut ips = observed.ips().to_vec();
    if ips.is_empty() {
        ips = old.pod_ips.iter().flatten().map(|ip| ip.ip.clone()).collect();
    }
    if pod.uses_host_network() && ips.is_empty() && !observed.sandboxes.is_empty() {
        ips = hosts;
    }
    status.pod_ip = ips.first().cloned();
    status.pod_ips = (!ips.is_empty()).then(|| ips.into_iter().map(|ip| PodIP { ip }).collect());
}

fn pod_level_resources(pod: &Pod, status: &mut PodStatus) {
    let requested = requests(pod, Options::SPEC);
    status.allocated_resources = (!requested.is_empty()).then(|| resources::texts(requested.iter()));
    status.resources.clone_from(&pod.pod_spec().resources);
}

/// The last status of a pod that has ended: whatever could not be found has failed, and the phase is terminal.
pub(crate) fn terminated(pod: &Pod, status: &PodStatus, now: Timestamp) -> PodStatus {
    const GONE: &str = "The container could not be located when the pod was terminated";
    let mut status = status.clone();
    let old = status.clone();
    let is_missing = |it: &&mut ContainerStatus| it.state.as_ref().is_none_or(|state| state.terminated.is_none());
    let has_begun = |list: Option<&Vec<ContainerStatus>>| {
        list.into_iter().flatten().any(|it| {
            it.state.as_ref().is_some_and(|s| s.running.is_some() || s.terminated.is_some())
                || it.last_state.as_ref().is_some_and(|s| s.terminated.is_some())
        })
    };
    let initialized = pod.init_containers().is_empty()
        || has_begun(status.container_statuses.as_ref())
        || status.init_container_statuses.iter().flatten().all(|it| {
            it.state.as_ref().and_then(|state| state.terminated.as_ref()).is_some_and(|it| it.exit_code == 0)
        });
    if initialized {
        for it in status.container_statuses.iter_mut().flatten().filter(is_missing) {
            it.state = Some(containers::terminated_unknown(GONE));
        }
    }
    // Init containers that come before the last one that has begun.
    let init = status.init_container_statuses.as_deref_mut().unwrap_or_default();
    let begun = init.iter().rposition(|it| {
        it.last_state.as_ref().is_some_and(|state| state.terminated.is_some())
            || it.state.as_ref().is_some_and(|state| state.terminated.is_some() || state.running.is_some())
    });
    let begun = begun.map_or(0, |at| at + 1);
    for it in init[..begun].iter_mut().filter(is_missing) {
        it.state = Some(containers::terminated_unknown(GONE));
    }
    if !pod.is_static() && !phase::is_terminal(status.phase.as_deref().unwrap_or_default()) {
        status.phase = Some(phase::FAILED.to_owned());
        conditions::end(&mut status, phase::FAILED);
        conditions::stamp(status.conditions.as_deref_mut().unwrap_or_default(), &old, now);
    }
    status
}
