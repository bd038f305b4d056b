//! A node for one test: a runtime on a directory and cgroups of its own, in a mount namespace of its own, wiped afterwards
//! whatever happens, and looked over for anything left behind.

use std::ffi::OsString;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use nix::mount::MsFlags;
use nix::sched::{CloneFlags, unshare};
use windlass_cri::{
    ContainerConfig, ContainerMetadata, ContainerState, ContainerStatus, ImageSpec, NamespaceMode, Namespaces,
    RuntimeService, SandboxConfig, SandboxMetadata, SecurityContext,
};
pub(crate) use windlass_eventually::until;
use windlass_runtime::{CgroupLayout, Options, Runtime};

use crate::image_files;
use crate::images::{Images, NoNetwork};

/// Generous: a loaded machine is slow, and a test that hangs should still say where.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Node {
    pub(crate) runtime: Option<Runtime>,
    pub(crate) directory: PathBuf,
    pub(crate) name: String,
    pub(crate) options: Options,
}

/// Runs `test` on a node of its own.
pub(crate) fn on_node(test: impl for<'a> FnOnce(&'a mut Node) -> BoxFuture<'a, ()>) {
    on_node_with(CgroupLayout::Detect, test);
}

pub(crate) fn on_node_with(cgroups: CgroupLayout, test: impl for<'a> FnOnce(&'a mut Node) -> BoxFuture<'a, ()>) {
    assert!(nix::unistd::geteuid().is_root(), "these tests make containers: run them as root");
    // This thread, and all that come from it, see mounts of their own, which propagate as on a node.
    unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS).unwrap();
    let none: Option<&str> = None;
    nix::mount::mount(none, "/", none, MsFlags::MS_SHARED | MsFlags::MS_REC, none).unwrap();
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let directory = tempfile::Builder::new().prefix("windlass-runtime-").tempdir().unwrap();
    let outcome = tokio.block_on(async {
        let mut node = Node::new(directory.path(), cgroups).await;
        let outcome = AssertUnwindSafe(test(&mut node)).catch_unwind().await;
        let wiped = match node.runtime.take() {
            Some(runtime) => tokio::time::timeout(PATIENCE, runtime.wipe()).await,
            None => Ok(Ok(())),
        };
        if outcome.is_err() {
            for entry in std::fs::read_dir(node.logs()).into_iter().flatten().flatten() {
                println!("{}: {}", entry.path().display(), log_text(&entry.path()));
            }
        }
        if outcome.is_ok() {
            // It says that it ends, and then does.
            until("the supervisor has ended", || async { node.supervisor().is_none().then_some(()) }).await;
        }
        let left = node.leftovers();
        node.end_leftovers();
        if outcome.is_ok() {
            wiped.expect("wiping takes too long").expect("wiping fails");
            assert_eq!(left, Vec::<String>::new(), "something is left behind");
        }
        outcome
    });
    drop(tokio);
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

impl Node {
    async fn new(directory: &Path, cgroups: CgroupLayout) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        // No name may be the beginning of another: processes are found by it.
        let name = format!("windlass-test-{}-{number}-node", std::process::id());
        std::fs::create_dir_all(directory.join("images")).unwrap();
        image_files::build(&directory.join("images"));
        let options = Options { cgroups, ..Options::new(directory.join("runtime"), supervisor_command()) };
        let mut node = Self { runtime: None, directory: directory.to_owned(), name, options };
        node.open().await;
        node
    }

    /// Opens the runtime (again).
    pub(crate) async fn open(&mut self) {
        drop(self.runtime.take());
        let images = Arc::new(Images::at(&self.directory.join("images")));
        let runtime = Runtime::open(self.options.clone(), images, Arc::new(NoNetwork)).await;
        self.runtime = Some(runtime.expect("the runtime opens"));
    }

    /// Ends the runtime and its supervisor, which have nothing to do.
    pub(crate) async fn shut_down(&mut self) {
        let runtime = self.runtime.take().expect("the runtime is open");
        runtime.shutdown_all(Duration::ZERO).await.expect("an idle node shuts down");
        drop(runtime);
        until("the supervisor has ended", || async { self.supervisor().is_none().then_some(()) }).await;
    }

    fn supervisor(&self) -> Option<i32> {
        self.processes().into_iter().find(|(_, command)| command.contains("windlass-supervisor")).map(|(pid, _)| pid)
    }

    /// Kills the supervisor.
    pub(crate) async fn end_supervisor(&self) {
        let pid = self.supervisor().expect("a supervisor runs");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
        until("the supervisor has ended", || async { (self.supervisor() != Some(pid)).then_some(()) }).await;
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("the runtime is open")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.directory.join("logs")
    }

    pub(crate) fn sandbox_config(&self, name: &str) -> SandboxConfig {
        sandbox_config(&self.name, &self.directory, name)
    }

    pub(crate) async fn sandbox(&self) -> String {
        self.sandbox_of(self.sandbox_config("pod")).await
    }

    pub(crate) async fn sandbox_of(&self, config: SandboxConfig) -> String {
        std::fs::create_dir_all(self.logs()).unwrap();
        self.runtime().run_sandbox(config, "").await.expect("the sandbox runs")
    }

    /// Creates and starts a container.
    pub(crate) async fn start(&self, sandbox: &str, config: ContainerConfig) -> String {
        let id = self.runtime().create_container(sandbox, config).await.expect("the container is created");
        self.runtime().start_container(&id).await.expect("the container starts");
        id
    }

    pub(crate) async fn status(&self, id: &str) -> ContainerStatus {
        self.runtime().container_status(id).await.expect("the container is known")
    }

    /// Waits for its end.
    pub(crate) async fn ended(&self, id: &str) -> ContainerStatus {
        until("the container ends", || async {
            let status = self.status(id).await;
            (status.container.state == ContainerState::Exited).then_some(status)
        })
        .await
    }

    /// Runs a shell script in a container to its end; returns its exit code and what it said.
    pub(crate) async fn script(&self, sandbox: &str, script: &str, config: ContainerConfig) -> (i32, String) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("script-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let config = ContainerConfig {
            metadata: ContainerMetadata { name: name.clone(), attempt: 0 },
            command: strings(&["/bin/sh", "-c", script]),
            log_path: format!("{name}.log"),
            ..config
        };
        let id = self.start(sandbox, config).await;
        let status = self.ended(&id).await;
        let text = log_text(Path::new(&status.log_path));
        self.runtime().remove_container(&id).await.expect("the container is removed");
        (status.exit_code, text)
    }

    /// The same in a sandbox and container without wishes; the script must succeed.
    pub(crate) async fn says(&self, sandbox: &str, script: &str) -> String {
        let (code, text) = self.script(sandbox, script, container("c", &[])).await;
        assert_eq!(code, 0, "{script}: {text}");
        text
    }

    /// Files of this node's cgroups, whatever the hierarchy.
    pub(crate) fn cgroup_directories(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir("/sys/fs/cgroup") else { return Vec::new() };
        let direct = Path::new("/sys/fs/cgroup").join(&self.name);
        let below = entries.flatten().map(|entry| entry.path().join(&self.name));
        below.chain([direct]).filter(|path| path.exists()).collect()
    }

    /// What a test must not leave: mounts, cgroups, processes.
    fn leftovers(&self) -> Vec<String> {
        let directory = self.directory.to_str().unwrap();
        let mounts = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        let mounts = mounts.lines().filter(|line| line.contains(directory)).map(|line| format!("mount {line}"));
        let cgroups = self.cgroup_directories().into_iter().map(|path| format!("cgroup {}", path.display()));
        let processes = self.processes().into_iter().map(|(pid, what)| format!("process {pid} {what}"));
        let files = self.options.root.exists().then(|| format!("directory {}", self.options.root.display()));
        mounts.chain(cgroups).chain(processes).chain(files).collect()
    }

    /// Processes that this node has started: in its cgroups, or with its directory on their command line.
    pub(crate) fn processes(&self) -> Vec<(i32, String)> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
            let read = |file: &str| std::fs::read(entry.path().join(file)).unwrap_or_default();
            let (command, cgroup) = (read("cmdline"), read("cgroup"));
            let (command, cgroup) = (String::from_utf8_lossy(&command), String::from_utf8_lossy(&cgroup));
            if pid != std::process::id() as i32
                && !command.is_empty()
                && (command.contains(self.directory.to_str().unwrap()) || cgroup.contains(&self.name))
            {
                found.push((pid, command.replace('\0', " ")));
            }
        }
        found
    }

    /// Processor time of this process and of the supervisor.
    pub(crate) fn cpu_time(&self) -> Duration {
        let own = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap();
        let own: nix::sys::time::TimeVal = own.user_time() + own.system_time();
        let own = Duration::from_micros(own.tv_sec() as u64 * 1_000_000 + own.tv_usec() as u64);
        own + self.supervisor().map(cpu_time).unwrap_or_default()
    }

    /// Resident memory of the supervisor.
    pub(crate) fn supervisor_kilobytes(&self) -> u64 {
        let pid = self.supervisor().expect("a supervisor runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default()
        };
        number("VmRSS:")
    }

    /// For tests that have failed.
    fn end_leftovers(&self) {
        for (pid, _) in self.processes() {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
        for directory in self.cgroup_directories() {
            for _ in 0..1000 {
                if remove_tree(&directory).is_ok() {
                    break;
                }
                std::thread::yield_now();
            }
        }
    }
}

/// Processor time of a process, from its scheduler's count of nanoseconds.
pub(crate) fn cpu_time(pid: i32) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let nanos = tasks.filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

fn remove_tree(directory: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)?.flatten() {
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    std::fs::remove_dir(directory)
}

pub(crate) fn supervisor_command() -> Vec<OsString> {
    vec![env!("CARGO_BIN_EXE_windlass-runtime-helper").into(), "windlass-supervisor".into()]
}

pub(crate) fn sandbox_config(node: &str, directory: &Path, name: &str) -> SandboxConfig {
    SandboxConfig {
        metadata: SandboxMetadata {
            name: name.to_owned(),
            uid: format!("uid-{name}"),
            namespace: "test".to_owned(),
            attempt: 0,
        },
        hostname: name.to_owned(),
        log_directory: directory.join("logs").to_str().unwrap().to_owned(),
        cgroup_parent: format!("/{node}/{name}"),
        namespaces: own_pids(),
        ..SandboxConfig::default()
    }
}

/// As the kubelet asks for a pod that says nothing: process IDs of its own for each container.
pub(crate) fn own_pids() -> Namespaces {
    Namespaces { pid: NamespaceMode::Container, ..Namespaces::default() }
}

pub(crate) fn container(name: &str, command: &[&str]) -> ContainerConfig {
    ContainerConfig {
        metadata: ContainerMetadata { name: name.to_owned(), attempt: 0 },
        image: ImageSpec::new("busybox"),
        command: strings(command),
        log_path: format!("{name}.log"),
        security: SecurityContext { namespaces: own_pids(), ..SecurityContext::default() },
        ..ContainerConfig::default()
    }
}

pub(crate) fn shell(name: &str, script: &str) -> ContainerConfig {
    container(name, &["/bin/sh", "-c", script])
}

pub(crate) fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

/// The text of a log: entries without what stands before them, parts joined.
pub(crate) fn log_text(path: &Path) -> String {
    let mut text = String::new();
    for entry in log_entries(path) {
        text.push_str(&entry.text);
        if entry.full {
            text.push('\n');
        }
    }
    text
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) at: String,
    pub(crate) stream: String,
    pub(crate) full: bool,
    pub(crate) text: String,
}

pub(crate) fn log_entries(path: &Path) -> Vec<Entry> {
    let text = String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    let entry = |line: &str| {
        let mut fields = line.splitn(4, ' ');
        let mut next = || fields.next().unwrap_or_else(|| panic!("not an entry: {line:?}")).to_owned();
        let (at, stream, tag, text) = (next(), next(), next(), next());
        assert!(matches!(tag.as_str(), "F" | "P"), "{line:?}");
        Entry { at, stream, full: tag == "F", text }
    };
    text.split_terminator('\n').map(entry).collect()
}
