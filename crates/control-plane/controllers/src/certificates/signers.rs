//! The cluster's own signers and what they sign. Pure. Source: upstream `pkg/apis/certificates/helpers.go` and
//! `pkg/controller/certificates/signer`.

use windlass_api::well_known::{group, user};
use windlass_pki::CertificateRequest;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signer {
    /// Client certificates that the API server honours.
    Client,
    /// Those of kubelets.
    Kubelet,
    /// Certificates with which kubelets serve.
    Serving,
    /// Whatever was asked for before there were signers.
    Legacy,
}

impl Signer {
    /// `None` when somebody else signs.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "kubernetes.io/kube-apiserver-client" => Self::Client,
            "kubernetes.io/kube-apiserver-client-kubelet" => Self::Kubelet,
            "kubernetes.io/kubelet-serving" => Self::Serving,
            "kubernetes.io/legacy-unknown" => Self::Legacy,
            _ => return None,
        })
    }

    /// Why this signer does not sign the request.
    pub(super) fn check(self, wanted: &CertificateRequest, usages: &[String]) -> Result<(), String> {
        match self {
            Self::Legacy => Ok(()),
            Self::Client => client_usages(usages),
            Self::Kubelet => {
                of_node(wanted)?;
                let names = !wanted.dns_names.is_empty() || !wanted.ip_addresses.is_empty();
                forbidden(names, "DNS or IP subjectAltNames are not allowed")?;
                other_names(wanted)?;
                exactly(usages, "client auth")
            }
            Self::Serving => {
                of_node(wanted)?;
                let names = wanted.dns_names.is_empty() && wanted.ip_addresses.is_empty();
                forbidden(names, "DNS or IP subjectAltName is required")?;
                other_names(wanted)?;
                exactly(usages, "server auth")
            }
        }
    }
}

fn forbidden(is: bool, why: &str) -> Result<(), String> {
    if is { Err(why.to_owned()) } else { Ok(()) }
}

fn of_node(wanted: &CertificateRequest) -> Result<(), String> {
    forbidden(wanted.organizations != [group::NODES], "subject organization is not system:nodes")?;
    forbidden(
        !wanted.common_name.starts_with(user::NODE_PREFIX),
        "subject common name does not begin with system:node:",
    )
}

fn other_names(wanted: &CertificateRequest) -> Result<(), String> {
    forbidden(!wanted.email_addresses.is_empty(), "email subjectAltNames are not allowed")?;
    forbidden(!wanted.uris.is_empty(), "URI subjectAltNames are not allowed")
}

/// `digital signature` and `purpose`, and possibly `key encipherment`.
fn exactly(usages: &[String], purpose: &str) -> Result<(), String> {
    let has = |name: &str| usages.iter().any(|usage| usage == name);
    let known = [purpose, "digital signature", "key encipherment"];
    let right = has(purpose) && has("digital signature") && usages.iter().all(|usage| known.contains(&usage.as_str()));
    forbidden(!right, "usages did not match")
}

fn client_usages(usages: &[String]) -> Result<(), String> {
    let mut is_for_clients = false;
    for usage in usages {
        match usage.as_str() {
            "client auth" => is_for_clients = true,
            "digital signature" | "key encipherment" => {}
            other => return Err(format!("invalid usage for client certificate: {other}")),
        }
    }
    forbidden(!is_for_clients, "missing required usage for client certificate: client auth")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usages_of_signers() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for (usages, purpose, right) in [
            (&["client auth", "digital signature"][..], "client auth", true),
            (&["client auth", "digital signature", "key encipherment"], "client auth", true),
            (&["client auth"], "client auth", false),
            (&["server auth", "digital signature"], "client auth", false),
            (&["client auth", "digital signature", "server auth"], "client auth", false),
        ] {
            assert_eq!(exactly(&list(usages), purpose).is_ok(), right, "{usages:?}");
        }
        assert!(client_usages(&list(&["client auth"])).is_ok());
        let why = client_usages(&list(&["client auth", "server auth"])).unwrap_err();
        assert_eq!(why, "invalid usage for client certificate: server auth");
        assert!(client_usages(&list(&["digital signature"])).unwrap_err().starts_with("missing required usage"));
    }
}
