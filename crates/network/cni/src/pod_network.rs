//! The pod network as the runtime needs it, over CNI plugins.
//!
//! Whatever configuration stands first in the node's CNI directory is used. A node without another CNI gets our own plugin's as soon as
//! the cluster has given it a range of pod addresses.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use ipnet::IpNet;
use serde_json::{Map, json};
use windlass_api::text::with_causes;
use windlass_cri::{Code, Error, NetworkRequest, PodNetwork, Protocol};
use windlass_tree::{Loss, replace};

use crate::plugin::{self, PluginOptions};
use crate::{Attachment, Cni, CniError, Options};

/// The interface of a pod.
const INTERFACE: &str = "eth0";
const NETWORK: &str = "windlass";
/// The number in front lets other networks go before or after ours.
const CONFIGURATION: &str = "10-windlass.conflist";
const PLUGIN_TIMEOUT: Duration = Duration::from_secs(60);

/// Why our own network is not set up, or not removed.
#[derive(Debug, thiserror::Error)]
pub enum PodNetworkError {
    #[error("the pod network cannot be set up")]
    Prepare(#[source] CniError),
    #[error("{path} cannot be written")]
    Write { path: PathBuf, source: io::Error },
    #[error("{path} cannot be read")]
    Read { path: PathBuf, source: serde_json::Error },
    #[error("the pod network cannot be removed")]
    Remove(#[source] CniError),
}

/// Where the CNI's things are.
#[derive(Clone, Debug)]
pub struct Paths {
    directory: PathBuf,
}

impl Paths {
    pub fn new(data_dir: &Path) -> Self {
        Self { directory: data_dir.join("cni") }
    }

    fn configurations(&self) -> PathBuf {
        self.directory.join("net.d")
    }
}

/// What our own plugin has to know beside the node's range.
#[derive(Clone, Copy, Debug)]
pub struct OwnNetwork {
    pub node_ip: Ipv4Addr,
    pub cluster_cidr: IpNet,
}

/// Sandboxes join and leave the network that the configuration directory describes.
pub struct CniNetwork {
    cni: Cni,
    paths: Paths,
    own: Option<OwnNetwork>,
}

impl CniNetwork {
    /// Without `own` no range is taken in: whoever only ends sandboxes needs none. Plugins may open `open_files` files.
    pub fn new(paths: Paths, own: Option<OwnNetwork>, open_files: u64) -> Self {
        let bin_dirs = vec![paths.directory.join("bin"), PathBuf::from("/opt/cni/bin")];
        Self {
            cni: Cni::new(Options {
                conf_dir: paths.configurations(),
                bin_dirs,
                cache_dir: paths.directory.join("cache"),
                timeout: PLUGIN_TIMEOUT,
                open_files: Some(open_files),
                builtin: true,
            }),
            paths,
            own,
        }
    }
}

/// Prepares the node and writes our plugin's configuration; from then on sandboxes can join.
fn configure(paths: &Paths, options: &PluginOptions) -> Result<(), PodNetworkError> {
    plugin::prepare_node(options).map_err(PodNetworkError::Prepare)?;
    let directory = paths.configurations();
    let file = directory.join(CONFIGURATION);
    let failed = |source| PodNetworkError::Write { path: file.clone(), source };
    std::fs::create_dir_all(&directory).map_err(failed)?;
    let text = options.conflist(NETWORK);
    if std::fs::read_to_string(&file).is_ok_and(|present| present == text) {
        return Ok(());
    }
    replace(&file, text.as_bytes(), 0o644, Loss::Bearable).map_err(failed)
}

/// Removes what our plugin has made on the node, if it was ever configured.
pub fn remove(paths: &Paths) -> Result<(), PodNetworkError> {
    let file = paths.configurations().join(CONFIGURATION);
    let Ok(text) = std::fs::read(&file) else { return Ok(()) };
    let unreadable = |source| PodNetworkError::Read { path: file.clone(), source };
    let list: serde_json::Value = serde_json::from_slice(&text).map_err(unreadable)?;
    let options = serde_json::from_value(list["plugins"][0].clone()).map_err(unreadable)?;
    plugin::remove_node(&options).map_err(PodNetworkError::Remove)
}

/// What CNI plugins are told about a sandbox, as every CRI runtime does.
fn attachment(request: &NetworkRequest) -> Attachment {
    let metadata = &request.metadata;
    let args = [
        ("IgnoreUnknown", "1"),
        ("K8S_POD_NAMESPACE", &metadata.namespace),
        ("K8S_POD_NAME", &metadata.name),
        ("K8S_POD_INFRA_CONTAINER_ID", &request.sandbox_id),
        ("K8S_POD_UID", &metadata.uid),
    ];
    let mappings = request.port_mappings.iter().filter(|mapping| mapping.host_port != 0).map(|mapping| {
        let protocol = match mapping.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        };
        json!({"hostPort": mapping.host_port, "containerPort": mapping.container_port, "protocol": protocol,
            "hostIP": mapping.host_ip})
    });
    let mappings: Vec<_> = mappings.collect();
    let mut capabilities = Map::new();
    if !mappings.is_empty() {
        capabilities.insert("portMappings".to_owned(), json!(mappings));
    }
    Attachment {
        netns: Some(request.netns.clone()),
        args: args.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        capabilities,
        ..Attachment::new(request.sandbox_id.clone(), INTERFACE)
    }
}

#[async_trait]
impl PodNetwork for CniNetwork {
    async fn setup(&self, request: &NetworkRequest) -> Result<Vec<IpAddr>, Error> {
        let failed = |error: &dyn std::error::Error| {
            let text = with_causes(error);
            Error::internal(format!(
                "failed to setup network for sandbox {:?}: plugin type failed (add): {text}",
                request.sandbox_id
            ))
        };
        let network = self.cni.load().map_err(|error| failed(&error))?;
        let result = self.cni.add(&network, &attachment(request)).await.map_err(|error| failed(&error))?;
        let addresses = result.sandbox_addresses();
        if addresses.is_empty() {
            return Err(Error::internal(format!("the network gave no address to sandbox {:?}", request.sandbox_id)));
        }
        Ok(addresses)
    }

    async fn teardown(&self, request: &NetworkRequest) -> Result<(), Error> {
        // Without a configuration the cached one of the ADD is used.
        let network = self.cni.load().ok();
        self.cni.del(network.as_ref(), &attachment(request)).await.map_err(|error| {
            let text = with_causes(&error);
            Error::internal(format!("failed to destroy network for sandbox {:?}: {text}", request.sandbox_id))
        })
    }

    /// Writes our plugin's configuration for the range.
    async fn update_range(&self, range: &str) -> Result<(), Error> {
        let Some(OwnNetwork { node_ip, cluster_cidr }) = self.own else { return Ok(()) };
        let range: IpNet =
            range.parse().map_err(|_| Error::new(Code::InvalidArgument, format!("{range:?} is no range")))?;
        let paths = self.paths.clone();
        let options = PluginOptions {
            cluster_cidrs: vec![cluster_cidr],
            node_ips: vec![IpAddr::V4(node_ip)],
            ..PluginOptions::new(paths.directory.join("plugin"), vec![range])
        };
        // On a thread of its own, for it waits for the kernel and the disk.
        let done = tokio::task::spawn_blocking(move || configure(&paths, &options)).await;
        done.map_err(|error| Error::internal(error.to_string()))?.map_err(|error| Error::internal(with_causes(&error)))
    }

    async fn ready(&self) -> Result<(), Error> {
        let not_ready = |error: &dyn std::error::Error| {
            let text = with_causes(error);
            Error::new(Code::Unavailable, format!("Network plugin returns error: cni plugin not initialized: {text}"))
        };
        let network = self.cni.load().map_err(|error| not_ready(&error))?;
        self.cni.status(&network).await.map_err(|error| not_ready(&error))
    }
}

#[cfg(test)]
mod tests {
    use windlass_cri::{PortMapping, SandboxMetadata};

    use super::*;

    #[test]
    fn what_plugins_are_told() {
        let mapping = |host_port, container_port| PortMapping { host_port, container_port, ..PortMapping::default() };
        let metadata = SandboxMetadata { name: "web".into(), namespace: "n".into(), uid: "u".into(), attempt: 0 };
        let netns = PathBuf::from("/ns");
        let port_mappings = vec![mapping(0, 80), mapping(8080, 80)];
        let request = NetworkRequest { sandbox_id: "s".into(), metadata, netns: netns.clone(), port_mappings };
        let told = attachment(&request);
        assert_eq!((told.netns, &*told.container_id, &*told.if_name), (Some(netns), "s", "eth0"));
        assert!(told.args.contains(&("K8S_POD_NAME".to_owned(), "web".to_owned())), "{:?}", told.args);
        let ports = &told.capabilities["portMappings"];
        assert_eq!(*ports, json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": ""}]));
        let none = attachment(&NetworkRequest { port_mappings: vec![mapping(0, 80)], ..request });
        assert!(none.capabilities.is_empty(), "no port of the node's");
    }

    #[test]
    fn what_was_never_set_up_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let paths = Paths::new(directory.path());
        remove(&paths).unwrap();
        std::fs::create_dir_all(paths.configurations()).unwrap();
        std::fs::write(paths.configurations().join(CONFIGURATION), "{").unwrap();
        assert!(matches!(remove(&paths), Err(PodNetworkError::Read { .. })), "and what is no configuration is said");
    }
}
