//! Where a webhook is: the `clientConfig` of admission and conversion.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::Uri;
use serde_json::Value;

/// The port of a Service that is called when the configuration names none.
const HTTPS_PORT: u16 = 443;

/// Where a webhook is, and whom to trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    pub target: Target,
    /// PEM; the machine's authorities when there is none.
    pub ca_bundle: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Url(String),
    Service { namespace: String, name: String, port: u16, path: String },
}

/// Why a configuration leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("webhook configuration must have either service or URL")]
    Neither,
    #[error("Unparsable URL: {0}")]
    Url(String),
    #[error("unable to load root certificates: {0}")]
    Authorities(String),
}

impl ClientConfig {
    /// Reads a `clientConfig` that has been validated.
    pub fn read(config: &Value) -> Result<Self, ConfigError> {
        let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
        let service = &config["service"];
        let target = match (config["url"].as_str(), service.is_object()) {
            (_, true) => Target::Service {
                namespace: text(service, "namespace"),
                name: text(service, "name"),
                port: service["port"].as_u64().and_then(|port| port.try_into().ok()).unwrap_or(HTTPS_PORT),
                path: text(service, "path"),
            },
            (Some(url), false) => Target::Url(url.to_owned()),
            (None, false) => return Err(ConfigError::Neither),
        };
        let ca_bundle = BASE64.decode(text(config, "caBundle")).unwrap_or_default();
        // Blank is as good as none.
        let is_blank = ca_bundle.iter().all(u8::is_ascii_whitespace);
        Ok(Self { target, ca_bundle: if is_blank { Vec::new() } else { ca_bundle } })
    }

    /// What is asked for: `https://host:port/path`.
    pub(crate) fn uri(&self) -> Result<Uri, ConfigError> {
        let url = match &self.target {
            Target::Url(url) => url.clone(),
            Target::Service { namespace, name, port, path } => format!("https://{name}.{namespace}.svc:{port}/{path}"),
        };
        let parsed: Uri = url.parse().map_err(|error| ConfigError::Url(format!("parse {url:?}: {error}")))?;
        let authority = parsed.authority().ok_or_else(|| ConfigError::Url(format!("parse {url:?}: no host")))?;
        let clean = clean_path(parsed.path());
        format!("https://{authority}{clean}")
            .parse()
            .map_err(|error| ConfigError::Url(format!("parse {url:?}: {error}")))
    }
}

/// A path without empty steps, as Go joins paths.
fn clean_path(path: &str) -> String {
    let mut steps: Vec<&str> = Vec::new();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." => drop(steps.pop()),
            step => steps.push(step),
        }
    }
    format!("/{}", steps.join("/"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn where_webhooks_are() {
        let uri =
            |config: Value| ClientConfig::read(&config).and_then(|config| config.uri()).map(|uri| uri.to_string());
        let service = |path: &str| json!({"service": {"namespace": "n", "name": "s", "path": path}});
        let cases = [
            (json!({"url": "https://h.example:8443/a//b/"}), "https://h.example:8443/a/b"),
            (json!({"url": "https://h"}), "https://h/"),
            (service(""), "https://s.n.svc:443/"),
            (service("/admit/"), "https://s.n.svc:443/admit"),
            (json!({"service": {"namespace": "n", "name": "s", "port": 8443}}), "https://s.n.svc:8443/"),
        ];
        for (config, expected) in cases {
            assert_eq!(uri(config.clone()).unwrap(), expected, "{config}");
        }
        assert_eq!(uri(json!({})).unwrap_err(), ConfigError::Neither);
        assert!(uri(json!({"url": "https:// h"})).unwrap_err().to_string().starts_with("Unparsable URL: parse"));
        let blank = json!({"url": "https://h", "caBundle": "Cgo="});
        assert_eq!(ClientConfig::read(&blank).unwrap().ca_bundle, b"");
    }
}
