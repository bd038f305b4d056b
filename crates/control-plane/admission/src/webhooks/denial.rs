//! What a webhook's refusal, or that it could not be asked, means to the client.

use serde_json::Value;
use windlass_api::Status;
use windlass_api::status::Reason;

/// Why a webhook lets a write not go on.
#[derive(Debug)]
pub(super) enum Denial {
    /// The webhook has refused it.
    Rejected(Status),
    /// The webhook could not be asked; the failure policy decides. With the code that counts in metrics.
    Uncalled { why: String, code: u16 },
    /// It was asked, and what it says cannot be carried out.
    Unusable(Status),
}

impl Denial {
    pub(super) fn uncalled(code: u16, why: impl Into<String>) -> Self {
        Self::Uncalled { why: why.into(), code }
    }
}

/// The refusal of a webhook that could not be asked.
pub(super) fn failed_closed(webhook: &str, why: &str) -> Status {
    Status::internal(format_args!("failed calling webhook {webhook:?}: {why}"))
}

pub(super) fn no_dry_run(webhook: &str) -> Status {
    Status::bad_request(format!("admission webhook {webhook:?} does not support dry run"))
}

/// The `Status` with which a webhook refuses, completed.
pub(super) fn rejection(webhook: &str, said: Option<&Value>) -> Status {
    let mut status: Status = said
        .and_then(|said| serde_json::from_value(said.clone()).ok())
        .unwrap_or_else(|| Status::new(400, Reason::Unknown, ""));
    status.code = status.code.max(400);
    let denied = format!("admission webhook {webhook:?} denied the request");
    let reason = serde_json::to_value(&status.reason).unwrap_or_default();
    status.message = match (status.message.as_str(), reason.as_str().unwrap_or_default()) {
        ("", "") => format!("{denied} without explanation"),
        ("", reason) => format!("{denied}: {reason}"),
        (message, _) => format!("{denied}: {message}"),
    };
    status
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_webhooks_say() {
        let said = |said: Value| {
            let status = rejection("w.x.io", Some(&said));
            let reason = status.to_value()["reason"].as_str().unwrap_or_default().to_owned();
            (status.code, status.message, reason)
        };
        let denied = |rest: &str| format!("admission webhook \"w.x.io\" denied the request{rest}");
        let cases = [
            (json!({}), (400, denied(" without explanation"), "")),
            (json!({"message": "no"}), (400, denied(": no"), "")),
            (json!({"reason": "Because", "code": 200}), (400, denied(": Because"), "Because")),
            (json!({"reason": "Forbidden", "message": "no", "code": 403}), (403, denied(": no"), "Forbidden")),
        ];
        for (status, (code, message, reason)) in cases {
            assert_eq!(said(status), (code, message, reason.to_owned()));
        }
        assert_eq!(rejection("w.x.io", None).message, denied(" without explanation"));
    }
}
