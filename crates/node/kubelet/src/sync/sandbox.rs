//! What the runtime is asked for when a pod's sandbox is made. Pure but for what is passed in.

use std::collections::BTreeMap;
use std::path::Path;

use windlass_api::k8s::api::core::v1::Pod;
use windlass_cri::{
    DnsConfig, NamespaceMode, Namespaces, PortMapping, Protocol, SandboxConfig, SandboxMetadata, SecurityProfile,
    UserNamespace,
};

use super::security;
use crate::labels;
use crate::pod::{ContainerKind, PodView};

/// What Linux allows.
const HOSTNAME_MAX: usize = 64;
const LABEL_MAX: usize = 63;

/// A pod's names on the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) hostname: String,
    /// Follows the host name; empty without a subdomain.
    pub(super) domain: String,
    /// What the UTS namespace is told.
    pub(super) kernel_name: String,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SandboxError {
    #[error(
        "Failed to construct FQDN from Pod hostname and cluster domain, FQDN {0} is too long (64 characters is the max, {1} \
         characters requested)"
    )]
    NameTooLong(String, usize),
}

/// The names of a pod.
pub(super) fn names(pod: &Pod, node_hostname: &str, cluster_domain: &str) -> Result<Names, SandboxError> {
    let spec = pod.pod_spec();
    if let Some(name) = spec.hostname_override.as_deref().filter(|name| !name.is_empty()) {
        return Ok(Names { hostname: name.to_owned(), domain: String::new(), kernel_name: name.to_owned() });
    }
    if pod.uses_host_network() {
        let name = node_hostname.to_owned();
        return Ok(Names { hostname: name.clone(), domain: String::new(), kernel_name: name });
    }
    let hostname = match spec.hostname.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => name.to_owned(),
        None => {
            let name = pod.name();
            let cut = name.get(..name.len().min(LABEL_MAX)).unwrap_or(name);
            cut.trim_end_matches(['-', '.']).to_owned()
        }
    };
    let domain = match spec.subdomain.as_deref().filter(|name| !name.is_empty()) {
        Some(subdomain) => format!("{subdomain}.{}.svc.{cluster_domain}", pod.namespace()),
        None => String::new(),
    };
    let mut kernel_name = hostname.clone();
    if spec.set_hostname_as_fqdn == Some(true) && !domain.is_empty() {
        kernel_name = format!("{hostname}.{domain}");
        if kernel_name.len() > HOSTNAME_MAX {
            return Err(SandboxError::NameTooLong(kernel_name.clone(), kernel_name.len()));
        }
    }
    Ok(Names { hostname, domain, kernel_name })
}

pub(super) fn namespaces(pod: &Pod, user: Option<UserNamespace>) -> Namespaces {
    let spec = pod.pod_spec();
    let mode = |host: Option<bool>| if host == Some(true) { NamespaceMode::Node } else { NamespaceMode::Pod };
    let pid = match (spec.host_pid, spec.share_process_namespace) {
        (Some(true), _) => NamespaceMode::Node,
        (_, Some(true)) => NamespaceMode::Pod,
        _ => NamespaceMode::Container,
    };
    Namespaces { network: mode(spec.host_network), pid, ipc: mode(spec.host_ipc), user }
}

/// What of a sandbox is not in the pod.
pub(super) struct Surroundings<'a> {
    pub(super) names: &'a Names,
    pub(super) dns: DnsConfig,
    pub(super) log_directory: &'a Path,
    pub(super) cgroup_parent: String,
    pub(super) user: Option<UserNamespace>,
    pub(super) seccomp_default: bool,
    pub(super) seccomp_root: &'a Path,
}

pub(super) fn config(pod: &Pod, attempt: u32, around: Surroundings<'_>) -> SandboxConfig {
    let security = pod.pod_spec().security_context.as_ref();
    let privileged = [ContainerKind::Init, ContainerKind::App].iter().any(|kind| {
        pod.containers(*kind)
            .iter()
            .any(|container| container.security_context.as_ref().and_then(|security| security.privileged) == Some(true))
    });
    let own = BTreeMap::from([
        (labels::POD_NAME.to_owned(), pod.name().to_owned()),
        (labels::POD_NAMESPACE.to_owned(), pod.namespace().to_owned()),
        (labels::POD_UID.to_owned(), pod.uid().to_owned()),
    ]);
    let mut labels = pod.metadata.labels.clone().unwrap_or_default();
    labels.extend(own);
    let profile = security.and_then(|security| security.seccomp_profile.as_ref());
    SandboxConfig {
        metadata: SandboxMetadata {
            name: pod.name().to_owned(),
            uid: pod.uid().to_owned(),
            namespace: pod.namespace().to_owned(),
            attempt,
        },
        hostname: if pod.uses_host_network() { String::new() } else { around.names.kernel_name.clone() },
        log_directory: around.log_directory.display().to_string(),
        dns: Some(around.dns),
        port_mappings: port_mappings(pod),
        labels,
        annotations: pod.metadata.annotations.clone().unwrap_or_default(),
        cgroup_parent: around.cgroup_parent,
        namespaces: namespaces(pod, around.user),
        sysctls: security
            .and_then(|security| security.sysctls.as_ref())
            .into_iter()
            .flatten()
            // Both spellings are allowed; the kernel's files have slashes, the CRI has dots.
            .map(|sysctl| (sysctl.name.replace('/', "."), sysctl.value.clone()))
            .collect(),
        run_as_user: security.and_then(|security| security.run_as_user),
        run_as_group: security.and_then(|security| security.run_as_group),
        privileged,
        seccomp: if privileged {
            SecurityProfile::Unconfined
        } else {
            security::seccomp(profile, around.seccomp_default, around.seccomp_root)
        },
    }
}

fn port_mappings(pod: &Pod) -> Vec<PortMapping> {
    if pod.uses_host_network() {
        return Vec::new();
    }
    let sidecars = pod.init_containers().iter().filter(crate::pod::is_sidecar);
    let all = pod.app_containers().iter().chain(sidecars);
    let ports = all.flat_map(|container| container.ports.iter().flatten());
    let mapping = |port: &windlass_api::k8s::api::core::v1::ContainerPort| {
        Some(PortMapping {
            protocol: match port.protocol.as_deref() {
                Some("UDP") => Protocol::Udp,
                Some("SCTP") => Protocol::Sctp,
                _ => Protocol::Tcp,
            },
            container_port: u16::try_from(port.container_port).ok()?,
            host_port: u16::try_from(port.host_port.unwrap_or(0)).ok()?,
            host_ip: port.host_ip.clone().unwrap_or_default(),
        })
    };
    ports.filter_map(mapping).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, spec: Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": name, "namespace": "n", "uid": "u"}, "spec": spec})).unwrap()
    }

    #[test]
    fn names_of_pods() {
        let long = format!("{}-tail", "a".repeat(62));
        let cases = [
            ("p", json!({"containers": []}), ("p", "", "p")),
            (&long, json!({"containers": []}), (&long[..62], "", &long[..62])),
            ("p", json!({"containers": [], "hostname": "h", "subdomain": "s"}), ("h", "s.n.svc.cluster.local", "h")),
            (
                "p",
                json!({"containers": [], "subdomain": "s", "setHostnameAsFQDN": true}),
                ("p", "s.n.svc.cluster.local", "p.s.n.svc.cluster.local"),
            ),
            ("p", json!({"containers": [], "hostNetwork": true}), ("node", "", "node")),
            ("p", json!({"containers": [], "hostnameOverride": "a.b", "hostname": "h"}), ("a.b", "", "a.b")),
        ];
        for (name, spec, (hostname, domain, kernel)) in cases {
            let names = names(&pod(name, spec.clone()), "node", "cluster.local").unwrap();
            assert_eq!((&*names.hostname, &*names.domain, &*names.kernel_name), (hostname, domain, kernel), "{spec}");
        }
        let too_long = pod("p", json!({"containers": [], "subdomain": "s".repeat(50), "setHostnameAsFQDN": true}));
        assert!(names(&too_long, "node", "cluster.local").is_err());
    }

    #[test]
    fn namespaces_of_pods() {
        let of = |spec: Value| namespaces(&pod("p", spec), None);
        assert_eq!(of(json!({"containers": []})).pid, NamespaceMode::Container);
        assert_eq!(of(json!({"containers": [], "shareProcessNamespace": true})).pid, NamespaceMode::Pod);
        assert_eq!(of(json!({"containers": [], "hostPID": true})).pid, NamespaceMode::Node);
        assert_eq!(of(json!({"containers": [], "hostNetwork": true})).network, NamespaceMode::Node);
        assert_eq!(of(json!({"containers": [], "hostIPC": true})).ipc, NamespaceMode::Node);
    }
}
