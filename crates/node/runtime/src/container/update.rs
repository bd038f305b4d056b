//! Changing the limits of a container, and its log file.

use std::sync::Arc;

use windlass_cri::{Resources, Result};

use super::{Container, Phase};
use crate::core::Core;
use crate::error::{blocking, from_supervisor};
use crate::supervisor::protocol::Request;

/// Sets the limits that are given; a created container is started with them.
pub(crate) async fn resources(core: &Arc<Core>, container: &Arc<Container>, resources: Resources) -> Result<()> {
    let _operation = container.operation.lock().await;
    let running = matches!(container.state.lock().phase, Phase::Running { .. });
    if running {
        let (cgroup, wanted) = (container.cgroup(core), resources.clone());
        blocking("update the container's limits", move || cgroup.limit(&wanted)).await?;
    }
    merge(&mut container.state.lock().file.config.resources, resources);
    container.save_later(core).await
}

/// What is not given stays.
fn merge(known: &mut Resources, new: Resources) {
    let number = |known: &mut i64, new: i64| {
        if new != 0 {
            *known = new;
        }
    };
    number(&mut known.cpu_period_us, new.cpu_period_us);
    number(&mut known.cpu_quota_us, new.cpu_quota_us);
    number(&mut known.cpu_shares, new.cpu_shares);
    number(&mut known.memory_limit_bytes, new.memory_limit_bytes);
    number(&mut known.memory_swap_limit_bytes, new.memory_swap_limit_bytes);
    number(&mut known.oom_score_adj, new.oom_score_adj);
    if !new.cpuset_cpus.is_empty() {
        known.cpuset_cpus = new.cpuset_cpus;
    }
    if !new.cpuset_mems.is_empty() {
        known.cpuset_mems = new.cpuset_mems;
    }
    for (size, limit) in new.hugepage_limits {
        known.hugepage_limits.retain(|(known, _)| *known != size);
        known.hugepage_limits.push((size, limit));
    }
    known.unified.extend(new.unified);
}

pub(crate) async fn reopen_log(core: &Core, container: &Container) -> Result<()> {
    container.running_pid()?;
    let request = Request::ReopenLog { container_id: container.id.clone() };
    let reopened = core.supervisor().await?.order(request).await;
    reopened.map_err(|error| from_supervisor("reopen the container's log", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_are_not_given_stay() {
        let mut known = Resources {
            cpu_shares: 100,
            memory_limit_bytes: 1000,
            hugepage_limits: vec![("2MB".to_owned(), 1)],
            ..Resources::default()
        };
        let new = Resources {
            memory_limit_bytes: 2000,
            cpu_quota_us: -1,
            hugepage_limits: vec![("2MB".to_owned(), 2), ("1GB".to_owned(), 3)],
            ..Resources::default()
        };
        merge(&mut known, new);
        assert_eq!((known.cpu_shares, known.memory_limit_bytes, known.cpu_quota_us), (100, 2000, -1));
        assert_eq!(known.hugepage_limits, [("2MB".to_owned(), 2), ("1GB".to_owned(), 3)]);
    }
}
