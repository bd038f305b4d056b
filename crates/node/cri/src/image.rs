//! Images as the kubelet sees them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageSpec {
    /// A reference (`nginx:1.27`, `registry/name@sha256:…`) or an image ID (`sha256:…`).
    pub image: String,
    pub annotations: BTreeMap<String, String>,
    /// What the pod's author wrote.
    pub user_specified_image: String,
    pub runtime_handler: String,
}

impl ImageSpec {
    pub fn new(image: impl Into<String>) -> Self {
        Self { image: image.into(), ..Self::default() }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// `sha256:` and the digest of the image's configuration.
    pub id: String,
    /// Full references with a tag: `docker.io/library/nginx:1.27`.
    pub repo_tags: Vec<String>,
    /// Full references with a digest: `docker.io/library/nginx@sha256:…`.
    pub repo_digests: Vec<String>,
    /// Compressed size of all layers.
    pub size_bytes: u64,
    /// The image's user when it is a number.
    pub uid: Option<i64>,
    /// The image's user when it is a name.
    pub username: String,
    pub pinned: bool,
}

/// Credentials for a registry, from a pull secret or the node's configuration.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AuthConfig {
    pub username: String,
    pub password: String,
    /// base64 of `username:password`; used when both are empty.
    pub auth: String,
    pub identity_token: String,
    pub registry_token: String,
}

impl std::fmt::Debug for AuthConfig {
    /// Shows whose credentials these are, never the credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthConfig").field("username", &self.username).finish_non_exhaustive()
    }
}

/// How far a pull has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PullProgress {
    pub layers_total: u32,
    pub layers_done: u32,
    pub bytes_total: u64,
    pub bytes_done: u64,
}

/// Told of progress as it happens; called from the pull's own tasks, so it must be quick.
pub type ProgressSink = Arc<dyn Fn(PullProgress) + Send + Sync>;
