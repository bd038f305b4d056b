//! `EncryptionConfiguration`: which providers write and read the values of which resources.

use std::time::Duration;

use serde::Deserialize;
use windlass_machinery::configuration::{ConfigurationError, Nanos, decode};

use crate::validation;

const KIND: &str = "EncryptionConfiguration";
/// How long a key management service may take, unless the configuration says otherwise.
const KMS_TIMEOUT: Nanos = Nanos(3_000_000_000);

/// The configuration as it is written, its defaults filled in.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EncryptionConfiguration {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    pub(crate) resources: Vec<ResourceConfiguration>,
}

#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ResourceConfiguration {
    pub resources: Vec<String>,
    pub providers: Vec<ProviderConfiguration>,
}

/// One provider: exactly one of these is set.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ProviderConfiguration {
    pub aesgcm: Option<Keys>,
    pub aescbc: Option<Keys>,
    pub secretbox: Option<Keys>,
    pub identity: Option<Identity>,
    pub kms: Option<KmsConfiguration>,
}

#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Keys {
    pub keys: Vec<Key>,
}

#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Key {
    pub name: String,
    /// In base64.
    pub secret: String,
}

#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Identity {}

/// A key management service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct KmsConfiguration {
    pub api_version: String,
    pub name: String,
    #[serde(rename = "cachesize")]
    pub cache_size: Option<i32>,
    pub endpoint: String,
    pub timeout: Option<Nanos>,
}

impl KmsConfiguration {
    /// In nanoseconds, as it is written.
    pub(crate) fn timeout(&self) -> Nanos {
        self.timeout.unwrap_or(KMS_TIMEOUT)
    }

    pub(crate) fn patience(&self) -> Duration {
        self.timeout().into()
    }
}

impl EncryptionConfiguration {
    /// Reads a configuration from YAML or JSON and validates it. `is_followed` says that the file is read again while the server runs.
    pub fn parse(text: &str, is_followed: bool) -> Result<Self, ConfigurationError> {
        let mut read: Self = decode(text, KIND)?;
        let providers = read.resources.iter_mut().flat_map(|rule| &mut rule.providers);
        for kms in providers.filter_map(|provider| provider.kms.as_mut()) {
            if kms.api_version.is_empty() {
                kms.api_version = "v1".to_owned();
            }
            if kms.api_version == "v1" && kms.cache_size.is_none() {
                kms.cache_size = Some(1000);
            }
        }
        let errors = validation::validate(&read, is_followed);
        if errors.is_empty() { Ok(read) } else { Err(ConfigurationError::Invalid(errors)) }
    }
}
