//! What the integration tests start as processes of their own: the supervisor, and a daemon to be killed.

#[path = "../it/images.rs"]
mod images;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use windlass_cri::{ContainerConfig, RuntimeService, SandboxConfig};
use windlass_runtime::{Options, Runtime, supervisor};

fn main() {
    let mut args = std::env::args_os().skip(1);
    match args.next().and_then(|role| role.into_string().ok()).as_deref() {
        Some("windlass-supervisor") => supervisor::main(args),
        Some("daemon") => daemon(PathBuf::from(args.next().expect("a directory"))),
        Some("churn") => churn(PathBuf::from(args.next().expect("a directory"))),
        other => panic!("unknown role {other:?}: this program is for the integration tests"),
    }
}

/// Makes and removes pods until it is killed, and writes down what it was told: `started ID` afterwards, `removing ID` before.
fn churn(directory: PathBuf) -> ! {
    const PODS: usize = 3;
    let (root, command) = (directory.join("runtime"), supervisor_command());
    supervisor::join_mount_namespace(&root).expect("the mount namespace can be joined");
    let mut log =
        std::fs::OpenOptions::new().append(true).create(true).open(directory.join("churn.log")).expect("a log");
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    tokio.expect("a runtime").block_on(async {
        let text = std::fs::read(directory.join("daemon.json")).expect("a description");
        let (sandbox, container): (SandboxConfig, ContainerConfig) =
            serde_json::from_slice(&text).expect("two objects");
        let images = Arc::new(images::Images::at(&directory.join("images")));
        let runtime = Runtime::open(Options::new(root, command), images, Arc::new(images::NoNetwork)).await;
        let runtime = runtime.expect("the runtime opens");
        let mut pods = std::collections::VecDeque::new();
        for number in 0.. {
            let mut sandbox = sandbox.clone();
            sandbox.metadata.name = format!("churn-{}-{number}", std::process::id());
            sandbox.cgroup_parent = format!("{}/{}", sandbox.cgroup_parent, sandbox.metadata.name);
            let sandbox = runtime.run_sandbox(sandbox, "").await.expect("the sandbox runs");
            let container = runtime.create_container(&sandbox, container.clone()).await.expect("it is created");
            runtime.start_container(&container).await.expect("it starts");
            writeln!(log, "started {container}").expect("the log can be written");
            pods.push_back((sandbox, container));
            if pods.len() > PODS {
                let (sandbox, container) = pods.pop_front().expect("more than none");
                writeln!(log, "removing {container}").expect("the log can be written");
                runtime.remove_sandbox(&sandbox).await.expect("it is removed");
            }
        }
    });
    unreachable!("there is always another number");
}

fn supervisor_command() -> Vec<std::ffi::OsString> {
    vec![std::env::current_exe().expect("an executable").into(), "windlass-supervisor".into()]
}

/// Opens a runtime in the directory's node, starts the container that `daemon.json` describes, says its ID, and waits.
fn daemon(directory: PathBuf) -> ! {
    let root = directory.join("runtime");
    let joined = supervisor::join_mount_namespace(&root).expect("the mount namespace can be joined");
    let command = supervisor_command();
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    tokio.expect("a runtime").block_on(async {
        let text = std::fs::read(directory.join("daemon.json")).expect("a description");
        let (sandbox, container): (SandboxConfig, ContainerConfig) =
            serde_json::from_slice(&text).expect("two objects");
        let images = Arc::new(images::Images::at(&directory.join("images")));
        let network = Arc::new(images::NoNetwork);
        let runtime = Runtime::open(Options::new(root, command), images, network).await.expect("the runtime opens");
        let sandbox = runtime.run_sandbox(sandbox, "").await.expect("the sandbox runs");
        let container = runtime.create_container(&sandbox, container).await.expect("the container is created");
        runtime.start_container(&container).await.expect("the container starts");
        std::fs::write(directory.join("daemon.id"), format!("{joined} {container}")).expect("the ID is written");
        std::future::pending::<()>().await;
    });
    unreachable!("the daemon waits for ever");
}
