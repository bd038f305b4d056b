//! `EncryptionConfiguration`: which providers write and read the values of which resources.

use std::time::Duration;

use serde::Deserialize;
use windlass_machinery::configuration::Nanos;

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
