//! What a signer has answered to a PodCertificateRequest.

use jiff::Timestamp;
use serde::Deserialize;
use windlass_api::time::parse_rfc3339;
use windlass_pki::{pem_blocks, pem_encode};

/// A PodCertificateRequest as far as the kubelet reads it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Request {
    pub(super) spec: Spec,
    status: Status,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Spec {
    #[serde(rename = "podUID")]
    pub(super) pod_uid: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    conditions: Vec<Condition>,
    certificate_chain: String,
    begin_refresh_at: String,
    not_after: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    reason: String,
    message: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// There is none yet.
    None,
    Issued {
        /// Certificates in PEM, and nothing else.
        chain: String,
        begin_refresh_at: Timestamp,
        not_after: Timestamp,
    },
    Refused(Refusal),
}

/// An answer after which nobody asks again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) kind: RefusalKind,
    pub(super) reason: String,
    pub(super) message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefusalKind {
    Denied,
    Failed,
}

impl Request {
    /// The first condition counts; the API lets there be only one.
    pub(super) fn answer(&self) -> Answer {
        let refused = |condition: &Condition, kind| {
            Answer::Refused(Refusal { kind, reason: condition.reason.clone(), message: condition.message.clone() })
        };
        let found = self.status.conditions.iter().find_map(|condition| match condition.kind.as_str() {
            "Denied" => Some(refused(condition, RefusalKind::Denied)),
            "Failed" => Some(refused(condition, RefusalKind::Failed)),
            "Issued" => self.issued(),
            _ => None,
        });
        found.unwrap_or(Answer::None)
    }

    fn issued(&self) -> Option<Answer> {
        let status = &self.status;
        let begin_refresh_at = parse_rfc3339(&status.begin_refresh_at)?;
        let not_after = parse_rfc3339(&status.not_after)?;
        Some(Answer::Issued { chain: bare(&status.certificate_chain), begin_refresh_at, not_after })
    }
}

/// Leaves out what stands between blocks, and their headers.
fn bare(chain: &str) -> String {
    pem_blocks(chain).iter().map(|block| pem_encode("CERTIFICATE", &block.contents)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn answer(status: Value) -> Answer {
        serde_json::from_value::<Request>(json!({"spec": {"podUID": "1"}, "status": status})).unwrap().answer()
    }

    #[test]
    fn answers() {
        let condition = |kind: &str| json!([{"type": kind, "status": "True", "reason": "R", "message": "m"}]);
        assert_eq!(answer(json!({})), Answer::None);
        assert_eq!(answer(json!({"conditions": condition("Other")})), Answer::None);
        let refusal = |kind| Answer::Refused(Refusal { kind, reason: "R".into(), message: "m".into() });
        assert_eq!(answer(json!({"conditions": condition("Denied")})), refusal(RefusalKind::Denied));
        assert_eq!(answer(json!({"conditions": condition("Failed")})), refusal(RefusalKind::Failed));
        let chain = "a word\n-----BEGIN CERTIFICATE-----\nX: y\n\nAQ==\n-----END CERTIFICATE-----\nanother";
        let mut issued = json!({"conditions": condition("Issued"), "certificateChain": chain,
            "beginRefreshAt": "2026-11-30T06:00:00Z", "notAfter": "2026-11-30T07:00:00Z"});
        let expected = Answer::Issued {
            chain: "-----BEGIN CERTIFICATE-----\nAQ==\n-----END CERTIFICATE-----\n".into(),
            begin_refresh_at: "2026-11-30T06:00:00Z".parse().unwrap(),
            not_after: "2026-11-30T07:00:00Z".parse().unwrap(),
        };
        assert_eq!(answer(issued.clone()), expected);
        issued["notAfter"] = json!("");
        assert_eq!(answer(issued), Answer::None, "the API lets no such answer be");
    }
}
