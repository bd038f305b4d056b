//! Why an operation of a network failed.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::{CniError, Version};

#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    #[error("failed to find plugin {plugin:?} in path {dirs:?}")]
    NotFound { plugin: String, dirs: Vec<PathBuf> },
    #[error("cannot {action} CNI plugin {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("CNI plugin {} was killed: it took longer than {timeout:?}", path.display())]
    Timeout { path: PathBuf, timeout: Duration },
    /// The plugin ran and said why it failed.
    #[error("{0}")]
    Failed(CniError),
    #[error("plugin type={kind:?} failed ({command})")]
    Plugin { kind: String, command: &'static str, source: Box<InvokeError> },
    #[error("CNI plugin {kind:?} returned a result that cannot be read")]
    Result { kind: String, source: serde_json::Error },
    #[error("invalid attachment")]
    Attachment(#[source] CniError),
    #[error("configuration version {version} does not support the CHECK command")]
    CheckNotSupported { version: Version },
    #[error("cannot use the cache of CNI results in {}", dir.display())]
    Cache { dir: PathBuf, source: io::Error },
    #[error("the cached configuration of container {container_id} cannot be read")]
    CachedConfig { container_id: String, source: crate::ConfigError },
    /// Garbage collection goes on after a failure; this is the first of `count`.
    #[error("{count} part(s) of CNI garbage collection failed")]
    Collection { count: usize, source: Box<InvokeError> },
    #[error("the task that ran the built-in CNI plugin was cancelled")]
    Cancelled,
}

impl InvokeError {
    /// What the plugin itself said, if it came to that.
    pub fn plugin_error(&self) -> Option<&CniError> {
        match self {
            Self::Failed(error) => Some(error),
            Self::Plugin { source, .. } | Self::Collection { source, .. } => source.plugin_error(),
            _ => None,
        }
    }
}
