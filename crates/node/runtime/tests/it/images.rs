//! Images in a directory, and a pod network that gives an address and does nothing.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use windlass_cri::{Error, ImageRootfs, ImageRunConfig, ImageSource, NetworkRequest, PodNetwork, Result};

/// Layers of the image `many-layers` above its base; with their paths they are far more than one mount option holds.
pub(crate) const MANY: usize = 60;

/// Images by name, each with its layers below a directory.
pub(crate) struct Images {
    directory: PathBuf,
}

impl Images {
    /// Images that were built before.
    pub(crate) fn at(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }
}

#[async_trait]
impl ImageSource for Images {
    async fn rootfs(&self, image: &str) -> Result<ImageRootfs> {
        let many: Vec<String> = (0..MANY).map(|number| format!("many-{number}")).collect();
        let many: Vec<&str> = std::iter::once("base").chain(many.iter().map(String::as_str)).collect();
        // A test's own layer on the usual base.
        let layered = image.strip_prefix("layer:");
        let layered_names = ["base", layered.unwrap_or_default()];
        let layers: &[&str] = match image {
            "many-layers" => &many,
            "busybox" | "user" | "declares-volume" => &["base", "top"],
            "volume" => &["volume-layer"],
            "volume-two-layers" => &["volume-layer", "top"],
            _ if layered.is_some() => &layered_names,
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
