//! Network configurations: a name and the plugins that make up the network.
//!
//! A plugin's configuration stays the JSON object that the administrator wrote: we read the few keys that the protocol gives
//! a meaning and pass all others on untouched.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{CniError, Version, validate};

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("error parsing configuration list")]
    Syntax(#[source] serde_json::Error),
    #[error("error parsing configuration list: {0}")]
    Name(#[source] CniError),
    #[error("error parsing configuration list: {key} must be true or false")]
    Boolean { key: &'static str },
    #[error("error parsing configuration list: `loadOnlyInlinedPlugins` is true, and no 'plugins' key")]
    OnlyInlinedWithoutPlugins,
    #[error("error parsing configuration list: no plugins in list")]
    NoPlugins,
    #[error("error parsing configuration: missing 'type'")]
    NoType,
    #[error("error parsing configuration: {0}")]
    Type(#[source] CniError),
    #[error("error parsing configuration list: no cniVersion")]
    NoVersion,
    #[error("CNI version {version} is not supported: use 0.3.0, 0.3.1, 0.4.0, 1.0.0 or 1.1.0")]
    Version { version: Version },
}

/// A network.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    pub name: String,
    /// The newest version that both the configuration and we know.
    pub cni_version: Version,
    pub disable_check: bool,
    pub disable_gc: bool,
    /// Plugins in files of their own are not added.
    pub load_only_inlined_plugins: bool,
    pub plugins: Vec<PluginConfig>,
    /// The configuration as a list, which the cache keeps for DEL.
    pub source: Vec<u8>,
}

/// One plugin of a network.
#[derive(Clone, Debug)]
pub struct PluginConfig {
    /// The name of its executable.
    pub kind: String,
    pub capabilities: BTreeMap<String, bool>,
    /// All keys, as written.
    pub object: Map<String, Value>,
}

#[derive(Deserialize)]
struct RawList {
    #[serde(default)]
    name: String,
    #[serde(rename = "cniVersion")]
    cni_version: Option<Version>,
    #[serde(rename = "cniVersions", default)]
    cni_versions: Vec<Version>,
    #[serde(rename = "disableCheck")]
    disable_check: Option<Value>,
    #[serde(rename = "disableGC")]
    disable_gc: Option<Value>,
    #[serde(rename = "loadOnlyInlinedPlugins")]
    load_only_inlined_plugins: Option<Value>,
    plugins: Option<Vec<Map<String, Value>>>,
}

impl NetworkConfig {
    /// Reads a configuration list (`*.conflist`). A list without plugins is good only if files of their own add some.
    pub fn from_list(text: &[u8]) -> Result<Self, ConfigError> {
        let raw: RawList = serde_json::from_slice(text).map_err(ConfigError::Syntax)?;
        validate::network_name(&raw.name).map_err(ConfigError::Name)?;
        let load_only_inlined_plugins = boolean("loadOnlyInlinedPlugins", raw.load_only_inlined_plugins)?;
        let plugins = match raw.plugins {
            None if load_only_inlined_plugins => return Err(ConfigError::OnlyInlinedWithoutPlugins),
            None => Vec::new(),
            Some(plugins) if plugins.is_empty() => return Err(ConfigError::NoPlugins),
            Some(plugins) => plugins.into_iter().map(PluginConfig::from_object).collect::<Result<_, _>>()?,
        };
        Ok(Self {
            name: raw.name,
            cni_version: choose_version(raw.cni_version, raw.cni_versions)?,
            disable_check: boolean("disableCheck", raw.disable_check)?,
            disable_gc: boolean("disableGC", raw.disable_gc)?,
            load_only_inlined_plugins,
            plugins,
            source: text.to_vec(),
        })
    }

    /// Reads the configuration of a single plugin (`*.conf`, `*.json`), a form that 1.0.0 dropped but everybody still reads.
    pub fn from_single(text: &[u8]) -> Result<Self, ConfigError> {
        let plugin: Map<String, Value> = serde_json::from_slice(text).map_err(ConfigError::Syntax)?;
        let mut list = Map::new();
        for key in ["name", "cniVersion"] {
            if let Some(value) = plugin.get(key) {
                list.insert(key.to_owned(), value.clone());
            }
        }
        list.insert("plugins".to_owned(), Value::Array(vec![Value::Object(plugin)]));
        Self::from_list(Value::Object(list).to_string().as_bytes())
    }

    /// Adds plugins from files of their own, and to the form that the cache keeps.
    pub(crate) fn append(&mut self, plugins: Vec<PluginConfig>) -> Result<(), ConfigError> {
        if plugins.is_empty() {
            return Ok(());
        }
        self.plugins.extend(plugins);
        let mut list: Map<String, Value> = serde_json::from_slice(&self.source).map_err(ConfigError::Syntax)?;
        let all = self.plugins.iter().map(|plugin| Value::Object(plugin.object.clone())).collect();
        list.insert("plugins".to_owned(), Value::Array(all));
        self.source = Value::Object(list).to_string().into_bytes();
        Ok(())
    }
}

impl PluginConfig {
    pub fn from_object(object: Map<String, Value>) -> Result<Self, ConfigError> {
        let kind = object.get("type").and_then(Value::as_str).ok_or(ConfigError::NoType)?.to_owned();
        validate::plugin_type(&kind).map_err(ConfigError::Type)?;
        let capabilities = object.get("capabilities").and_then(Value::as_object);
        let capabilities = capabilities.into_iter().flatten();
        let capabilities = capabilities.map(|(name, on)| (name.clone(), on.as_bool().unwrap_or(false))).collect();
        Ok(Self { kind, capabilities, object })
    }
}

/// libcni takes the words "true" and "false" as well.
fn boolean(key: &'static str, value: Option<Value>) -> Result<bool, ConfigError> {
    match value {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(value)) => Ok(value),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(_) => Err(ConfigError::Boolean { key }),
    }
}

/// The newest version that we speak of those that the configuration names.
fn choose_version(one: Option<Version>, many: Vec<Version>) -> Result<Version, ConfigError> {
    let named: Vec<Version> = many.into_iter().chain(one).collect();
    let newest = named.iter().copied().max().ok_or(ConfigError::NoVersion)?;
    let spoken = named.into_iter().filter(|version| version.is_supported()).max();
    spoken.ok_or(ConfigError::Version { version: newest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Result<NetworkConfig, String> {
        NetworkConfig::from_list(text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn lists() {
        let config = list(
            r#"{"cniVersion":"0.4.0","cniVersions":["1.0.0","9.9.9"],"name":"dbnet","disableCheck":"True",
                "plugins":[{"type":"bridge","bridge":"cni0"},{"type":"portmap","capabilities":{"portMappings":true,"x":false}}]}"#,
        )
        .unwrap();
        assert_eq!((config.cni_version, config.disable_check, config.disable_gc), (Version::V1_0_0, true, false));
        assert_eq!(config.plugins[0].object["bridge"], "cni0");
        let capabilities = &config.plugins[1].capabilities;
        assert_eq!((capabilities.get("portMappings"), capabilities.get("x")), (Some(&true), Some(&false)));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, error) in [
            ("", "error parsing configuration list"),
            (r#"{"cniVersion":"1.0.0"}"#, "error parsing configuration list: missing network name"),
            (
                r#"{"name":"a/b","cniVersion":"1.0.0"}"#,
                "error parsing configuration list: invalid characters found in network name; a/b",
            ),
            (
                r#"{"name":"a","cniVersion":"1.0.0","plugins":[]}"#,
                "error parsing configuration list: no plugins in list",
            ),
            (r#"{"name":"a","cniVersion":"1.0.0","plugins":[{}]}"#, "error parsing configuration: missing 'type'"),
            (
                r#"{"name":"a","cniVersion":"1.0.0","plugins":[{"type":"../x"}]}"#,
                "error parsing configuration: invalid plugin name; ../x",
            ),
            (r#"{"name":"a","plugins":[{"type":"x"}]}"#, "error parsing configuration list: no cniVersion"),
            (
                r#"{"name":"a","cniVersion":"0.2.0","plugins":[{"type":"x"}]}"#,
                "CNI version 0.2.0 is not supported: use 0.3.0, 0.3.1, 0.4.0, 1.0.0 or 1.1.0",
            ),
            (
                r#"{"name":"a","cniVersion":"1.0.0","disableGC":3}"#,
                "error parsing configuration list: disableGC must be true or false",
            ),
            (
                r#"{"name":"a","cniVersion":"1.0.0","loadOnlyInlinedPlugins":true}"#,
                "error parsing configuration list: `loadOnlyInlinedPlugins` is true, and no 'plugins' key",
            ),
        ] {
            assert_eq!(list(text).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn a_single_plugin_is_a_list_of_one() {
        let config =
            NetworkConfig::from_single(br#"{"cniVersion":"0.3.1","name":"n","type":"bridge","mtu":9}"#).unwrap();
        assert_eq!((config.name.as_str(), config.cni_version, config.plugins.len()), ("n", Version::V0_3_1, 1));
        assert_eq!(config.plugins[0].object["mtu"], 9);
        assert_eq!(NetworkConfig::from_list(&config.source).unwrap().plugins[0].kind, "bridge");
    }
}
