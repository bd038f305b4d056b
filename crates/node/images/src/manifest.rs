//! The documents that describe an image: index, manifest and configuration, of OCI and of Docker (schema 2).
//!
//! Only the fields that a node needs are read; `null` counts as absent, for tools write it. A document that could be read
//! both as an index and as a manifest is refused (CVE-2021-41190), and so is Docker's schema 1, whose layers have no
//! verifiable content.

use std::collections::BTreeMap;

use serde::Deserialize;
use windlass_api::text::null_is_default;
use windlass_cri::ImageRunConfig;

use crate::digest::Digest;
use crate::platform::Platform;

/// What a client accepts when it asks for a manifest.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, */*";
/// Upstream's limit for a manifest.
pub(crate) const MANIFEST_BYTES_MAX: u64 = 4 << 20;
/// Our limit for a configuration: the largest seen in the wild are some hundred kilobytes.
pub(crate) const CONFIG_BYTES_MAX: u64 = 8 << 20;
/// Overlayfs takes 500 layers, Docker makes 127.
const LAYERS_MAX: usize = 500;

#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("not a JSON document of the expected form")]
    Json(#[source] serde_json::Error),
    #[error(
        "media type \"application/vnd.docker.distribution.manifest.v1+prettyjws\" is no longer supported, rebuild the image as an OCI image"
    )]
    Schema1,
    #[error("the document is an index and a manifest at once")]
    Ambiguous,
    #[error("the document is neither an image index nor an image manifest (media type {0:?})")]
    Unknown(String),
    #[error("the image has {manifest} layers and its configuration {config}")]
    LayerCount { manifest: usize, config: usize },
    #[error("the image has {0} layers, more than {LAYERS_MAX}")]
    TooManyLayers(usize),
    #[error("no match for platform in manifest: the image is for {0}: not found")]
    Platform(String),
}

/// A reference from one content to another.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    #[serde(default, deserialize_with = "null_is_default")]
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    #[serde(default)]
    pub platform: Option<Platform>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    pub config: Descriptor,
    /// The lowest layer first.
    pub layers: Vec<Descriptor>,
}

#[derive(Clone, Debug)]
pub(crate) enum Document {
    Index(Vec<Descriptor>),
    Manifest(Manifest),
}

impl Document {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Raw {
            #[serde(default)]
            schema_version: u32,
            #[serde(default, deserialize_with = "null_is_default")]
            media_type: String,
            manifests: Option<Vec<Descriptor>>,
            config: Option<Descriptor>,
            layers: Option<Vec<Descriptor>>,
        }
        // Schema 1 has fields of its own with other types: its version is looked at first.
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            #[serde(default)]
            schema_version: u32,
        }
        if serde_json::from_slice::<Version>(bytes).map_err(ManifestError::Json)?.schema_version == 1 {
            return Err(ManifestError::Schema1);
        }
        let raw: Raw = serde_json::from_slice(bytes).map_err(ManifestError::Json)?;
        debug_assert_ne!(raw.schema_version, 1);
        match (raw.manifests, raw.config, raw.layers) {
            (Some(manifests), None, None) => Ok(Self::Index(manifests)),
            (None, Some(config), layers) => {
                let layers = layers.unwrap_or_default();
                if layers.len() > LAYERS_MAX {
                    return Err(ManifestError::TooManyLayers(layers.len()));
                }
                Ok(Self::Manifest(Manifest { config, layers }))
            }
            (Some(_), _, _) => Err(ManifestError::Ambiguous),
            (None, None, _) => Err(ManifestError::Unknown(raw.media_type)),
        }
    }
}

/// An image's configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ImageConfig {
    #[serde(deserialize_with = "null_is_default")]
    pub architecture: String,
    #[serde(deserialize_with = "null_is_default")]
    pub os: String,
    #[serde(deserialize_with = "null_is_default")]
    pub variant: String,
    #[serde(deserialize_with = "null_is_default")]
    config: RawRunConfig,
    #[serde(deserialize_with = "null_is_default")]
    rootfs: RootFs,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct RootFs {
    #[serde(deserialize_with = "null_is_default")]
    diff_ids: Vec<Digest>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct RawRunConfig {
    #[serde(deserialize_with = "null_is_default")]
    user: String,
    #[serde(deserialize_with = "null_is_default")]
    env: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    entrypoint: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    cmd: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    working_dir: String,
    #[serde(deserialize_with = "null_is_default")]
    stop_signal: String,
    #[serde(deserialize_with = "null_is_default")]
    volumes: BTreeMap<String, serde::de::IgnoredAny>,
}

impl ImageConfig {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        serde_json::from_slice(bytes).map_err(ManifestError::Json)
    }

    /// The digest of each layer's uncompressed tar, lowest first, after a check that there is one for each of the
    /// manifest's layers.
    pub(crate) fn diff_ids(&self, layers: usize) -> Result<&[Digest], ManifestError> {
        let diff_ids = &self.rootfs.diff_ids;
        if diff_ids.len() != layers {
            return Err(ManifestError::LayerCount { manifest: layers, config: diff_ids.len() });
        }
        Ok(diff_ids)
    }

    /// Refuses an image that says it is for another machine; one that says nothing passes.
    pub(crate) fn check_platform(&self, host: &Platform) -> Result<(), ManifestError> {
        let declared = Platform {
            os: self.os.clone(),
            architecture: self.architecture.clone(),
            variant: (!self.variant.is_empty()).then(|| self.variant.clone()),
        };
        if (self.os.is_empty() && self.architecture.is_empty()) || host.rank(&declared).is_some() {
            Ok(())
        } else {
            Err(ManifestError::Platform(declared.to_string()))
        }
    }

    pub(crate) fn run_config(&self) -> ImageRunConfig {
        let raw = self.config.clone();
        ImageRunConfig {
            user: raw.user,
            env: raw.env,
            entrypoint: raw.entrypoint,
            cmd: raw.cmd,
            working_dir: raw.working_dir,
            stop_signal: raw.stop_signal,
            volumes: raw.volumes.into_keys().collect(),
        }
    }
}

impl Platform {
    /// The entry of an index that suits this machine best; entries that name no platform come last, for their
    /// configuration will tell.
    pub fn choose<'a>(&self, index: &'a [Descriptor]) -> Option<&'a Descriptor> {
        let suits = |entry: &&'a Descriptor| match &entry.platform {
            Some(platform) => self.rank(platform),
            None => Some(u8::MAX),
        };
        index.iter().filter_map(|entry| Some((suits(&entry)?, entry))).min_by_key(|(rank, _)| *rank).map(|(_, e)| e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn descriptor() -> String {
        format!(r#"{{"mediaType":"x","digest":"{DIGEST}","size":3,"annotations":null,"platform":null}}"#)
    }

    #[test]
    fn documents() {
        let d = descriptor();
        let index = Document::parse(format!(r#"{{"schemaVersion":2,"manifests":[{d}]}}"#).as_bytes()).unwrap();
        assert!(matches!(index, Document::Index(entries) if entries.len() == 1 && entries[0].size == 3));
        let manifest = format!(r#"{{"schemaVersion":2,"config":{d},"layers":[{d},{d}],"subject":null}}"#);
        let manifest = Document::parse(manifest.as_bytes()).unwrap();
        assert!(matches!(manifest, Document::Manifest(m) if m.layers.len() == 2));

        let both = format!(r#"{{"manifests":[],"config":{d},"layers":[]}}"#);
        assert!(matches!(Document::parse(both.as_bytes()), Err(ManifestError::Ambiguous)));
        let schema1 = br#"{"schemaVersion":1,"name":"x","history":[],"fsLayers":[{"blobSum":"x"}]}"#;
        assert!(matches!(Document::parse(schema1), Err(ManifestError::Schema1)));
        let other = br#"{"schemaVersion":2,"mediaType":"text/x"}"#;
        assert!(matches!(Document::parse(other), Err(ManifestError::Unknown(kind)) if kind == "text/x"));
        assert!(matches!(Document::parse(b"<html>"), Err(ManifestError::Json(_))));
        let negative = format!(r#"{{"manifests":[{{"digest":"{DIGEST}","size":-1}}]}}"#);
        assert!(matches!(Document::parse(negative.as_bytes()), Err(ManifestError::Json(_))));
        let many = vec![d.as_str(); 501].join(",");
        let many = format!(r#"{{"config":{d},"layers":[{many}]}}"#);
        assert!(matches!(Document::parse(many.as_bytes()), Err(ManifestError::TooManyLayers(501))));
    }

    #[test]
    fn configuration_with_and_without_nulls() {
        let text = format!(
            r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{DIGEST}"]}},
            "config":{{"User":"65534:65534","Env":["A=b"],"Entrypoint":["/x"],"Cmd":null,"WorkingDir":"/w",
            "Volumes":{{"/data":{{}}}},"ExposedPorts":{{"80/tcp":{{}}}},"StopSignal":"SIGQUIT","Healthcheck":null}}}}"#
        );
        let config = ImageConfig::parse(text.as_bytes()).unwrap();
        let run = config.run_config();
        assert_eq!((run.user.as_str(), run.stop_signal.as_str()), ("65534:65534", "SIGQUIT"));
        assert_eq!((run.env, run.entrypoint, run.cmd), (vec!["A=b".into()], vec!["/x".into()], vec![]));
        assert_eq!(run.volumes, ["/data"]);
        assert_eq!(config.diff_ids(1).unwrap().len(), 1);
        assert!(matches!(config.diff_ids(2), Err(ManifestError::LayerCount { manifest: 2, config: 1 })));
        let empty = ImageConfig::parse(br#"{"config":null,"rootfs":null,"architecture":null}"#).unwrap();
        assert_eq!(empty.run_config(), ImageRunConfig::default());
    }

    #[test]
    fn an_image_for_another_machine() {
        let host = Platform { os: "linux".into(), architecture: "amd64".into(), variant: None };
        let check = |text: &str| ImageConfig::parse(text.as_bytes()).unwrap().check_platform(&host);
        assert!(check(r#"{"architecture":"amd64","os":"linux"}"#).is_ok());
        assert!(check("{}").is_ok());
        let error = check(r#"{"architecture":"arm64","os":"linux","variant":"v8"}"#).unwrap_err();
        assert_eq!(error.to_string(), "no match for platform in manifest: the image is for linux/arm64/v8: not found");
    }
}
