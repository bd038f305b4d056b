//! The node: images, runtime, pod network, kubelet and its API.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use windlass_api::fields::FieldSelector;
use windlass_api::resource::NODES;
use windlass_api::text::with_causes;
use windlass_api::time::Clock;
use windlass_api::well_known::{group, user};
use windlass_api::{Chance, Condition, ObjectKey, condition};
use windlass_apiserver::Server;
use windlass_auth::User;
use windlass_client::{Client, Informer, Informers, Options as Selection, Recorder};
use windlass_cni::pod_network;
use windlass_cri::{Code, Error, ImageRootfs, ImageSource};
use windlass_http::serve::Limits;
use windlass_images::{ImageStore, LayersInUse};
use windlass_kubelet::{ApiView, Context, Kubelet};
use windlass_pki::{ClientAuth, ClientVerifier};
use windlass_runtime::supervisor::OPEN_FILES;
use windlass_runtime::{Runtime, supervisor};
use windlass_telemetry::Metrics;
use windlass_volumes::Volumes;

use super::keys::Keys;
use super::{controllers, open_files, services};
use crate::error::Failure;
use crate::settings::Settings;

/// The argument by which this program is a supervisor.
pub(crate) const SUPERVISOR: &str = "supervisor";
const KUBELET_PORT: u16 = 10250;
/// Below this, in each hierarchy, are the cgroups of pods.
const CGROUP_ROOT: &str = "/";
/// What containers get to end when the cluster ends.
const STOP_GRACE: Duration = Duration::from_secs(10);

fn runtime_root(data_dir: &Path) -> PathBuf {
    data_dir.join("runtime")
}

/// Puts this process where it sees the mounts of the node's containers. Must be called before any thread exists.
pub(crate) fn join_mounts(data_dir: &Path) -> Result<(), Failure> {
    supervisor::join_mount_namespace(&runtime_root(data_dir)).map(drop).map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::PermissionDenied => "run as root",
            _ => "a kernel with mount namespaces is needed",
        };
        Failure::during("the node's mount namespace cannot be made", error).hint(hint)
    })
}

/// Pods run, whether or not a server does.
pub(crate) fn has_pods(data_dir: &Path) -> bool {
    supervisor::is_running(&runtime_root(data_dir)).unwrap_or(false)
}

fn runtime_options(data_dir: &Path, clock: Clock) -> Result<windlass_runtime::Options, Failure> {
    let program = std::env::current_exe().map_err(|error| Failure::during("this program cannot be found", error))?;
    let open_files = open_files::given().to_string();
    let command = vec![program.into_os_string(), SUPERVISOR.into(), OPEN_FILES.into(), open_files.into()];
    Ok(windlass_runtime::Options { clock, ..windlass_runtime::Options::new(runtime_root(data_dir), command) })
}

fn no_runtime(error: Error) -> Failure {
    Failure::during("the container runtime cannot be started", error)
        .hint("it needs root, and cgroups at /sys/fs/cgroup")
}

/// A node that runs.
pub(crate) struct Node {
    pub images: ImageStore,
    runtime: Arc<Runtime>,
    kubelet: Kubelet,
    pub own: Arc<Informer>,
    /// Informers run for as long as this lives.
    _informers: Arc<Informers>,
    /// Held for the image store, which keeps no more than a weak reference.
    _layers: Arc<dyn LayersInUse>,
    tasks: JoinSet<()>,
}

/// What a node is made from.
pub(crate) struct Parts<'a> {
    pub settings: &'a Settings,
    pub server: &'a Arc<Server>,
    pub keys: &'a Keys,
    pub node_ip: Ipv4Addr,
    pub clock: Clock,
    pub metrics: Metrics,
    pub stop: watch::Receiver<bool>,
}

struct Layers(Arc<Runtime>);

#[async_trait]
impl LayersInUse for Layers {
    async fn layers_in_use(&self) -> windlass_cri::Result<Vec<PathBuf>> {
        Ok(self.0.layers_in_use())
    }
}

impl Node {
    pub(crate) async fn start(parts: Parts<'_>) -> Result<Self, Failure> {
        let Parts { settings, server, keys, node_ip, clock, metrics, stop } = parts;
        let data_dir = &settings.data_dir;
        let options = windlass_images::Options {
            registries: settings.registries.clone(),
            ..windlass_images::Options::new(data_dir.join("images"), clock)
        };
        let images = ImageStore::open(options)
            .await
            .map_err(|error| Failure::during("the image store cannot be opened", error))?;
        let own_network = pod_network::OwnNetwork { node_ip, cluster_cidr: settings.cluster_cidr.into() };
        let network = Arc::new(pod_network::CniNetwork::new(
            pod_network::Paths::new(data_dir),
            Some(own_network),
            open_files::given(),
        ));
        let runtime = Runtime::open(runtime_options(data_dir, clock)?, Arc::new(images.clone()), network);
        let runtime = Arc::new(runtime.await.map_err(no_runtime)?);
        let layers: Arc<dyn LayersInUse> = Arc::new(Layers(runtime.clone()));
        images.set_layers_in_use(&layers);

        let user = User::new(user::of_node(&settings.node_name), &[group::NODES]);
        let client = controllers::client(server, user, "kubelet");
        let informers = Arc::new(Informers::new(client.clone()));
        let fields = FieldSelector::equal("metadata.name", &settings.node_name);
        let own = informers.selected(&NODES, "", Selection { fields, ..Selection::default() });
        let mut tasks = JoinSet::new();
        let volumes = Volumes::new(data_dir.join("kubelet"), clock);
        let context = Context {
            client: client.clone(),
            informers: informers.clone(),
            recorder: Recorder::start(client.clone(), clock, "kubelet", &settings.node_name),
            clock,
            chance: Chance::system(),
            metrics: metrics.clone(),
            runtime: runtime.clone(),
            images: Arc::new(images.clone()),
            volumes,
        };
        let options = kubelet_options(settings, node_ip);
        let view = |kubelet: &Kubelet| ApiView::new(kubelet.handle(), clock, &options);
        let kubelet = Kubelet::start(options.clone(), context)
            .await
            .map_err(|error| Failure::during("the kubelet cannot be started", error))?;
        let api = kubelet_api(settings, keys, node_ip, view(&kubelet), runtime.clone(), client, clock, metrics).await?;
        tasks.spawn(windlass_kubelet_api::serve(api, services::stopped(stop)));
        Ok(Self { images, runtime, kubelet, own, _informers: informers, _layers: layers, tasks })
    }

    /// Resolves when the node is Ready.
    pub(crate) async fn ready(&self, name: &str) {
        let key = ObjectKey::new("", name);
        self.own.until(|own| own.read::<OwnNode>(&key).is_some_and(|node| node.is_ready())).await;
    }

    /// Ends this process's part; pods go on unless they are to end as well.
    pub(crate) async fn stop(mut self, pods: bool) {
        drop(self.kubelet);
        self.tasks.shutdown().await;
        if pods && let Err(error) = self.runtime.shutdown_all(STOP_GRACE).await {
            tracing::error!(%error, "not all pods could be ended");
        }
        drop(self.runtime);
        if let Err(error) = self.images.close().await {
            tracing::error!(%error, "the image store did not close well");
        }
    }
}

/// `Ready` or `NotReady`.
pub(crate) fn state(own: &Informer, name: &str) -> &'static str {
    let node = own.read::<OwnNode>(&ObjectKey::new("", name));
    if node.is_some_and(|node| node.is_ready()) { "Ready" } else { "NotReady" }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OwnNode {
    status: OwnStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OwnStatus {
    conditions: Vec<Condition>,
}

impl OwnNode {
    fn is_ready(&self) -> bool {
        condition::is_true(&self.status.conditions, "Ready")
    }
}

fn kubelet_options(settings: &Settings, node_ip: Ipv4Addr) -> windlass_kubelet::Options {
    let defaults = windlass_kubelet::Options::new(
        settings.node_name.clone(),
        vec![IpAddr::V4(node_ip)],
        settings.data_dir.clone(),
    );
    windlass_kubelet::Options {
        root: settings.data_dir.join("kubelet"),
        pod_logs: settings.data_dir.join("logs/pods"),
        static_pods: Some(settings.data_dir.join("manifests")),
        port: KUBELET_PORT,
        cluster_dns: vec![services::dns_address(settings).to_string()],
        cluster_domain: settings.cluster_domain.clone(),
        version: super::VERSION.to_owned(),
        cgroup_root: CGROUP_ROOT.to_owned(),
        // Containers are confined unless they ask not to be.
        seccomp_default: true,
        max_pods: settings.max_pods.unwrap_or(defaults.max_pods),
        pod_pids_limit: settings.pod_max_pids.unwrap_or(defaults.pod_pids_limit),
        container_log_max_size: settings.container_log_max_size.unwrap_or(defaults.container_log_max_size),
        container_log_max_files: settings.container_log_max_files.unwrap_or(defaults.container_log_max_files),
        ..defaults
    }
}

#[expect(clippy::too_many_arguments, reason = "all of them are what the API is made of")]
async fn kubelet_api(
    settings: &Settings,
    keys: &Keys,
    node_ip: Ipv4Addr,
    view: ApiView,
    runtime: Arc<Runtime>,
    client: Client,
    clock: Clock,
    metrics: Metrics,
) -> Result<windlass_kubelet_api::Options, Failure> {
    let socket = TcpListener::bind((node_ip, KUBELET_PORT)).await.map_err(|error| {
        Failure::during(format!("the kubelet cannot listen on {node_ip}:{KUBELET_PORT}"), error)
            .hint("another kubelet may run on this machine")
    })?;
    let tls_failed = |error| Failure::during("the kubelet's TLS cannot be set up", error);
    let authorities = vec![keys.ca.certificate().der.clone()];
    let identity = keys.kubelet_server(&settings.node_name, node_ip)?;
    let tls = windlass_pki::server_config(identity, &ClientAuth::Request(authorities)).map_err(tls_failed)?;
    let verifier = ClientVerifier::new([&keys.ca.certificate().der]).map_err(tls_failed)?;
    Ok(windlass_kubelet_api::Options {
        socket,
        tls: Arc::new(tls),
        limits: Limits::of_open_files(open_files::max()),
        verifier,
        node: Arc::new(view),
        runtime,
        client,
        clock,
        metrics,
        system_logs: PathBuf::from("/var/log"),
    })
}

/// A runtime that only ends things needs no images.
struct NoImages;

#[async_trait]
impl ImageSource for NoImages {
    async fn rootfs(&self, image: &str) -> windlass_cri::Result<ImageRootfs> {
        Err(Error::new(Code::NotFound, format!("image {image} is not looked for: the cluster ends")))
    }
}

/// Ends the pods of a server that no longer runs; with `wipe`, every trace of the runtime.
pub(crate) async fn end(data_dir: &Path, wipe: bool) -> Result<(), Failure> {
    let failed = |error: Error| Failure::during("not all pods could be ended", error);
    let network = Arc::new(pod_network::CniNetwork::new(pod_network::Paths::new(data_dir), None, open_files::given()));
    let options = runtime_options(data_dir, Clock::system())?;
    let runtime = Runtime::open(options, Arc::new(NoImages), network).await.map_err(no_runtime)?;
    if wipe { runtime.wipe().await.map_err(failed) } else { runtime.shutdown_all(STOP_GRACE).await.map_err(failed) }
}

/// Removes what pods and Services left in the node's network and among its cgroups.
pub(crate) async fn remove_traces(data_dir: &Path) -> Result<(), Failure> {
    pod_network::remove(&pod_network::Paths::new(data_dir)).map_err(|error| Failure::new(with_causes(&error)))?;
    services::remove_proxy().await?;
    windlass_kubelet::remove_cgroups(CGROUP_ROOT, &data_dir.join("kubelet/pods"))
        .map_err(|error| Failure::during("the cgroups of pods cannot be removed", error))
}

/// Unmounts what is mounted below the data directory: volumes of pods that are no more.
pub(crate) fn unmount_all(data_dir: &Path) -> Result<(), Failure> {
    windlass_volumes::unmount_below(data_dir).map_err(|error| {
        Failure::during(format!("what is mounted below {} cannot be unmounted", data_dir.display()), error)
    })
}
