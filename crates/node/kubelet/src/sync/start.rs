//! Starting: the sandbox, and in it one container after the other.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use windlass_api::ObjectKey;
use windlass_api::k8s::api::core::v1::{Container, Pod};
use windlass_api::resource::RUNTIME_CLASSES;
use windlass_client::EventType;
use windlass_cri::{Image, Mount, NamespaceMode, UserNamespace};
use windlass_volumes::{Mounted, SetUp};

use super::container::{self as container_config, termination_path};
use super::env::{self, EnvInput};
use super::kill::{self, KillOrder, short_version};
use super::{dns, hooks, hosts, sandbox as sandbox_config, security};
use crate::observe::Observed;
use crate::plan::KillReason;
use crate::pod::qos::oom_score_adj;
use crate::pod::{ContainerKind, PodView, resources};
use crate::shared::Shared;

/// The longest /etc/hosts or /etc/resolv.conf of the node that pods get something of.
const NODE_FILE_BYTES_MAX: u64 = 1 << 20;

/// Why a container does not run: reason and message of its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StartFailure {
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) retry_at: Option<Timestamp>,
}

impl StartFailure {
    fn config(message: impl std::fmt::Display) -> Self {
        Self::of("CreateContainerConfigError", message)
    }

    fn of(reason: &'static str, message: impl std::fmt::Display) -> Self {
        Self { reason, message: message.to_string(), retry_at: None }
    }
}

/// The handler of the pod's RuntimeClass; empty for the default one.
async fn handler(shared: &Shared, pod: &Pod) -> Result<String, String> {
    #[derive(Deserialize)]
    struct RuntimeClass {
        handler: String,
    }
    let Some(name) = pod.pod_spec().runtime_class_name.as_deref().filter(|name| !name.is_empty()) else {
        return Ok(String::new());
    };
    let key = ObjectKey::new("", name);
    match shared.objects.get::<RuntimeClass>(&RUNTIME_CLASSES, &key, pod.uid()).await {
        Ok(Some(class)) => Ok(class.handler),
        Ok(None) => Err(format!("RuntimeClass {name:?} not found")),
        Err(error) => Err(error.to_string()),
    }
}

/// A file of the node's that pods get a copy of; one that cannot be read is empty.
async fn node_file(path: &Path) -> String {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || windlass_tree::read_config(&path, NODE_FILE_BYTES_MAX)).await;
    String::from_utf8_lossy(&read.ok().and_then(Result::ok).unwrap_or_default()).into_owned()
}

/// Makes the sandbox and limits the pod's cgroup; the error is a sentence for an event.
pub(super) async fn sandbox(
    shared: &Arc<Shared>,
    pod: &Arc<Pod>,
    attempt: u32,
    user: Option<UserNamespace>,
) -> Result<String, String> {
    let options = &shared.options;
    let handler = handler(shared, pod).await?;
    let hostname = shared.node.hostname();
    let names = sandbox_config::names(pod, &hostname, &options.cluster_domain).map_err(|error| error.to_string())?;
    let resolv_conf = node_file(&options.resolv_conf).await;
    let node_dns = dns::parse(&resolv_conf);
    let log_directory = shared.log_directory(pod);
    tokio::fs::create_dir_all(&log_directory)
        .await
        .map_err(|error| format!("create pod log directory for pod {}: {error}", Shared::shown(pod)))?;
    let config = sandbox_config::config(
        pod,
        attempt,
        sandbox_config::Surroundings {
            names: &names,
            dns: dns::of_pod(pod, &node_dns, &options.cluster_dns, &options.cluster_domain),
            log_directory: &log_directory,
            cgroup_parent: shared.cgroups.of_pod(pod),
            user,
            seccomp_default: options.seccomp_default,
            seccomp_root: &options.root.join("seccomp"),
        },
    );
    // A pod that is deleted meanwhile does not wait for this; the sandbox must all the same come to be, or not, as a whole, so that
    // it can be found and removed.
    let runtime = shared.runtime.clone();
    let running = tokio::spawn(async move { runtime.run_sandbox(config, &handler).await });
    let id = running.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let (cgroups, limited) = (shared.cgroups.clone(), pod.clone());
    let result = tokio::task::spawn_blocking(move || cgroups.limit_pod(&limited)).await;
    if let Ok(Err(error)) = result {
        tracing::warn!(pod = pod.name(), namespace = pod.namespace(), %error, "the pod's cgroup cannot be limited");
    }
    Ok(id)
}

/// What starting a container needs.
pub(super) struct Starting<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) pod: &'a Arc<Pod>,
    pub(super) observed: &'a Observed,
    pub(super) sandbox_id: &'a str,
    pub(super) volumes: &'a SetUp,
    pub(super) pod_ips: &'a [String],
    pub(super) user: Option<UserNamespace>,
}

impl Starting<'_> {
    /// Pulls, makes, starts, and runs the postStart hook.
    pub(super) async fn start(&self, kind: ContainerKind, container: &Container) -> Result<(), StartFailure> {
        let (shared, pod) = (self.shared, self.pod);
        let about = pod.container_reference(&container.name);
        let warn = |failure: &StartFailure| {
            shared.recorder.event(&about, EventType::Warning, "Failed", format!("Error: {}", failure.message));
        };
        let sources = shared.objects.of_pod(pod.uid());
        let image = shared.images.ensure(pod, container, &sources).await.map_err(|failure| {
            shared.recorder.event(&about, EventType::Warning, "Failed", format!("Error: {}", failure.reason));
            StartFailure { reason: failure.reason, message: failure.message, retry_at: failure.retry_at }
        })?;
        self.pull_image_volumes(container).await?;
        let id = self.create(kind, container, &image).await.inspect_err(warn)?;
        shared.recorder.event(&about, EventType::Normal, "Created", "Container created");
        if let Err(error) = shared.runtime.start_container(&id).await {
            let failure = StartFailure::of("RunContainerError", &error);
            warn(&failure);
            return Err(failure);
        }
        shared.metrics.container_started(kind);
        shared.recorder.event(&about, EventType::Normal, "Started", "Container started");
        self.post_start(container, &id).await
    }

    /// Images that are mounted as volumes are there before the container is made.
    async fn pull_image_volumes(&self, container: &Container) -> Result<(), StartFailure> {
        let (shared, pod) = (self.shared, self.pod);
        let mounted = |name: &str| container.volume_mounts.iter().flatten().any(|mount| mount.name == name);
        let volumes = pod.pod_spec().volumes.iter().flatten().filter(|volume| mounted(&volume.name));
        for source in volumes.filter_map(|volume| volume.image.as_ref()) {
            let image = Container {
                name: container.name.clone(),
                image: source.reference.clone(),
                image_pull_policy: source.pull_policy.clone(),
                ..Container::default()
            };
            let sources = shared.objects.of_pod(pod.uid());
            shared.images.ensure(pod, &image, &sources).await.map_err(|failure| StartFailure {
                reason: failure.reason,
                message: failure.message,
                retry_at: failure.retry_at,
            })?;
        }
        Ok(())
    }

    async fn create(&self, kind: ContainerKind, container: &Container, image: &Image) -> Result<String, StartFailure> {
        let (shared, pod) = (self.shared, self.pod);
        let attempt = self.attempt(&container.name).await;
        security::verify_non_root(pod, container, image).map_err(StartFailure::config)?;
        let mut namespaces = sandbox_config::namespaces(pod, self.user.clone());
        if kind == ContainerKind::Ephemeral
            && let Some(target) = self.target(&container.name)?
        {
            namespaces.pid = NamespaceMode::Target(target);
        }
        let envs = self.variables(container).await.map_err(StartFailure::config)?;
        let mounts = self.mounts(container, attempt, &envs).await?;
        let mut limits = resources::for_runtime(container.resources.as_ref());
        limits.oom_score_adj = oom_score_adj(pod, container, shared.node.memory_bytes());
        let seccomp_root = shared.options.root.join("seccomp");
        let seccomp_default = shared.options.seccomp_default;
        let security = security::context(pod, container, image, namespaces, seccomp_default, &seccomp_root);
        let around = container_config::Surroundings {
            image_id: image.id.clone(),
            attempt,
            envs,
            mounts,
            resources: limits,
            security,
        };
        let directory = shared.log_directory(pod).join(&container.name);
        tokio::fs::create_dir_all(&directory).await.map_err(|error| {
            StartFailure::config(format!("create container log directory for container {}: {error}", container.name))
        })?;
        let config = container_config::config(pod, container, around).map_err(StartFailure::config)?;
        let created = shared.runtime.create_container(self.sandbox_id, config).await;
        created.map_err(|error| StartFailure::of("CreateContainerError", error))
    }

    /// How often the container has been started before; its logs still know when the runtime has forgotten.
    async fn attempt(&self, name: &str) -> u32 {
        if let Some(latest) = self.observed.latest(name) {
            return latest.attempt + 1;
        }
        let directory = self.shared.log_directory(self.pod).join(name);
        let Ok(mut entries) = tokio::fs::read_dir(&directory).await else { return 0 };
        let mut next = 0;
        while let Ok(Some(entry)) = entries.next_entry().await {
            let file = entry.file_name();
            let number = file.to_str().and_then(|file| file.split('.').next()).and_then(|it| it.parse::<u32>().ok());
            next = number.map_or(next, |number| next.max(number + 1));
        }
        next
    }

    /// The container whose processes an ephemeral container sees.
    fn target(&self, name: &str) -> Result<Option<String>, StartFailure> {
        let own = self.pod.ephemeral_containers().iter().find(|container| container.name == name);
        let target = own.and_then(|container| container.target_container_name.as_deref());
        let Some(target) = target.filter(|target| !target.is_empty()) else { return Ok(None) };
        let running = self.observed.running().find(|view| view.name == target);
        let missing = || StartFailure::config(format!("unable to find target container {target}"));
        running.map(|view| Some(view.id.clone())).ok_or_else(missing)
    }

    async fn variables(&self, container: &Container) -> Result<Vec<(String, String)>, env::EnvError> {
        let (shared, pod) = (self.shared, self.pod);
        shared.services.synced().await;
        let namespace = pod.namespace();
        let mut services = Vec::new();
        for object in shared.services.list(namespace) {
            services.extend(object.decode().ok());
        }
        if namespace != "default"
            && let Some(object) = shared.services.get(&ObjectKey::new("default", "kubernetes"))
        {
            services.extend(object.decode().ok());
        }
        let pod_ips: Vec<IpAddr> = self.pod_ips.iter().filter_map(|ip| ip.parse().ok()).collect();
        let volume_path = |name: &str| match self.volumes.volumes.get(name) {
            Some(Mounted::Path { path, .. }) => Some(path.clone()),
            _ => None,
        };
        env::variables(&EnvInput {
            pod,
            container,
            services: &services,
            sources: &shared.objects.of_pod(pod.uid()),
            node: &shared.node.for_volumes(),
            pod_ips: &pod_ips,
            host_ips: &shared.options.node_ips,
            volume_path: &volume_path,
        })
        .await
    }

    async fn mounts(
        &self,
        container: &Container,
        attempt: u32,
        envs: &[(String, String)],
    ) -> Result<Vec<Mount>, StartFailure> {
        let (shared, pod) = (self.shared, self.pod);
        let variables = envs.iter().cloned().collect();
        let recursive = shared.node.recursive_read_only();
        let mut mounts = shared
            .volumes
            .container_mounts(pod, container, &self.volumes.volumes, &variables, recursive)
            .await
            .map_err(StartFailure::config)?;
        let files = self.files(container, attempt);
        let taken = |mounts: &[Mount], path: &str| mounts.iter().any(|mount| mount.container_path == path);
        let failed =
            |error: std::io::Error| StartFailure::config(format!("failed to prepare the pod's files: {error}"));
        if !taken(&mounts, "/etc/hosts") {
            let text = self.hosts_file().await;
            write(&files.hosts, text, 0o644).await.map_err(failed)?;
            mounts.push(bind("/etc/hosts", &files.hosts));
        }
        let path = termination_path(container);
        if !taken(&mounts, path) {
            write(&files.termination, String::new(), 0o666).await.map_err(failed)?;
            mounts.push(bind(path, &files.termination));
        }
        if let Some(user) = &self.user {
            for mount in mounts.iter_mut().filter(|mount| !mount.host_path.is_empty()) {
                mount.uid_mappings.clone_from(&user.uids);
                mount.gid_mappings.clone_from(&user.gids);
            }
        }
        Ok(mounts)
    }

    async fn hosts_file(&self) -> String {
        let (shared, pod) = (self.shared, self.pod);
        let aliases = pod.pod_spec().host_aliases.as_deref().unwrap_or_default();
        if pod.uses_host_network() {
            let node = node_file(Path::new("/etc/hosts")).await;
            return hosts::of_host(&node, aliases);
        }
        let names = sandbox_config::names(pod, &shared.node.hostname(), &shared.options.cluster_domain);
        let names = names.unwrap_or_default();
        hosts::of_pod(self.pod_ips, &names.hostname, &names.domain, aliases)
    }

    fn files(&self, container: &Container, attempt: u32) -> Files {
        let pod = self.shared.pod_directory(self.pod.uid());
        Files {
            hosts: pod.join("etc-hosts"),
            termination: pod.join("containers").join(&container.name).join(attempt.to_string()),
        }
    }

    async fn post_start(&self, container: &Container, id: &str) -> Result<(), StartFailure> {
        let handler = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.as_ref());
        let Some(handler) = handler else { return Ok(()) };
        let (shared, pod) = (self.shared, self.pod);
        let pod_ip = self.pod_ips.first().map(String::as_str).unwrap_or_default();
        let agent = format!("kube-lifecycle/{}", short_version(&shared.options.version));
        let Err(message) = hooks::run(&*shared.runtime, container, id, pod_ip, &agent, handler).await else {
            return Ok(());
        };
        let about = pod.container_reference(&container.name);
        // What the hook printed may be secret.
        shared.recorder.event(&about, EventType::Warning, "FailedPostStartHook", "PostStartHook failed");
        let order = KillOrder {
            id,
            name: &container.name,
            message: "FailedPostStartHook",
            reason: KillReason::Unknown,
            grace_seconds: None,
        };
        if let Err(error) = kill::container(shared, pod, &order, None).await {
            tracing::warn!(pod = pod.name(), namespace = pod.namespace(), container = container.name, %error,
                "a container whose postStart hook failed cannot be killed");
        }
        Err(StartFailure::of("PostStartHookError", message))
    }
}

/// Files of a pod that its containers get.
struct Files {
    hosts: PathBuf,
    termination: PathBuf,
}

fn bind(container_path: &str, host: &Path) -> Mount {
    Mount { container_path: container_path.to_owned(), host_path: host.display().to_string(), ..Mount::default() }
}

async fn write(path: &Path, text: String, mode: u32) -> std::io::Result<()> {
    let path = path.to_owned();
    let write = move || {
        use std::os::unix::fs::PermissionsExt;
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        // In place: the file may be mounted in containers that run.
        std::fs::write(&path, text)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))
    };
    match tokio::task::spawn_blocking(write).await {
        Ok(result) => result,
        Err(error) => Err(std::io::Error::other(error)),
    }
}
