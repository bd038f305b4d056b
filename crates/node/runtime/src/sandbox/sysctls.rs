//! Kernel parameters of a sandbox, set from a thread that is in the sandbox's namespaces.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use windlass_cri::SandboxConfig;

use crate::sandbox_config::{has_own_ipc, has_own_network};

#[derive(Debug, thiserror::Error)]
pub(super) enum SysctlError {
    #[error("{0:?} is not the name of a kernel parameter")]
    Name(String),
    #[error("the kernel parameter {0:?} is the node's and cannot be set for a pod")]
    NotNamespaced(String),
    #[error("cannot set the kernel parameter {name} to {value:?}")]
    Write { name: String, value: String, source: io::Error },
}

/// What to set: the pod's wishes, and what containerd 2 gives every pod with a network of its own, so that programs without
/// privileges may listen on low ports and send pings.
pub(super) fn plan(config: &SandboxConfig) -> Result<BTreeMap<String, String>, SysctlError> {
    let mut all = BTreeMap::new();
    if has_own_network(config) {
        all.insert("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned());
        if config.namespaces.user.is_none() {
            all.insert("net.ipv4.ping_group_range".to_owned(), "0 2147483647".to_owned());
        }
    }
    for (name, value) in &config.sysctls {
        // Both separators are in use; with a slash first, dots belong to names of interfaces.
        let name = match name.find(['/', '.']) {
            Some(at) if name[at..].starts_with('/') => {
                name.split('/').map(|part| part.replace('.', "/")).collect::<Vec<_>>().join(".")
            }
            _ => name.clone(),
        };
        check(&name, config)?;
        all.insert(name, value.clone());
    }
    Ok(all)
}

fn check(name: &str, config: &SandboxConfig) -> Result<(), SysctlError> {
    let parts: Vec<&str> = name.split('.').collect();
    if parts.len() < 2 || parts.iter().any(|part| part.is_empty() || *part == ".." || part.contains('\0')) {
        return Err(SysctlError::Name(name.to_owned()));
    }
    let namespaced = match parts[0] {
        "net" => has_own_network(config),
        "fs" => name.starts_with("fs.mqueue.") && has_own_ipc(config),
        "kernel" => {
            let ipc = ["shm", "msg"].iter().any(|prefix| parts[1].starts_with(prefix)) || parts[1] == "sem";
            let uts = matches!(parts[1], "hostname" | "domainname");
            (ipc && has_own_ipc(config)) || (uts && has_own_network(config))
        }
        _ => false,
    };
    if namespaced { Ok(()) } else { Err(SysctlError::NotNamespaced(name.to_owned())) }
}

/// Writes them. The calling thread is in the sandbox's namespaces.
pub(super) fn write(all: &BTreeMap<String, String>) -> Result<(), SysctlError> {
    for (name, value) in all {
        let parts: Vec<String> = name.split('.').map(|part| part.replace('/', ".")).collect();
        let path: PathBuf = std::iter::once("/proc/sys").chain(parts.iter().map(String::as_str)).collect();
        let result = std::fs::write(path, value);
        result.map_err(|source| SysctlError::Write { name: name.clone(), value: value.clone(), source })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use windlass_cri::{NamespaceMode, Namespaces};

    use super::*;

    fn config(sysctls: &[(&str, &str)]) -> SandboxConfig {
        let sysctls = sysctls.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        SandboxConfig { sysctls, ..SandboxConfig::default() }
    }

    #[test]
    fn defaults_and_wishes() {
        let all =
            plan(&config(&[("kernel.shm_rmid_forced", "1"), ("net.ipv4.ip_unprivileged_port_start", "80")])).unwrap();
        assert_eq!(all["net.ipv4.ip_unprivileged_port_start"], "80");
        assert_eq!(all["net.ipv4.ping_group_range"], "0 2147483647");
        assert_eq!(all["kernel.shm_rmid_forced"], "1");
        let slashes = plan(&config(&[("net/ipv4/conf/eth0.100/forwarding", "1")])).unwrap();
        assert!(slashes.contains_key("net.ipv4.conf.eth0/100.forwarding"), "{slashes:?}");
        assert!(plan(&config(&[("net/core/somaxconn", "9")])).unwrap().contains_key("net.core.somaxconn"));
    }

    #[test]
    fn what_belongs_to_the_node_is_refused() {
        for name in ["vm.swappiness", "kernel.panic", "fs.file-max", "kernel.core_pattern"] {
            assert!(matches!(plan(&config(&[(name, "1")])), Err(SysctlError::NotNamespaced(_))), "{name}");
        }
        for name in ["net", "net..x", "../etc", "kernel.shm\0"] {
            assert!(plan(&config(&[(name, "1")])).is_err(), "{name}");
        }
        let mut node = config(&[("net.core.somaxconn", "1024")]);
        node.namespaces = Namespaces { network: NamespaceMode::Node, ..Namespaces::default() };
        assert!(matches!(plan(&node), Err(SysctlError::NotNamespaced(_))));
        node.sysctls.clear();
        assert!(plan(&node).unwrap().is_empty());
    }
}
