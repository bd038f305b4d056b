//! Numbers of cgroups as the CRI shows them.

use std::sync::Arc;

use windlass_cri::{ContainerState, ContainerStats, CpuUsage, InterfaceUsage, MemoryUsage, Result, SandboxStats};

use super::{interfaces, layer};
use crate::cgroup::usage::Usage;
use crate::container::Container;
use crate::core::Core;
use crate::error::During;
use crate::record::Sandbox;

pub(crate) async fn container_stats(core: &Arc<Core>, container: &Arc<Container>) -> Result<ContainerStats> {
    let cgroup = container.cgroup(core);
    let usage = tokio::task::spawn_blocking(move || cgroup.usage()).await.internal("read the container's cgroup")?;
    let writable_layer = layer::of(core, std::slice::from_ref(container)).await.pop().flatten();
    Ok(container_line(core, container, &usage, writable_layer))
}

fn container_line(
    core: &Core,
    container: &Container,
    usage: &Usage,
    writable_layer: Option<windlass_cri::FilesystemUsage>,
) -> ContainerStats {
    let state = container.state.lock();
    let now = core.clock.now_nanos();
    ContainerStats {
        id: container.id.clone(),
        metadata: state.file.config.metadata.clone(),
        labels: state.file.config.labels.clone(),
        cpu: cpu(usage, now),
        memory: memory(usage, now),
        writable_layer,
        processes: usage.processes,
    }
}

fn cpu(usage: &Usage, timestamp: i64) -> CpuUsage {
    CpuUsage { timestamp, usage_core_nanoseconds: usage.cpu_nanoseconds }
}

fn memory(usage: &Usage, timestamp: i64) -> MemoryUsage {
    let available = usage.memory_limit_bytes.zip(usage.working_set_bytes);
    MemoryUsage {
        timestamp,
        working_set_bytes: usage.working_set_bytes,
        available_bytes: available.map(|(limit, used)| limit.saturating_sub(used)),
        usage_bytes: usage.memory_bytes,
        rss_bytes: usage.rss_bytes,
        page_faults: usage.page_faults,
        major_page_faults: usage.major_page_faults,
    }
}

/// One entry for each ready sandbox of the list, with its running containers.
pub(crate) async fn sandbox_stats(core: &Arc<Core>, sandboxes: Vec<Arc<Sandbox>>) -> Result<Vec<SandboxStats>> {
    let sandboxes: Vec<Arc<Sandbox>> = sandboxes.into_iter().filter(|sandbox| sandbox.is_ready()).collect();
    let namespaces = sandboxes.iter().map(|sandbox| sandbox.namespaces(core).network).collect();
    let groups: Vec<(Arc<Sandbox>, Vec<Arc<Container>>)> = sandboxes
        .into_iter()
        .map(|sandbox| {
            let mut containers = core.registry.containers_of(&sandbox.id);
            containers.retain(|container| container.cri_state() == ContainerState::Running);
            (sandbox, containers)
        })
        .collect();
    let of_groups = read_groups(core, &groups);
    let (interfaces, usages) = tokio::join!(interfaces::read(namespaces), of_groups);
    let everything: Vec<Arc<Container>> = groups.iter().flat_map(|(_, containers)| containers).cloned().collect();
    let mut layers = layer::of(core, &everything).await.into_iter();
    let mut all = Vec::with_capacity(groups.len());
    for (((sandbox, containers), interfaces), (usage, of_containers)) in groups.into_iter().zip(interfaces).zip(usages?)
    {
        let mut lines = Vec::with_capacity(containers.len());
        for (container, usage) in containers.iter().zip(&of_containers) {
            let layer = layers.next().flatten();
            lines.push(container_line(core, container, usage, layer));
        }
        all.push(sandbox_line(core, &sandbox, &usage, interfaces, lines));
    }
    Ok(all)
}

/// The usage of each pod's cgroup and of its containers', read on one blocking thread.
async fn read_groups(
    core: &Arc<Core>,
    groups: &[(Arc<Sandbox>, Vec<Arc<Container>>)],
) -> Result<Vec<(Usage, Vec<Usage>)>> {
    let cgroups: Vec<_> = groups
        .iter()
        .map(|(sandbox, containers)| {
            let pod = core.pod_cgroup(&sandbox.state.lock().config.cgroup_parent);
            let of_containers: Vec<_> = containers.iter().map(|container| pod.child(&container.id)).collect();
            (pod, of_containers)
        })
        .collect();
    let read = move || {
        let usages = cgroups
            .iter()
            .map(|(pod, containers)| (pod.usage(), containers.iter().map(|cgroup| cgroup.usage()).collect()));
        usages.collect()
    };
    tokio::task::spawn_blocking(read).await.internal("read the pods' cgroups")
}

fn sandbox_line(
    core: &Core,
    sandbox: &Sandbox,
    usage: &Usage,
    interfaces: Vec<InterfaceUsage>,
    containers: Vec<ContainerStats>,
) -> SandboxStats {
    let state = sandbox.state.lock();
    let now = core.clock.now_nanos();
    SandboxStats {
        id: sandbox.id.clone(),
        metadata: state.config.metadata.clone(),
        labels: state.config.labels.clone(),
        cpu: cpu(usage, now),
        memory: memory(usage, now),
        interfaces,
        processes: usage.processes,
        containers,
    }
}
