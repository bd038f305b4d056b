//! What requests for devices get that their authors did not say. Source: upstream `pkg/apis/resource/v1/defaults.go`.

use serde_json::Value;
use windlass_machinery::tree::{items_mut, number, put, set_text, text};

/// Defaults of a claim's specification, in a claim as in a template.
pub(super) fn set_claim_spec_defaults(spec: &mut Value) {
    let Some(devices) = spec.get_mut("devices") else { return };
    for request in items_mut(devices, "requests") {
        if let Some(exactly) = request.get_mut("exactly").filter(|exactly| exactly.is_object()) {
            set_request_defaults(exactly);
        }
        for alternative in items_mut(request, "firstAvailable") {
            set_request_defaults(alternative);
        }
    }
}

fn set_request_defaults(request: &mut Value) {
    set_text(request, "allocationMode", "ExactCount");
    if text(request, "allocationMode") == "ExactCount" && number(request, "count") == 0 {
        put(request, "count", 1);
    }
    set_toleration_defaults(request);
}

pub(super) fn set_toleration_defaults(owner: &mut Value) {
    for toleration in items_mut(owner, "tolerations") {
        set_text(toleration, "operator", "Equal");
    }
}
