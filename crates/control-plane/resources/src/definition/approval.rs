//! Groups of the Kubernetes community (`*.k8s.io`, `*.kubernetes.io`): who defines a kind there says where it was approved.
//!
//! Source: upstream `pkg/apihelpers/helpers.go`.

use std::collections::BTreeMap;

use serde_json::Value;
use windlass_api::condition::{Condition, FALSE, TRUE};
use windlass_api::field::{Error, Errors, Path};
use windlass_api::url;
use windlass_machinery::tree::text;

const ANNOTATION: &str = "api-approved.kubernetes.io";
const SEE: &str = "see https://github.com/kubernetes/enhancements/pull/1111";

/// What the annotation says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Approval {
    Missing,
    /// A reason why there is none, which is as good.
    Bypassed,
    /// A URL.
    Approved,
    Invalid,
}

impl Approval {
    fn of(annotation: &str) -> Self {
        match annotation {
            "" => Self::Missing,
            reason if reason.starts_with("unapproved") => Self::Bypassed,
            url if url::is_absolute_with_host(url) => Self::Approved,
            _ => Self::Invalid,
        }
    }

    /// Why the definition is, or is not, as it should be.
    fn words(self, annotation: &str) -> String {
        const WANTED: &str = "protected groups must have approval annotation \"api-approved.kubernetes.io\"";
        match self {
            Self::Missing => format!("{WANTED}, {SEE}"),
            Self::Bypassed => format!("not approved: {annotation:?}"),
            Self::Approved => format!("approved in {annotation}"),
            Self::Invalid => format!("{WANTED} with either a URL or a reason starting with \"unapproved\", {SEE}"),
        }
    }
}

fn annotation(definition: &Value) -> &str {
    text(&definition["metadata"]["annotations"], ANNOTATION)
}

fn is_protected(group: &str) -> bool {
    ["k8s.io", "kubernetes.io"].iter().any(|domain| {
        let owner = group.strip_suffix(domain);
        owner.is_some_and(|owner| owner.is_empty() || owner.ends_with('.'))
    })
}

/// What the status says of a definition in a protected group; `None` of others.
pub(crate) fn condition(group: &str, annotations: &BTreeMap<String, String>) -> Option<Condition> {
    let annotation = annotations.get(ANNOTATION).map_or("", String::as_str);
    let approval = Approval::of(annotation);
    let (status, reason) = match approval {
        Approval::Missing => (FALSE, "MissingAnnotation"),
        Approval::Bypassed => (FALSE, "UnapprovedAnnotation"),
        Approval::Approved => (TRUE, "ApprovedAnnotation"),
        Approval::Invalid => (FALSE, "InvalidAnnotation"),
    };
    let words = approval.words(annotation);
    is_protected(group).then(|| Condition::new("KubernetesAPIApprovalPolicyConformant", status, reason, words))
}

/// An update may leave things as they were.
pub(crate) fn validate(errors: &mut Errors, definition: &Value, old: Option<&Value>) {
    let value = annotation(definition);
    let approval = Approval::of(value);
    let before = old.map(|old| Approval::of(annotation(old)));
    if !is_protected(text(&definition["spec"], "group")) || before == Some(approval) {
        return;
    }
    let metadata = Path::new("metadata");
    let annotations = metadata.child("annotations");
    let path = annotations.key(ANNOTATION);
    match approval {
        Approval::Approved | Approval::Bypassed => {}
        Approval::Missing => errors.push(Error::required(&path, approval.words(value))),
        Approval::Invalid => errors.push(Error::invalid(&path, value, approval.words(value))),
    }
}
