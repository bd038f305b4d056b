//! PodCertificateRequest: a certificate that a pod is to get. The kubelet asks, and whoever may `sign` for the signer answers, once, in the
//! status.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::condition::{self, AnyCondition};
use windlass_api::field::{Errors, Path};
use windlass_machinery::tree::{child, set};

use super::{pod_certificate_status, pod_certificate_validation};
use crate::columns::{self, word};
use crate::rules::immutable_structure;
use crate::{Moment, Resource, StatusMetadata, Strategy, Subresource};

/// A certificate is valid for at most a day, if its pod says nothing else.
const EXPIRATION_SECONDS: i64 = 86_400;
const SPEC: &str = "certificates.v1.PodCertificateRequestSpec";

pub(crate) fn resource() -> Resource {
    Resource::namespaced("certificates.k8s.io", "v1", "PodCertificateRequest", "podcertificaterequests")
        .subresources(&[Subresource::Status])
        .status_metadata(StatusMetadata::Nothing)
        .selectable(&[
            ("spec.signerName", "/spec/signerName"),
            ("spec.podName", "/spec/podName"),
            ("spec.nodeName", "/spec/nodeName"),
        ])
        .columns(columns::list(&[
            "Name",
            "PodName",
            "ServiceAccountName",
            "NodeName",
            "SignerName",
            "State",
            "UnverifiedUserAnnotations",
        ]))
        .updates_need_version()
        .strategy(PodCertificateRequest)
}

struct PodCertificateRequest;

impl Strategy for PodCertificateRequest {
    fn set_defaults(&self, object: &mut Value) {
        set(child(object, "spec"), "maxExpirationSeconds", EXPIRATION_SECONDS);
    }

    fn validate(&self, object: &Value) -> Errors {
        pod_certificate_validation::validate(&object["spec"])
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let mut errors = Errors::new();
        immutable_structure(&mut errors, &Path::new("spec"), SPEC, object.get("spec"), old.get("spec"));
        errors
    }

    fn validate_status_at(&self, object: &Value, old: &Value, moment: Moment) -> Errors {
        pod_certificate_status::validate(object, old, moment.now)
    }

    fn signs<'a>(&self, object: &Value, old: &'a Value) -> Option<&'a str> {
        let is_changed = !pod_certificate_status::is_same(&object["status"], &old["status"]);
        is_changed.then(|| word(old, "/spec/signerName"))
    }

    fn cells(&self, object: &Value, _now: Timestamp) -> Vec<Value> {
        let ends = ["Issued", "Denied", "Failed"];
        let mut state =
            condition::list(&object["status"]).iter().map(AnyCondition::kind).filter(|kind| ends.contains(kind));
        vec![
            columns::name(object),
            Value::from(word(object, "/spec/podName")),
            Value::from(word(object, "/spec/serviceAccountName")),
            Value::from(word(object, "/spec/nodeName")),
            Value::from(word(object, "/spec/signerName")),
            Value::from(state.next_back().unwrap_or("Pending")),
            columns::labels(object.pointer("/spec/unverifiedUserAnnotations")),
        ]
    }
}
