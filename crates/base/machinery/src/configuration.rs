//! The files of `--authentication-config`, `--authorization-config` and `--encryption-provider-config`: objects of `apiserver.config.k8s.io`, read strictly.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use windlass_api::field::Errors;
use windlass_api::text::{aggregate, quoted};
use windlass_api::time::parse_duration;

const GROUP: &str = "apiserver.config.k8s.io";
const VERSIONS: [&str; 3] = ["v1", "v1beta1", "v1alpha1"];

/// Why a configuration cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConfigurationError {
    #[error("empty config data")]
    Empty,
    #[error("it is no YAML: {0}")]
    Syntax(String),
    #[error("no kind {} is registered for version {}; use {expected} of {GROUP}/v1", quoted(.kind), quoted(.api_version))]
    Kind { api_version: String, kind: String, expected: &'static str },
    /// Something is not of the kind's structure: unknown, twice, or of another type.
    #[error("strict decoding error: {0}")]
    Strict(String),
    #[error("{}", aggregate(.0))]
    Invalid(Errors),
    #[error("{0}")]
    Refused(String),
}

/// Reads an object of a kind from YAML or JSON. Every field must be known, and stand there once.
pub fn decode<T: DeserializeOwned>(text: &str, kind: &'static str) -> Result<T, ConfigurationError> {
    if text.trim().is_empty() {
        return Err(ConfigurationError::Empty);
    }
    let shown = |error: serde_saphyr::Error| error.without_snippet().to_string();
    let tree: Value = serde_saphyr::from_str(text).map_err(|error| ConfigurationError::Syntax(shown(error)))?;
    let field = |name: &str| tree.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (api_version, found) = (field("apiVersion"), field("kind"));
    let version = api_version.strip_prefix(GROUP).and_then(|rest| rest.strip_prefix('/'));
    if !version.is_some_and(|version| VERSIONS.contains(&version)) || found != kind {
        return Err(ConfigurationError::Kind { api_version, kind: found, expected: kind });
    }
    // From the text once more: its errors say where.
    serde_saphyr::from_str(text).map_err(|error| ConfigurationError::Strict(shown(error)))
}

/// A duration as Go writes it, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nanos(pub i64);

impl<'de> Deserialize<'de> for Nanos {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        let invalid = || serde::de::Error::custom(format!("time: invalid duration {}", quoted(&text)));
        parse_duration(&text).map(Self).ok_or_else(invalid)
    }
}

impl From<Nanos> for Duration {
    /// What is negative has been refused.
    fn from(nanos: Nanos) -> Self {
        Self::from_nanos(u64::try_from(nanos.0).unwrap_or_default())
    }
}
