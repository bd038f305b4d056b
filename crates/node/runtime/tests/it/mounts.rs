//! What the kubelet asks to be mounted, and what of it shows on which side.

use std::path::PathBuf;

use windlass_cri::{Code, ContainerConfig, ImageSpec, Mount, MountPropagation, RuntimeService};

use crate::support::{Node, container, on_node, strings};

fn mount(container_path: &str, host_path: &std::path::Path) -> Mount {
    Mount {
        container_path: container_path.to_owned(),
        host_path: host_path.to_str().unwrap().to_owned(),
        ..Mount::default()
    }
}

fn with(mounts: Vec<Mount>) -> ContainerConfig {
    ContainerConfig { mounts, ..container("c", &[]) }
}

fn volume(node: &Node, name: &str) -> PathBuf {
    let path = node.directory.join(name);
    std::fs::create_dir(&path).unwrap();
    path
}

fn mount_tmpfs(path: &std::path::Path) {
    std::fs::create_dir_all(path).unwrap();
    let none: Option<&str> = None;
    nix::mount::mount(Some("test"), path, Some("tmpfs"), nix::mount::MsFlags::empty(), none).unwrap();
}

fn unmount(path: &std::path::Path) {
    nix::mount::umount2(path, nix::mount::MntFlags::MNT_DETACH).unwrap();
}

#[test]
fn volumes_files_and_order() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let (outer, inner) = (volume(node, "outer"), volume(node, "inner"));
            let file = node.directory.join("hosts");
            std::fs::write(&file, "127.0.0.1 localhost\n").unwrap();
            let missing = node.directory.join("made/by/the/runtime");
            std::os::unix::fs::symlink(&inner, node.directory.join("link")).unwrap();
            let mounts = vec![
                mount("/v/inner", &inner),
                mount("/v", &outer),
                mount("/etc/hosts", &file),
                mount("/missing", &missing),
                mount("/through/link", &node.directory.join("link")),
            ];
            let script =
                "echo a > /v/file; echo b > /v/inner/file; cat /etc/hosts /through/link/file; touch /missing/x";
            let (code, said) = node.script(&sandbox, script, with(mounts)).await;
            assert_eq!((code, said.as_str()), (0, "127.0.0.1 localhost\nb\n"));
            assert_eq!(std::fs::read_to_string(outer.join("file")).unwrap(), "a\n");
            assert_eq!(std::fs::read_to_string(inner.join("file")).unwrap(), "b\n");
            assert!(missing.join("x").exists() && outer.join("inner").is_dir());

            let error = node.runtime().create_container(&sandbox, with(vec![mount("relative", &inner)])).await;
            assert_eq!(error.unwrap_err().code, Code::InvalidArgument);
            let config =
                ContainerConfig { command: strings(&["true"]), ..with(vec![mount("/proc/self/attr", &inner)]) };
            let id = node.runtime().create_container(&sandbox, config).await.unwrap();
            let error = node.runtime().start_container(&id).await.unwrap_err();
            assert!(error.message.contains("/proc/self/attr cannot be mounted because it is inside /proc"), "{error}");
        })
    });
}

#[test]
fn read_only_and_recursively_so() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let directory = volume(node, "volume");
            let below = directory.join("below");
            mount_tmpfs(&below);
            let script = "touch /v/x 2>&1; touch /v/below/x 2>&1 && echo written";
            let plain = Mount { readonly: true, ..mount("/v", &directory) };
            let (_, said) = node.script(&sandbox, script, with(vec![plain.clone()])).await;
            assert_eq!(said, "touch: /v/x: Read-only file system\nwritten\n");
            let recursive = Mount { recursive_read_only: true, ..plain };
            let (_, said) = node.script(&sandbox, script, with(vec![recursive])).await;
            assert_eq!(said, "touch: /v/x: Read-only file system\ntouch: /v/below/x: Read-only file system\n");
            // Nothing of it has changed on the node.
            std::fs::write(below.join("y"), "").unwrap();
            unmount(&below);
        })
    });
}

#[test]
fn propagation() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let directory = volume(node, "volume");
            let place = |propagation, path: &str| Mount { propagation, ..mount(path, &directory) };
            let mounts = vec![
                place(MountPropagation::Private, "/private"),
                place(MountPropagation::HostToContainer, "/receives"),
                place(MountPropagation::Bidirectional, "/both"),
            ];
            let mut sandbox_config = node.sandbox_config("privileged");
            sandbox_config.privileged = true;
            let privileged = node.sandbox_of(sandbox_config).await;
            let mut config = ContainerConfig { command: strings(&["sleep", "1000"]), ..with(mounts) };
            config.security.privileged = true;
            let id = node.start(&privileged, config).await;
            let exec = async |script: &str| {
                let output =
                    node.runtime().exec_sync(&id, strings(&["sh", "-c", script]), None, 1 << 20).await.unwrap();
                String::from_utf8(output.stdout).unwrap()
            };
            let from_node = directory.join("from-node");
            mount_tmpfs(&from_node);
            std::fs::write(from_node.join("file"), "").unwrap();
            assert_eq!(
                exec("ls /private/from-node /receives/from-node /both/from-node").await.matches("file").count(),
                2
            );
            assert_eq!(exec("ls /private/from-node").await, "");

            exec("mkdir /receives/from-container /both/second; mount -t tmpfs none /receives/from-container; touch /receives/from-container/file").await;
            assert!(!directory.join("from-container/file").exists(), "what only receives does not send");
            exec("mount -t tmpfs none /both/second; touch /both/second/file").await;
            assert!(directory.join("second/file").exists());
            assert_eq!(exec("ls /receives/second /private/second").await.matches("file").count(), 1);

            unmount(&directory.join("second"));
            unmount(&from_node);
            // Gone on the node is gone in the container: volumes can be taken away from running pods.
            assert_eq!(exec("ls /receives/from-node /both/from-node").await.matches("file").count(), 0);
            node.runtime().remove_container(&id).await.unwrap();
            drop(sandbox);
        })
    });
}

#[test]
fn images_as_volumes() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let image = |path: &str, image: &str, sub_path: &str| Mount {
                container_path: path.to_owned(),
                image: Some(ImageSpec::new(image)),
                image_sub_path: sub_path.to_owned(),
                readonly: true,
                ..Mount::default()
            };
            let mounts = vec![
                image("/whole", "volume", ""),
                image("/part", "volume", "sub"),
                image("/file", "volume-two-layers", "/sub/file"),
                image("/two", "volume-two-layers", ""),
            ];
            let script =
                "cat /whole/file /part/file /file /two/etc/replaced; ls /part; touch /whole/x 2>&1; touch /two/x 2>&1";
            let (_, said) = node.script(&sandbox, script, with(mounts)).await;
            assert_eq!(
                said,
                "whole\npart\npart\nupper\ndeep\nfile\ntouch: /whole/x: Read-only file system\n\
                 touch: /two/x: Read-only file system\n"
            );
            let absent =
                ContainerConfig { command: strings(&["true"]), ..with(vec![image("/x", "volume", "no/such")]) };
            let id = node.runtime().create_container(&sandbox, absent).await.unwrap();
            let error = node.runtime().start_container(&id).await.unwrap_err();
            assert!(error.message.contains("find no/such in the image mounted to /x"), "{error}");
            let missing = ContainerConfig { command: strings(&["true"]), ..container("other", &[]) };
            let missing = ContainerConfig { mounts: vec![image("/x", "missing", "")], ..missing };
            assert!(node.runtime().create_container(&sandbox, missing).await.unwrap_err().is_not_found());
        })
    });
}

#[test]
fn writable_layers_are_each_containers_own() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            assert_eq!(
                node.says(&sandbox, "echo changed > /etc/replaced; rm /data/base; cat /etc/replaced").await,
                "changed\n"
            );
            assert_eq!(
                node.says(&sandbox, "cat /etc/replaced /data/base; ls -ld / | cut -c1-10").await,
                "upper\nfrom the base\ndrwxr-xr-x\n"
            );
            assert_eq!(
                std::fs::read_to_string(node.directory.join("images/base/data/base")).unwrap(),
                "from the base\n"
            );
        })
    });
}

#[test]
fn many_layers() {
    on_node(|node| {
        Box::pin(async move {
            let sandbox = node.sandbox().await;
            let config = ContainerConfig { image: ImageSpec::new("many-layers"), ..container("c", &[]) };
            let (_, said) = node.script(&sandbox, "ls /many | wc -l; cat /many/last", config).await;
            assert_eq!(said, "61\n59\n");
        })
    });
}
