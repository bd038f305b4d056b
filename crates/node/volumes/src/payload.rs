//! The files of a volume: collected from their sources, before anything is written.

use std::collections::BTreeMap;

use jiff::Timestamp;
use windlass_api::k8s::api::core::v1::{DownwardAPIVolumeFile, Pod};

use crate::downward::{self, DownwardError};
use crate::plan::{Files, Item, NodeFacts, Projection, TrustBundle};
use crate::pod;
use crate::sources::{ConfigMapData, SecretData, SourceError, Sources, TokenRequest};
use crate::tokens::Tokens;

/// Tokens and keys belong to the pod's user alone, where it is known or a group shares them.
const TOKEN_MODE: u32 = 0o600;

/// Files by their path in the volume.
pub(crate) type Payload = BTreeMap<String, File>;

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) data: Vec<u8>,
    pub(crate) mode: u32,
    /// Root if not given.
    pub(crate) user: Option<u32>,
}

/// Why a volume's contents are not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    #[error("configmap {0:?} not found")]
    ConfigMapMissing(String),
    #[error("secret {0:?} not found")]
    SecretMissing(String),
    #[error("configmap references non-existent config key: {0}")]
    ConfigMapKey(String),
    #[error("references non-existent secret key: {0}")]
    SecretKey(String),
    #[error("while getting ClusterTrustBundle: clustertrustbundle.certificates.k8s.io {0:?} not found")]
    TrustBundleMissing(String),
    #[error("combination of signerName and labelSelector matched zero ClusterTrustBundles")]
    NoTrustBundle,
    #[error(transparent)]
    Downward(DownwardError),
    #[error(transparent)]
    Source(SourceError),
    /// Every source that failed, as upstream lists them.
    #[error("[{}]", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Several(Vec<PayloadError>),
}

/// Whose volume it is, and whom to ask.
pub(crate) struct Collector<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) node: &'a NodeFacts,
    pub(crate) sources: &'a dyn Sources,
    pub(crate) tokens: &'a Tokens,
    pub(crate) now: Timestamp,
}

impl Collector<'_> {
    /// Collects all files, and says when to do so again because a token runs out. Later sources win over earlier ones.
    pub(crate) async fn collect(&self, files: &Files) -> Result<(Payload, Option<Timestamp>), PayloadError> {
        let mut payload = Payload::new();
        let mut refresh_at: Option<Timestamp> = None;
        let mut errors = Vec::new();
        for projection in &files.sources {
            match self.one(projection, files.default_mode, &mut refresh_at).await {
                Ok(part) => payload.extend(part),
                Err(PayloadError::Several(more)) => errors.extend(more),
                Err(error) => errors.push(error),
            }
        }
        match errors.len() {
            0 => Ok((payload, refresh_at)),
            1 => Err(errors.remove(0)),
            _ => Err(PayloadError::Several(errors)),
        }
    }

    async fn one(
        &self,
        projection: &Projection,
        default_mode: u32,
        refresh_at: &mut Option<Timestamp>,
    ) -> Result<Payload, PayloadError> {
        let namespace = pod::namespace(self.pod);
        match projection {
            Projection::ConfigMap { name, items, optional } => {
                let found = self.sources.config_map(namespace, name).await.map_err(PayloadError::Source)?;
                match found {
                    Some(found) => config_map(&found, items, default_mode, *optional),
                    None if *optional => Ok(Payload::new()),
                    None => Err(PayloadError::ConfigMapMissing(name.clone())),
                }
            }
            Projection::Secret { name, items, optional } => {
                let found = self.sources.secret(namespace, name).await.map_err(PayloadError::Source)?;
                match found {
                    Some(found) => secret(&found, items, default_mode, *optional),
                    None if *optional => Ok(Payload::new()),
                    None => Err(PayloadError::SecretMissing(name.clone())),
                }
            }
            Projection::Downward(items) => downward_files(self.pod, self.node, items, default_mode),
            Projection::Token { audience, expiration_seconds, path } => {
                let request = TokenRequest {
                    namespace: namespace.to_owned(),
                    service_account: self.service_account(),
                    audience: audience.clone(),
                    expiration_seconds: *expiration_seconds,
                    pod_name: pod::name(self.pod).to_owned(),
                    pod_uid: pod::uid(self.pod).to_owned(),
                };
                let token = self.tokens.get(&request, self.sources, self.now).await.map_err(PayloadError::Source)?;
                let (token, due) = token;
                *refresh_at = Some(refresh_at.map_or(due, |known| known.min(due)));
                Ok(self.for_the_user(path, token.token.into_bytes(), default_mode))
            }
            Projection::TrustBundle { bundle, path, optional } => {
                let found = self.sources.trust_bundle(bundle).await.map_err(PayloadError::Source)?;
                let data = match (found, bundle) {
                    (Some(data), _) => data,
                    (None, _) if *optional => Vec::new(),
                    (None, TrustBundle::Name(name)) => return Err(PayloadError::TrustBundleMissing(name.clone())),
                    (None, TrustBundle::Signer { .. }) => return Err(PayloadError::NoTrustBundle),
                };
                Ok(self.for_the_user(path, data, default_mode))
            }
            Projection::Certificate(wanted) => {
                let found = self.sources.credentials(self.pod, &wanted.source).await.map_err(PayloadError::Source)?;
                let both = format!("{}{}", found.key, found.chain);
                let files =
                    [(&wanted.bundle_path, &both), (&wanted.key_path, &found.key), (&wanted.chain_path, &found.chain)];
                let files = files.into_iter().filter_map(|(path, text)| Some((path.as_deref()?, text)));
                let files =
                    files.flat_map(|(path, text)| self.for_the_user(path, text.clone().into_bytes(), default_mode));
                Ok(files.collect())
            }
        }
    }

    fn service_account(&self) -> String {
        let named = pod::spec(self.pod).and_then(|spec| spec.service_account_name.clone());
        named.filter(|name| !name.is_empty()).unwrap_or_else(|| "default".to_owned())
    }

    fn for_the_user(&self, path: &str, data: Vec<u8>, default_mode: u32) -> Payload {
        let user = pod::token_user(self.pod);
        let own = user.is_some() || pod::fs_group(self.pod).is_some();
        let mode = if own { TOKEN_MODE } else { default_mode };
        [(clean(path), File { data, mode, user })].into()
    }
}

fn config_map(
    found: &ConfigMapData,
    items: &[Item],
    default_mode: u32,
    optional: bool,
) -> Result<Payload, PayloadError> {
    let all = found.data.iter().map(|(key, text)| (key, text.as_bytes()));
    let all = all.chain(found.binary_data.iter().map(|(key, bytes)| (key, bytes.as_slice())));
    select(&all.collect(), items, default_mode, optional, PayloadError::ConfigMapKey)
}

fn secret(found: &SecretData, items: &[Item], default_mode: u32, optional: bool) -> Result<Payload, PayloadError> {
    let all = found.data.iter().map(|(key, bytes)| (key, bytes.as_slice())).collect();
    select(&all, items, default_mode, optional, PayloadError::SecretKey)
}

fn select(
    all: &BTreeMap<&String, &[u8]>,
    items: &[Item],
    default_mode: u32,
    optional: bool,
    missing: fn(String) -> PayloadError,
) -> Result<Payload, PayloadError> {
    let file = |data: &[u8], mode| File { data: data.to_vec(), mode, user: None };
    if items.is_empty() {
        return Ok(all.iter().map(|(key, data)| (clean(key), file(data, default_mode))).collect());
    }
    let mut payload = Payload::new();
    for item in items {
        match all.get(&item.key) {
            Some(data) => {
                payload.insert(clean(&item.path), file(data, item.mode.unwrap_or(default_mode)));
            }
            None if optional => {}
            None => return Err(missing(item.key.clone())),
        }
    }
    Ok(payload)
}

fn downward_files(
    pod: &Pod,
    node: &NodeFacts,
    items: &[DownwardAPIVolumeFile],
    default_mode: u32,
) -> Result<Payload, PayloadError> {
    let mut payload = Payload::new();
    let mut errors = Vec::new();
    for item in items {
        let text = match (&item.field_ref, &item.resource_field_ref) {
            (Some(field), _) => downward::field_for_file(pod, &field.field_path),
            (None, Some(selector)) => downward::resource_for_file(pod, selector, &node.allocatable),
            (None, None) => Ok(String::new()),
        };
        match text {
            Ok(text) => {
                let mode = item.mode.map_or(default_mode, |mode| mode.cast_unsigned() & 0o777);
                payload.insert(clean(&item.path), File { data: text.into_bytes(), mode, user: None });
            }
            Err(error) => errors.push(PayloadError::Downward(error)),
        }
    }
    match errors.len() {
        0 => Ok(payload),
        1 => Err(errors.remove(0)),
        _ => Err(PayloadError::Several(errors)),
    }
}

/// As Go's `filepath.Clean`, so that two spellings of a path are one file. Whether the path may be written is checked by the
/// writer.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    if path.starts_with('/') { format!("/{joined}") } else { joined }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(key: &str, path: &str, mode: Option<u32>) -> Item {
        Item { key: key.into(), path: path.into(), mode }
    }

    fn shown(payload: Result<Payload, PayloadError>) -> Result<Vec<(String, String, u32)>, String> {
        let show = |(path, file): (String, File)| (path, String::from_utf8(file.data).unwrap(), file.mode);
        payload.map(|payload| payload.into_iter().map(show).collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn keys_of_a_config_map() {
        let found = ConfigMapData {
            data: [("a".into(), "1".into()), ("b".into(), "2".into())].into(),
            binary_data: [("c".into(), b"3".to_vec())].into(),
        };
        let all = shown(config_map(&found, &[], 0o644, false)).unwrap();
        assert_eq!(
            all,
            [("a".into(), "1".into(), 0o644), ("b".into(), "2".into(), 0o644), ("c".into(), "3".into(), 0o644)]
        );
        let items = [item("c", "x//y", Some(0o400)), item("a", "z", None)];
        let some = shown(config_map(&found, &items, 0o640, false)).unwrap();
        assert_eq!(some, [("x/y".into(), "3".into(), 0o400), ("z".into(), "1".into(), 0o640)]);
        let missing = [item("none", "x", None), item("a", "z", None)];
        let error = shown(config_map(&found, &missing, 0o644, false)).unwrap_err();
        assert_eq!(error, "configmap references non-existent config key: none");
        assert_eq!(shown(config_map(&found, &missing, 0o644, true)).unwrap().len(), 1);
    }

    #[test]
    fn keys_of_a_secret() {
        let found = SecretData { data: [("a".into(), b"1".to_vec())].into() };
        let error = shown(secret(&found, &[item("none", "x", None)], 0o644, false)).unwrap_err();
        assert_eq!(error, "references non-existent secret key: none");
        assert_eq!(format!("{found:?}"), "SecretData { keys: [\"a\"], .. }");
    }

    #[test]
    fn cleaned() {
        for (path, expected) in
            [("a/./b", "a/b"), ("a/../b", "b"), ("../a", "../a"), ("a/../../b", "../b"), ("/a//b", "/a/b"), ("", "")]
        {
            assert_eq!(clean(path), expected);
        }
    }

    #[test]
    fn several_errors_in_one_line() {
        let errors = vec![PayloadError::SecretMissing("a".into()), PayloadError::ConfigMapMissing("b".into())];
        assert_eq!(PayloadError::Several(errors).to_string(), "[secret \"a\" not found, configmap \"b\" not found]");
    }
}
