//! What holds of a webhook's answer. Only the fuzzer and the replay of its corpus call it.

use serde_json::json;
use windlass_machinery::rfc6902;

use crate::webhooks::Response;

/// Reads an answer, and panics when it says what it may not.
pub fn answer(body: &[u8]) {
    if let Ok(response) = Response::read(body, "v1", "u", false) {
        assert_eq!(response.patch(), Ok(None), "who validates changes nothing");
    }
    let Ok(response) = Response::read(body, "v1", "u", true) else { return };
    let Ok(Some(patch)) = response.patch() else { return };
    let mut object = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p"}, "spec": {"containers": []}});
    // What does not fit is refused; that is all.
    let _ = rfc6902::apply(&mut object, &patch);
}
