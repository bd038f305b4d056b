//! Daemons come and go, the supervisor stays; and what happens when it does not.

use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use windlass_cri::{
    Code, ContainerFilter, ContainerState, NamespaceMode, Namespaces, RuntimeService, SandboxFilter, SandboxState,
    SecurityContext,
};

use crate::support::{Node, container, log_text, on_node, own_pids, shell, strings, until};

/// A daemon that a test kills; ended whatever happens.
struct Daemon(Child);

impl Daemon {
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn description(node: &Node, pod: &str, script: &str, pid: NamespaceMode) -> String {
    let (sandbox, container) = (node.sandbox_config(pod), shell(pod, script));
    let namespaces = Namespaces { pid, ..own_pids() };
    let sandbox = windlass_cri::SandboxConfig { namespaces: namespaces.clone(), ..sandbox };
    let security = SecurityContext { namespaces, ..SecurityContext::default() };
    serde_json::to_string(&(sandbox, windlass_cri::ContainerConfig { security, ..container })).unwrap()
}

/// Starts a daemon; returns it with what it wrote: whether it joined a mount namespace, and its container.
async fn daemon(directory: &Path, description: &str) -> (Daemon, bool, String) {
    std::fs::create_dir_all(directory.join("logs")).unwrap();
    std::fs::write(directory.join("daemon.json"), description).unwrap();
    let _ = std::fs::remove_file(directory.join("daemon.id"));
    let program = env!("CARGO_BIN_EXE_windlass-runtime-helper");
    let child = Daemon(Command::new(program).arg("daemon").arg(directory).spawn().unwrap());
    let written = until("the daemon has started its container", || async {
        let text = std::fs::read_to_string(directory.join("daemon.id")).ok()?;
        text.split_once(' ').map(|(joined, id)| (joined == "true", id.to_owned())).filter(|(_, id)| id.len() == 64)
    })
    .await;
    (child, written.0, written.1)
}

#[test]
fn a_killed_daemon_leaves_everything_running() {
    on_node(|node| {
        Box::pin(async move {
            // The test's own runtime gives way to daemons that are processes.
            node.shut_down().await;
            let counter = "i=0; while :; do i=$((i+1)); echo $i; test $((i % 100)) = 0 && sleep 0.01; done";
            let directory = node.directory.clone();
            let (mut first, joined, counting) =
                daemon(&directory, &description(node, "one", counter, NamespaceMode::Pod)).await;
            assert!(!joined, "the first daemon makes the mount namespace");
            let log = node.logs().join("one.log");
            until("it counts", || async { log_text(&log).contains("\n100\n").then_some(()) }).await;
            first.kill();
            let at_kill = log_text(&log).lines().count();
            until("it goes on counting", || async { (log_text(&log).lines().count() > at_kill + 1000).then_some(()) })
                .await;

            // The next daemon sees the first one's container from within the same mounts.
            let (mut second, joined, other) =
                daemon(&directory, &description(node, "two", "sleep 1000", NamespaceMode::Pod)).await;
            assert!(joined);
            let before = log_text(&log).lines().count();
            until("it still counts", || async { (log_text(&log).lines().count() > before + 1000).then_some(()) }).await;
            second.kill();

            // And so does the test's runtime: same processes, no restart.
            node.open().await;
            let status = node.status(&counting).await;
            assert_eq!(status.container.state, ContainerState::Running);
            assert!(status.started_at > 0 && status.exit_code == 0);
            assert_eq!(node.status(&other).await.container.state, ContainerState::Running);
            let sandboxes = node.runtime().list_sandboxes(SandboxFilter::default()).await.unwrap();
            assert!(sandboxes.len() == 2 && sandboxes.iter().all(|sandbox| sandbox.state == SandboxState::Ready));
            let output =
                node.runtime().exec_sync(&counting, strings(&["cat", "/etc/hostname"]), None, 1 << 20).await.unwrap();
            assert_eq!(output.stdout, b"one\n");
            node.runtime().stop_container(&counting, Duration::ZERO).await.unwrap();
            assert_eq!(node.ended(&counting).await.exit_code, 137);

            // Not a line was lost, none came twice.
            let text = log_text(&log);
            for (index, line) in text.lines().enumerate() {
                assert_eq!(line, (index + 1).to_string());
            }
            // One daemon at a time.
            let program = env!("CARGO_BIN_EXE_windlass-runtime-helper");
            let third = Command::new(program).arg("daemon").arg(&directory).output().unwrap();
            let said = String::from_utf8_lossy(&third.stderr);
            assert!(!third.status.success() && said.contains("another runtime uses"), "{said}");
            // The names are still held.
            let again = node.runtime().run_sandbox(node.sandbox_config("one"), "").await.unwrap_err();
            assert_eq!(again.code, Code::AlreadyExists);
        })
    });
}

#[test]
fn killed_at_any_moment_nothing_is_lost() {
    on_node(|node| {
        Box::pin(async move {
            node.shut_down().await;
            let directory = node.directory.clone();
            std::fs::create_dir_all(node.logs()).unwrap();
            std::fs::write(directory.join("daemon.json"), description(node, "churn", "sleep 1000", NamespaceMode::Pod))
                .unwrap();
            let log = || std::fs::read_to_string(directory.join("churn.log")).unwrap_or_default();
            for round in 0..20 {
                let before = log().lines().count();
                let program = env!("CARGO_BIN_EXE_windlass-runtime-helper");
                let mut churn = Daemon(Command::new(program).arg("churn").arg(&directory).spawn().unwrap());
                until("it has made some pods", || {
                    assert!(churn.0.try_wait().unwrap().is_none(), "the daemon fails");
                    std::future::ready((log().lines().count() > before + round % 7).then_some(()))
                })
                .await;
                churn.kill();
            }
            node.open().await;
            let text = log();
            let with = |word: &str| -> std::collections::BTreeSet<String> {
                text.lines().filter_map(|line| line.strip_prefix(word)).map(|id| id.trim().to_owned()).collect()
            };
            let (started, removing) = (with("started"), with("removing"));
            assert!(started.len() > 20);
            for id in started.difference(&removing) {
                let status = node.status(id).await;
                assert_eq!(status.container.state, ContainerState::Running, "{id}");
                let pid = status.pid.unwrap();
                assert!(std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap().contains(id.as_str()));
            }
            // What was begun and not finished can be removed like everything else: the wipe that follows leaves nothing.
        })
    });
}

#[test]
fn what_ended_without_a_daemon_is_known_to_the_next() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let ends = node
                .start(&sandbox, shell("ends", "while ! test -e /tmp/go; do sleep 0.01; done; echo end; exit 8"))
                .await;
            let stays = node.start(&sandbox, container("stays", &["sleep", "1000"])).await;
            let created = node.runtime().create_container(&sandbox, shell("created", "echo later")).await.unwrap();
            let failed = node.runtime().create_container(&sandbox, container("failed", &["absent"])).await.unwrap();
            node.runtime().start_container(&failed).await.unwrap_err();
            let before = node.status(&stays).await;
            node.runtime().exec_sync(&ends, strings(&["touch", "/tmp/go"]), None, 1 << 20).await.unwrap();
            // Dropped like by a crash: nothing is told, nothing is waited for.
            drop(node.runtime.take());
            let log = node.logs().join("ends.log");
            until("it has ended", || async { log_text(&log).contains("end").then_some(()) }).await;
            until("its process is gone", || async {
                let found = node.processes().iter().any(|(_, command)| command.contains("/tmp/go"));
                (!found).then_some(())
            })
            .await;
            node.open().await;
            let status = node.ended(&ends).await;
            assert_eq!((status.exit_code, status.reason.as_str()), (8, "Error"));
            let after = node.status(&stays).await;
            assert_eq!((after.pid, after.started_at), (before.pid, before.started_at));
            let status = node.status(&failed).await;
            assert_eq!((status.exit_code, status.reason.as_str()), (128, "StartError"));
            // What was created by a daemon that is gone can be started by the next.
            assert_eq!(node.status(&created).await.container.state, ContainerState::Created);
            node.runtime().start_container(&created).await.unwrap();
            assert_eq!(node.ended(&created).await.exit_code, 0);
            assert_eq!(log_text(&node.logs().join("created.log")), "later\n");
        })
    });
}

#[test]
fn after_a_boot_everything_has_ended() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let running = node.start(&sandbox, container("running", &["sleep", "1000"])).await;
            let created = node.runtime().create_container(&sandbox, container("created", &["true"])).await.unwrap();
            // The machine goes down: processes, mounts and cgroups are gone, the disk stays.
            node.runtime().stop_container(&running, Duration::ZERO).await.unwrap();
            let state = node.options.root.join("containers").join(&running).join("state.json");
            until("its end is on the disk", || async {
                std::fs::read_to_string(&state).unwrap().contains("\"code\":137").then_some(())
            })
            .await;
            let text = std::fs::read_to_string(&state).unwrap();
            let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
            json["exit"] = serde_json::Value::Null;
            std::fs::write(&state, json.to_string()).unwrap();
            node.end_supervisor().await;
            node.options.boot_id = Some("another boot".to_owned());
            node.open().await;

            let runtime = node.runtime();
            assert_eq!(runtime.sandbox_status(&sandbox).await.unwrap().sandbox.state, SandboxState::NotReady);
            for id in [&running, &created] {
                let status = node.status(id).await;
                assert_eq!(
                    (status.container.state, status.exit_code, status.reason.as_str()),
                    (ContainerState::Exited, 255, "Unknown")
                );
            }
            let exec = runtime.exec_sync(&running, strings(&["true"]), None, 1 << 20).await.unwrap_err();
            assert_eq!(exec.code, Code::FailedPrecondition);
            runtime.stop_sandbox(&sandbox).await.unwrap();
            runtime.remove_sandbox(&sandbox).await.unwrap();
            assert!(runtime.list_containers(ContainerFilter::default()).await.unwrap().is_empty());
            // The pod's name is free for its next life.
            node.sandbox().await;
        })
    });
}

#[test]
fn a_dead_supervisor_is_noticed_and_replaced() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let mut shared = node.sandbox_config("shared");
            shared.namespaces = Namespaces::default();
            let shared = node.sandbox_of(shared).await;
            let id = node.start(&sandbox, container("c", &["sleep", "984"])).await;
            node.end_supervisor().await;
            let status = node.ended(&id).await;
            assert_eq!((status.exit_code, status.reason.as_str()), (255, "Unknown"));
            until("the container's process is gone", || async {
                (!node.processes().iter().any(|(_, command)| command.contains("984"))).then_some(())
            })
            .await;
            // A sandbox without processes lives on, one with an init does not.
            let runtime = node.runtime();
            assert_eq!(runtime.sandbox_status(&sandbox).await.unwrap().sandbox.state, SandboxState::Ready);
            until("the sandbox with an init is not ready", || async {
                let state = runtime.sandbox_status(&shared).await.unwrap().sandbox.state;
                (state == SandboxState::NotReady).then_some(())
            })
            .await;
            // The next container has a new supervisor.
            let next = node.start(&sandbox, container("next", &["true"])).await;
            assert_eq!(node.ended(&next).await.exit_code, 0);
            runtime.remove_container(&id).await.unwrap();
        })
    });
}

#[test]
fn daemon_and_supervisor_may_die_together() {
    on_node(|node| {
        Box::pin(async move {
            node.shut_down().await;
            let directory = node.directory.clone();
            let (mut first, _, id) =
                daemon(&directory, &description(node, "one", "sleep 976", NamespaceMode::Container)).await;
            node.end_supervisor().await;
            first.kill();
            // With them goes their mount namespace, and with that what the pod's files hold (unless the node's mounts are shared
            // with it, as the test's are).
            for sandbox in std::fs::read_dir(node.options.root.join("sandboxes")).unwrap().flatten() {
                for file in std::fs::read_dir(sandbox.path().join("ns")).unwrap().flatten() {
                    nix::mount::umount2(&file.path(), nix::mount::MntFlags::MNT_DETACH).unwrap();
                }
            }
            node.open().await;
            let status = node.ended(&id).await;
            assert_eq!((status.exit_code, status.reason.as_str()), (255, "Unknown"));
            let sandboxes = node.runtime().list_sandboxes(SandboxFilter::default()).await.unwrap();
            assert!(sandboxes.iter().all(|sandbox| sandbox.state == SandboxState::NotReady), "{sandboxes:?}");
            until("the container's process is gone", || async {
                (!node.processes().iter().any(|(_, command)| command.contains("976"))).then_some(())
            })
            .await;
        })
    });
}

#[test]
fn containers_that_nobody_knows_are_ended() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let id = node.start(&sandbox, container("c", &["sleep", "983"])).await;
            drop(node.runtime.take());
            std::fs::write(node.options.root.join("containers").join(&id).join("state.json"), "{ torn").unwrap();
            node.open().await;
            assert!(node.runtime().container_status(&id).await.unwrap_err().is_not_found());
            until("its process is gone", || async {
                (!node.processes().iter().any(|(_, command)| command.contains("983"))).then_some(())
            })
            .await;
        })
    });
}
