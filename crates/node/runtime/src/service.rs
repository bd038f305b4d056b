//! The runtime as the CRI's `RuntimeService`.
//!
//! Work that must not stop halfway runs on a task of its own, so that a caller who stops waiting cannot interrupt it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use windlass_cri::{
    AttachRequest, Connection, Container, ContainerConfig, ContainerEvent, ContainerFilter, ContainerStats,
    ContainerStatus, DiskUsage, Error, ExecOutput, ExecRequest, Resources, Result, RuntimeCondition, RuntimeHandler,
    RuntimeService, RuntimeStatus, Sandbox, SandboxConfig, SandboxFilter, SandboxResources, SandboxStats,
    SandboxStatus, Session, Version,
};

use crate::core::Core;
use crate::runtime::Runtime;
use crate::{container, port_forward, sandbox, stats};

/// Runs to its end whatever becomes of the caller.
async fn whole<T, F>(core: &Arc<Core>, work: impl FnOnce(Arc<Core>) -> F) -> Result<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let task = tokio::spawn(work(core.clone()));
    task.await.unwrap_or_else(|error| Err(Error::internal(format!("the runtime's task failed: {error}"))))
}

/// What a missing object is to a call that removes: done.
fn unless_gone<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

#[async_trait]
impl RuntimeService for Runtime {
    async fn version(&self) -> Result<Version> {
        Ok(Version {
            runtime_name: "windlass".to_owned(),
            runtime_version: env!("CARGO_PKG_VERSION").to_owned(),
            runtime_api_version: "v1".to_owned(),
        })
    }

    async fn status(&self) -> Result<RuntimeStatus> {
        let condition = |kind, outcome: Result<()>, reason: &str| match outcome {
            Ok(()) => RuntimeCondition { kind, status: true, reason: String::new(), message: String::new() },
            Err(error) => {
                RuntimeCondition { kind, status: false, reason: reason.to_owned(), message: error.to_string() }
            }
        };
        let runtime = self.core.supervisor().await.map(drop);
        let network = self.core.network.ready().await;
        let handler = RuntimeHandler {
            name: String::new(),
            recursive_read_only_mounts: true,
            user_namespaces: supports_user_namespaces(),
        };
        Ok(RuntimeStatus {
            conditions: vec![
                condition("RuntimeReady", runtime, "ContainerSupervisorNotReady"),
                condition("NetworkReady", network, "NetworkPluginNotReady"),
            ],
            handlers: vec![handler],
            supplemental_groups_policy: true,
        })
    }

    async fn run_sandbox(&self, config: SandboxConfig, runtime_handler: &str) -> Result<String> {
        let handler = runtime_handler.to_owned();
        whole(&self.core, |core| async move { sandbox::run::run(&core, config, &handler).await }).await
    }

    async fn stop_sandbox(&self, id: &str) -> Result<()> {
        let Some(sandbox) = unless_gone(self.core.sandbox(id))? else { return Ok(()) };
        whole(&self.core, |core| async move { sandbox::stop::stop(&core, &sandbox).await }).await
    }

    async fn remove_sandbox(&self, id: &str) -> Result<()> {
        let Some(sandbox) = unless_gone(self.core.sandbox(id))? else { return Ok(()) };
        whole(&self.core, |core| async move { sandbox::remove::remove(&core, &sandbox).await }).await
    }

    async fn sandbox_status(&self, id: &str) -> Result<SandboxStatus> {
        Ok(sandbox::status::status(&*self.core.sandbox(id)?))
    }

    async fn list_sandboxes(&self, filter: SandboxFilter) -> Result<Vec<Sandbox>> {
        let lines = self.core.registry.sandboxes().into_iter().map(|sandbox| sandbox::status::line(&sandbox));
        Ok(lines.filter(|line| sandbox::status::matches(line, &filter)).collect())
    }

    async fn update_sandbox_resources(&self, id: &str, _resources: SandboxResources) -> Result<()> {
        // The kubelet has changed the pod's cgroup itself; a sandbox has no process whose limits would follow.
        self.core.sandbox(id).map(drop)
    }

    async fn create_container(&self, sandbox_id: &str, config: ContainerConfig) -> Result<String> {
        let sandbox_id = sandbox_id.to_owned();
        whole(&self.core, |core| async move { container::create::create(&core, &sandbox_id, config).await }).await
    }

    async fn start_container(&self, id: &str) -> Result<()> {
        let container = self.core.container(id)?;
        whole(&self.core, |core| async move { container::start::start(&core, &container).await }).await
    }

    async fn stop_container(&self, id: &str, grace: Duration) -> Result<()> {
        let Some(container) = unless_gone(self.core.container(id))? else { return Ok(()) };
        container::stop::stop(&self.core, &container, grace).await
    }

    async fn remove_container(&self, id: &str) -> Result<()> {
        let Some(container) = unless_gone(self.core.container(id))? else { return Ok(()) };
        whole(&self.core, |core| async move { container::remove::remove(&core, &container).await }).await
    }

    async fn container_status(&self, id: &str) -> Result<ContainerStatus> {
        Ok(container::status::status(&*self.core.container(id)?))
    }

    async fn list_containers(&self, filter: ContainerFilter) -> Result<Vec<Container>> {
        let lines = self.core.registry.containers().into_iter().map(|container| container::status::line(&container));
        Ok(lines.filter(|line| container::status::matches(line, &filter)).collect())
    }

    async fn update_container_resources(&self, id: &str, resources: Resources) -> Result<()> {
        let container = self.core.container(id)?;
        whole(&self.core, |core| async move { container::update::resources(&core, &container, resources).await }).await
    }

    async fn reopen_container_log(&self, id: &str) -> Result<()> {
        container::update::reopen_log(&self.core, &*self.core.container(id)?).await
    }

    async fn exec_sync(
        &self,
        id: &str,
        cmd: Vec<String>,
        timeout: Option<Duration>,
        output_max: usize,
    ) -> Result<ExecOutput> {
        container::exec::exec_sync(&self.core, &self.core.container(id)?, cmd, timeout, output_max).await
    }

    async fn exec(&self, request: ExecRequest) -> Result<Session> {
        let container = self.core.container(&request.container_id)?;
        container::exec::exec(&self.core, &container, request).await
    }

    async fn attach(&self, request: AttachRequest) -> Result<Session> {
        let container = self.core.container(&request.container_id)?;
        container::attach::attach(&self.core, &container, request).await
    }

    async fn port_forward(&self, sandbox_id: &str, port: u16) -> Result<Connection> {
        port_forward::connect(&self.core, &*self.core.sandbox(sandbox_id)?, port).await
    }

    async fn container_stats(&self, id: &str) -> Result<ContainerStats> {
        stats::container_stats(&self.core, &self.core.container(id)?).await
    }

    async fn list_sandbox_stats(&self, filter: SandboxFilter) -> Result<Vec<SandboxStats>> {
        let mut sandboxes = self.core.registry.sandboxes();
        sandboxes.retain(|sandbox| sandbox::status::matches(&sandbox::status::line(sandbox), &filter));
        stats::sandbox_stats(&self.core, sandboxes).await
    }

    async fn disk_usage(&self) -> Result<DiskUsage> {
        Ok(stats::disk_usage(&self.core).await)
    }

    fn events(&self) -> BoxStream<'static, ContainerEvent> {
        self.core.events.subscribe()
    }

    async fn update_pod_cidr(&self, pod_cidr: &str) -> Result<()> {
        self.core.network.update_range(pod_cidr).await
    }
}

/// Whether file systems of images can be given other owners: overlayfs on mapped layers came with Linux 5.19.
fn supports_user_namespaces() -> bool {
    const SINCE: (u32, u32) = (5, 19);
    let allowed = std::fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap_or_default();
    let release = nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned());
    let mut parts = release
        .unwrap_or_default()
        .split(['.', '-'])
        .map(|part| part.parse().unwrap_or(0))
        .collect::<Vec<u32>>()
        .into_iter();
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    version >= SINCE && allowed.trim().parse::<u64>().is_ok_and(|count| count > 0)
}
