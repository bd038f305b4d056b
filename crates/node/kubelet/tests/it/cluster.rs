//! A cluster of one node for one test: API server, runtime, kubelet, in a mount namespace and with cgroups of its own, wiped
//! afterwards whatever happens, and looked over for anything left behind.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use nix::mount::MsFlags;
use nix::sched::{CloneFlags, unshare};
use serde_json::{Value, json};
use windlass_api::resource::{EVENTS, PODS};
use windlass_api::time::Clock;
use windlass_api::{Chance, GroupVersionResource, ObjectKey};
use windlass_auth::User;
use windlass_client::{Client, DeleteOptions, Informers, Recorder};
pub(crate) use windlass_eventually::until;
use windlass_kubelet::{Context, EvictionOptions, Kubelet, Options};
use windlass_runtime::Runtime;
use windlass_store::Store;
use windlass_telemetry::Metrics;
use windlass_testing::Cluster as ControlPlane;
use windlass_volumes::Volumes;

use crate::images::{Images, NoNetwork};

/// Generous: a loaded machine is slow, and a test that hangs should still say where.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const NODE: &str = "node-1";
pub(crate) const IMAGE: &str = "test.invalid/busybox:1";

pub(crate) struct Cluster {
    pub(crate) admin: Client,
    pub(crate) directory: PathBuf,
    control_plane: ControlPlane,
    runtime: Option<Arc<Runtime>>,
    images: Arc<Images>,
    kubelet: Option<Kubelet>,
    cgroup: String,
    /// What the kubelet is told when it starts.
    pub(crate) options: Options,
}

/// Runs `test` on a cluster of its own.
pub(crate) fn on_cluster(test: impl for<'a> FnOnce(&'a mut Cluster) -> BoxFuture<'a, ()>) {
    assert!(nix::unistd::geteuid().is_root(), "these tests make containers: run them as root");
    let _ = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::INFO)
        .with_test_writer()
        .try_init();
    let none: Option<&str> = None;
    unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS).unwrap();
    nix::mount::mount(none, "/", none, MsFlags::MS_SHARED | MsFlags::MS_REC, none).unwrap();
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let directory = tempfile::Builder::new().prefix("windlass-kubeletit-").tempdir().unwrap();
    let outcome = tokio.block_on(async {
        let mut cluster = Cluster::new(directory.path()).await;
        let outcome = AssertUnwindSafe(test(&mut cluster)).catch_unwind().await;
        if outcome.is_err() {
            cluster.show().await;
        }
        let wiped = cluster.wipe().await;
        let left = cluster.leftovers();
        if outcome.is_ok() {
            wiped.expect("wiping fails");
            assert_eq!(left, Vec::<String>::new(), "something is left behind");
        }
        outcome
    });
    drop(tokio);
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

impl Cluster {
    async fn new(directory: &Path) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let store = Store::open(windlass_store::Options {
            directory: directory.join("store"),
            clock: Clock::system(),
            encryption: Arc::new(windlass_store::Plaintext),
        })
        .unwrap();
        let control_plane = ControlPlane::on_real_time(store, "127.0.0.1:6443");
        control_plane.begin().await;
        let control_plane = control_plane.with_default_account().await;
        std::fs::create_dir_all(directory.join("images")).unwrap();
        let images = Arc::new(Images::build(&directory.join("images")));
        let cgroup = format!("windlass-kubeletit-{}-{number}-node", std::process::id());
        let options = Options {
            cgroup_root: format!("/{cgroup}"),
            static_pods: Some(directory.join("manifests")),
            cluster_dns: vec!["10.96.0.10".to_owned()],
            // How full the disk of the machine is must not matter.
            eviction: EvictionOptions { hard: Vec::new(), ..EvictionOptions::default() },
            ..Options::new(NODE, vec!["192.0.2.10".parse().unwrap()], directory)
        };
        let mut cluster = Self {
            admin: control_plane.admin.clone(),
            directory: directory.to_owned(),
            control_plane,
            runtime: None,
            images,
            kubelet: None,
            options,
            cgroup,
        };
        cluster.start().await;
        cluster
    }

    /// Starts runtime and kubelet, again if they were stopped before.
    pub(crate) async fn start(&mut self) {
        let command = vec![helper().into(), "windlass-supervisor".into()];
        let options = windlass_runtime::Options::new(self.directory.join("runtime"), command);
        let runtime = Runtime::open(options, self.images.clone(), Arc::new(NoNetwork)).await.expect("a runtime");
        let runtime = Arc::new(runtime);
        self.runtime = Some(runtime.clone());
        let options = self.options.clone();
        let user = User::new(format!("system:node:{NODE}"), &["system:nodes", "system:authenticated"]);
        let client = self.control_plane.client(user, "test");
        let context = Context {
            informers: Arc::new(Informers::new(client.clone())),
            recorder: Recorder::start(client.clone(), Clock::system(), "kubelet", NODE),
            clock: Clock::system(),
            chance: Chance::system(),
            metrics: Metrics::default(),
            runtime,
            images: self.images.clone(),
            volumes: Volumes::new(&options.root, Clock::system()),
            client,
        };
        self.kubelet = Some(Kubelet::start(options, context).await.expect("the kubelet starts"));
    }

    /// Stops runtime and kubelet; pods run on.
    pub(crate) async fn stop(&mut self) {
        self.kubelet = None;
        let runtime = self.runtime.take().unwrap();
        until("nobody uses the runtime any more", || async { (Arc::strong_count(&runtime) == 1).then_some(()) }).await;
    }

    pub(crate) fn kubelet(&self) -> &Kubelet {
        self.kubelet.as_ref().unwrap()
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().unwrap()
    }

    /// Creates a pod that is bound to the node. `spec` may leave out what every pod here has.
    pub(crate) async fn create_pod(&self, name: &str, mut spec: Value) -> Value {
        spec["nodeName"] = json!(NODE);
        for (field, value) in
            [("automountServiceAccountToken", json!(false)), ("terminationGracePeriodSeconds", json!(0))]
        {
            if spec.get(field).is_none() {
                spec[field] = value;
            }
        }
        for list in ["containers", "initContainers"] {
            for container in spec[list].as_array_mut().into_iter().flatten() {
                if container.get("image").is_none() {
                    container["image"] = json!(IMAGE);
                }
            }
        }
        let pod = json!({"metadata": {"name": name, "labels": {"app": name}}, "spec": spec});
        let created = self.admin.create(&PODS, "default", &pod).await.unwrap_or_else(|e| panic!("{e}: {pod:#}"));
        created.decode().unwrap()
    }

    pub(crate) async fn find(&self, resource: &GroupVersionResource, namespace: &str, name: &str) -> Option<Value> {
        let found = self.admin.get(resource, &ObjectKey::new(namespace, name)).await;
        found.ok().map(|object| object.decode().unwrap())
    }

    pub(crate) async fn pod(&self, name: &str) -> Value {
        self.find(&PODS, "default", name).await.unwrap_or_else(|| panic!("there is no pod {name}"))
    }

    /// Waits until the pod is as it should be.
    pub(crate) async fn pod_when(&self, name: &str, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        until(&format!("pod {name}: {what}"), || async {
            let pod = self.find(&PODS, "default", name).await?;
            condition(&pod).then_some(pod)
        })
        .await
    }

    pub(crate) async fn phase(&self, name: &str, phase: &str) -> Value {
        self.pod_when(name, phase, |pod| pod["status"]["phase"] == phase).await
    }

    pub(crate) async fn ready(&self, name: &str) -> Value {
        self.pod_when(name, "ready", |pod| condition(pod, "Ready") == "True").await
    }

    pub(crate) async fn delete(&self, name: &str, grace_seconds: Option<i64>) {
        let options = DeleteOptions { grace_period_seconds: grace_seconds, ..DeleteOptions::default() };
        self.admin.delete(&PODS, &ObjectKey::new("default", name), &options).await.unwrap();
    }

    pub(crate) async fn gone(&self, name: &str) {
        until(&format!("pod {name} is gone"), || async {
            self.find(&PODS, "default", name).await.is_none().then_some(())
        })
        .await;
    }

    /// Where the logs of a pod are, below those of all.
    pub(crate) fn logs(&self, pod: &Value) -> PathBuf {
        let directory = format!("default_{}_{}", text(&pod["metadata"]["name"]), text(&pod["metadata"]["uid"]));
        self.directory.join("pod-logs").join(directory)
    }

    /// What a pod's container has written.
    pub(crate) fn log(&self, pod: &Value, container: &str, attempt: u32) -> String {
        let path = self.logs(pod).join(container).join(format!("{attempt}.log"));
        let log = std::fs::read_to_string(&path).unwrap_or_default();
        log.lines().map(|line| line.splitn(4, ' ').nth(3).unwrap_or_default().to_owned() + "\n").collect()
    }

    /// Reasons and messages of the events about a pod.
    pub(crate) async fn events(&self, name: &str) -> Vec<String> {
        let list = self.admin.list(&EVENTS, "default", Default::default()).await.unwrap();
        let all = list.items.iter().map(|object| object.decode::<Value>().unwrap());
        let about = all.filter(|event| event["involvedObject"]["name"] == name);
        about.map(|event| format!("{}: {}", text(&event["reason"]), text(&event["message"]))).collect()
    }

    pub(crate) async fn event(&self, name: &str, start: &str) -> String {
        until(&format!("event of {name}: {start}"), || async {
            self.events(name).await.into_iter().find(|event| event.starts_with(start))
        })
        .await
    }

    async fn show(&self) {
        let Ok(list) = self.admin.list(&PODS, "", Default::default()).await else { return };
        for object in list.items {
            let pod: Value = object.decode().unwrap();
            let name = text(&pod["metadata"]["name"]);
            println!("pod {name}: {:#}", pod["status"]);
            for event in self.events(&name).await {
                println!("  {event}");
            }
        }
    }

    async fn wipe(&mut self) -> Result<(), String> {
        self.kubelet = None;
        let Some(runtime) = self.runtime.take() else { return Ok(()) };
        until("nobody uses the runtime any more", || async { (Arc::strong_count(&runtime) == 1).then_some(()) }).await;
        let runtime = Arc::into_inner(runtime).ok_or("the runtime is in use")?;
        let wiped = tokio::time::timeout(PATIENCE, runtime.wipe()).await.map_err(|error| error.to_string())?;
        wiped.map_err(|error| error.to_string())?;
        let volumes = Volumes::new(&self.options.root, Clock::system());
        if let Some((uid, error)) = volumes.remove_orphans(&std::collections::HashSet::new()).await.into_iter().next() {
            return Err(format!("{uid}: {error}"));
        }
        for directory in self.cgroups() {
            remove_tree(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        }
        Ok(())
    }

    fn cgroups(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir("/sys/fs/cgroup") else { return Vec::new() };
        let direct = Path::new("/sys/fs/cgroup").join(&self.cgroup);
        entries
            .flatten()
            .map(|entry| entry.path().join(&self.cgroup))
            .chain([direct])
            .filter(|it| it.exists())
            .collect()
    }

    fn leftovers(&self) -> Vec<String> {
        let directory = self.directory.to_str().unwrap();
        let mounts = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        let mounts = mounts.lines().filter(|line| line.contains(directory)).map(|line| format!("mount {line}"));
        let cgroups = self.cgroups().into_iter().map(|path| format!("cgroup {}", path.display()));
        let pods = std::fs::read_dir(self.directory.join("kubelet/pods")).into_iter().flatten().flatten();
        mounts.chain(cgroups).chain(pods.map(|pod| format!("pod {}", pod.path().display()))).collect()
    }
}

/// Cargo puts examples beside the directory of test programs.
fn helper() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let helper = own.ancestors().nth(2).unwrap().join("examples/windlass-kubelet-helper");
    assert!(helper.exists(), "{} is missing: cargo build -p windlass-kubelet --examples", helper.display());
    helper
}

fn remove_tree(directory: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)?.flatten() {
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    std::fs::remove_dir(directory)
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The status of a condition.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> &'a str {
    let list = object["status"]["conditions"].as_array().into_iter().flatten();
    list.into_iter().find(|it| it["type"] == kind).and_then(|it| it["status"].as_str()).unwrap_or_default()
}

/// The status of a container, whatever its kind.
pub(crate) fn container<'a>(pod: &'a Value, name: &str) -> &'a Value {
    let lists = ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"];
    let mut all = lists.into_iter().flat_map(|list| pod["status"][list].as_array().into_iter().flatten());
    all.find(|status| status["name"] == name).unwrap_or(&Value::Null)
}

/// Runs a shell script.
pub(crate) fn shell(name: &str, script: &str) -> Value {
    json!({"name": name, "command": ["/bin/sh", "-c", script]})
}
