//! The file of `--admission-control-config-file`: `AdmissionConfiguration` of `apiserver.config.k8s.io`, which says for each plugin
//! either its configuration or the path of a file with it.

use serde::Deserialize;
use serde_json::Value;
use windlass_api::field::Errors;

use crate::plugins::pod_security::{self, Configuration, Written};

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    #[error("cannot read {path}")]
    Read { path: String, source: std::io::Error },
    #[error("{0}")]
    Syntax(String),
    #[error("it is a {kind} of {api_version}, where {expected} is expected")]
    Kind { api_version: String, kind: String, expected: String },
    #[error("the plugin {0:?} takes no configuration here; PodSecurity does")]
    Plugin(String),
    #[error("the plugin {0:?} is configured twice")]
    Twice(String),
    #[error("the plugin {0:?} has both a path and a configuration")]
    Both(String),
    #[error("the configuration of PodSecurity is invalid: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    PodSecurity(Errors),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AdmissionConfiguration {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    #[serde(default)]
    plugins: Vec<PluginConfiguration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PluginConfiguration {
    name: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    configuration: Value,
}

/// Reads a configuration; `open` reads the files that it names.
pub fn parse(text: &str, open: impl Fn(&str) -> std::io::Result<String>) -> Result<Configuration, ConfigurationError> {
    let whole: AdmissionConfiguration =
        typed(from_yaml(text)?, "apiserver.config.k8s.io", &["v1"], "AdmissionConfiguration")?;
    let mut found = None;
    for plugin in whole.plugins {
        if plugin.name != "PodSecurity" {
            return Err(ConfigurationError::Plugin(plugin.name));
        }
        let own = match (plugin.path.as_str(), plugin.configuration) {
            ("", configuration) => configuration,
            (path, Value::Null) => {
                let read = |source| ConfigurationError::Read { path: path.to_owned(), source };
                from_yaml(&open(path).map_err(read)?)?
            }
            _ => return Err(ConfigurationError::Both(plugin.name)),
        };
        let written: Written = match own {
            Value::Null => Written::default(),
            own => typed(own, pod_security::GROUP, &["v1", "v1beta1", "v1alpha1"], pod_security::KIND)?,
        };
        if found.replace(written.check().map_err(ConfigurationError::PodSecurity)?).is_some() {
            return Err(ConfigurationError::Twice(plugin.name));
        }
    }
    Ok(found.unwrap_or_default())
}

fn from_yaml(text: &str) -> Result<Value, ConfigurationError> {
    serde_saphyr::from_str(text)
        .map_err(|error: serde_saphyr::Error| ConfigurationError::Syntax(error.without_snippet().to_string()))
}

/// Reads a tree as a type, after a check that it is of the right kind.
fn typed<T: serde::de::DeserializeOwned>(
    tree: Value,
    group: &str,
    versions: &[&str],
    kind: &str,
) -> Result<T, ConfigurationError> {
    let text = |field: &str| tree.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (api_version, found) = (text("apiVersion"), text("kind"));
    let fits = versions.iter().any(|version| api_version == format!("{group}/{version}"));
    if !fits || found != kind {
        let expected = format!("{kind} of {group}/{}", versions[0]);
        return Err(ConfigurationError::Kind { api_version, kind: found, expected });
    }
    serde_json::from_value(tree).map_err(|error| ConfigurationError::Syntax(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(plugin: &str) -> String {
        format!(
            "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n- name: PodSecurity\n{plugin}"
        )
    }

    fn read(text: &str) -> Result<Configuration, String> {
        let other = "apiVersion: pod-security.admission.config.k8s.io/v1\nkind: PodSecurityConfiguration\ndefaults: {enforce: restricted}\n";
        let open = |path: &str| match path {
            "own.yaml" => Ok(other.to_owned()),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        };
        parse(text, open).map_err(|error| error.to_string())
    }

    const OWN: &str = "  configuration:\n    apiVersion: pod-security.admission.config.k8s.io/v1\n    kind: PodSecurityConfiguration\n";

    #[test]
    fn what_is_read() {
        let given = "    defaults: {enforce: baseline, enforce-version: v1.20, warn: restricted}\n    exemptions: {namespaces: [kube-system], usernames: [jane]}\n";
        let read_inline = read(&file(&format!("{OWN}{given}"))).unwrap();
        assert_eq!(read_inline.defaults.enforce.to_string(), "baseline:v1.20");
        assert_eq!(read_inline.defaults.warn.to_string(), "restricted:latest");
        assert_eq!(read_inline.defaults.audit.to_string(), "privileged:latest");
        assert_eq!(read_inline.exemptions.namespaces, ["kube-system"]);
        assert_eq!(read(&file("  path: own.yaml\n")).unwrap().defaults.enforce.to_string(), "restricted:latest");
        assert_eq!(read(&file("")).unwrap(), Configuration::default());
    }

    #[test]
    fn what_is_refused() {
        let own = |more: &str| file(&format!("{OWN}{more}"));
        let cases = [
            (own("    defaults: {enforce: strict}\n"), "defaults.enforce: Invalid value: \"strict\": must be one of"),
            (
                own("    defaults: {warn-version: '1.2'}\n"),
                "defaults.warn-version: Invalid value: \"1.2\": must be \"latest\"",
            ),
            (own("    exemptions: {usernames: [a, a]}\n"), "exemptions.usernames[1]: Duplicate value: \"a\""),
            (
                own("    exemptions: {usernames: ['']}\n"),
                "exemptions.usernames[0]: Invalid value: \"\": username must not",
            ),
            (own("    exemptions: {namespaces: [A]}\n"), "exemptions.namespaces[0]: Invalid value: \"A\": a lowercase"),
            (own("    default: {enforce: baseline}\n"), "unknown field `default`"),
            (file("  path: absent.yaml\n"), "cannot read absent.yaml"),
            (file("- name: PodSecurity\n"), "configured twice"),
            (file("- name: EventRateLimit\n"), "\"EventRateLimit\" takes no configuration here"),
            ("kind: Pod\napiVersion: v1\n".to_owned(), "it is a Pod of v1, where AdmissionConfiguration"),
            ("a: [".to_owned(), ""),
        ];
        for (text, expected) in cases {
            let error = read(&text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
