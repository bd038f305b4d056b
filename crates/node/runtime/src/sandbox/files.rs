//! The files that a sandbox gives to its containers: hostname, resolv.conf, shared memory.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use windlass_cri::{DnsConfig, SandboxConfig};

use crate::layout::SandboxLayout;
use crate::overlay::on_node;
use crate::sandbox_config::{has_own_ipc, hostname};
use crate::sys::mount::{self, Attributes};

/// Size of a pod's /dev/shm, as of every container runtime.
const SHM_SIZE: &str = "65536k";

const RESOLV_CONF_BYTES_MAX: u64 = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("cannot write {path}")]
    Write { path: std::path::PathBuf, source: io::Error },
    #[error("cannot mount the sandbox's shared memory on {path}")]
    Shm { path: std::path::PathBuf, source: io::Error },
    #[error("a search list or option of the DNS configuration contains a line break")]
    Dns,
}

/// Makes the files. Blocks.
pub(super) fn make(config: &SandboxConfig, layout: &SandboxLayout) -> Result<(), FileError> {
    write(&layout.hostname(), format!("{}\n", hostname(config)).as_bytes())?;
    let resolv_conf = match &config.dns {
        Some(dns) => resolv_conf(dns)?.into_bytes(),
        // A node without the file has no resolver either.
        None => windlass_tree::read_config(Path::new("/etc/resolv.conf"), RESOLV_CONF_BYTES_MAX).unwrap_or_default(),
    };
    write(&layout.resolv_conf(), &resolv_conf)?;
    if has_own_ipc(config) { mount_shm(config, &layout.shm()) } else { Ok(()) }
}

fn write(path: &Path, text: &[u8]) -> Result<(), FileError> {
    use std::os::unix::fs::PermissionsExt;
    let written = std::fs::write(path, text)
        .and_then(|()| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)));
    written.map_err(|source| FileError::Write { path: path.to_owned(), source })
}

fn resolv_conf(dns: &DnsConfig) -> Result<String, FileError> {
    let mut lines = Vec::new();
    if !dns.searches.is_empty() {
        lines.push(format!("search {}", dns.searches.join(" ")));
    }
    lines.extend(dns.servers.iter().map(|server| format!("nameserver {server}")));
    if !dns.options.is_empty() {
        lines.push(format!("options {}", dns.options.join(" ")));
    }
    if lines.iter().any(|line| line.contains(['\n', '\r', '\0'])) {
        return Err(FileError::Dns);
    }
    Ok(lines.iter().map(|line| format!("{line}\n")).collect())
}

fn mount_shm(config: &SandboxConfig, path: &Path) -> Result<(), FileError> {
    let failed = |source| FileError::Shm { path: path.to_owned(), source };
    let mut options = vec![("mode", Some("1777".to_owned())), ("size", Some(SHM_SIZE.to_owned()))];
    if let Some(namespace) = &config.namespaces.user {
        options.push(("uid", on_node(&namespace.uids, 0).map(|uid| uid.to_string())));
        options.push(("gid", on_node(&namespace.gids, 0).map(|gid| gid.to_string())));
        options.retain(|(_, value)| value.is_some());
    }
    let make = || {
        std::fs::create_dir_all(path)?;
        let set = Attributes::NO_SUID | Attributes::NO_DEV | Attributes::NO_EXEC;
        let mounted = mount::fresh("tmpfs", &options, set)?;
        mount::attach(mounted.as_fd(), std::fs::File::open(path)?.as_fd())
    };
    make().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_has_the_usual_order() {
        let list = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
        let dns = DnsConfig {
            servers: list(&["10.96.0.10", "fd00::a"]),
            searches: list(&["default.svc.cluster.local", "svc.cluster.local"]),
            options: list(&["ndots:5"]),
        };
        assert_eq!(
            resolv_conf(&dns).unwrap(),
            "search default.svc.cluster.local svc.cluster.local\nnameserver 10.96.0.10\nnameserver fd00::a\noptions ndots:5\n"
        );
        assert_eq!(resolv_conf(&DnsConfig::default()).unwrap(), "");
        let evil = DnsConfig { options: list(&["a\nnameserver 1.2.3.4"]), ..DnsConfig::default() };
        assert!(matches!(resolv_conf(&evil), Err(FileError::Dns)));
    }
}
