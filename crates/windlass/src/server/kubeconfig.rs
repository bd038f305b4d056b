//! Kubeconfigs: files that tell kubectl where the cluster is and who the user is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use windlass_pki::{Certificate, Identity};

/// The name of cluster, user and context.
pub(crate) const NAME: &str = "windlass";

/// A kubeconfig with one context.
pub(crate) fn of(ca: &Certificate, identity: &Identity, port: u16) -> Value {
    let encoded = |pem: &str| STANDARD.encode(pem);
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": NAME, "cluster": {
            "certificate-authority-data": encoded(&ca.to_pem()),
            "server": format!("https://127.0.0.1:{port}"),
        }}],
        "users": [{"name": NAME, "user": {
            "client-certificate-data": encoded(&identity.certificates_pem()),
            "client-key-data": encoded(&identity.key_pem()),
        }}],
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": NAME}}],
        "current-context": NAME,
        "preferences": {},
    })
}
