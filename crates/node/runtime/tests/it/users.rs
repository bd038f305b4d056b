//! Pods with a user namespace: root inside, nobody outside.

use windlass_cri::{
    ContainerConfig, ContainerMetadata, IdMapping, Mount, NamespaceMode, Namespaces, RuntimeService, SandboxConfig,
    SecurityContext, SecurityProfile, UserNamespace,
};

use crate::support::{Node, container, log_text, on_node, own_pids, strings, until};

const HOST_ID: u32 = 1_000_000;

fn mappings() -> Vec<IdMapping> {
    vec![IdMapping { host_id: HOST_ID, container_id: 0, length: 65_536 }]
}

fn namespaces(pid: NamespaceMode) -> Namespaces {
    Namespaces { user: Some(UserNamespace { uids: mappings(), gids: mappings() }), pid, ..own_pids() }
}

fn config(node: &Node, name: &str, pid: NamespaceMode) -> SandboxConfig {
    SandboxConfig { namespaces: namespaces(pid), ..node.sandbox_config(name) }
}

fn with(security: SecurityContext) -> ContainerConfig {
    ContainerConfig { security, ..container("c", &[]) }
}

#[test]
fn root_inside_is_nobody_outside() {
    on_node(|node| {
        Box::pin(async move {
            assert!(node.runtime().status().await.unwrap().handlers[0].user_namespaces);
            let mut sandbox_config = config(node, "pod", NamespaceMode::Container);
            sandbox_config.sysctls.insert("net.core.somaxconn".to_owned(), "77".to_owned());
            let sandbox = node.sandbox_of(sandbox_config).await;
            let volume = node.directory.join("volume");
            std::fs::create_dir(&volume).unwrap();
            let mount = Mount {
                container_path: "/v".to_owned(),
                host_path: volume.to_str().unwrap().to_owned(),
                uid_mappings: mappings(),
                gid_mappings: mappings(),
                ..Mount::default()
            };
            let security = SecurityContext {
                namespaces: namespaces(NamespaceMode::Container),
                add_capabilities: strings(&["SYS_ADMIN"]),
                seccomp: SecurityProfile::RuntimeDefault,
                masked_paths: strings(&["/proc/keys", "/sys/firmware"]),
                readonly_paths: strings(&["/proc/sys"]),
                ..SecurityContext::default()
            };
            let base = ContainerConfig { mounts: vec![mount.clone()], ..with(security.clone()) };
            let script = "cat /proc/self/uid_map | tr -s ' '; id -u; ls -n / | grep etc | tr -s ' ' | cut -d' ' -f3,4; echo new > /etc/new; \
                          echo v > /v/file; ls -n /v/file | tr -s ' ' | cut -d' ' -f3,4; cat /proc/sys/net/core/somaxconn; cat /etc/hostname; \
                          mkdir /m && mount -t tmpfs none /m && echo mounted; echo x > /dev/null && echo device; echo y > /dev/stdout; \
                          touch /dev/shm/x && echo shm; cat /proc/keys | wc -c";
            let (code, said) = node.script(&sandbox, script, base.clone()).await;
            assert_eq!(
                (code, said.as_str()),
                (0, " 0 1000000 65536\n0\n0 0\n0 0\n77\npod\nmounted\ndevice\ny\nshm\n0\n")
            );
            use std::os::unix::fs::MetadataExt;
            assert_eq!(
                std::fs::metadata(volume.join("file")).unwrap().uid(),
                0,
                "mapped volumes keep the node's owners"
            );

            let layers = ContainerConfig { image: windlass_cri::ImageSpec::new("many-layers"), ..base.clone() };
            let (_, said) =
                node.script(&sandbox, "ls /many | wc -l; ls -n /many/last | tr -s ' ' | cut -d' ' -f3", layers).await;
            assert_eq!(said, "61\n0\n");

            let id = node.start(&sandbox, ContainerConfig { command: strings(&["sleep", "978"]), ..base }).await;
            let pid = node.status(&id).await.pid.unwrap();
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            assert!(status.contains("\nUid:\t1000000\t1000000\t1000000\t1000000\n"), "{status}");
            let script = "id -u; cat /proc/1/comm; touch /x && ls -n /x | tr -s ' ' | cut -d' ' -f3";
            let output = node.runtime().exec_sync(&id, strings(&["sh", "-c", script]), None, 1 << 20).await.unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), "0\nsleep\n0\n");
            let upper = node.options.root.join("containers").join(&id).join("upper/x");
            assert_eq!(std::fs::metadata(upper).unwrap().uid(), HOST_ID);

            let web = SecurityContext { run_as_user: Some(1000), add_capabilities: Vec::new(), ..security };
            let (_, said) = node.script(&sandbox, "id -u; echo z > /dev/stderr; touch /root/x 2>&1", with(web)).await;
            let mut lines: Vec<&str> = said.lines().collect();
            lines.sort_unstable();
            assert_eq!(lines, ["1000", "touch: /root/x: Permission denied", "z"]);
        })
    });
}

#[test]
fn shared_process_ids_and_terminals() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox_of(config(node, "pod", NamespaceMode::Pod)).await;
            let security =
                || SecurityContext { namespaces: namespaces(NamespaceMode::Pod), ..SecurityContext::default() };
            let sleeper = ContainerConfig { command: strings(&["sleep", "977"]), tty: true, ..with(security()) };
            let id = node.start(&sandbox, sleeper).await;
            let script = "ps -o pid,comm,args | grep -v ps; test -t 0 && echo tty";
            let other = ContainerConfig { tty: true, ..with(security()) };
            let (code, said) = node.script(&sandbox, script, other).await;
            assert_eq!(code, 0);
            assert!(said.contains("sleep 977") && said.contains("windlass-init") && said.contains("tty"), "{said}");
            let wrong = with(SecurityContext { namespaces: own_pids(), ..SecurityContext::default() });
            let error = node.runtime().create_container(&sandbox, wrong).await.unwrap_err();
            assert_eq!(error.message, "user namespace config for sandbox is different from container");
            node.runtime().remove_container(&id).await.unwrap();
        })
    });
}

/// Between the fork in the pod's pid namespace and the change of roots, a starting process still has the node's files. A neighbour who may
/// trace everything in the pod's user namespace must not get at them.
#[test]
fn neighbours_cannot_enter_a_process_that_starts() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox_of(config(node, "pod", NamespaceMode::Pod)).await;
            let in_pod =
                || SecurityContext { namespaces: namespaces(NamespaceMode::Pod), ..SecurityContext::default() };
            let tracing = SecurityContext { add_capabilities: strings(&["SYS_PTRACE"]), ..in_pod() };
            // The node's root has it, and the image has not.
            let marker = "/usr/bin/nsenter";
            assert!(std::path::Path::new(marker).exists());
            let script = format!(
                "echo watching; while :; do for p in /proc/[0-9]*; do \
                 for link in root cwd; do test -e $p/$link{marker} && echo entered $link; done; done; done"
            );
            let watcher = ContainerConfig {
                metadata: ContainerMetadata { name: "watcher".to_owned(), attempt: 0 },
                command: strings(&["sh", "-c", &script]),
                log_path: "watcher.log".to_owned(),
                ..with(tracing)
            };
            let watcher = node.start(&sandbox, watcher).await;
            let log = node.logs().join("watcher.log");
            until("the watcher watches", || async { log_text(&log).contains("watching").then_some(()) }).await;
            for number in 0..30 {
                let metadata = ContainerMetadata { name: format!("c{number}"), attempt: 0 };
                let starting = ContainerConfig { metadata, command: strings(&["true"]), ..with(in_pod()) };
                let id = node.start(&sandbox, starting).await;
                node.ended(&id).await;
                node.runtime().exec_sync(&watcher, strings(&["true"]), None, 1 << 20).await.unwrap();
            }
            assert_eq!(log_text(&log), "watching\n");
        })
    });
}

#[test]
fn on_the_nodes_network() {
    on_node(|node| {
        Box::pin(async move {
            let mut on_node = namespaces(NamespaceMode::Container);
            on_node.network = NamespaceMode::Node;
            let sandbox_config = SandboxConfig { namespaces: on_node.clone(), ..node.sandbox_config("pod") };
            let sandbox = node.sandbox_of(sandbox_config).await;
            let security = SecurityContext { namespaces: on_node, ..SecurityContext::default() };
            let script = "test -d /sys/class/net/lo && echo sys; touch /sys/x 2>&1 | grep -c denied; id -u";
            let (code, said) = node.script(&sandbox, script, with(security)).await;
            assert_eq!(code, 0);
            assert!(said.starts_with("sys\n") && said.ends_with("\n0\n"), "{said}");
        })
    });
}
