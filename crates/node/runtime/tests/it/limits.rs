//! Cgroups: limits, the OOM killer, usage. In the node's own layout, and as far as it goes in a hierarchy of version 2.

use std::path::{Path, PathBuf};
use std::time::Duration;

use windlass_cri::{
    ContainerConfig, ContainerState, Device, Resources, RuntimeService, SandboxFilter, SandboxResources,
    SecurityContext,
};
use windlass_runtime::CgroupLayout;
use windlass_runtime::supervisor::OPEN_FILES;

use crate::support::{Node, container, on_node, on_node_with, own_pids, shell, strings, until};

/// Whether this machine has its controllers in version 1.
fn is_v1() -> bool {
    Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists()
}

fn file(node: &Node, id: &str, v1: (&str, &str), v2: &str) -> PathBuf {
    let below = format!("{}/pod/{id}", node.name);
    if is_v1() {
        Path::new("/sys/fs/cgroup").join(v1.0).join(below).join(v1.1)
    } else {
        Path::new("/sys/fs/cgroup").join(below).join(v2)
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
}

#[test]
fn containers_may_open_as_many_files_as_the_daemon_was_given() {
    on_node(|node| {
        Box::pin(async move {
            node.shut_down().await;
            node.options.supervisor_command.extend([OPEN_FILES.into(), "333".into()]);
            node.open().await;
            let sandbox = node.sandbox().await;
            let id = node.start(&sandbox, container("c", &["sleep", "1000"])).await;
            let pid = node.status(&id).await.pid.unwrap();
            let limits = read(Path::new(&format!("/proc/{pid}/limits")));
            let open_files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
            assert_eq!(open_files.split_whitespace().next(), Some("333"), "the supervisor itself has raised its own");
        })
    });
}

#[test]
fn limits_are_set_and_changed() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let resources = Resources {
                cpu_period_us: 100_000,
                cpu_quota_us: 50_000,
                cpu_shares: 512,
                memory_limit_bytes: 64 << 20,
                cpuset_cpus: "0".to_owned(),
                oom_score_adj: 500,
                // No such hierarchy here, or no such page size: no reason to fail.
                hugepage_limits: vec![("2MB".to_owned(), 0)],
                ..Resources::default()
            };
            let config = ContainerConfig { resources, ..container("c", &["sleep", "1000"]) };
            let id = node.start(&sandbox, config).await;
            let quota = || read(&file(node, &id, ("cpu", "cpu.cfs_quota_us"), "cpu.max"));
            let memory = || read(&file(node, &id, ("memory", "memory.limit_in_bytes"), "memory.max"));
            let shares = || read(&file(node, &id, ("cpu", "cpu.shares"), "cpu.weight"));
            assert_eq!(memory(), (64 << 20).to_string());
            assert_eq!(quota(), if is_v1() { "50000" } else { "50000 100000" });
            assert_eq!(shares(), if is_v1() { "512" } else { "59" });
            assert_eq!(read(&file(node, &id, ("cpuset", "cpuset.cpus"), "cpuset.cpus")), "0");
            let pid = node.status(&id).await.pid.unwrap();
            assert_eq!(read(Path::new(&format!("/proc/{pid}/oom_score_adj"))), "500");

            for limit in [128i64 << 20, 32 << 20] {
                let change = Resources { memory_limit_bytes: limit, cpu_quota_us: -1, ..Resources::default() };
                node.runtime().update_container_resources(&id, change).await.unwrap();
                assert_eq!(memory(), limit.to_string());
            }
            assert_eq!(quota(), if is_v1() { "-1" } else { "max 100000" });
            assert_eq!(shares(), if is_v1() { "512" } else { "59" }, "what is not given stays");
            let known = node.status(&id).await.resources;
            assert_eq!((known.memory_limit_bytes, known.cpu_quota_us, known.cpu_shares), (32 << 20, -1, 512));
            node.runtime().update_sandbox_resources(&sandbox, SandboxResources::default()).await.unwrap();

            // From inside: its own cgroup, read-only.
            let script = if is_v1() {
                "cat /sys/fs/cgroup/memory/memory.limit_in_bytes; echo 1 > /sys/fs/cgroup/memory/memory.limit_in_bytes"
            } else {
                "cat /sys/fs/cgroup/memory.max; echo 1 > /sys/fs/cgroup/memory.max"
            };
            let output = node.runtime().exec_sync(&id, strings(&["sh", "-c", script]), None, 1 << 20).await.unwrap();
            assert_eq!(output.stdout, format!("{}\n", 32 << 20).as_bytes());
            assert!(String::from_utf8(output.stderr).unwrap().contains("Read-only file system"));
        })
    });
}

#[test]
fn the_oom_killer_is_named() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let hungry = |name: &str, script: &str| ContainerConfig {
                resources: Resources { memory_limit_bytes: 16 << 20, ..Resources::default() },
                ..shell(name, script)
            };
            // tail keeps everything that it has read.
            let id = node.start(&sandbox, hungry("first", "exec tail /dev/zero")).await;
            let status = node.ended(&id).await;
            assert_eq!((status.exit_code, status.reason.as_str()), (137, "OOMKilled"));
            // A child is killed, and the first process says so.
            let id = node.start(&sandbox, hungry("child", "tail /dev/zero; exit 42")).await;
            let status = node.ended(&id).await;
            assert_eq!((status.exit_code, status.reason.as_str()), (42, "OOMKilled"));
            let id = node.start(&sandbox, hungry("modest", "exit 1")).await;
            assert_eq!(node.ended(&id).await.reason, "Error");
        })
    });
}

#[test]
fn usage_is_counted() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let script = "head -c 3000000 /dev/zero > /tmp/file; i=0; while test $i -lt 20000; do i=$((i+1)); done; echo ready; sleep 1000";
            let config = ContainerConfig {
                resources: Resources { memory_limit_bytes: 256 << 20, ..Resources::default() },
                ..shell("c", script)
            };
            let id = node.start(&sandbox, config).await;
            let log = node.logs().join("c.log");
            until("it is ready", || async { crate::support::log_text(&log).contains("ready").then_some(()) }).await;
            let stats = node.runtime().container_stats(&id).await.unwrap();
            assert!(stats.cpu.usage_core_nanoseconds.unwrap() > 1_000_000, "{stats:?}");
            let (usage, working) = (stats.memory.usage_bytes.unwrap(), stats.memory.working_set_bytes.unwrap());
            assert!(working > 0 && working <= usage, "{stats:?}");
            assert_eq!(stats.memory.available_bytes, Some((256 << 20) - working));
            let layer = stats.writable_layer.unwrap();
            assert!((3_000_000..4_000_000).contains(&layer.used_bytes) && layer.inodes_used >= 3, "{layer:?}");
            assert_eq!(stats.processes, Some(1));

            // Interfaces of the pod's own, as a pod network makes them.
            let netns = node.options.root.join("sandboxes").join(&sandbox).join("ns/net");
            let netns = format!("--net={}", netns.display());
            for (name, peer) in [("net1", "peer1"), ("eth0", "peer0")] {
                let command = ["ip", "link", "add", name, "type", "veth", "peer", "name", peer];
                let made = std::process::Command::new("nsenter").arg(&netns).args(command).status().unwrap();
                assert!(made.success(), "nsenter and ip (packages util-linux, iproute2)");
            }
            let all = node.runtime().list_sandbox_stats(SandboxFilter::default()).await.unwrap();
            assert_eq!((all.len(), all[0].containers.len()), (1, 1));
            assert!(all[0].cpu.usage_core_nanoseconds >= stats.cpu.usage_core_nanoseconds);
            assert!(all[0].memory.usage_bytes.unwrap() > 0);
            let names: Vec<&str> = all[0].interfaces.iter().map(|interface| interface.name.as_str()).collect();
            assert!(names.len() == 4 && names[0] == "eth0", "{names:?}");
        })
    });
}

/// Takes controllers back that the test's cgroups were handed in the root of a hierarchy.
struct Restore {
    file: PathBuf,
    before: String,
}

impl Restore {
    fn new(root: &Path) -> Self {
        let file = root.join("cgroup.subtree_control");
        let before = std::fs::read_to_string(&file).unwrap();
        Self { file, before }
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        let now = std::fs::read_to_string(&self.file).unwrap_or_default();
        for controller in now.split_whitespace().filter(|name| !self.before.split_whitespace().any(|old| old == *name))
        {
            let _ = std::fs::write(&self.file, format!("-{controller}"));
        }
    }
}

#[test]
fn a_hierarchy_of_version_2() {
    // On a machine with its controllers in version 1 this one is empty, but processes, ends and devices are handled in it all
    // the same.
    let root = Path::new(if is_v1() { "/sys/fs/cgroup/unified" } else { "/sys/fs/cgroup" });
    if !root.join("cgroup.controllers").exists() {
        println!("skipped: no hierarchy of cgroup version 2 is mounted on {}", root.display());
        return;
    }
    let _restore = Restore::new(root);
    on_node_with(CgroupLayout::Unified(root.to_owned()), |node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let hugepage_limits = vec![("2MB".to_owned(), 4 << 20)];
            let resources = Resources { hugepage_limits, ..Resources::default() };
            let config = ContainerConfig { resources, ..container("c", &["sleep", "1000"]) };
            let id = node.start(&sandbox, config).await;
            // Controllers that the hierarchy has are handed down to the container.
            if read(&root.join("cgroup.controllers")).contains("hugetlb") {
                let directory = root.join(&node.name).join("pod").join(&id);
                assert_eq!(read(&directory.join("hugetlb.2MB.max")), (4 << 20).to_string());
            }
            let exec = async |script: &str| {
                let output =
                    node.runtime().exec_sync(&id, strings(&["sh", "-c", script]), None, 1 << 20).await.unwrap();
                String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
            };
            // It sees its own cgroup as the root of a namespace, with the exec'd shell in it.
            assert!(exec("cat /proc/self/cgroup").await.contains("0::/\n"));
            let said = exec("wc -l < /sys/fs/cgroup/cgroup.procs; mkdir /sys/fs/cgroup/x").await;
            assert!(said.starts_with("3\n") && said.contains("Read-only file system"), "{said}");
            // Devices are guarded by a program on the cgroup.
            let said = exec("mknod /tmp/kmsg c 1 11 && head -c 1 /tmp/kmsg; head -c 3 /dev/zero | wc -c").await;
            assert!(said.contains("3\n") && said.contains("/tmp/kmsg: Operation not permitted"), "{said}");
            let device = Device {
                container_path: "/dev/mine".to_owned(),
                host_path: "/dev/null".to_owned(),
                permissions: "rw".to_owned(),
            };
            let config = ContainerConfig { devices: vec![device], ..container("d", &[]) };
            let (code, said) = node.script(&sandbox, "echo x > /dev/mine && echo fine", config).await;
            assert_eq!((code, said.as_str()), (0, "fine\n"));

            // Processes in the node's pid namespace are ended through the cgroup.
            let mut pids = own_pids();
            pids.pid = windlass_cri::NamespaceMode::Node;
            let security = SecurityContext { namespaces: pids, ..SecurityContext::default() };
            let config =
                ContainerConfig { security, ..shell("leaves", "setsid sleep 979 & setsid sleep 979 & exit 0") };
            let leaves = node.start(&sandbox, config).await;
            assert_eq!(node.ended(&leaves).await.exit_code, 0);
            until("what it left is gone", || async {
                (!node.processes().iter().any(|(_, command)| command.contains("979"))).then_some(())
            })
            .await;
            assert_eq!(node.status(&id).await.container.state, ContainerState::Running);
        })
    });
}

/// A pod that has filled the disk of a node whose runtime is on a small one.
async fn fill(node: &Node) -> (String, String) {
    let sandbox = node.sandbox().await;
    // Not before it is told to: a container that cannot be noted as started has not started.
    let config = shell("c", "while ! test -e /begin; do sleep 0.1; done; cat /dev/zero > /fill; echo full; sleep 1000");
    let id = node.start(&sandbox, config).await;
    node.runtime().exec_sync(&id, strings(&["touch", "/begin"]), None, 1 << 20).await.unwrap();
    let log = node.logs().join("c.log");
    until("the disk is full", || async { crate::support::log_text(&log).ends_with("full\n").then_some(()) }).await;
    std::fs::remove_file(log).unwrap();
    // To the last byte.
    let mut rest = std::fs::File::create(node.options.root.join("rest")).unwrap();
    while std::io::Write::write(&mut rest, &[1]).is_ok_and(|wrote| wrote > 0) {}
    (sandbox, id)
}

/// A pod fills the disk on which the runtime has its state: it can be ended and removed all the same, also by a runtime that comes
/// new, and so can everything.
#[test]
fn a_full_disk_is_emptied() {
    on_node(|node| {
        Box::pin(async move {
            node.shut_down().await;
            let small = node.directory.join("small");
            std::fs::create_dir(&small).unwrap();
            let none: Option<&str> = None;
            let size = Some("size=16m");
            nix::mount::mount(none, &small, Some("tmpfs"), nix::mount::MsFlags::empty(), size).unwrap();
            node.options.root = small.join("runtime");
            node.open().await;
            let (sandbox, id) = fill(node).await;
            node.runtime().stop_container(&id, Duration::ZERO).await.unwrap();
            node.runtime().stop_sandbox(&sandbox).await.unwrap();
            node.runtime().remove_sandbox(&sandbox).await.unwrap();
            std::fs::write(node.options.root.join("more"), [1; 1 << 20]).unwrap();
            let (sandbox, _) = fill(node).await;
            // With a supervisor that comes new as well.
            drop(node.runtime.take());
            node.end_supervisor().await;
            node.open().await;
            node.runtime().remove_sandbox(&sandbox).await.unwrap();
            fill(node).await;
            drop(node.runtime.take());
            node.open().await;
            node.runtime.take().unwrap().wipe().await.unwrap();
            assert!(!node.options.root.exists());
            // The supervisor may be about to end.
            nix::mount::umount2(&small, nix::mount::MntFlags::MNT_DETACH).unwrap();
        })
    });
}
