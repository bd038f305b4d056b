//! Where the contents of volumes come from: the kubelet answers, in as few words as volumes need.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use windlass_api::k8s::api::core::v1::{PersistentVolume, Pod};

use crate::plan::{CertificateSource, TrustBundle};

/// What a ConfigMap holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigMapData {
    pub data: BTreeMap<String, String>,
    pub binary_data: BTreeMap<String, Vec<u8>>,
}

/// What a Secret holds.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretData {
    pub data: BTreeMap<String, Vec<u8>>,
}

impl std::fmt::Debug for SecretData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretData").field("keys", &self.data.keys()).finish_non_exhaustive()
    }
}

/// A token that a pod asks for, bound to the pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenRequest {
    pub namespace: String,
    pub service_account: String,
    /// `None` is the API server itself.
    pub audience: Option<String>,
    pub expiration_seconds: i64,
    pub pod_name: String,
    pub pod_uid: String,
}

#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    pub token: String,
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// A private key and the certificates for it, the pod's own first, in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub key: String,
    pub chain: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("chain", &self.chain).finish_non_exhaustive()
    }
}

/// Why there is no answer, as a sentence for the pod's events.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub String);

/// The API server as volumes see it. Answers come from caches where there are any: they are asked for on every sync of a pod.
#[async_trait]
pub trait Sources: Send + Sync {
    /// `None` when there is no such ConfigMap.
    async fn config_map(&self, namespace: &str, name: &str) -> Result<Option<Arc<ConfigMapData>>, SourceError>;
    /// `None` when there is no such Secret.
    async fn secret(&self, namespace: &str, name: &str) -> Result<Option<Arc<SecretData>>, SourceError>;
    /// Creates a token. It is kept by the caller until it is time for another.
    async fn token(&self, request: &TokenRequest) -> Result<Token, SourceError>;
    /// The certificates, in PEM; `None` when no bundle is meant.
    async fn trust_bundle(&self, bundle: &TrustBundle) -> Result<Option<Vec<u8>>, SourceError>;
    /// The key and certificate of one of the pod's `podCertificate` sources; an error says why there are none yet.
    async fn credentials(&self, pod: &Pod, source: &CertificateSource) -> Result<Arc<Credentials>, SourceError>;
    /// The PersistentVolume that a claim is bound to; an error says why there is none yet (`PVC is not bound`).
    async fn claim(&self, namespace: &str, name: &str) -> Result<Arc<PersistentVolume>, SourceError>;
}
