//! What is valid in the status of a PodCertificateRequest: a signer answers once, with Issued, Denied or Failed, and what it says of the
//! certificate agrees with the certificate.
//!
//! Source: upstream `pkg/apis/certificates/validation/validation.go`.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;
use windlass_api::condition::{self, AnyCondition, TRUE};
use windlass_api::field::{Error, Errors, Path};
use windlass_api::time::parse_rfc3339;
use windlass_machinery::tree::{number, text};
use windlass_pki::{Certificate, KeyKind, PemBlock, RequestedKey, SubjectKey, pem_blocks};

use super::mail_address::is_mail_address;
use crate::conditions::validate_conditions;
use crate::rules::invalid_whole;

const ISSUED: &str = "Issued";
const DENIED: &str = "Denied";
const FAILED: &str = "Failed";
/// Of these a status has one at most, and it is True.
const KNOWN: [&str; 3] = [ISSUED, DENIED, FAILED];
const CONDITIONS: &str = "conditions";
const FIELDS: [&str; 5] = [CONDITIONS, "certificateChain", "notBefore", "beginRefreshAt", "notAfter"];

const CHAIN_BYTES_MAX: usize = 100 * 1024;
const CERTIFICATE: &str = "CERTIFICATE";
const SKEW: Duration = Duration::from_secs(5 * 60);
const LIFETIME_MIN: Duration = Duration::from_secs(3600);
/// Between the beginning of a certificate's time and that of its renewal, and from there to its end.
const REFRESH_MARGIN: Duration = Duration::from_secs(600);

/// Whether two statuses say the same.
pub(super) fn is_same(new: &Value, old: &Value) -> bool {
    FIELDS.iter().all(|field| content(new, field) == content(old, field))
}

fn content<'a>(status: &'a Value, field: &str) -> Option<&'a Value> {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    status.get(field).filter(|value| !is_empty(value))
}

fn has(status: &Value, kind: &str) -> bool {
    condition::list(status).iter().any(|condition| condition.kind() == kind && condition.status() == TRUE)
}

/// A change of the status alone: the specification is the old one.
pub(super) fn validate(object: &Value, old: &Value, now: Timestamp) -> Errors {
    let mut errors = Errors::new();
    let path = Path::new("status");
    let (new_status, old_status) = (&object["status"], &old["status"]);
    validate_known(&mut errors, new_status, &path.child(CONDITIONS));
    validate_conditions(&mut errors, new_status, &path);
    if !errors.is_empty() {
        return errors;
    }
    let changed = |why: &str| (!is_same(new_status, old_status)).then(|| invalid_whole(&path, why));
    if KNOWN.iter().any(|kind| has(old_status, kind)) {
        errors.extend(changed("immutable after PodCertificateRequest is issued, denied, or failed"));
    } else if has(new_status, DENIED) || has(new_status, FAILED) {
        if FIELDS.iter().any(|field| *field != CONDITIONS && content(new_status, field).is_some()) {
            let detail = "non-condition status fields must be empty when denying or failing the PodCertificateRequest";
            errors.push(invalid_whole(&path, detail));
        }
    } else if has(new_status, ISSUED) {
        let issue = Issue { status: new_status, spec: &old["spec"], path: &path, now };
        if let Err(found) = issue.validate() {
            errors.extend(found);
        }
    } else {
        let why = "status is immutable unless transitioning to \"Issued\", \"Denied\", or \"Failed\"";
        errors.extend(changed(why));
    }
    errors
}

fn validate_known(errors: &mut Errors, status: &Value, path: &Path<'_>) {
    let mut known = 0;
    for (index, condition) in condition::list(status).iter().enumerate() {
        // Upstream writes the index as if it were a name.
        let index = format!("[{index}]");
        let path = path.child(&index);
        if !KNOWN.contains(&condition.kind()) {
            errors.push(Error::not_supported(&path.child("type"), condition.kind(), &KNOWN));
            continue;
        }
        known += 1;
        if known > 1 {
            let detail = "There may be at most one condition with type \"Issued\", \"Denied\", or \"Failed\"";
            errors.push(Error::invalid(&path.child("type"), condition.kind(), detail));
        }
        if condition.status() != TRUE {
            errors.push(Error::not_supported(&path.child("status"), condition.status(), &[TRUE]));
        }
    }
}

/// A certificate that is issued, and the request.
struct Issue<'a> {
    status: &'a Value,
    spec: &'a Value,
    path: &'a Path<'a>,
    now: Timestamp,
}

/// The first thing that is wrong, for what comes after it could not be understood.
type Checked<T = ()> = Result<T, Vec<Error>>;

impl Issue<'_> {
    fn validate(&self) -> Checked {
        let path = self.path.child("certificateChain");
        let chain = text(self.status, "certificateChain");
        let wrong = |detail: &str| vec![Error::invalid(&path, chain, detail)];
        if chain.len() > CHAIN_BYTES_MAX {
            return Err(vec![Error::too_long(&path, CHAIN_BYTES_MAX)]);
        }
        let blocks = pem_blocks(chain);
        let Some((first, rest)) = blocks.split_first() else {
            return Err(wrong("issued certificate chain must contain at least one certificate"));
        };
        if first.label != CERTIFICATE {
            return Err(wrong("issued certificate chain must consist entirely of CERTIFICATE PEM blocks"));
        }
        let leaf = parse(first).ok_or_else(|| wrong("leaf certificate does not parse as valid X.509"))?;
        // These two are told beside whatever else is wrong.
        let mut errors = names(&leaf, &path);
        let is_fine = errors.is_empty();
        let then = self.validate_key(&leaf, &path).and_then(|()| self.validate_times(&leaf, &path, is_fine));
        let then = then.and_then(|()| {
            for block in rest.iter().filter(|_| is_fine) {
                if block.label != CERTIFICATE {
                    return Err(wrong("issued certificate chain must consist entirely of CERTFICATE PEM blocks"));
                }
                parse(block).ok_or_else(|| wrong("intermediate certificate does not parse as valid X.509"))?;
            }
            Ok(())
        });
        errors.extend(then.err().into_iter().flatten());
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// It is for the key of the request.
    fn validate_key(&self, leaf: &Certificate, path: &Path<'_>) -> Checked {
        let spec = Path::new("spec");
        let bytes = |field: &str| STANDARD.decode(text(self.spec, field)).unwrap_or_default();
        let (stub, bare) = (bytes("stubPKCS10Request"), bytes("pkixPublicKey"));
        let key = if stub.is_empty() {
            let detail = "must be a valid PKIX-serialized public key";
            SubjectKey::parse(&bare).map_err(|_| vec![invalid_whole(&spec.child("pkixPublicKey"), detail)])?
        } else {
            let parsed = RequestedKey::parse(&stub).map(|request| request.key());
            parsed.map_err(|_| vec![invalid_whole(&spec.child("stubPKCS10Request"), "must be a valid PKCS#10 CSR")])?
        };
        if key.kind() == KeyKind::Other || key.spki() == leaf.public_key() {
            return Ok(());
        }
        let chain = text(self.status, "certificateChain");
        Err(vec![Error::invalid(path, chain, "leaf certificate was not issued to the requested public key")])
    }

    /// The status says the same times as the certificate, and they make sense. Nothing is compared if something is known to be wrong.
    fn validate_times(&self, leaf: &Certificate, chain: &Path<'_>, is_fine: bool) -> Checked {
        let said = |field: &str| parse_rfc3339(text(self.status, field));
        let shown = |field: &str, detail: String| {
            vec![Error::invalid(&self.path.child(field), text(self.status, field), detail)]
        };
        let (Some(from), Some(until), Some(refresh)) = (said("notBefore"), said("notAfter"), said("beginRefreshAt"))
        else {
            let consistent = "must be present and consistent with the issued certificate";
            let within = "must be present and in the range [notbefore+10min, notafter-10min]";
            let wanted = [("notBefore", consistent), ("notAfter", consistent), ("beginRefreshAt", within)];
            let missing = wanted.into_iter().filter(|(field, _)| said(field).is_none());
            return Err(missing.map(|(field, detail)| Error::required(&self.path.child(field), detail)).collect());
        };
        if !is_fine {
            return Ok(());
        }
        if from != leaf.not_before {
            let detail = "must be set to the NotBefore time encoded in the leaf certificate";
            return Err(shown("notBefore", detail.to_owned()));
        }
        if from.duration_since(self.now).unsigned_abs() >= SKEW {
            return Err(shown(
                "notBefore",
                "must be set to within 5 minutes of kube-apiserver's current time".to_owned(),
            ));
        }
        if until != leaf.not_after {
            let detail = "must be set to the NotAfter time encoded in the leaf certificate";
            return Err(shown("notAfter", detail.to_owned()));
        }
        let most = number(self.spec, "maxExpirationSeconds");
        let lifetime = until.duration_since(from);
        let nanos = i64::try_from(lifetime.as_nanos()).unwrap_or(i64::MAX);
        if Duration::try_from(lifetime).unwrap_or_default() < LIFETIME_MIN {
            return Err(vec![Error::invalid(chain, nanos, "leaf certificate lifetime must be >= 1 hour")]);
        }
        if lifetime.as_secs() > most {
            let detail = format!("leaf certificate lifetime must be <= spec.maxExpirationSeconds ({most})");
            return Err(vec![Error::invalid(chain, nanos, detail)]);
        }
        let margin = |after: Timestamp, before: Timestamp| {
            Duration::try_from(after.duration_since(before)).unwrap_or_default() >= REFRESH_MARGIN
        };
        if !margin(refresh, from) {
            return Err(shown("beginRefreshAt", "must be at least 10 minutes after status.notBefore".to_owned()));
        }
        if !margin(until, refresh) {
            return Err(shown("beginRefreshAt", "must be at least 10 minutes before status.notAfter".to_owned()));
        }
        Ok(())
    }
}

fn parse(block: &PemBlock) -> Option<Certificate> {
    Certificate::parse(block.contents.clone().into()).ok()
}

/// Names that cannot be a host's or a person's.
fn names(leaf: &Certificate, path: &Path<'_>) -> Vec<Error> {
    let mut errors = Vec::new();
    for name in &leaf.dns_names {
        let mut wrong = |detail: &str| errors.push(Error::invalid(path, name.as_str(), detail));
        if name.is_empty() {
            wrong("leaf certificate should not contain empty DNSName");
        }
        if name.contains("..") {
            wrong("leaf certificate's DNSName should not contain '..'");
        }
        if name.starts_with('.') || name.ends_with('.') {
            wrong("leaf certificate's DNSName should not start or end with '.'");
        }
    }
    for address in leaf.email_addresses.iter().filter(|address| !is_mail_address(address)) {
        let detail = "leaf certificate should not contain invalid EmailAddress";
        errors.push(Error::invalid(path, address.as_str(), detail));
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use windlass_api::time::rfc3339;
    use windlass_pki::{Ca, CertificateRequest, Identity, PrivateKey, ServerCert, SigningPolicy};

    use super::*;

    fn now() -> Timestamp {
        parse_rfc3339("2026-11-30T06:00:00Z").unwrap()
    }

    /// A request and the certificate that a signer made for it a moment ago.
    struct Scene {
        ca: Ca,
        request: Value,
        leaf: Certificate,
    }

    impl Scene {
        fn new() -> Self {
            Self::with_lifetime(Duration::from_secs(7200))
        }

        fn with_lifetime(ttl: Duration) -> Self {
            let made = now() + Duration::from_secs(60);
            let ca = Ca::create("signer", made).unwrap();
            let stub = PrivateKey::generate().unwrap().stub_request().unwrap();
            let policy = SigningPolicy { ttl, usages: vec!["client auth".to_owned()] };
            let leaf = ca.sign_request(&CertificateRequest::from_der(&stub).unwrap(), &policy, made).unwrap();
            let spec = json!({"stubPKCS10Request": STANDARD.encode(stub), "maxExpirationSeconds": 86_400});
            Self { ca, request: json!({"spec": spec}), leaf }
        }

        fn issued(&self) -> Value {
            let mut status = answer("Issued");
            status["certificateChain"] = json!(self.leaf.to_pem() + &self.ca.certificate().to_pem());
            status["notBefore"] = json!(rfc3339(self.leaf.not_before));
            status["notAfter"] = json!(rfc3339(self.leaf.not_after));
            status["beginRefreshAt"] = json!(rfc3339(self.leaf.not_before + REFRESH_MARGIN));
            status
        }

        fn complaints(&self, status: Value) -> Vec<String> {
            self.from(json!({}), status)
        }

        fn from(&self, before: Value, after: Value) -> Vec<String> {
            let with = |status: Value| {
                let mut object = self.request.clone();
                object["status"] = status;
                object
            };
            validate(&with(after), &with(before), now()).iter().map(ToString::to_string).collect()
        }

        /// Complaints about what a signer issued, with some of it changed.
        fn changed(&self, changes: Value) -> Vec<String> {
            let mut status = self.issued();
            status.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            self.complaints(status)
        }
    }

    fn answer(kind: &str) -> Value {
        json!({"conditions": [
            {"type": kind, "status": "True", "reason": "R", "message": "m", "lastTransitionTime": "2026-11-30T06:00:00Z"}]})
    }

    #[test]
    fn one_answer_and_no_other() {
        let scene = Scene::new();
        for status in [scene.issued(), answer("Denied"), answer("Failed"), json!({})] {
            assert_eq!(scene.complaints(status.clone()), [""; 0], "{status}");
        }
        let immutable = "status: Invalid value: immutable after PodCertificateRequest is issued, denied, or failed";
        assert_eq!(scene.from(answer("Denied"), answer("Failed")), [immutable]);
        assert_eq!(scene.from(scene.issued(), json!({})), [immutable]);
        assert_eq!(scene.from(scene.issued(), scene.issued()), [""; 0]);
        let mut denied = scene.issued();
        denied["conditions"] = answer("Denied")["conditions"].clone();
        assert!(
            scene.complaints(denied)[0].ends_with("must be empty when denying or failing the PodCertificateRequest")
        );
        assert_eq!(
            scene.complaints(json!({"certificateChain": "x"})),
            [
                "status: Invalid value: status is immutable unless transitioning to \"Issued\", \"Denied\", or \"Failed\""
            ]
        );
    }

    #[test]
    fn conditions_that_nobody_knows() {
        let scene = Scene::new();
        assert_eq!(
            scene.complaints(answer("Ready")),
            [
                "status.conditions.[0].type: Unsupported value: \"Ready\": supported values: \"Issued\", \"Denied\", \"Failed\""
            ]
        );
        let mut two = answer("Issued");
        let failed = answer("Failed")["conditions"][0].clone();
        two["conditions"].as_array_mut().unwrap().push(failed);
        two["conditions"][0]["status"] = json!("False");
        assert_eq!(
            scene.complaints(two),
            [
                "status.conditions.[0].status: Unsupported value: \"False\": supported values: \"True\"",
                "status.conditions.[1].type: Invalid value: \"Failed\": There may be at most one condition with type \
                 \"Issued\", \"Denied\", or \"Failed\"",
            ]
        );
        let mut bare = answer("Issued");
        bare["conditions"][0]["reason"] = json!("");
        assert_eq!(scene.complaints(bare), ["status.conditions[0].reason: Required value"]);
    }

    #[test]
    fn the_chain() {
        let scene = Scene::new();
        let chain = |text: &str| {
            let found = scene.changed(json!({"certificateChain": text}));
            found.into_iter().map(|text| text.rsplit(": ").next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
        };
        let leaf = scene.leaf.to_pem();
        assert_eq!(chain(&leaf), [""; 0], "nobody need be above it");
        assert_eq!(chain("no word"), ["issued certificate chain must contain at least one certificate"]);
        let key = windlass_pki::pem_encode("KEY", b"x");
        assert_eq!(chain(&key), ["issued certificate chain must consist entirely of CERTIFICATE PEM blocks"]);
        assert_eq!(
            chain(&format!("{leaf}{key}")),
            ["issued certificate chain must consist entirely of CERTFICATE PEM blocks"]
        );
        let junk = windlass_pki::pem_encode(CERTIFICATE, b"x");
        assert_eq!(chain(&junk), ["leaf certificate does not parse as valid X.509"]);
        assert_eq!(chain(&format!("{leaf}{junk}")), ["intermediate certificate does not parse as valid X.509"]);
        let others = scene.ca.certificate().to_pem();
        assert_eq!(chain(&others), ["leaf certificate was not issued to the requested public key"]);
        assert_eq!(chain(&" ".repeat(CHAIN_BYTES_MAX + 1)), ["may not be more than 102400 bytes"]);
    }

    #[test]
    fn names_that_are_none() {
        let scene = Scene::new();
        let wanted = ServerCert {
            dns_names: ["fine", "a..b", ".c"].map(str::to_owned).to_vec(),
            ttl: Duration::from_secs(7200),
            ..ServerCert::default()
        };
        let other: Identity = scene.ca.issue(&windlass_pki::Issue::Server(wanted), now()).unwrap();
        let found = scene.changed(json!({"certificateChain": other.certificate().to_pem()}));
        let path = "status.certificateChain: Invalid value";
        assert_eq!(found[0], format!("{path}: \"a..b\": leaf certificate's DNSName should not contain '..'"));
        assert_eq!(found[1], format!("{path}: \".c\": leaf certificate's DNSName should not start or end with '.'"));
        assert!(found[2].ends_with("leaf certificate was not issued to the requested public key"));
    }

    #[test]
    fn times_that_do_not_fit() {
        let scene = Scene::new();
        let missing = scene.changed(json!({"notBefore": null, "notAfter": null, "beginRefreshAt": null}));
        assert_eq!(missing.len(), 3);
        assert_eq!(
            missing[0],
            "status.notBefore: Required value: must be present and consistent with the issued certificate"
        );
        let late = rfc3339(scene.leaf.not_after - Duration::from_secs(599));
        let early = rfc3339(scene.leaf.not_before + Duration::from_secs(599));
        for (changes, expected) in [
            (
                json!({"notBefore": "2026-11-30T06:00:00Z"}),
                "must be set to the NotBefore time encoded in the leaf certificate",
            ),
            (
                json!({"notAfter": "2026-11-30T06:00:00Z"}),
                "must be set to the NotAfter time encoded in the leaf certificate",
            ),
            (json!({"beginRefreshAt": early}), "must be at least 10 minutes after status.notBefore"),
            (json!({"beginRefreshAt": late}), "must be at least 10 minutes before status.notAfter"),
        ] {
            let found = scene.changed(changes.clone());
            assert!(found.len() == 1 && found[0].ends_with(expected), "{changes}: {found:?}");
        }
        let short = Scene::with_lifetime(Duration::from_secs(600));
        assert!(
            short.complaints(short.issued())[0].ends_with("900000000000: leaf certificate lifetime must be >= 1 hour")
        );
        let mut greedy = Scene::new();
        greedy.request["spec"]["maxExpirationSeconds"] = json!(3600);
        let found = greedy.complaints(greedy.issued());
        assert!(
            found[0].ends_with("leaf certificate lifetime must be <= spec.maxExpirationSeconds (3600)"),
            "{found:?}"
        );
        let mut old = Scene::new();
        let with = |status: Value, object: &Value| {
            let mut object = object.clone();
            object["status"] = status;
            object
        };
        let after = with(old.issued(), &old.request);
        old.request["status"] = json!({});
        let found = validate(&after, &old.request, now() + Duration::from_secs(61));
        assert!(found.iter().next().unwrap().detail.contains("within 5 minutes of kube-apiserver's current time"));
    }
}
