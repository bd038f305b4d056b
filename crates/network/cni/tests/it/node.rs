//! A node in the laboratory: a host with an outside world, directories, and an invoker.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use windlass_cni::plugin::PluginOptions;
use windlass_cni::{AddResult, Attachment, Cni, NetworkConfig, Options};

use super::lab::Host;

/// The node has 192.0.2.1, the outside world 192.0.2.2 and, beyond it, 198.51.100.1. There is no default route.
pub(crate) struct Node {
    pub(crate) host: Host,
    pub(crate) outside: Host,
    pub(crate) dir: TempDir,
    pub(crate) cni: Cni,
    runtime: tokio::runtime::Runtime,
}

pub(crate) struct Pod {
    pub(crate) host: Host,
    pub(crate) attachment: Attachment,
    pub(crate) result: AddResult,
}

impl Pod {
    pub(crate) fn ip(&self) -> String {
        self.result.sandbox_addresses()[0].to_string()
    }
}

impl Node {
    pub(crate) fn new(builtin: bool) -> Self {
        let (host, outside) = (Host::new(), Host::new());
        host.connect(
            "uplink",
            &["192.0.2.1/24", "2001:db8::1/64"],
            &outside,
            "uplink",
            &["192.0.2.2/24", "2001:db8::2/64"],
        );
        host.add_route("198.51.100.0/24", "192.0.2.2");
        outside.add_address("lo", "198.51.100.1/32");
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_windlass-cni"), bin.join("windlass")).unwrap();
        let cni = Cni::new(Options {
            conf_dir: dir.path().join("net.d"),
            bin_dirs: vec![bin, PathBuf::from("/usr/lib/cni"), PathBuf::from("/opt/cni/bin")],
            cache_dir: dir.path().join("cache"),
            timeout: Duration::from_secs(60),
            open_files: None,
            builtin,
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { host, outside, dir, cni, runtime }
    }

    pub(crate) fn options(&self) -> PluginOptions {
        PluginOptions {
            cluster_cidrs: vec!["10.244.0.0/16".parse().unwrap()],
            node_ips: vec!["192.0.2.1".parse().unwrap()],
            ..PluginOptions::new(self.dir.path().join("ipam"), vec!["10.244.0.0/24".parse().unwrap()])
        }
    }

    pub(crate) fn network(&self) -> NetworkConfig {
        NetworkConfig::from_list(self.options().conflist("windlass").as_bytes()).unwrap()
    }

    /// Runs a future on this node: plugins that it starts are processes in the node's namespace.
    pub(crate) fn block_on<T: Send>(&self, future: impl Future<Output = T> + Send) -> T {
        self.host.run(|| self.runtime.block_on(future))
    }

    pub(crate) fn add(&self, network: &NetworkConfig, id: &str) -> Pod {
        self.try_add(network, id, json!([])).unwrap()
    }

    pub(crate) fn add_with_ports(&self, id: &str, ports: serde_json::Value) -> Pod {
        self.try_add(&self.network(), id, ports).unwrap()
    }

    pub(crate) fn try_add(&self, network: &NetworkConfig, id: &str, ports: serde_json::Value) -> Result<Pod, String> {
        let host = Host::new();
        let capabilities = json!({ "portMappings": ports }).as_object().unwrap().clone();
        let attachment =
            Attachment { netns: Some(host.netns.path().to_owned()), capabilities, ..Attachment::new(id, "eth0") };
        let added = self.block_on(self.cni.add(network, &attachment));
        let result = added.map_err(|error| format!("{error}: {}", chain(&error)))?;
        Ok(Pod { host, attachment, result })
    }

    pub(crate) fn del(&self, pod: &Pod) {
        self.block_on(self.cni.del(None, &pod.attachment)).unwrap();
    }

    pub(crate) fn check(&self, pod: &Pod) -> Result<(), String> {
        self.block_on(self.cni.check(&pod.attachment)).map_err(|error| format!("{error}: {}", chain(&error)))
    }
}

/// All sources of an error.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
