//! What is valid in a CertificateSigningRequest. Who approves it goes through the subresource `approval`, who signs it through `status`:
//! neither can do the other's part.
//!
//! Source: upstream `pkg/apis/certificates/validation/validation.go`.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use windlass_api::condition;
use windlass_api::field::{Error, Errors, Path};
use windlass_machinery::tree::{items, text};
use windlass_pki::CertificateRequest;

use crate::rules::signer_name;

const LEGACY_SIGNER: &str = "kubernetes.io/legacy-unknown";
const SECONDS_MIN: i64 = 600;

/// Conditions that are there for good, and are only ever True.
const FINAL: [&str; 3] = ["Approved", "Denied", "Failed"];

/// In upstream's order, which a complaint lists.
const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

/// What a change may write beside the object itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Object,
    Status,
    Approval,
}

pub(super) fn validate(request: &Value) -> Errors {
    let mut errors = Errors::new();
    let spec = &request["spec"];
    let path = Path::new("spec");
    let encoded = text(spec, "request");
    let pem = STANDARD.decode(encoded).unwrap_or_default();
    if let Err(error) = CertificateRequest::from_pem(&pem) {
        let is_pem = pem.windows(19).any(|window| window == b"CERTIFICATE REQUEST");
        let why = if is_pem { error.to_string() } else { "PEM block type must be CERTIFICATE REQUEST".to_owned() };
        errors.push(Error::invalid(&path.child("request"), encoded, why));
    }
    validate_usages(&mut errors, spec, &path.child("usages"));
    let signer = path.child("signerName");
    match text(spec, "signerName") {
        LEGACY_SIGNER => {
            let detail = "the legacy signerName is not allowed via this API version";
            errors.push(Error::invalid(&signer, LEGACY_SIGNER, detail));
        }
        name => signer_name(&mut errors, &signer, name),
    }
    if let Some(seconds) = spec.get("expirationSeconds").and_then(Value::as_i64).filter(|s| *s < SECONDS_MIN) {
        let detail = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.push(Error::invalid(&path.child("expirationSeconds"), seconds, detail));
    }
    let status = Path::new("status");
    validate_conditions(&mut errors, &request["status"], &status.child("conditions"));
    validate_certificate(&mut errors, text(&request["status"], "certificate"), &status.child("certificate"));
    errors
}

/// A change of `old` through one of its three endpoints. What was wrong before is not complained about again.
pub(super) fn validate_update(request: &Value, old: &Value, part: Part) -> Errors {
    let known: HashSet<String> = validate(old).iter().map(ToString::to_string).collect();
    let mut errors: Errors =
        validate(request).into_iter().filter(|error| !known.contains(&error.to_string())).collect();
    let status = Path::new("status");
    let path = status.child("conditions");
    for kind in FINAL {
        let [before, after] = [old, request].map(|request| of_kind(request, kind).count());
        if after < before {
            errors.push(Error::forbidden(&path, format!("updates may not remove a condition of type {kind:?}")));
        }
    }
    for kind in ["Approved", "Denied"].into_iter().filter(|_| part != Part::Approval) {
        let [before, after] = [old, request].map(|request| of_kind(request, kind).collect::<Vec<_>>());
        if after.len() > before.len() {
            errors.push(Error::forbidden(&path, format!("updates may not add a condition of type {kind:?}")));
        } else if after.len() == before.len() && after != before {
            errors.push(Error::forbidden(&path, format!("updates may not modify a condition of type {kind:?}\n")));
        }
    }
    let [before, after] = [old, request].map(|request| text(&request["status"], "certificate"));
    if before != after {
        let path = status.child("certificate");
        if part != Part::Status {
            errors.push(Error::forbidden(&path, "updates may not set certificate content"));
        } else if !before.is_empty() {
            errors.push(Error::forbidden(&path, "updates may not modify existing certificate content"));
        }
    }
    errors
}

fn of_kind<'a>(request: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    condition::all_of(condition::list(&request["status"]), kind)
}

fn validate_usages(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    let usages: Vec<&str> = items(spec, "usages").filter_map(Value::as_str).collect();
    if usages.is_empty() {
        errors.push(Error::required(path, ""));
    }
    for (index, usage) in usages.iter().enumerate().filter(|(_, usage)| !USAGES.contains(usage)) {
        errors.push(Error::not_supported(&path.index(index), *usage, &USAGES));
    }
    let mut seen = HashSet::new();
    for (index, usage) in usages.iter().enumerate().filter(|(_, usage)| !seen.insert(**usage)) {
        errors.push(Error::duplicate(&path.index(index), *usage));
    }
}

fn validate_conditions(errors: &mut Errors, status: &Value, path: &Path<'_>) {
    let mut seen: Vec<&str> = Vec::new();
    for (index, condition) in items(status, "conditions").enumerate() {
        let path_of = path.index(index);
        let kind = text(condition, "type");
        if kind.is_empty() {
            errors.push(Error::required(&path_of.child("type"), ""));
        }
        let allowed: &[&str] = if FINAL.contains(&kind) { &["True"] } else { &["False", "True", "Unknown"] };
        match text(condition, "status") {
            "" => errors.push(Error::required(&path_of.child("status"), "")),
            value if !allowed.contains(&value) => {
                errors.push(Error::not_supported(&path_of.child("status"), value, allowed));
            }
            _ => {}
        }
        let other = match kind {
            "Approved" => "Denied",
            "Denied" => "Approved",
            _ => "",
        };
        if !other.is_empty() && seen.contains(&other) {
            errors.push(Error::invalid(path, kind, "Approved and Denied conditions are mutually exclusive"));
        }
        if seen.contains(&kind) {
            errors.push(Error::duplicate(&path_of.child("type"), kind));
        }
        seen.push(kind);
    }
}

fn validate_certificate(errors: &mut Errors, encoded: &str, path: &Path<'_>) {
    if encoded.is_empty() {
        return;
    }
    let pem = STANDARD.decode(encoded).unwrap_or_default();
    if !pem.windows(27).any(|window| window == b"-----BEGIN CERTIFICATE-----") {
        let detail = "must contain at least one CERTIFICATE PEM block";
        errors.push(Error::invalid(path, "<certificate data>", detail));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with_conditions(conditions: Value) -> Value {
        json!({"spec": {"usages": ["client auth"], "signerName": "example.com/s"}, "status": {"conditions": conditions}})
    }

    fn complaints(new: &Value, old: &Value, part: Part) -> Vec<String> {
        validate_update(new, old, part).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_approval_approves_and_only_the_status_signs() {
        let old = with_conditions(json!([]));
        let approved = with_conditions(json!([{"type": "Approved", "status": "True"}]));
        assert!(complaints(&approved, &old, Part::Approval).is_empty());
        assert_eq!(
            complaints(&approved, &old, Part::Status),
            ["status.conditions: Forbidden: updates may not add a condition of type \"Approved\""]
        );
        assert_eq!(complaints(&old, &approved, Part::Approval).len(), 1);
        let mut signed = approved.clone();
        signed["status"]["certificate"] = json!(STANDARD.encode("-----BEGIN CERTIFICATE-----"));
        assert!(complaints(&signed, &approved, Part::Status).is_empty());
        assert_eq!(
            complaints(&signed, &approved, Part::Approval),
            ["status.certificate: Forbidden: updates may not set certificate content"]
        );
        assert_eq!(complaints(&approved, &signed, Part::Status).len(), 1);
        let both =
            with_conditions(json!([{"type": "Approved", "status": "True"}, {"type": "Denied", "status": "True"}]));
        assert!(complaints(&both, &approved, Part::Approval)[0].contains("mutually exclusive"));
    }

    #[test]
    fn what_a_request_says() {
        let texts = |spec: Value| -> Vec<String> {
            validate(&json!({"spec": spec}))
                .iter()
                .map(ToString::to_string)
                .filter(|t| !t.starts_with("spec.request"))
                .collect()
        };
        assert!(texts(json!({"usages": ["client auth"], "signerName": "example.com/s"})).is_empty());
        for (spec, complaint) in [
            (json!({"usages": ["client auth"], "signerName": LEGACY_SIGNER}), "the legacy signerName is not allowed"),
            (json!({"usages": [], "signerName": "example.com/s"}), "spec.usages: Required value"),
            (json!({"usages": ["x"], "signerName": "example.com/s"}), "spec.usages[0]: Unsupported value: \"x\""),
            (json!({"usages": ["any", "any"], "signerName": "example.com/s"}), "spec.usages[1]: Duplicate value"),
            (json!({"usages": ["any"], "signerName": "s"}), "must be a fully qualified domain and path"),
            (json!({"usages": ["any"], "signerName": "a.b/c", "expirationSeconds": 599}), "less than 600 seconds"),
        ] {
            let found = texts(spec);
            assert!(found.len() == 1 && found[0].contains(complaint), "{found:?}");
        }
    }
}
