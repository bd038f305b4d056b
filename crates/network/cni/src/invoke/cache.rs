//! What ADD returned, on disk, in libcni's own format and place: `DIR/results/NETWORK-CONTAINER-INTERFACE`.
//!
//! Another runtime that used libcni with the same directory is understood, and understands us.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use windlass_tree::{Links, Loss, replace};

const KIND: &str = "cniCacheV1";
/// A configuration and a result of the longest, and the rest.
const ENTRY_BYTES_MAX: u64 = 4 << 20;

/// An attachment that was made and not yet deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CachedAttachment {
    kind: String,
    pub container_id: String,
    /// The configuration list that it was made with.
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    pub config: Vec<u8>,
    pub if_name: String,
    pub network_name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub netns: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cni_args: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub capability_args: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
}

#[derive(Clone, Debug)]
pub(super) struct Cache {
    dir: PathBuf,
}

impl Cache {
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.join("results") }
    }

    pub(super) fn entry(
        network: &crate::NetworkConfig,
        attachment: &super::Attachment,
        result: Value,
    ) -> CachedAttachment {
        CachedAttachment {
            kind: KIND.to_owned(),
            container_id: attachment.container_id.clone(),
            config: network.source.clone(),
            if_name: attachment.if_name.clone(),
            network_name: network.name.clone(),
            netns: attachment.netns.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
            cni_args: attachment.args.clone(),
            capability_args: attachment.capabilities.clone(),
            result: Some(result),
        }
    }

    /// Puts a complete file in place, so that a crash leaves the old one or the new one.
    pub(super) fn store(&self, entry: &CachedAttachment) -> io::Result<()> {
        let (path, bytes) = (self.path(entry), serde_json::to_vec(entry)?);
        let store = || replace(&path, &bytes, 0o600, Loss::Bearable);
        match store() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
                store()
            }
            stored => stored,
        }
    }

    pub(super) fn remove(&self, entry: &CachedAttachment) -> io::Result<()> {
        match fs::remove_file(self.path(entry)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    /// All attachments, or those of one container. Files that are not ours or damaged are passed over, as in libcni.
    pub(super) fn list(&self, container_id: Option<&str>) -> io::Result<Vec<CachedAttachment>> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let directory = fs::File::open(&self.dir)?;
        let mut names = Vec::new();
        for entry in entries {
            names.push(entry?.file_name());
        }
        names.sort();
        let part = container_id.map(|id| format!("-{id}-"));
        let wanted = names.into_iter().filter(|name| {
            let name = name.to_string_lossy();
            !name.ends_with('~') && part.as_ref().is_none_or(|part| name.contains(part.as_str()))
        });
        let read = wanted.filter_map(|name| {
            let bytes = windlass_tree::read_file(&directory, name.as_bytes(), Links::Refused, ENTRY_BYTES_MAX).ok()?;
            let entry: CachedAttachment = serde_json::from_slice(&bytes).ok()?;
            let asked_for = container_id.is_none_or(|id| id == entry.container_id);
            (entry.kind == KIND && asked_for).then_some(entry)
        });
        Ok(read.collect())
    }

    fn path(&self, entry: &CachedAttachment) -> PathBuf {
        self.dir.join(format!("{}-{}-{}", entry.network_name, entry.container_id, entry.if_name))
    }
}

fn to_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    BASE64_STANDARD.decode(text).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Attachment, NetworkConfig};

    #[test]
    fn what_is_stored_is_found_and_reads_as_libcnis() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path());
        assert_eq!(cache.list(None).unwrap(), []);
        let network = NetworkConfig::from_single(br#"{"cniVersion":"1.0.0","name":"net","type":"x"}"#).unwrap();
        let attachment = Attachment { netns: Some("/run/netns/a".into()), ..Attachment::new("c-1", "eth0") };
        let entry = Cache::entry(&network, &attachment, serde_json::json!({"cniVersion": "1.0.0"}));
        cache.store(&entry).unwrap();
        let text = fs::read_to_string(dir.path().join("results/net-c-1-eth0")).unwrap();
        assert!(text.starts_with(r#"{"kind":"cniCacheV1","containerId":"c-1","config":"eyJ"#), "{text}");
        assert!(text.ends_with(
            r#""ifName":"eth0","networkName":"net","netns":"/run/netns/a","result":{"cniVersion":"1.0.0"}}"#
        ));
        fs::write(dir.path().join("results/net-c-2-eth0"), "damaged").unwrap();
        nix::unistd::mkfifo(&dir.path().join("results/net-c-3-eth0"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(cache.list(None).unwrap(), std::slice::from_ref(&entry));
        assert_eq!(cache.list(Some("c-1")).unwrap().len(), 1);
        assert_eq!(cache.list(Some("1")).unwrap(), []);
        cache.remove(&entry).unwrap();
        cache.remove(&entry).unwrap();
        assert_eq!(cache.list(None).unwrap(), []);
    }
}
