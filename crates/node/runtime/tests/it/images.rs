//! An image in a directory: busybox and a few files, in two layers, and a pod network that gives an address and does nothing.

use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use windlass_cri::{Error, ImageRootfs, ImageRunConfig, ImageSource, NetworkRequest, PodNetwork, Result};

const BUSYBOX: &str = "/bin/busybox";
const APPLETS: &str = "sh cat echo id ls mkdir sleep true false touch mount umount kill stty hostname date chmod ps nc test \
                       head tail dd env pwd sync setsid wc grep ip chroot mknod su stat trap yes tr printf seq rm wget unshare chown cut sed find";

/// Images by name, each with its layers below a directory.
pub(crate) struct Images {
    directory: PathBuf,
}

impl Images {
    /// Builds `busybox` (two layers), `volume` (a single layer for image volumes) and `user` (runs as `web`).
    pub(crate) fn build(directory: &Path) -> Self {
        assert!(
            Path::new(BUSYBOX).exists(),
            "{BUSYBOX} is missing: install the package busybox-static, from which the test's image is built"
        );
        let base = directory.join("base");
        for path in ["bin", "etc", "proc", "sys", "dev", "root", "srv/web", "data"] {
            std::fs::create_dir_all(base.join(path)).unwrap();
        }
        std::fs::create_dir(base.join("tmp")).unwrap();
        std::fs::set_permissions(base.join("tmp"), std::fs::Permissions::from_mode(0o1777)).unwrap();
        std::fs::copy(BUSYBOX, base.join("bin/busybox")).unwrap();
        for applet in APPLETS.split_whitespace() {
            symlink("busybox", base.join("bin").join(applet)).unwrap();
        }
        let passwd = "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001:Web:/srv/web:/bin/sh\n";
        std::fs::write(base.join("etc/passwd"), passwd).unwrap();
        std::fs::write(base.join("etc/group"), "root:x:0:\nweb:x:1001:\nstaff:x:50:web\n").unwrap();
        std::fs::write(base.join("data/base"), "from the base\n").unwrap();
        std::fs::write(base.join("etc/replaced"), "lower\n").unwrap();

        let top = directory.join("top");
        std::fs::create_dir_all(top.join("etc")).unwrap();
        std::fs::write(top.join("etc/replaced"), "upper\n").unwrap();
        std::fs::write(top.join("not-executable"), "text").unwrap();

        let volume = directory.join("volume-layer");
        std::fs::create_dir_all(volume.join("sub/deep")).unwrap();
        std::fs::write(volume.join("file"), "whole\n").unwrap();
        std::fs::write(volume.join("sub/file"), "part\n").unwrap();
        Self { directory: directory.to_owned() }
    }

    /// Images that were built before.
    pub(crate) fn at(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }
}

#[async_trait]
impl ImageSource for Images {
    async fn rootfs(&self, image: &str) -> Result<ImageRootfs> {
        let layers: &[&str] = match image {
            "busybox" | "user" | "declares-volume" => &["base", "top"],
            "volume" => &["volume-layer"],
            "volume-two-layers" => &["volume-layer", "top"],
            _ => return Err(Error::not_found(format_args!("image {image:?}"))),
        };
        let config = ImageRunConfig {
            user: if image == "user" { "web".to_owned() } else { String::new() },
            env: vec!["PATH=/bin".to_owned(), "FROM=image".to_owned()],
            cmd: vec!["/bin/sh".to_owned()],
            volumes: if image == "declares-volume" { vec!["/data".to_owned()] } else { Vec::new() },
            ..ImageRunConfig::default()
        };
        Ok(ImageRootfs {
            id: format!("sha256:{image}"),
            image_ref: format!("test.invalid/{image}@sha256:1"),
            layers: layers.iter().map(|layer| self.directory.join(layer)).collect(),
            config,
        })
    }
}

/// Gives every sandbox the same address and connects none.
pub(crate) struct NoNetwork;

#[async_trait]
impl PodNetwork for NoNetwork {
    async fn setup(&self, request: &NetworkRequest) -> Result<Vec<IpAddr>> {
        assert!(request.netns.exists(), "the network namespace is there before the network is asked");
        if request.metadata.name == "no-network" {
            return Err(Error::internal("no address is left"));
        }
        Ok(vec![IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))])
    }

    async fn teardown(&self, _request: &NetworkRequest) -> Result<()> {
        Ok(())
    }

    async fn ready(&self) -> Result<()> {
        Ok(())
    }
}
