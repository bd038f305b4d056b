//! ClusterTrustBundle: certificates to be trusted, for pods to mount. Those of a signer are named after it, and only whoever may `attest`
//! for the signer writes them (admission looks at that).
//!
//! Source: upstream `pkg/apis/certificates/validation/validation.go`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_machinery::tree::text;
use windlass_pki::{Certificate, PemBlock, pem_blocks};

use crate::columns::{self, or_none, word};
use crate::rules::{IMMUTABLE, complain, signer_name};
use crate::{Resource, Strategy};

const BUNDLE_BYTES_MAX: usize = 1 << 20;
/// Bundles are not repeated in complaints.
const OMITTED: &str = "<value omitted>";

pub(crate) fn resource() -> Resource {
    Resource::cluster("certificates.k8s.io", "v1", "ClusterTrustBundle", "clustertrustbundles")
        .name_rule(names::path_segment)
        .selectable(&[("spec.signerName", "/spec/signerName")])
        .columns(columns::list(&["Name", "SignerName"]))
        .updates_need_version()
        .strategy(ClusterTrustBundle)
}

struct ClusterTrustBundle;

impl Strategy for ClusterTrustBundle {
    fn validate(&self, object: &Value) -> Errors {
        let mut errors = validate_names(object);
        validate_bundle(&mut errors, text(&object["spec"], "trustBundle"));
        errors
    }

    /// A bundle that stays as it is stays, however certificates are read by now.
    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let mut errors = validate_names(object);
        let [new, old] = [object, old].map(|object| &object["spec"]);
        if text(new, "trustBundle") != text(old, "trustBundle") {
            validate_bundle(&mut errors, text(new, "trustBundle"));
        }
        if text(new, "signerName") != text(old, "signerName") {
            let path = Path::new("spec");
            errors.push(Error::invalid(&path.child("signerName"), text(new, "signerName"), IMMUTABLE));
        }
        errors
    }

    fn cells(&self, object: &Value, _now: Timestamp) -> Vec<Value> {
        vec![columns::name(object), or_none(Some(word(object, "/spec/signerName")))]
    }
}

/// `example.com:path:NAME` for the signer `example.com/path`, and no colon without a signer.
fn validate_names(object: &Value) -> Errors {
    let mut errors = Errors::new();
    let (metadata, spec) = (Path::new("metadata"), Path::new("spec"));
    let (name, signer) = (text(&object["metadata"], "name"), text(&object["spec"], "signerName"));
    if !name.is_empty() {
        complain(&mut errors, &metadata.child("name"), name, name_problems(name, signer));
    }
    if !signer.is_empty() {
        signer_name(&mut errors, &spec.child("signerName"), signer);
    }
    errors
}

fn name_problems(name: &str, signer: &str) -> Vec<String> {
    if signer.is_empty() {
        if name.contains(':') {
            return vec!["ClusterTrustBundle without signer name must not have \":\" in its name".to_owned()];
        }
        return names::dns1123_subdomain(name);
    }
    let prefix = format!("{}:", signer.replace('/', ":"));
    match name.strip_prefix(&prefix) {
        Some(rest) => names::dns1123_subdomain(rest),
        None => vec![format!("ClusterTrustBundle for signerName {signer} must be named with prefix {prefix}")],
    }
}

/// Authorities' certificates, each once, and nothing else.
fn validate_bundle(errors: &mut Errors, bundle: &str) {
    let spec = Path::new("spec");
    let path = spec.child("trustBundle");
    if bundle.len() > BUNDLE_BYTES_MAX {
        errors.push(Error::too_long(&path, BUNDLE_BYTES_MAX));
        return;
    }
    let mut wrong = |detail: String| errors.push(Error::invalid(&path, OMITTED, detail));
    let mut places: BTreeMap<Vec<u8>, Vec<usize>> = BTreeMap::new();
    let mut is_malformed = false;
    for (index, block) in pem_blocks(bundle).into_iter().enumerate() {
        match problem(&block) {
            Some(problem) => {
                is_malformed = true;
                wrong(format!("entry {index} {problem}"));
            }
            None => places.entry(block.contents).or_default().push(index),
        }
    }
    if is_malformed {
        return;
    }
    if places.is_empty() {
        wrong("at least one trust anchor must be provided".to_owned());
    }
    for indices in places.values().filter(|indices| indices.len() > 1) {
        let shown: Vec<String> = indices.iter().map(ToString::to_string).collect();
        wrong(format!("duplicate trust anchor (indices [{}])", shown.join(" ")));
    }
}

fn problem(block: &PemBlock) -> Option<String> {
    if block.label != "CERTIFICATE" {
        return Some(format!("has bad block type: {}", block.label));
    }
    if block.has_headers {
        return Some("has PEM block headers".to_owned());
    }
    match Certificate::parse(block.contents.clone().into()) {
        Err(_) => Some("does not parse as X.509".to_owned()),
        Ok(certificate) if !certificate.is_authority => Some("does not have the CA bit set".to_owned()),
        Ok(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;
    use windlass_pki::{Ca, ClientCert, Issue};

    use super::*;

    fn bundle(name: &str, signer: &str, certificates: &str) -> Value {
        json!({"metadata": {"name": name}, "spec": {"signerName": signer, "trustBundle": certificates}})
    }

    fn shown(errors: &Errors) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    fn authority() -> Ca {
        Ca::create("root", "2026-01-01T00:00:00Z".parse().unwrap()).unwrap()
    }

    #[test]
    fn bundles_of_signers_are_named_after_them() {
        let pem = authority().certificate().to_pem();
        let complaints = |name: &str, signer: &str| shown(&ClusterTrustBundle.validate(&bundle(name, signer, &pem)));
        for (name, signer) in [("roots", ""), ("example.com:s:roots", "example.com/s")] {
            assert_eq!(complaints(name, signer), [""; 0], "{name}");
        }
        assert_eq!(
            complaints("a:b", ""),
            [
                "metadata.name: Invalid value: \"a:b\": ClusterTrustBundle without signer name must not have \":\" in its name"
            ]
        );
        assert_eq!(
            complaints("roots", "example.com/s"),
            [
                "metadata.name: Invalid value: \"roots\": ClusterTrustBundle for signerName example.com/s must be named with \
              prefix example.com:s:"
            ]
        );
        assert_eq!(complaints("example.com:s:Roots", "example.com/s").len(), 1);
        assert!(complaints("s:roots", "s")[0].starts_with("spec.signerName: Invalid value: \"s\": must be a fully"));
    }

    #[test]
    fn authorities_each_once() {
        let (one, two) = (authority(), authority());
        let (a, b) = (one.certificate().to_pem(), two.certificate().to_pem());
        let complaints = |text: &str| -> Vec<String> {
            let found = shown(&ClusterTrustBundle.validate(&bundle("roots", "", text)));
            let start = "spec.trustBundle: Invalid value: \"<value omitted>\": ";
            found.into_iter().map(|text| text.replace(start, "")).collect()
        };
        assert_eq!(complaints(&format!("a word\n{a}{b}")), [""; 0]);
        assert_eq!(complaints(&format!("{a}{b}{a}")), ["duplicate trust anchor (indices [0 2])"]);
        assert_eq!(complaints("no word of PEM"), ["at least one trust anchor must be provided"]);
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let wanted = ClientCert { common_name: "jane".into(), ttl: Duration::from_secs(3600), ..ClientCert::default() };
        let leaf = one.issue(&Issue::Client(wanted), now).unwrap();
        let junk = windlass_pki::pem_encode("CERTIFICATE", b"junk");
        let key = windlass_pki::pem_encode("PRIVATE KEY", b"key");
        let headers = a.replacen('\n', "\nX: y\n\n", 1);
        assert_eq!(
            complaints(&[&leaf.certificate().to_pem(), &junk, &key, &headers, &a, &a].map(String::as_str).concat()),
            [
                "entry 0 does not have the CA bit set",
                "entry 1 does not parse as X.509",
                "entry 2 has bad block type: PRIVATE KEY",
                "entry 3 has PEM block headers",
            ]
        );
        let large = shown(&ClusterTrustBundle.validate(&bundle("roots", "", &" ".repeat((1 << 20) + 1))));
        assert_eq!(large, ["spec.trustBundle: Too long: may not be more than 1048576 bytes"]);
    }

    #[test]
    fn updates() {
        let old = bundle("example.com:s:roots", "example.com/s", "what nobody can read any more");
        assert_eq!(shown(&ClusterTrustBundle.validate_update(&old, &old)), [""; 0]);
        let other = bundle("example.com:s:roots", "example.com/t", "something else");
        let found = shown(&ClusterTrustBundle.validate_update(&other, &old));
        assert!(
            found.iter().any(|text| text == "spec.signerName: Invalid value: \"example.com/t\": field is immutable")
        );
        assert!(found.iter().any(|text| text.contains("at least one trust anchor")));
    }
}
