//! What a successful ADD returns, and the values that runtimes hand to plugins.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::Version;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AddResult {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cni_version: Option<Version>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<Interface>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ips: Vec<IpConfig>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    #[serde(skip_serializing_if = "Dns::is_empty")]
    pub dns: Dns,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Interface {
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mac: String,
    /// Since 1.1.0; 0 is not said.
    #[serde(skip_serializing_if = "is_zero")]
    pub mtu: u32,
    /// The path of the namespace; empty for interfaces of the node.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sandbox: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub socket_path: String,
    #[serde(rename = "pciID", skip_serializing_if = "String::is_empty")]
    pub pci_id: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpConfig {
    /// `4` or `6`, in versions before 1.0.0 only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    pub address: IpNet,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// A position in [`AddResult::interfaces`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    pub dst: IpNet,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gw: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub mtu: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub advmss: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dns {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nameservers: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

impl Dns {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The capability `portMappings`: a port of the node that leads to a port of the sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PortMapping {
    pub host_port: u16,
    pub container_port: u16,
    /// `tcp`, `udp` or `sctp`, in any case; empty is `tcp`.
    pub protocol: String,
    /// Empty means every address of the node.
    #[serde(rename = "hostIP", skip_serializing_if = "String::is_empty")]
    pub host_ip: String,
}

/// An attachment that garbage collection must leave alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ValidAttachment {
    #[serde(rename = "containerID")]
    pub container_id: String,
    pub ifname: String,
}

impl AddResult {
    /// The result in the words of a version: what that version does not know is left out, what it demands is added.
    #[must_use]
    pub fn to_version(mut self, version: Version) -> Self {
        for ip in &mut self.ips {
            let family = if ip.address.addr().is_ipv4() { "4" } else { "6" };
            ip.version = (version < Version::V1_0_0).then(|| family.to_owned());
        }
        if version < Version::V1_1_0 {
            for interface in &mut self.interfaces {
                interface.mtu = 0;
                interface.socket_path.clear();
                interface.pci_id.clear();
            }
        }
        self.cni_version = Some(version);
        self
    }

    /// The sandbox's own addresses, in the order in which plugins named them.
    pub fn sandbox_addresses(&self) -> Vec<IpAddr> {
        let on_node = |ip: &IpConfig| {
            ip.interface.and_then(|at| self.interfaces.get(at)).is_some_and(|interface| interface.sandbox.is_empty())
        };
        self.ips.iter().filter(|ip| !on_node(ip)).map(|ip| ip.address.addr()).collect()
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_said_in_the_words_of_each_version() {
        let text = r#"{"cniVersion":"1.1.0","interfaces":[{"name":"cni0"},{"name":"eth0","mtu":1400,"sandbox":"/ns"}],
            "ips":[{"address":"10.0.0.1/24","interface":0},{"address":"10.0.0.5/24","gateway":"10.0.0.1","interface":1}],
            "routes":[{"dst":"0.0.0.0/0"}],"dns":{}}"#;
        let result: AddResult = serde_json::from_str(text).unwrap();
        assert_eq!(result.sandbox_addresses(), ["10.0.0.5".parse::<IpAddr>().unwrap()]);
        let old = serde_json::to_string(&result.clone().to_version(Version::V0_4_0)).unwrap();
        assert_eq!(
            old,
            concat!(
                r#"{"cniVersion":"0.4.0","interfaces":[{"name":"cni0"},{"name":"eth0","sandbox":"/ns"}],"#,
                r#""ips":[{"version":"4","address":"10.0.0.1/24","interface":0},"#,
                r#"{"version":"4","address":"10.0.0.5/24","gateway":"10.0.0.1","interface":1}],"#,
                r#""routes":[{"dst":"0.0.0.0/0"}]}"#
            )
        );
        let back: AddResult = serde_json::from_str(&old).unwrap();
        assert_eq!(back.to_version(Version::V1_0_0).ips, result.to_version(Version::V1_0_0).ips);
    }
}
