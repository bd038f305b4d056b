//! The kubelet: starts its parts and holds them together.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::task::JoinSet;
use windlass_api::Chance;
use windlass_api::fields::FieldSelector;
use windlass_api::k8s::api::core::v1::Node;
use windlass_api::resource::{NODES, PODS, SERVICES};
use windlass_api::time::Clock;
use windlass_client::{Client, Informers, Options as Selection, Recorder};
use windlass_cri::{ImageService, RuntimeService};
use windlass_telemetry::Metrics;
use windlass_volumes::Volumes;

use crate::cgroups::Cgroups;
use crate::facts::machine::Machine;
use crate::facts::{NodeFacts, UserNamespaces};
use crate::handle::Handle;
use crate::images::Images;
use crate::node::{self, NodeWriter};
use crate::objects::Objects;
use crate::options::Options;
use crate::pod_certificates::{self, PodCertificates};
use crate::pods::Pods;
use crate::registry::Registry;
use crate::shared::Shared;
use crate::static_pods::StaticPods;
use crate::status::StatusWriter;
use crate::trust_bundles::TrustBundles;

/// What a kubelet works with.
pub struct Context {
    /// As `system:node:NAME`.
    pub client: Client,
    pub informers: Arc<Informers>,
    pub recorder: Recorder,
    pub clock: Clock,
    pub chance: Chance,
    pub metrics: Metrics,
    pub runtime: Arc<dyn RuntimeService>,
    pub images: Arc<dyn ImageService>,
    pub volumes: Volumes,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the directory {path} cannot be used")]
    Directory { path: String, source: std::io::Error },
    #[error("the container runtime does not answer")]
    Runtime(#[source] windlass_cri::Error),
}

/// A kubelet that runs. Dropping it stops it; containers run on, and the next kubelet finds them again.
pub struct Kubelet {
    handle: Handle,
    _tasks: JoinSet<()>,
    /// Informers run as long as their factory lives.
    _informers: Arc<Informers>,
}

impl Kubelet {
    /// Starts everything. The node registers and pods run from then on.
    pub async fn start(options: Options, context: Context) -> Result<Self, StartError> {
        for path in [&options.root, &options.pod_logs] {
            let failed = |source| StartError::Directory { path: path.display().to_string(), source };
            tokio::fs::create_dir_all(path).await.map_err(failed)?;
        }
        let version = context.runtime.version().await.map_err(StartError::Runtime)?;
        let runtime_version = format!("{}://{}", version.runtime_name, version.runtime_version);
        let registry = Arc::new(Registry::default());
        let pods = context.informers.selected(
            &PODS,
            "",
            Selection { fields: FieldSelector::equal("spec.nodeName", &options.node_name), ..Selection::default() },
        );
        let own_node = context.informers.selected(
            &NODES,
            "",
            Selection { fields: FieldSelector::equal("metadata.name", &options.node_name), ..Selection::default() },
        );
        let certificates = PodCertificates::new(pod_certificates::Context {
            client: context.client.clone(),
            informers: Arc::downgrade(&context.informers),
            recorder: context.recorder.clone(),
            clock: context.clock,
            chance: context.chance.clone(),
            registry: registry.clone(),
            node_name: options.node_name.clone(),
            own_node: Arc::downgrade(&own_node),
        });
        let bundles = TrustBundles::new(Arc::downgrade(&context.informers), registry.clone(), &context.chance);
        let facts = facts(&options).await;
        let shared = Arc::new(Shared {
            images: Images::new(context.images.clone(), context.recorder.clone(), context.clock),
            objects: Objects::new(context.client.clone(), registry.clone(), bundles, certificates.clone()),
            certificates: certificates.clone(),
            services: context.informers.of(&SERVICES),
            status: StatusWriter::new(context.client.clone(), pods.clone()),
            cgroups: Cgroups::find(&options.cgroup_root, options.pod_pids_limit),
            node: facts,
            loops: Arc::default(),
            runtime_name: version.runtime_name,
            metrics: Arc::new(crate::metrics::Metrics::new(&context.metrics, &options.node_name)),
            options,
            client: context.client,
            recorder: context.recorder,
            clock: context.clock,
            runtime: context.runtime,
            image_service: context.images,
            volumes: context.volumes,
        });
        let seen = shared.clone();
        own_node.subscribe(move |change| {
            if let Some(node) = change.new.as_ref().and_then(|object| object.decode::<Node>().ok()) {
                seen.node.set_node(node);
            }
        });
        let ranges = own_node.clone();
        let manager = Pods::new(shared.clone(), registry.clone(), pods.clone());
        let mut tasks = JoinSet::new();
        let loops = shared.loops.clone();
        if let Some(directory) = shared.options.static_pods.clone() {
            let (shared, registry) = (shared.clone(), registry.clone());
            let files = StaticPods::load(shared, registry, manager.clone(), pods, directory).await;
            loops.spawn(&mut tasks, "static pods", files.run());
        }
        loops.spawn(&mut tasks, "node status", NodeWriter::new(shared.clone(), runtime_version).run());
        loops.spawn(&mut tasks, "node lease", node::run_lease(shared.clone()));
        loops.spawn(&mut tasks, "pod CIDR", node::follow_pod_cidr(shared.clone(), ranges));
        let writer = shared.clone();
        loops.spawn(&mut tasks, "pod status", async move { writer.status.run().await });
        loops.spawn(&mut tasks, "runtime events", manager.clone().follow_runtime());
        loops.spawn(&mut tasks, "pods", manager.run());
        loops.spawn(&mut tasks, "pod certificates", certificates.run());
        loops.spawn(&mut tasks, "logs", crate::logs::run(shared.clone()));
        loops.spawn(&mut tasks, "eviction", crate::eviction::run(shared.clone(), registry.clone()));
        loops.spawn(&mut tasks, "network", wake_when_network_comes(shared.clone(), registry.clone()));
        let handle = Handle::new(shared, registry);
        Ok(Self { handle, _tasks: tasks, _informers: context.informers })
    }

    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

/// Runs a kubelet until `shutdown`.
pub async fn run(options: Options, context: Context, shutdown: BoxFuture<'static, ()>) -> Result<(), StartError> {
    let kubelet = Kubelet::start(options, context).await?;
    shutdown.await;
    drop(kubelet);
    Ok(())
}

/// Reads the machine, on a thread that may block.
async fn facts(options: &Options) -> NodeFacts {
    let (root, max_pods) = (options.root.clone(), options.max_pods);
    let reserved = crate::eviction::reserved(options);
    let read = move || {
        let machine = Machine::read();
        let storage = windlass_tree::file_system(&root).unwrap_or_default();
        let reserved = crate::eviction::resolve(&reserved, &machine, storage);
        let user_namespaces = UserNamespaces::recall(&root.join("pods"));
        NodeFacts::new(machine, storage, max_pods, &reserved, user_namespaces)
    };
    match tokio::task::spawn_blocking(read).await {
        Ok(facts) => facts,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Pods that wait for the network need not wait any longer than it takes.
async fn wake_when_network_comes(shared: Arc<Shared>, registry: Arc<Registry>) {
    let mut changes = shared.node.runtime_changes();
    while changes.changed().await.is_ok() {
        registry.wake_all();
    }
}
