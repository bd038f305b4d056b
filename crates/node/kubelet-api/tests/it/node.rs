//! A node for one test: a runtime, and the API in front of it.

use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use nix::mount::MsFlags;
use nix::sched::{CloneFlags, unshare};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use windlass_api::Status;
use windlass_api::time::Clock;
use windlass_client::{Client, Discovered, Object, Reply, Request, Transport};
use windlass_cri::{
    ContainerConfig, ContainerMetadata, ImageRootfs, ImageRunConfig, ImageSource, ImageSpec, NamespaceMode, Namespaces,
    NetworkRequest, PodNetwork, Result as CriResult, RuntimeService, SandboxConfig, SandboxMetadata, SecurityContext,
};
use windlass_eventually::until_true;
use windlass_kubelet_api::{ContainerState, ContainerView, NodeUsage, Options, PodView, serve};
use windlass_pki::{
    Ca, ClientAuth, ClientCert, ClientVerifier, Issue, Rotating, ServerCert, client_config, server_config,
};
use windlass_runtime::Runtime;
use windlass_telemetry::Metrics;

const BUSYBOX: &str = "/bin/busybox";
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A node with one pod, `test/pod`.
pub(crate) struct TestNode {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) kubelet: Arc<Kubelet>,
    pub(crate) address: String,
    /// Shows a certificate of `system:masters`.
    pub(crate) tls: rustls::ClientConfig,
    /// Shows no certificate.
    pub(crate) tls_of_nobody: rustls::ClientConfig,
    pub(crate) directory: PathBuf,
    pub(crate) reviews: Arc<Reviewer>,
    pub(crate) sandbox: String,
    /// The API is served until this is dropped.
    _stop: oneshot::Sender<()>,
}

/// What the API believes to be the kubelet.
#[derive(Default)]
pub(crate) struct Kubelet {
    pub(crate) view: Mutex<PodView>,
}

impl windlass_kubelet_api::Node for Kubelet {
    fn name(&self) -> &str {
        "node"
    }

    fn pods(&self) -> Vec<Value> {
        vec![json!({"metadata": {"name": "pod", "namespace": "test"}})]
    }

    fn pod(&self, namespace: &str, name: &str) -> Option<PodView> {
        (namespace == "test" && name == "pod").then(|| self.view.lock().clone())
    }

    fn config(&self) -> Value {
        json!({"kind": "KubeletConfiguration"})
    }

    fn health(&self) -> Result<(), String> {
        Ok(())
    }

    fn update_metrics(&self) {}

    fn probe_metrics(&self) -> Vec<u8> {
        b"prober_probe_total 1\n".to_vec()
    }

    fn usage(&self) -> NodeUsage {
        NodeUsage { timestamp: 1_000_000_000, cpu_usage_core_nanoseconds: 5, ..NodeUsage::default() }
    }
}

/// Reviews tokens and access: the token `good` is `alice`, who may get metrics and nothing else.
#[derive(Default)]
pub(crate) struct Reviewer {
    pub(crate) asked: Mutex<Vec<Value>>,
}

#[async_trait]
impl Transport for Reviewer {
    async fn call(&self, request: Request) -> Result<Reply, Status> {
        let asked: Value = serde_json::from_slice(&request.body.bytes).unwrap();
        let status = match &*request.resource.resource {
            "tokenreviews" if asked["spec"]["token"] == "good" => {
                json!({"authenticated": true, "user": {"username": "alice", "groups": ["people"]}})
            }
            "tokenreviews" => json!({"authenticated": false}),
            _ => {
                let wanted = &asked["spec"]["resourceAttributes"];
                json!({"allowed": wanted["subresource"] == "metrics" && wanted["verb"] == "get" && wanted["name"] == "node"})
            }
        };
        self.asked.lock().push(asked);
        let json = serde_json::to_vec(&json!({"status": status})).unwrap();
        Ok(Reply::Object(Object { key: Default::default(), revision: 0, json: json.into() }))
    }

    async fn discover(&self) -> Result<Discovered, Status> {
        Ok(Discovered::default())
    }
}

struct Images(PathBuf);

#[async_trait]
impl ImageSource for Images {
    async fn rootfs(&self, _image: &str) -> CriResult<ImageRootfs> {
        Ok(ImageRootfs {
            id: "sha256:busybox".to_owned(),
            image_ref: "test.invalid/busybox@sha256:1".to_owned(),
            layers: vec![self.0.clone()],
            config: ImageRunConfig { env: vec!["PATH=/bin".to_owned()], ..ImageRunConfig::default() },
        })
    }
}

struct NoNetwork;

#[async_trait]
impl PodNetwork for NoNetwork {
    async fn setup(&self, _request: &NetworkRequest) -> CriResult<Vec<IpAddr>> {
        Ok(vec![IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))])
    }

    async fn teardown(&self, _request: &NetworkRequest) -> CriResult<()> {
        Ok(())
    }

    async fn ready(&self) -> CriResult<()> {
        Ok(())
    }
}

fn build_image(directory: &Path) {
    assert!(Path::new(BUSYBOX).exists(), "{BUSYBOX} is missing: install the package busybox-static");
    for path in ["bin", "etc", "proc", "sys", "dev", "tmp"] {
        std::fs::create_dir_all(directory.join(path)).unwrap();
    }
    std::fs::set_permissions(directory.join("tmp"), std::fs::Permissions::from_mode(0o1777)).unwrap();
    std::fs::copy(BUSYBOX, directory.join("bin/busybox")).unwrap();
    for applet in "sh cat echo sleep true stty nc yes head printf dd kill test".split_whitespace() {
        symlink("busybox", directory.join("bin").join(applet)).unwrap();
    }
    std::fs::write(directory.join("etc/passwd"), "root:x:0:0:root:/:/bin/sh\n").unwrap();
}

/// Runs `test` on a node of its own, which is wiped afterwards whatever happens.
pub(crate) fn on_node(test: impl for<'a> FnOnce(&'a TestNode) -> BoxFuture<'a, ()>) {
    assert!(nix::unistd::geteuid().is_root(), "these tests make containers: run them as root");
    // This thread, and all that come from it, see mounts of their own, which propagate as on a node.
    unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS).unwrap();
    let none: Option<&str> = None;
    nix::mount::mount(none, "/", none, MsFlags::MS_SHARED | MsFlags::MS_REC, none).unwrap();
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let directory = tempfile::Builder::new().prefix("windlass-kubelet-api-").tempdir().unwrap();
    let outcome = tokio.block_on(async {
        let node = TestNode::new(directory.path()).await;
        let outcome = AssertUnwindSafe(tokio::time::timeout(PATIENCE, test(&node))).catch_unwind().await;
        let TestNode { runtime, _stop: stop, .. } = node;
        drop(stop);
        until_true("the tasks of the API to let go of the runtime", async || Arc::strong_count(&runtime) == 1).await;
        let runtime = Arc::into_inner(runtime).expect("nobody else holds the runtime");
        tokio::time::timeout(PATIENCE, runtime.wipe()).await.expect("wiping takes too long").expect("wiping fails");
        outcome
    });
    drop(tokio);
    match outcome {
        Ok(finished) => finished.expect("the test takes too long"),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn supervisor_command() -> Vec<std::ffi::OsString> {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().parent().unwrap().join("examples/windlass-kubelet-api-supervisor");
    assert!(program.exists(), "{} is missing: cargo test builds it", program.display());
    vec![program.into(), "windlass-supervisor".into()]
}

impl TestNode {
    async fn new(directory: &Path) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("windlass-kubelet-api-{}-{number}-node", std::process::id());
        build_image(&directory.join("image"));
        std::fs::create_dir_all(directory.join("logs")).unwrap();
        let options = windlass_runtime::Options::new(directory.join("runtime"), supervisor_command());
        let images = Arc::new(Images(directory.join("image")));
        let runtime = Runtime::open(options, images, Arc::new(NoNetwork)).await.expect("the runtime opens");
        let runtime = Arc::new(runtime);
        let sandbox = SandboxConfig {
            metadata: SandboxMetadata {
                name: "pod".to_owned(),
                uid: "uid".to_owned(),
                namespace: "test".to_owned(),
                attempt: 0,
            },
            hostname: "pod".to_owned(),
            log_directory: directory.join("logs").to_str().unwrap().to_owned(),
            cgroup_parent: format!("/{name}/pod"),
            namespaces: own_pids(),
            ..SandboxConfig::default()
        };
        let sandbox = runtime.run_sandbox(sandbox, "").await.expect("the sandbox runs");
        let kubelet = Arc::new(Kubelet::default());
        *kubelet.view.lock() =
            PodView { uid: "uid".to_owned(), sandbox_id: Some(sandbox.clone()), containers: Vec::new() };
        let (clock, reviews) = (Clock::system(), Arc::new(Reviewer::default()));
        let ca = Ca::create("test", clock.now()).unwrap();
        let authority = ca.certificate().der.clone();
        let identity = |issue| Rotating::new(&ca.issue(&issue, clock.now()).unwrap()).unwrap();
        let server = identity(Issue::Server(ServerCert {
            common_name: "node".to_owned(),
            dns_names: vec!["localhost".to_owned()],
            ttl: Duration::from_secs(3600),
            ..ServerCert::default()
        }));
        let admin = identity(Issue::Client(ClientCert {
            common_name: "admin".to_owned(),
            organizations: vec!["system:masters".to_owned()],
            ttl: Duration::from_secs(3600),
        }));
        let client_tls = |identity| client_config(std::slice::from_ref(&authority), identity).unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap().to_string();
        let options = Options {
            socket,
            tls: Arc::new(server_config(server, &ClientAuth::Request(vec![authority.clone()])).unwrap()),
            verifier: ClientVerifier::new([&authority]).unwrap(),
            node: kubelet.clone(),
            runtime: runtime.clone(),
            client: Client::new(reviews.clone()),
            clock,
            metrics: Metrics::default(),
            system_logs: directory.join("logs"),
            limits: windlass_http::serve::Limits::default(),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(serve(options, async move { drop(stopped.await) }));
        Self {
            runtime,
            kubelet,
            address,
            tls: client_tls(Some(admin)),
            tls_of_nobody: client_tls(None),
            directory: directory.to_owned(),
            reviews,
            sandbox,
            _stop: stop,
        }
    }

    /// Starts a container of the pod that runs a shell script.
    pub(crate) async fn start(&self, name: &str, script: &str, config: ContainerConfig) -> String {
        let config = ContainerConfig {
            metadata: ContainerMetadata { name: name.to_owned(), attempt: 0 },
            image: ImageSpec::new("busybox"),
            command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            log_path: format!("{name}.log"),
            security: SecurityContext { namespaces: own_pids(), ..SecurityContext::default() },
            ..config
        };
        let id = self.runtime.create_container(&self.sandbox, config).await.expect("the container is created");
        self.runtime.start_container(&id).await.expect("the container starts");
        self.set(name, ContainerState::Running { id: id.clone() }, None);
        id
    }

    /// What the kubelet says of a container.
    pub(crate) fn set(&self, name: &str, state: ContainerState, last: Option<&str>) {
        let mut view = self.kubelet.view.lock();
        view.containers.retain(|container| container.name != name);
        view.containers.push(ContainerView { name: name.to_owned(), state, last_terminated: last.map(str::to_owned) });
    }
}

fn own_pids() -> Namespaces {
    Namespaces { pid: NamespaceMode::Container, ..Namespaces::default() }
}
