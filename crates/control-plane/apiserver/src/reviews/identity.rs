//! Who somebody is: TokenReview and SelfSubjectReview.

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_api::{Status, time};
use windlass_auth::User;
use windlass_machinery::tree::{child, items, put, text};

use crate::gate::Gate;

/// Whose a token is, for the audiences that the asker stands for.
pub(super) fn review_token(gate: &Gate, mut object: Value) -> Result<Value, Status> {
    let spec = &object["spec"];
    if text(spec, "token").is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    let asked: Vec<String> = items(spec, "audiences").filter_map(Value::as_str).map(str::to_owned).collect();
    let audiences = if asked.is_empty() { vec![gate.tokens.issuer().to_owned()] } else { asked };
    let user = gate.tokens.user(text(spec, "token"), Some(&audiences), gate, gate.storage.clock.now());
    let status = match user {
        Some(user) => {
            let audiences = gate.tokens.audiences(text(spec, "token"), &audiences);
            json!({"authenticated": true, "user": user, "audiences": audiences})
        }
        None => json!({"user": {}, "error": "invalid bearer token"}),
    };
    put(&mut object, "status", status);
    Ok(object)
}

pub(super) fn self_subject(user: &User, mut object: Value, now: Timestamp) -> Value {
    put(&mut object, "status", json!({"userInfo": user}));
    put(child(&mut object, "metadata"), "creationTimestamp", time::rfc3339(now));
    object
}
