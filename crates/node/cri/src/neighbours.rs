//! What a runtime asks of its neighbours on the same node. In upstream's world these are parts of containerd; here they are
//! crates of their own, and these traits lie below them all.

use std::path::PathBuf;

use async_trait::async_trait;

use crate::{PortMapping, Result, SandboxMetadata};

/// How an image wants to be run: the part of its OCI configuration that a runtime needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageRunConfig {
    /// `user`, `user:group`, `uid` or `uid:gid`; empty is root.
    pub user: String,
    /// `NAME=value`
    pub env: Vec<String>,
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    pub working_dir: String,
    /// A signal's name or number; empty is SIGTERM.
    pub stop_signal: String,
    /// Paths that the image declares as volumes.
    pub volumes: Vec<String>,
}

/// An unpacked image.
#[derive(Clone, Debug)]
pub struct ImageRootfs {
    /// `sha256:…` of the image's configuration.
    pub id: String,
    /// The reference by digest where the image has one, else its ID: shown as `imageID`.
    pub image_ref: String,
    /// Directories for overlayfs, the lowest layer first. Whiteouts are in overlayfs' own form.
    pub layers: Vec<PathBuf>,
    pub config: ImageRunConfig,
}

/// Where a runtime finds the file systems of images.
#[async_trait]
pub trait ImageSource: Send + Sync {
    /// `image` is an ID or a reference; an image that is not on the node is [`crate::Code::NotFound`].
    async fn rootfs(&self, image: &str) -> Result<ImageRootfs>;
}

/// A sandbox that is to join, or has left, the pod network.
#[derive(Clone, Debug, Default)]
pub struct NetworkRequest {
    pub sandbox_id: String,
    pub metadata: SandboxMetadata,
    /// A file that holds the sandbox's network namespace; it exists until teardown has returned.
    pub netns: PathBuf,
    pub port_mappings: Vec<PortMapping>,
}

/// The pod network, as a runtime needs it: the CNI.
#[async_trait]
pub trait PodNetwork: Send + Sync {
    /// Returns the sandbox's addresses, the primary one first.
    async fn setup(&self, request: &NetworkRequest) -> Result<Vec<std::net::IpAddr>>;
    /// Idempotent; also called for sandboxes whose setup failed.
    async fn teardown(&self, request: &NetworkRequest) -> Result<()>;
    /// Takes in the node's range of pod addresses. A network that has its addresses from elsewhere ignores it.
    async fn update_range(&self, _range: &str) -> Result<()> {
        Ok(())
    }

    /// `Err` says why no sandbox can join now (no configuration yet): the condition `NetworkReady`.
    async fn ready(&self) -> Result<()>;
}
