//! What a pod's containers share, and what they share with the node.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use windlass_cri::{
    Code, ContainerConfig, DnsConfig, NamespaceMode, Namespaces, RuntimeService, SandboxConfig, SandboxState,
    SecurityContext,
};

use crate::support::{Node, container, on_node, own_pids, shell, strings, until};

fn in_namespaces(namespaces: Namespaces, config: ContainerConfig) -> ContainerConfig {
    let security = SecurityContext { namespaces, ..config.security };
    ContainerConfig { security, ..config }
}

async fn exec(node: &Node, id: &str, script: &str) -> String {
    let output = node.runtime().exec_sync(id, strings(&["sh", "-c", script]), None, 1 << 20).await.unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

/// Inode numbers of namespaces, as readlink shows them.
const LINKS: &str = "for n in net ipc uts pid mnt; do ls -l /proc/self/ns/$n | grep -o '[a-z]*:\\[.*\\]'; done";

fn own_link(name: &str) -> String {
    std::fs::read_link(format!("/proc/thread-self/ns/{name}")).unwrap().to_str().unwrap().to_owned()
}

#[test]
fn a_pod_shares_network_and_memory() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let first = node.start(&sandbox, container("a", &["sleep", "1000"])).await;
            let second = node.start(&sandbox, container("b", &["sleep", "1000"])).await;
            let (a, b) = (exec(node, &first, LINKS).await, exec(node, &second, LINKS).await);
            let (a, b): (Vec<&str>, Vec<&str>) = (a.lines().collect(), b.lines().collect());
            assert_eq!(a[..3], b[..3], "network, ipc and uts");
            assert!(a[3] != b[3] && a[4] != b[4], "pid and mnt are each one's own: {a:?} {b:?}");
            for (index, name) in ["net", "ipc", "uts", "pid", "mnt"].iter().enumerate() {
                assert_ne!(a[index], own_link(name), "not the node's");
            }
            exec(node, &first, "echo shared > /dev/shm/file").await;
            assert_eq!(exec(node, &second, "cat /dev/shm/file").await, "shared\n");
            assert_eq!(exec(node, &first, "ps -o comm | grep -c sleep").await, "1\n", "not the other's");
            assert_eq!(exec(node, &first, "ip -o link | grep -c 'lo:.*UP'; cat /proc/1/comm").await, "1\nsleep\n");
        })
    });
}

#[test]
fn shared_process_ids() {
    on_node(|node| {
        Box::pin(async move {
            let shared = Namespaces::default();
            let config = SandboxConfig { namespaces: shared.clone(), ..node.sandbox_config("pod") };
            let sandbox = node.sandbox_of(config).await;
            let first = in_namespaces(shared.clone(), container("a", &["sleep", "982"]));
            let first = node.start(&sandbox, first).await;
            let second = node.start(&sandbox, in_namespaces(shared.clone(), container("b", &["sleep", "981"]))).await;
            let seen = exec(node, &second, "ps -o pid,comm,args").await;
            assert!(seen.contains("sleep 982") && seen.contains("sleep 981"), "{seen}");
            assert_eq!(
                exec(node, &second, "cat /proc/1/comm; ls /proc/1/root/ 2>&1 | head -1").await,
                "windlass-init\nls: /proc/1/root/: Permission denied\n"
            );
            assert_eq!(
                exec(node, &second, "grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs)' /proc/1/status | tr -s '\\t' ' '").await,
                "Uid: 65535 65535 65535 65535\nCapEff: 0000000000000000\nCapBnd: 0000000000000000\nNoNewPrivs: 1\n"
            );
            // The init reaps orphans.
            exec(node, &first, "sh -c 'true & exec sleep 0.01' & wait; sh -c 'sleep 0.02 &'").await;
            until("no zombie is left", || async {
                (!exec(node, &first, "ps -o stat,comm").await.contains('Z')).then_some(())
            })
            .await;
            // A container's end is not the pod's.
            node.runtime().stop_container(&first, Duration::ZERO).await.unwrap();
            assert!(!exec(node, &second, "ps").await.contains("982"));

            let init = node.processes().into_iter().find(|(pid, _)| {
                std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == "windlass-init")
            });
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(init.unwrap().0), nix::sys::signal::Signal::SIGKILL)
                .unwrap();
            assert_eq!(node.ended(&second).await.exit_code, 137);
            until("the sandbox is not ready", || async {
                let state = node.runtime().sandbox_status(&sandbox).await.unwrap().sandbox.state;
                (state == SandboxState::NotReady).then_some(())
            })
            .await;

            let plain = node.sandbox_of(node.sandbox_config("plain")).await;
            let config = in_namespaces(shared, container("c", &["true"]));
            let error = node.runtime().create_container(&plain, config).await.unwrap_err();
            assert_eq!(error.code, Code::FailedPrecondition);
        })
    });
}

#[test]
fn joining_another_containers_process_ids() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let target = node.start(&sandbox, shell("target", "sleep 980; exit 1")).await;
            let joined = |id: &str| Namespaces { pid: NamespaceMode::Target(id.to_owned()), ..own_pids() };
            let debugger = in_namespaces(joined(&target[..16]), container("debug", &["sleep", "1000"]));
            let id = node.start(&sandbox, debugger).await;
            let seen = exec(node, &id, "ps -o pid,args").await;
            assert!(seen.contains("1 /bin/sh -c sleep 980"), "{seen}");
            // As a debugger needs it: with the same rights it may look into the target.
            assert_eq!(exec(node, &id, "cat /proc/1/root/etc/hostname").await, "pod\n");
            exec(node, &id, "kill $(ps -o pid,args | grep 'sleep 980' | grep -v -e sh -e grep | tr -s ' ' | sed 's/^ //' | cut -d' ' -f1) || kill -9 -1").await;
            node.ended(&target).await;
            // The namespace's first process is gone, and with it everybody in it.
            assert_eq!(node.ended(&id).await.exit_code, 137);

            let other = node.sandbox_of(node.sandbox_config("other")).await;
            let stranger = node.start(&other, container("stranger", &["sleep", "1000"])).await;
            for (wanted, code) in [(stranger, Code::InvalidArgument), (target, Code::FailedPrecondition)] {
                let config = in_namespaces(joined(&wanted), container("late", &["true"]));
                assert_eq!(node.runtime().create_container(&sandbox, config).await.unwrap_err().code, code);
            }
        })
    });
}

#[test]
fn the_nodes_namespaces() {
    on_node(|node| {
        Box::pin(async move {
            let all = Namespaces {
                network: NamespaceMode::Node,
                pid: NamespaceMode::Node,
                ipc: NamespaceMode::Node,
                user: None,
            };
            let config =
                SandboxConfig { namespaces: all.clone(), hostname: String::new(), ..node.sandbox_config("node") };
            let sandbox = node.sandbox_of(config).await;
            assert!(node.runtime().sandbox_status(&sandbox).await.unwrap().ips.is_empty());
            let id = node.start(&sandbox, in_namespaces(all, container("c", &["sleep", "1000"]))).await;
            let links = exec(node, &id, LINKS).await;
            let links: Vec<&str> = links.lines().collect();
            for (index, name) in ["net", "ipc", "uts", "pid"].iter().enumerate() {
                assert_eq!(links[index], own_link(name));
            }
            let pid = node.status(&id).await.pid.unwrap();
            assert_eq!(exec(node, &id, &format!("cat /proc/{pid}/comm")).await, "sleep\n");
            let hostname = nix::unistd::gethostname().unwrap().into_string().unwrap();
            assert_eq!(exec(node, &id, "hostname; cat /etc/hostname").await, format!("{hostname}\n{hostname}\n"));
        })
    });
}

#[test]
fn kernel_parameters_and_names() {
    on_node(|node| {
        Box::pin(async move {
            let mut config = node.sandbox_config("web-0");
            for (name, value) in
                [("net.core.somaxconn", "321"), ("kernel.shm_rmid_forced", "1"), ("fs.mqueue.msg_max", "17")]
            {
                config.sysctls.insert(name.to_owned(), value.to_owned());
            }
            config.dns = Some(DnsConfig {
                servers: strings(&["10.96.0.10"]),
                searches: strings(&["a.example", "b.example"]),
                options: strings(&["ndots:5"]),
            });
            let somaxconn = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
            let sandbox = node.sandbox_of(config.clone()).await;
            let said = node
                .says(
                    &sandbox,
                    "cat /proc/sys/net/core/somaxconn /proc/sys/kernel/shm_rmid_forced /proc/sys/fs/mqueue/msg_max \
                     /proc/sys/net/ipv4/ip_unprivileged_port_start /etc/resolv.conf; hostname",
                )
                .await;
            assert_eq!(
                said,
                "321\n1\n17\n0\nsearch a.example b.example\nnameserver 10.96.0.10\noptions ndots:5\nweb-0\n"
            );
            assert_eq!(std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap(), somaxconn, "the node's stays");
            config.metadata.attempt = 1;
            config.sysctls.insert("vm.swappiness".to_owned(), "1".to_owned());
            let error = node.runtime().run_sandbox(config, "").await.unwrap_err();
            assert!(error.message.contains("\"vm.swappiness\" is the node's"), "{error}");
        })
    });
}

#[test]
fn ports_are_forwarded() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let refused = node.runtime().port_forward(&sandbox, 8080).await.err().unwrap();
            assert!(refused.message.contains("failed to connect to localhost:8080 inside sandbox"), "{refused}");
            node.start(&sandbox, shell("server", "nc -l -p 8080 -e cat; sleep 1000")).await;
            let mut connection =
                until("the server listens", || async { node.runtime().port_forward(&sandbox, 8080).await.ok() }).await;
            connection.writer.write_all(b"over and back").await.unwrap();
            let mut back = [0; 13];
            connection.reader.read_exact(&mut back).await.unwrap();
            assert_eq!(&back, b"over and back");
            connection.writer.shutdown().await.unwrap();
            assert_eq!(connection.reader.read(&mut back).await.unwrap(), 0);
            node.runtime().stop_sandbox(&sandbox).await.unwrap();
            assert_eq!(node.runtime().port_forward(&sandbox, 8080).await.err().unwrap().code, Code::FailedPrecondition);
        })
    });
}
