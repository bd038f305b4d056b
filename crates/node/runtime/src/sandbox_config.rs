//! What a sandbox's configuration says of it.

use windlass_cri::{NamespaceMode, SandboxConfig};

/// The node's own name.
fn node_hostname() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default()
}

/// The name that containers of a sandbox have.
pub(crate) fn hostname(config: &SandboxConfig) -> String {
    if config.hostname.is_empty() { node_hostname() } else { config.hostname.clone() }
}

pub(crate) fn has_own_network(config: &SandboxConfig) -> bool {
    config.namespaces.network != NamespaceMode::Node
}

pub(crate) fn has_own_ipc(config: &SandboxConfig) -> bool {
    config.namespaces.ipc != NamespaceMode::Node
}

pub(crate) fn shares_pids(config: &SandboxConfig) -> bool {
    config.namespaces.pid == NamespaceMode::Pod
}
