//! containerd's `certs.d`: a directory for each registry with a `hosts.toml`, or with certificate files as Docker has them.
//!
//! It is read anew for each pull, so that changes need no restart. As upstream, a `hosts.toml` that cannot be understood is
//! reported and the directory's certificate files are used.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::config::{Capability, ClientCertificate, Endpoint, RegistryConfig, Tls};
use super::durations;
use super::error::ConfigError;

/// What the first of `config_paths` that knows `domain` says about it.
pub(super) fn find(config_paths: &[PathBuf], domain: &str) -> Result<Option<RegistryConfig>, ConfigError> {
    for root in config_paths {
        for name in directory_names(domain) {
            let directory = root.join(name);
            match std::fs::metadata(&directory) {
                Ok(_) => return load(&directory).map(Some),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(source) => return Err(ConfigError::Read { path: directory, source }),
            }
        }
    }
    Ok(None)
}

/// `host:port` may be written `host_port_`, for colons are not welcome in every file system.
fn directory_names(domain: &str) -> Vec<String> {
    let mut names = Vec::with_capacity(3);
    if let Some((host, port)) = domain.rsplit_once(':')
        && !host.is_empty()
    {
        names.push(format!("{host}_{port}_"));
    }
    names.push(domain.to_owned());
    names.push("_default".to_owned());
    names
}

fn load(directory: &Path) -> Result<RegistryConfig, ConfigError> {
    let path = directory.join("hosts.toml");
    match std::fs::read_to_string(&path) {
        Ok(text) if !text.is_empty() => match parse(&text, directory) {
            Ok(config) => return Ok(config),
            Err(reason) => {
                let error = ConfigError::HostsToml { path, reason };
                tracing::error!(%error, "failed to read hosts.toml, using certificate files only");
            }
        },
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(source) => return Err(ConfigError::Read { path, source }),
    }
    let tls = certificate_files(directory)?;
    Ok(RegistryConfig { mirrors: Vec::new(), server: Endpoint { tls, ..Endpoint::default() } })
}

/// `*.crt` are authorities; `*.cert` are client certificates, their keys beside them as `*.key`.
fn certificate_files(directory: &Path) -> Result<Tls, ConfigError> {
    let read = |source| ConfigError::Read { path: directory.to_owned(), source };
    let mut tls = Tls::default();
    let mut paths: Vec<PathBuf> = std::fs::read_dir(directory)
        .map_err(read)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(read)?;
    paths.sort();
    for path in paths {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => tls.ca_files.push(path),
            Some("cert") => {
                let key = Some(path.with_extension("key")).filter(|key| key.exists());
                tls.client_certificates.push(ClientCertificate { certificate: path, key });
            }
            _ => {}
        }
    }
    Ok(tls)
}

fn parse(text: &str, directory: &Path) -> Result<RegistryConfig, String> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
    let mut config = RegistryConfig { server: endpoint(&table, directory)?, ..RegistryConfig::default() };
    config.server.address = string(&table, "server")?.unwrap_or_default().to_owned();
    let hosts = match table.get("host") {
        None => return Ok(config),
        Some(Value::Table(hosts)) => hosts,
        Some(_) => return Err("\"host\" is not a table".to_owned()),
    };
    // The file's order is the order of trying.
    for (address, host) in hosts {
        let Value::Table(host) = host else { return Err(format!("host {address:?} is not a table")) };
        config.mirrors.push(Endpoint { address: address.clone(), ..endpoint(host, directory)? });
    }
    Ok(config)
}

fn endpoint(table: &Table, directory: &Path) -> Result<Endpoint, String> {
    let mut endpoint = Endpoint::default();
    for name in strings(table.get("capabilities"), "capabilities")? {
        endpoint.capabilities.push(match name.to_ascii_lowercase().as_str() {
            "pull" => Capability::Pull,
            "resolve" => Capability::Resolve,
            "push" => Capability::Push,
            "referrers" => Capability::Referrers,
            _ => return Err(ConfigError::Capability(name).to_string()),
        });
    }
    endpoint.tls.ca_files = strings(table.get("ca"), "ca")?.iter().map(|path| directory.join(path)).collect();
    endpoint.tls.client_certificates = client_certificates(table.get("client"), directory)?;
    endpoint.tls.skip_verify = boolean(table, "skip_verify")?;
    endpoint.override_path = boolean(table, "override_path")?.unwrap_or(false);
    if let Some(text) = string(table, "dial_timeout")? {
        let timeout = durations::parse(text).ok_or_else(|| format!("invalid dial_timeout {text:?}"))?;
        endpoint.dial_timeout_seconds = Some(timeout.as_secs().max(1));
    }
    match table.get("header") {
        None => {}
        Some(Value::Table(headers)) => {
            for (name, value) in headers {
                endpoint.headers.insert(name.clone(), strings(Some(value), name)?);
            }
        }
        Some(_) => return Err("\"header\" is not a table".to_owned()),
    }
    Ok(endpoint)
}

/// `"one.pem"`, `["one.pem", …]` or `[["certificate", "key"], …]`.
fn client_certificates(value: Option<&Value>, directory: &Path) -> Result<Vec<ClientCertificate>, String> {
    let single = |path: &str| ClientCertificate { certificate: directory.join(path), key: None };
    match value {
        None => Ok(Vec::new()),
        Some(Value::String(path)) => Ok(vec![single(path)]),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| match item {
                Value::String(path) => Ok(single(path)),
                Value::Array(pair) => match pair.as_slice() {
                    [Value::String(certificate), Value::String(key)] => Ok(ClientCertificate {
                        certificate: directory.join(certificate),
                        key: Some(key).filter(|key| !key.is_empty()).map(|key| directory.join(key)),
                    }),
                    _ => Err("a pair of \"client\" is not a certificate and a key".to_owned()),
                },
                _ => Err("invalid type for \"client\"".to_owned()),
            })
            .collect(),
        Some(_) => Err("invalid type for \"client\"".to_owned()),
    }
}

/// A string or an array of strings.
fn strings(value: Option<&Value>, name: &str) -> Result<Vec<String>, String> {
    let bad = || format!("invalid type for {name:?}");
    match value {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![text.clone()]),
        Some(Value::Array(items)) => {
            items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(bad)).collect()
        }
        Some(_) => Err(bad()),
    }
}

fn string<'a>(table: &'a Table, name: &str) -> Result<Option<&'a str>, String> {
    table.get(name).map(|value| value.as_str().ok_or_else(|| format!("{name:?} is not a string"))).transpose()
}

fn boolean(table: &Table, name: &str) -> Result<Option<bool>, String> {
    table.get(name).map(|value| value.as_bool().ok_or_else(|| format!("{name:?} is not true or false"))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file() {
        let text = r#"
            server = "https://docker.io"
            ca = "/etc/ca.pem"

            [host."https://z.example"]
              capabilities = ["pull", "resolve"]
              ca = ["a.pem", "/b.pem"]
              client = [["c.cert", "c.key"], ["d.pem", ""]]
              skip_verify = true
              [host."https://z.example".header]
                x-one = "1"
                x-two = ["2", "3"]

            [host."http://a.example:5000/path"]
              capabilities = ["Pull"]
              override_path = true
              dial_timeout = "3s"
        "#;
        let config = parse(text, Path::new("/certs")).unwrap();
        assert_eq!(config.server.address, "https://docker.io");
        assert_eq!(config.server.tls.ca_files, [Path::new("/etc/ca.pem")]);
        let [z, a] = config.mirrors.as_slice() else { panic!("two mirrors, in the file's order") };
        assert_eq!((z.address.as_str(), a.address.as_str()), ("https://z.example", "http://a.example:5000/path"));
        assert_eq!(z.capabilities, [Capability::Pull, Capability::Resolve]);
        assert_eq!(z.tls.ca_files, [Path::new("/certs/a.pem"), Path::new("/b.pem")]);
        assert_eq!(z.tls.client_certificates[0].key.as_deref(), Some(Path::new("/certs/c.key")));
        assert_eq!(z.tls.client_certificates[1].key, None);
        assert_eq!(z.headers["x-two"], ["2", "3"]);
        assert_eq!((a.override_path, a.dial_timeout_seconds), (true, Some(3)));
    }

    #[test]
    fn refused() {
        for text in ["server = 1", "host = 2", "capabilities = [\"fly\"]", "ca = 1", "dial_timeout = \"x\"", "= ="] {
            assert!(parse(text, Path::new("/")).is_err(), "{text}");
        }
    }

    #[test]
    fn directories_and_certificate_files() {
        let dir = tempfile::tempdir().unwrap();
        let paths = [dir.path().to_owned()];
        assert!(find(&paths, "r.example:5000").unwrap().is_none());
        for name in ["_default", "r.example:5000", "r.example_5001_"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        std::fs::write(dir.path().join("_default/hosts.toml"), "server = \"https://default\"").unwrap();
        std::fs::write(dir.path().join("r.example:5000/hosts.toml"), "not toml").unwrap();
        for name in ["ca.crt", "me.cert", "me.key"] {
            std::fs::write(dir.path().join("r.example:5000").join(name), "").unwrap();
        }
        let broken = find(&paths, "r.example:5000").unwrap().unwrap();
        assert_eq!(broken.server.address, "");
        assert_eq!(broken.server.tls.ca_files.len(), 1);
        assert!(broken.server.tls.client_certificates[0].key.is_some());
        assert_eq!(find(&paths, "r.example:5001").unwrap().unwrap().server.address, "");
        assert_eq!(find(&paths, "other").unwrap().unwrap().server.address, "https://default");
    }
}
