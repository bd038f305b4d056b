//! The plugin's part of a network configuration.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::TYPE;
use crate::{AddResult, CniError, PortMapping, ValidAttachment, Version, code, validate};

const MTU_DEFAULT: u32 = 1500;

/// The plugin's own keys. [`PluginOptions::conflist`] writes a configuration with them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginOptions {
    /// Where allocated addresses are kept.
    pub data_dir: PathBuf,
    /// The node's ranges (`spec.podCIDRs`), at most one of each family. Each sandbox gets an address of each.
    pub subnets: Vec<IpNet>,
    /// The whole cluster's ranges. What goes there from a sandbox keeps its source address, and what no route leads to is
    /// refused on the node.
    #[serde(rename = "clusterCIDRs", default)]
    pub cluster_cidrs: Vec<IpNet>,
    /// Further ranges to which sandboxes speak under their own addresses.
    #[serde(rename = "nonMasqueradeCIDRs", default, skip_serializing_if = "Vec::is_empty")]
    pub non_masquerade_cidrs: Vec<IpNet>,
    /// Gives what leaves the cluster the node's address.
    #[serde(default)]
    pub ip_masq: bool,
    /// The node's addresses, at most one of each family: what the node's own processes use as source towards sandboxes.
    /// Without them the kernel chooses.
    #[serde(rename = "nodeIPs", default, skip_serializing_if = "Vec::is_empty")]
    pub node_ips: Vec<IpAddr>,
    #[serde(default = "mtu_default")]
    pub mtu: u32,
}

fn mtu_default() -> u32 {
    MTU_DEFAULT
}

/// A request as it comes in on standard input.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    pub(super) cni_version: Version,
    #[serde(default)]
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) options: PluginOptions,
    #[serde(default)]
    pub(super) runtime_config: RuntimeConfig,
    pub(super) prev_result: Option<AddResult>,
    #[serde(rename = "cni.dev/valid-attachments")]
    pub(super) valid_attachments: Option<Vec<ValidAttachment>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RuntimeConfig {
    pub(super) port_mappings: Vec<PortMapping>,
}

impl PluginOptions {
    pub fn new(data_dir: impl Into<PathBuf>, subnets: Vec<IpNet>) -> Self {
        Self {
            data_dir: data_dir.into(),
            subnets,
            cluster_cidrs: Vec::new(),
            non_masquerade_cidrs: Vec::new(),
            ip_masq: true,
            node_ips: Vec::new(),
            mtu: MTU_DEFAULT,
        }
    }

    /// A complete configuration list for the directory in which CNI configurations are dropped.
    pub fn conflist(&self, network: &str) -> String {
        let mut plugin = serde_json::to_value(self).unwrap_or_default();
        plugin["type"] = TYPE.into();
        plugin["capabilities"] = serde_json::json!({ "portMappings": true });
        let list = serde_json::json!({
            "cniVersion": Version::CURRENT,
            "cniVersions": crate::SUPPORTED_VERSIONS,
            "name": network,
            "plugins": [plugin],
        });
        format!("{list:#}\n")
    }

    /// The node's own address of the same family.
    pub(super) fn node_ip(&self, like: IpAddr) -> Option<IpAddr> {
        self.node_ips.iter().copied().find(|address| address.is_ipv4() == like.is_ipv4())
    }

    pub(super) fn families(&self) -> impl Iterator<Item = IpNet> + '_ {
        self.subnets.iter().copied()
    }

    fn validate(&self) -> Result<(), CniError> {
        let invalid = |text: String| Err(CniError::new(code::INVALID_CONFIG, text));
        let of_family = |ipv4: bool| self.subnets.iter().filter(|net| net.addr().is_ipv4() == ipv4).count();
        if self.subnets.is_empty() {
            return invalid("subnets is empty: the node has no pod CIDR yet".into());
        }
        if of_family(true) > 1 || of_family(false) > 1 {
            return invalid("subnets has more than one range of a family".into());
        }
        if !(68..=65_535).contains(&self.mtu) {
            return invalid(format!("mtu {} is not between 68 and 65535", self.mtu));
        }
        if !self.data_dir.is_absolute() {
            return invalid(format!("dataDir {} is not an absolute path", self.data_dir.display()));
        }
        Ok(())
    }
}

impl Request {
    pub(super) fn parse(stdin: &[u8]) -> Result<Self, CniError> {
        #[derive(Deserialize)]
        struct OnlyVersion {
            #[serde(rename = "cniVersion")]
            cni_version: Option<Version>,
        }
        let decoding = |error: serde_json::Error| {
            CniError::new(code::DECODING_FAILURE, format!("error unmarshall network config: {error}"))
        };
        let version = serde_json::from_slice::<OnlyVersion>(stdin).map_err(decoding)?.cni_version;
        if !version.is_some_and(Version::is_supported) {
            let config = version.map_or("0.1.0".to_owned(), |version| version.to_string());
            let plugin: Vec<_> = crate::SUPPORTED_VERSIONS.iter().map(ToString::to_string).collect();
            let details = format!("config is {config:?}, plugin supports {plugin:?}");
            return Err(CniError::new(code::INCOMPATIBLE_VERSION, "incompatible CNI versions").details(details));
        }
        let request: Self = serde_json::from_slice(stdin).map_err(decoding)?;
        validate::network_name(&request.name)?;
        request.options.validate()?;
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NetworkConfig;

    fn options() -> PluginOptions {
        PluginOptions::new("/var/lib/windlass/cni", vec!["10.244.0.0/24".parse().unwrap()])
    }

    #[test]
    fn the_configuration_that_we_write_is_one_that_we_read() {
        let text = options().conflist("windlass");
        let network = NetworkConfig::from_list(text.as_bytes()).unwrap();
        assert_eq!((network.cni_version, network.plugins[0].kind.as_str()), (Version::V1_1_0, TYPE));
        assert_eq!(network.plugins[0].capabilities.get("portMappings"), Some(&true));
        let mut object = network.plugins[0].object.clone();
        object.insert("name".into(), "windlass".into());
        object.insert("cniVersion".into(), "0.4.0".into());
        let request = Request::parse(serde_json::Value::Object(object).to_string().as_bytes()).unwrap();
        assert_eq!(request.options, options());
    }

    #[test]
    fn bad_configurations_are_refused_with_the_right_code() {
        let text = |version: &str, rest: &str| {
            format!(r#"{{"cniVersion":"{version}","name":"n","type":"windlass","dataDir":"/d"{rest}}}"#)
        };
        let subnets = r#","subnets":["10.0.0.0/24"]"#;
        for (stdin, code) in [
            ("{".to_owned(), code::DECODING_FAILURE),
            (text("0.2.0", subnets), code::INCOMPATIBLE_VERSION),
            (r#"{"name":"n"}"#.to_owned(), code::INCOMPATIBLE_VERSION),
            (text("1.0.0", ""), code::DECODING_FAILURE),
            (text("1.0.0", r#","subnets":[]"#), code::INVALID_CONFIG),
            (text("1.0.0", r#","subnets":["10.0.0.0/24","10.0.1.0/24"]"#), code::INVALID_CONFIG),
            (text("1.0.0", &format!(r#"{subnets},"mtu":10"#)), code::INVALID_CONFIG),
            (text("1.0.0", subnets).replace("/d", "d"), code::INVALID_CONFIG),
            (text("1.0.0", subnets).replace(r#""n""#, r#""n/n""#), code::INVALID_CONFIG),
        ] {
            assert_eq!(Request::parse(stdin.as_bytes()).unwrap_err().code, code, "{stdin}");
        }
        assert!(Request::parse(text("1.0.0", subnets).as_bytes()).is_ok());
    }
}
