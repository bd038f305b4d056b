//! Images that were made to lead the runtime astray: each is refused, or harms nobody but itself.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use windlass_cri::{ContainerConfig, ImageSpec, Mount, RuntimeService, SecurityContext};

use crate::support::{Node, container, on_node, own_pids, shell, strings};

/// An image that is the usual one below a layer of symbolic links (path and target).
fn image(node: &Node, name: &str, links: &[(&str, &str)]) -> String {
    let layer = node.directory.join("images").join(name);
    for (path, target) in links {
        let path = layer.join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }
    std::fs::create_dir_all(&layer).unwrap();
    format!("layer:{name}")
}

fn volume(node: &Node, name: &str) -> PathBuf {
    let path = node.directory.join(name);
    std::fs::create_dir(&path).unwrap();
    path
}

fn mount(container_path: &str, host_path: &Path) -> Mount {
    let host_path = host_path.to_str().unwrap().to_owned();
    Mount { container_path: container_path.to_owned(), host_path, ..Mount::default() }
}

/// As the kubelet asks for containers that say nothing.
fn confined() -> SecurityContext {
    SecurityContext {
        masked_paths: strings(&["/proc/keys", "/proc/kcore", "/proc/timer_list", "/sys/firmware"]),
        readonly_paths: strings(&["/proc/sys", "/proc/irq", "/proc/sysrq-trigger"]),
        namespaces: own_pids(),
        ..SecurityContext::default()
    }
}

fn of(image: String, mounts: Vec<Mount>) -> ContainerConfig {
    ContainerConfig { image: ImageSpec::new(image), mounts, security: confined(), ..container("c", &["/bin/true"]) }
}

/// Starts a container that must not start; returns why it did not.
async fn refused(node: &Node, sandbox: &str, config: ContainerConfig) -> String {
    let id = node.runtime().create_container(sandbox, config).await.unwrap();
    let started = node.runtime().start_container(&id).await;
    node.runtime().remove_container(&id).await.unwrap();
    started.expect_err("the container is refused").message
}

#[test]
fn links_where_the_kernels_file_systems_go() {
    type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);
    const CASES: &[Case] = &[
        ("proc-through-volume", &[("/proc", "/vol/l"), ("/vol/l", "/d")], "/proc"),
        ("proc-into-volume", &[("/proc", "/vol")], "/proc"),
        ("proc-beside", &[("/proc", "d")], "/proc"),
        ("proc-dangles", &[("/proc", "/no/such")], "/proc"),
        ("proc-above", &[("/proc", "../../../..")], "/proc"),
        ("proc-is-itself", &[("/proc", "proc")], "/proc"),
        ("sys", &[("/sys", "/data")], "/sys"),
        ("sys-in-proc", &[("/sys", "/proc/sys")], "/sys"),
        ("dev", &[("/dev", "/tmp")], "/dev"),
        ("dev-in-volume", &[("/dev", "vol")], "/dev"),
    ];
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let vol = volume(node, "vol");
            symlink("/d", vol.join("l")).unwrap();
            for (name, links, place) in CASES {
                let config = of(image(node, name, links), vec![mount("/vol", &vol)]);
                let why = refused(node, &sandbox, config).await;
                let wanted = format!("mount point {place}: {place} is a symbolic link");
                assert!(why.contains(&wanted), "{name}: {why}");
            }
            let left: Vec<_> = std::fs::read_dir(&vol).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(left, ["l"], "nothing was made in the volume");
        })
    });
}

#[test]
fn volumes_neither_hide_nor_move_covers() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let vol = volume(node, "vol");
            symlink("/proc", vol.join("proc")).unwrap();
            symlink("/proc/sys", vol.join("sys")).unwrap();
            symlink("/proc/self/root", vol.join("root")).unwrap();
            for target in ["/vol/proc", "/vol/sys", "/vol/sys/kernel", "/vol/proc/keys", "/vol/root/x"] {
                let mounts = vec![mount("/vol", &vol), mount(target, &vol)];
                let why = refused(node, &sandbox, of(image(node, "plain", &[]), mounts)).await;
                assert!(why.contains(target), "{target}: {why}");
            }
            let script = "cat /proc/keys | wc -c; ls /sys/firmware | wc -l; echo x > /proc/sys/kernel/core_pattern; \
                          echo f > /proc/irq/default_smp_affinity";
            let config = of(image(node, "plain", &[]), vec![mount("/vol", &vol)]);
            let (_, said) = node.script(&sandbox, &format!("({script}) 2>&1"), config).await;
            assert!(said.starts_with("0\n0\n"), "{said}");
            assert_eq!(said.matches("Read-only file system").count(), 2, "{said}");
        })
    });
}

#[test]
fn a_cover_that_cannot_be_put_up_ends_the_start() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            // Links of the kernel's own: what they lead to would stay open under its other name.
            for path in ["/proc/net", "/proc/self/net", "/proc/mounts"] {
                let mut config = of(image(node, "plain", &[]), Vec::new());
                config.security.masked_paths = strings(&[path]);
                let why = refused(node, &sandbox, config.clone()).await;
                assert!(why.contains(&format!("mask {path}")), "{why}");
                config.security.readonly_paths = std::mem::take(&mut config.security.masked_paths);
                let why = refused(node, &sandbox, config).await;
                assert!(why.contains(&format!("make {path} read-only")), "{why}");
            }
        })
    });
}

#[test]
fn files_and_directories_land_inside() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let outside = volume(node, "outside");
            let out = outside.to_str().unwrap().to_owned();
            let up = format!("../../../../../../..{out}/relative");
            let (absolute, working) = (format!("{out}/absolute"), format!("{out}/working"));
            let links = [
                ("/etc/hosts", absolute.as_str()),
                ("/etc/hostname", up.as_str()),
                ("/etc/resolv.conf", "/run/resolv.conf"),
                ("/log", &absolute),
                ("/work", &working),
            ];
            let file = node.directory.join("hosts");
            std::fs::write(&file, "127.0.0.1 localhost\n").unwrap();
            let mounts = vec![mount("/etc/hosts", &file), mount("/log/termination", &file)];
            let config =
                ContainerConfig { working_dir: "/work/deep".to_owned(), ..of(image(node, "out", &links), mounts) };
            // /log leads to where /etc/hosts has made a file.
            let why = refused(node, &sandbox, config.clone()).await;
            assert!(why.contains("/log/termination"), "{why}");
            let config = ContainerConfig { mounts: vec![mount("/etc/hosts", &file)], ..config };
            let (code, said) = node.script(&sandbox, "cat /etc/hosts /etc/hostname; pwd -P", config).await;
            assert_eq!((code, said), (0, format!("127.0.0.1 localhost\npod\n{working}/deep\n")));
            assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0, "nothing was made on the node");

            for directory in ["/proc/self/fd/3", "/proc/self/root", "/proc/1/cwd/x"] {
                let working_dir = directory.to_owned();
                let config = ContainerConfig { working_dir, ..of(image(node, "plain", &[]), Vec::new()) };
                let why = refused(node, &sandbox, config).await;
                assert!(why.contains(directory), "{directory}: {why}");
            }
        })
    });
}

#[test]
fn a_pipe_as_null_device_blocks_nobody() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let dev = volume(node, "dev");
            nix::unistd::mkfifo(&dev.join("null"), nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
            let config = ContainerConfig { mounts: vec![mount("/dev", &dev)], ..shell("c", "true") };
            let why = refused(node, &sandbox, config).await;
            assert!(why.contains("/dev/null in the container is not the null device"), "{why}");
        })
    });
}
