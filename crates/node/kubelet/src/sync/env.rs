//! The environment of a container: services, envFrom, env, with references between them resolved.

use std::collections::BTreeMap;
use std::net::IpAddr;

use windlass_api::k8s::api::core::v1::{Container, EnvVar, EnvVarSource, Pod};
use windlass_volumes::downward::{self, Addresses, DownwardError};
use windlass_volumes::{NodeFacts, Room, SourceError, Sources, TooLong, expand_known};

use super::service_env::{self, ServiceView};
use crate::pod::PodView;

const MASTER_SERVICE: (&str, &str) = ("default", "kubernetes");

/// Why a container's environment cannot be made, as its status words it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvError {
    #[error("configmap {0:?} not found")]
    NoConfigMap(String),
    #[error("secret {0:?} not found")]
    NoSecret(String),
    #[error("couldn't find key {key} in ConfigMap {namespace}/{name}")]
    NoConfigMapKey { key: String, namespace: String, name: String },
    #[error("couldn't find key {key} in Secret {namespace}/{name}")]
    NoSecretKey { key: String, namespace: String, name: String },
    #[error("{0}")]
    Source(SourceError),
    #[error("{0}")]
    Downward(DownwardError),
    #[error("couldn't parse env file: {0}")]
    File(String),
    #[error(transparent)]
    TooLong(#[from] TooLong),
    #[error("environment variable key {key:?} not found in file")]
    NoFileKey { key: String },
}

/// Everything that a container's variables can refer to.
pub(super) struct EnvInput<'a> {
    pub(super) pod: &'a Pod,
    pub(super) container: &'a Container,
    pub(super) services: &'a [ServiceView],
    pub(super) sources: &'a dyn Sources,
    pub(super) node: &'a NodeFacts,
    pub(super) pod_ips: &'a [IpAddr],
    pub(super) host_ips: &'a [IpAddr],
    /// Paths of the pod's volumes on the node, for `fileKeyRef`.
    pub(super) volume_path: &'a (dyn Fn(&str) -> Option<std::path::PathBuf> + Send + Sync),
}

/// Names and values, each name once; later definitions win.
pub(super) async fn variables(input: &EnvInput<'_>) -> Result<Vec<(String, String)>, EnvError> {
    let services = of_services(input);
    let (mut all, mut room) = (services.clone(), Room::default());
    for (name, value) in from_sources(input, &mut room).await? {
        all.insert(name, value);
    }
    // Services can be referred to, but a variable that the container defines comes first.
    let mut known = all.clone();
    let mut order: Vec<String> = Vec::new();
    for variable in input.container.env.iter().flatten() {
        let value = match &variable.value_from {
            Some(source) => match of_source(input, variable, source).await? {
                Some(value) => value,
                None => continue,
            },
            None => expand_known(variable.value.as_deref().unwrap_or_default(), &known)?,
        };
        room.take(variable.name.len() + value.len())?;
        known.insert(variable.name.clone(), value.clone());
        order.retain(|name| *name != variable.name);
        order.push(variable.name.clone());
        all.insert(variable.name.clone(), value);
    }
    let mut result: Vec<(String, String)> = Vec::with_capacity(all.len());
    result.extend(order.into_iter().filter_map(|name| all.remove(&name).map(|value| (name, value))));
    result.extend(all);
    Ok(result)
}

fn of_services(input: &EnvInput<'_>) -> BTreeMap<String, String> {
    let namespace = input.pod.namespace();
    let links = input.pod.pod_spec().enable_service_links.unwrap_or(true);
    // The namespace's own service of a name comes after the master's, and so replaces it.
    let master = input.services.iter().filter(|service| service.name() == MASTER_SERVICE);
    let own = input.services.iter().filter(|service| links && service.name().0 == namespace);
    let mut all = service_env::variables(master);
    all.extend(service_env::variables(own));
    all
}

async fn from_sources(input: &EnvInput<'_>, room: &mut Room) -> Result<Vec<(String, String)>, EnvError> {
    let namespace = input.pod.namespace();
    let mut all = Vec::new();
    for source in input.container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        if let Some(reference) = &source.config_map_ref {
            let found = input.sources.config_map(namespace, &reference.name).await.map_err(EnvError::Source)?;
            match found {
                Some(data) => {
                    for (key, value) in &data.data {
                        room.take(prefix.len() + key.len() + value.len())?;
                        all.push((format!("{prefix}{key}"), value.clone()));
                    }
                }
                None if reference.optional == Some(true) => {}
                None => return Err(EnvError::NoConfigMap(reference.name.clone())),
            }
        }
        if let Some(reference) = &source.secret_ref {
            let found = input.sources.secret(namespace, &reference.name).await.map_err(EnvError::Source)?;
            match found {
                Some(data) => {
                    for (key, value) in &data.data {
                        room.take(prefix.len() + key.len() + value.len())?;
                        all.push((format!("{prefix}{key}"), String::from_utf8_lossy(value).into_owned()));
                    }
                }
                None if reference.optional == Some(true) => {}
                None => return Err(EnvError::NoSecret(reference.name.clone())),
            }
        }
    }
    // A name with `=` or NUL cannot be in an environment at all.
    all.retain(|(name, _)| !name.is_empty() && !name.contains(['=', '\0']));
    Ok(all)
}

/// `None` when an optional source is missing: then there is no such variable.
async fn of_source(input: &EnvInput<'_>, variable: &EnvVar, source: &EnvVarSource) -> Result<Option<String>, EnvError> {
    let namespace = input.pod.namespace();
    if let Some(field) = &source.field_ref {
        let addresses = Addresses { pod: input.pod_ips, host: input.host_ips };
        let version = field.api_version.as_deref().unwrap_or_default();
        let value = downward::field_for_env(input.pod, version, &field.field_path, addresses);
        return value.map(Some).map_err(EnvError::Downward);
    }
    if let Some(selector) = &source.resource_field_ref {
        let value = downward::resource_for_env(input.pod, input.container, selector, &input.node.allocatable);
        return value.map(Some).map_err(EnvError::Downward);
    }
    if let Some(reference) = &source.config_map_key_ref {
        let optional = reference.optional == Some(true);
        let found = input.sources.config_map(namespace, &reference.name).await.map_err(EnvError::Source)?;
        let Some(data) = found else {
            return if optional { Ok(None) } else { Err(EnvError::NoConfigMap(reference.name.clone())) };
        };
        let missing = || EnvError::NoConfigMapKey {
            key: reference.key.clone(),
            namespace: namespace.to_owned(),
            name: reference.name.clone(),
        };
        return match data.data.get(&reference.key) {
            None if optional => Ok(None),
            value => value.cloned().map(Some).ok_or_else(missing),
        };
    }
    if let Some(reference) = &source.secret_key_ref {
        let optional = reference.optional == Some(true);
        let found = input.sources.secret(namespace, &reference.name).await.map_err(EnvError::Source)?;
        let Some(data) = found else {
            return if optional { Ok(None) } else { Err(EnvError::NoSecret(reference.name.clone())) };
        };
        let missing = || EnvError::NoSecretKey {
            key: reference.key.clone(),
            namespace: namespace.to_owned(),
            name: reference.name.clone(),
        };
        return match data.data.get(&reference.key) {
            None if optional => Ok(None),
            value => value.map(|value| Some(String::from_utf8_lossy(value).into_owned())).ok_or_else(missing),
        };
    }
    if let Some(reference) = &source.file_key_ref {
        return of_file(input, reference).await;
    }
    Ok(Some(variable.value.clone().unwrap_or_default()))
}

async fn of_file(
    input: &EnvInput<'_>,
    reference: &windlass_api::k8s::api::core::v1::FileKeySelector,
) -> Result<Option<String>, EnvError> {
    const FILE_MAX_BYTES: u64 = 64 * 1024;
    let optional = reference.optional == Some(true);
    let steps_out = reference.path.split('/').any(|part| part == "..") || reference.path.starts_with('/');
    let volume = (input.volume_path)(&reference.volume_name).filter(|_| !steps_out);
    let Some(volume) = volume else {
        return Err(EnvError::File(format!("volume {:?} has no such path", reference.volume_name)));
    };
    let path = reference.path.clone();
    let read = tokio::task::spawn_blocking(move || read_beneath(&volume, &path, FILE_MAX_BYTES)).await;
    let text = match read {
        Ok(Ok(text)) => text,
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound && optional => return Ok(None),
        Ok(Err(error)) => return Err(EnvError::File(error.to_string())),
        Err(error) => return Err(EnvError::File(error.to_string())),
    };
    match parse_file(&text).remove(&reference.key) {
        Some(value) => Ok(Some(value)),
        None if optional => Ok(None),
        None => Err(EnvError::NoFileKey { key: reference.key.clone() }),
    }
}

/// Reads a file that containers could have replaced by a link to something of the node.
fn read_beneath(volume: &std::path::Path, path: &str, max: u64) -> std::io::Result<String> {
    use rustix::fs::{Mode, OFlags};
    let root = rustix::fs::open(volume, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let text = windlass_tree::read_file(&root, path.as_bytes(), windlass_tree::Links::Beneath, max)?;
    String::from_utf8(text).map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
}

/// `NAME='value'` lines.
fn parse_file(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pair = |line: &str| {
        let (name, value) = line.split_once('=')?;
        let value = value.trim();
        let quoted = value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
        let quoted = quoted.or_else(|| value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')));
        Some((name.trim().to_owned(), quoted.unwrap_or(value).to_owned()))
    };
    lines.filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_files() {
        let all = parse_file("# comment\nA='one two'\nB=\"x\"\n C = plain \nbroken\n");
        let text: Vec<String> = all.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(text, ["A=one two", "B=x", "C=plain"]);
    }
}
