//! What is valid in the specification of a PodCertificateRequest: who asks, for how long, and the proof that they have the key.
//!
//! Source: upstream `pkg/apis/certificates/validation/validation.go`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_machinery::tree::text;
use windlass_pki::{KeyKind, RequestedKey, SubjectKey};

use crate::rules::{complain, invalid_whole, map_at, signer_name};

const UID_BYTES_MAX: usize = 128;
const KEY_BYTES_MAX: usize = 10 * 1024;
const ANNOTATIONS_BYTES_MAX: usize = 256 << 10;
const SECONDS_MIN: i64 = 3600;
/// 91 days; Kubernetes' own signers give a day.
const SECONDS_MAX: i64 = 91 * 86_400;
const KUBERNETES_SECONDS_MAX: i64 = 86_400;

pub(super) fn validate(spec: &Value) -> Errors {
    let mut errors = Errors::new();
    let path = Path::new("spec");
    let signer = text(spec, "signerName");
    signer_name(&mut errors, &path.child("signerName"), signer);
    validate_annotations(&mut errors, spec, &path.child("unverifiedUserAnnotations"));
    let names = [("podName", "podUID"), ("serviceAccountName", "serviceAccountUID"), ("nodeName", "nodeUID")];
    for (name, uid) in names {
        complain(&mut errors, &path.child(name), text(spec, name), names::dns1123_subdomain(text(spec, name)));
        match text(spec, uid) {
            "" => errors.push(Error::invalid(&path.child(uid), "", "must not be empty")),
            text if text.len() > UID_BYTES_MAX => errors.push(Error::too_long(&path.child(uid), UID_BYTES_MAX)),
            _ => {}
        }
    }
    let seconds_path = path.child("maxExpirationSeconds");
    let Some(seconds) = spec.get("maxExpirationSeconds").and_then(Value::as_i64) else {
        errors.push(Error::required(&seconds_path, "must be set"));
        return errors;
    };
    let most = if is_of_kubernetes(signer) { KUBERNETES_SECONDS_MAX } else { SECONDS_MAX };
    if !(SECONDS_MIN..=most).contains(&seconds) {
        let detail = format!("must be in the range [{SECONDS_MIN}, {most}]");
        errors.push(Error::invalid(&seconds_path, seconds, detail));
    }
    let bytes = |field| STANDARD.decode(text(spec, field)).unwrap_or_default();
    let (stub, key, proof) = (bytes("stubPKCS10Request"), bytes("pkixPublicKey"), bytes("proofOfPossession"));
    match (stub.is_empty(), key.is_empty(), proof.is_empty()) {
        (false, true, true) => validate_stub(&mut errors, &stub, &path.child("stubPKCS10Request")),
        (true, false, false) => validate_key(&mut errors, spec, &key, &proof, &path),
        _ => {
            let detail = "exactly one of (stubPKCS10Request) or (pkixPublicKey, proofOfPossession) must be set";
            errors.push(invalid_whole(&path, detail));
        }
    }
    errors
}

fn is_of_kubernetes(signer: &str) -> bool {
    let domain = signer.split('/').next().unwrap_or_default();
    domain == "kubernetes.io" || domain.ends_with(".kubernetes.io")
}

/// Keys have a domain, whatever their case.
fn validate_annotations(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    let Some(annotations) = map_at(spec, "unverifiedUserAnnotations") else { return };
    let mut bytes = 0;
    for (key, value) in annotations {
        bytes += key.len() + value.as_str().map_or(0, str::len);
        let key = key.to_lowercase();
        let problems = names::qualified_name(&key);
        if key.is_empty() {
            errors.push(Error::required(path, ""));
        } else if !problems.is_empty() {
            complain(errors, path, &key, problems);
        } else if !key.contains('/') {
            let detail = "must be a domain-prefixed key (such as \"acme.io/foo\")";
            errors.push(Error::invalid(path, key, detail));
        }
    }
    if bytes > ANNOTATIONS_BYTES_MAX {
        errors.push(Error::too_long(path, ANNOTATIONS_BYTES_MAX));
    }
}

/// A request of which only the key and the signature matter.
fn validate_stub(errors: &mut Errors, stub: &[u8], path: &Path<'_>) {
    if stub.len() > KEY_BYTES_MAX {
        errors.push(Error::too_long(path, KEY_BYTES_MAX));
        return;
    }
    let Ok(request) = RequestedKey::parse(stub) else {
        errors.push(invalid_whole(path, "must be a valid PKCS#10 CSR"));
        return;
    };
    match refusal(request.key().kind()) {
        Some(Refusal::Curve(curve)) => {
            let detail = "elliptic public keys must use curve P256, P384, or P521";
            errors.push(Error::invalid(path, curve, detail));
        }
        Some(Refusal::Bits(bits)) => errors.push(Error::invalid(path, bits, BITS)),
        Some(Refusal::Kind) => errors.push(invalid_whole(path, KINDS)),
        None if !request.is_signed() => errors.push(invalid_whole(path, "invalid signature")),
        None => {}
    }
}

/// The older form: a bare key, and the pod's UID signed with it.
fn validate_key(errors: &mut Errors, spec: &Value, key: &[u8], proof: &[u8], path: &Path<'_>) {
    let (key_path, proof_path) = (path.child("pkixPublicKey"), path.child("proofOfPossession"));
    for (bytes, path) in [(key, &key_path), (proof, &proof_path)] {
        if bytes.len() > KEY_BYTES_MAX {
            errors.push(Error::too_long(path, KEY_BYTES_MAX));
            return;
        }
    }
    let shown = text(spec, "pkixPublicKey");
    let Ok(parsed) = SubjectKey::parse(key) else {
        errors.push(Error::invalid(&key_path, shown, "must be a valid PKIX-serialized public key"));
        return;
    };
    match refusal(parsed.kind()) {
        Some(Refusal::Curve(curve)) => {
            errors.push(Error::invalid(&key_path, curve, "elliptic public keys must use curve P256 or P384"));
        }
        Some(Refusal::Bits(bits)) => errors.push(Error::invalid(&key_path, bits, BITS)),
        Some(Refusal::Kind) => errors.push(Error::invalid(&key_path, shown, KINDS)),
        None if !parsed.has_signed(text(spec, "podUID").as_bytes(), proof) => {
            errors.push(invalid_whole(&proof_path, "could not verify proof-of-possession signature"));
        }
        None => {}
    }
}

const BITS: &str = "RSA keys must have modulus size 3072 or 4096";
const KINDS: &str = "unknown public key type; supported types are Ed25519, ECDSA, and RSA";

/// Why a kind of key is not certified, and how the key is shown.
enum Refusal {
    Curve(String),
    Bits(String),
    Kind,
}

fn refusal(kind: KeyKind) -> Option<Refusal> {
    match kind {
        KeyKind::Ed25519 | KeyKind::Ecdsa("P-256" | "P-384" | "P-521") | KeyKind::Rsa { bits: 3072 | 4096 } => None,
        KeyKind::Ecdsa(curve) => Some(Refusal::Curve(format!("curve {curve}"))),
        KeyKind::Rsa { bits } => Some(Refusal::Bits(format!("{bits}-bit modulus"))),
        KeyKind::Other => Some(Refusal::Kind),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use windlass_pki::{KeyType, PrivateKey};

    use super::*;

    fn with(changes: Value) -> Value {
        let stub = PrivateKey::generate().unwrap().stub_request().unwrap();
        let mut spec = json!({
            "signerName": "example.com/signer", "podName": "p", "podUID": "1", "serviceAccountName": "default",
            "serviceAccountUID": "2", "nodeName": "n", "nodeUID": "3", "maxExpirationSeconds": 86_400,
            "stubPKCS10Request": STANDARD.encode(stub)});
        spec.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        spec
    }

    fn complaints(changes: Value) -> Vec<String> {
        validate(&with(changes)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn who_asks_and_for_how_long() {
        assert_eq!(complaints(json!({})), [""; 0]);
        assert_eq!(complaints(json!({"maxExpirationSeconds": 91 * 86_400})), [""; 0]);
        assert_eq!(complaints(json!({"unverifiedUserAnnotations": {"Example.com/Key": "any"}})), [""; 0]);
        for (changes, expected) in [
            (
                json!({"signerName": "s"}),
                "spec.signerName: Invalid value: \"s\": must be a fully qualified domain and path of the form 'example.com/signer-name'",
            ),
            (json!({"podUID": ""}), "spec.podUID: Invalid value: \"\": must not be empty"),
            (json!({"nodeUID": "x".repeat(129)}), "spec.nodeUID: Too long: may not be more than 128 bytes"),
            (json!({"maxExpirationSeconds": null}), "spec.maxExpirationSeconds: Required value: must be set"),
            (
                json!({"maxExpirationSeconds": 3599}),
                "spec.maxExpirationSeconds: Invalid value: 3599: must be in the range [3600, 7862400]",
            ),
            (
                json!({"maxExpirationSeconds": 86_401, "signerName": "a.kubernetes.io/s"}),
                "spec.maxExpirationSeconds: Invalid value: 86401: must be in the range [3600, 86400]",
            ),
            (
                json!({"unverifiedUserAnnotations": {"key": "v"}}),
                "spec.unverifiedUserAnnotations: Invalid value: \"key\": must be a domain-prefixed key (such as \"acme.io/foo\")",
            ),
            (
                json!({"unverifiedUserAnnotations": {"a.b/c": "v".repeat(256 << 10)}}),
                "spec.unverifiedUserAnnotations: Too long: may not be more than 262144 bytes",
            ),
            (
                json!({"stubPKCS10Request": ""}),
                "spec: Invalid value: exactly one of (stubPKCS10Request) or (pkixPublicKey, proofOfPossession) must be set",
            ),
            (
                json!({"pkixPublicKey": "AQ=="}),
                "spec: Invalid value: exactly one of (stubPKCS10Request) or (pkixPublicKey, proofOfPossession) must be set",
            ),
        ] {
            assert_eq!(complaints(changes.clone()), [expected], "{changes}");
        }
        assert_eq!(complaints(json!({"podName": "P", "serviceAccountName": "", "nodeName": "-"})).len(), 3);
    }

    #[test]
    fn the_asker_has_the_key() {
        let stub = |bytes: &[u8]| complaints(json!({"stubPKCS10Request": STANDARD.encode(bytes)}));
        for kind in [KeyType::EcdsaP384, KeyType::EcdsaP521, KeyType::Ed25519] {
            assert_eq!(stub(&PrivateKey::generate_of(kind).unwrap().stub_request().unwrap()), [""; 0], "{kind:?}");
        }
        assert_eq!(stub(b"junk"), ["spec.stubPKCS10Request: Invalid value: must be a valid PKCS#10 CSR"]);
        assert_eq!(stub(&[0; 10_241]), ["spec.stubPKCS10Request: Too long: may not be more than 10240 bytes"]);
        let mut forged = PrivateKey::generate().unwrap().stub_request().unwrap();
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(stub(&forged), ["spec.stubPKCS10Request: Invalid value: invalid signature"]);
    }

    #[test]
    fn keys_that_are_not_certified() {
        assert!(refusal(KeyKind::Ecdsa("P-521")).is_none() && refusal(KeyKind::Rsa { bits: 4096 }).is_none());
        let key = |bytes: &[u8]| {
            let old =
                json!({"stubPKCS10Request": "", "pkixPublicKey": STANDARD.encode(bytes), "proofOfPossession": "AQ=="});
            complaints(old)
        };
        let p256 = PrivateKey::generate().unwrap().public().spki().to_vec();
        let unproved = "spec.proofOfPossession: Invalid value: could not verify proof-of-possession signature";
        assert_eq!(key(&p256), [unproved]);
        assert!(key(b"junk")[0].ends_with("must be a valid PKIX-serialized public key"));
        // An X25519 key, which agrees and does not sign.
        let other = [&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x03, 0x21, 0x00][..], &[7; 32]].concat();
        assert!(key(&other)[0].ends_with(KINDS));
    }
}
