//! Who somebody is: TokenReview and SelfSubjectReview.

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_api::{Status, time};
use windlass_auth::User;
use windlass_machinery::tree::{child, items, put, text};

use crate::authentication::Found;
use crate::gate::Gate;

/// Whose a token is, for the audiences that the asker stands for.
pub(super) async fn review_token(gate: &Gate, mut object: Value) -> Result<Value, Status> {
    let spec = &object["spec"];
    if text(spec, "token").is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    let asked: Vec<String> = items(spec, "audiences").filter_map(Value::as_str).map(str::to_owned).collect();
    let audiences = if asked.is_empty() { vec![gate.tokens.issuer().to_owned()] } else { asked };
    let status = match gate.token_review(text(spec, "token"), &audiences).await {
        Ok(Some(Found { user, audiences })) => json!({"authenticated": true, "user": user, "audiences": audiences}),
        Ok(None) => json!({"user": {}, "error": "invalid bearer token"}),
        Err(error) => json!({"user": {}, "error": error}),
    };
    put(&mut object, "status", status);
    Ok(object)
}

pub(super) fn self_subject(user: &User, mut object: Value, now: Timestamp) -> Value {
    put(&mut object, "status", json!({"userInfo": user}));
    put(child(&mut object, "metadata"), "creationTimestamp", time::rfc3339(now));
    object
}
