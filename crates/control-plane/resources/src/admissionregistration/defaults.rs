//! What webhooks and policies get that their authors did not say, and the cells that their tables share.
//!
//! Source: upstream `pkg/apis/admissionregistration/v1/defaults.go`.

use serde_json::{Value, json};
use windlass_machinery::tree::{items_mut, set, text};

use crate::columns;

pub(super) fn set_webhook_defaults(webhook: &mut Value) {
    set(webhook, "failurePolicy", "Fail");
    set(webhook, "matchPolicy", "Equivalent");
    set(webhook, "namespaceSelector", json!({}));
    set(webhook, "objectSelector", json!({}));
    set(webhook, "timeoutSeconds", 10);
    if let Some(service) = webhook.pointer_mut("/clientConfig/service").filter(|service| service.is_object()) {
        set(service, "port", 443);
    }
    set_rule_defaults(webhook, "rules");
}

fn set_rule_defaults(owner: &mut Value, list: &str) {
    for rule in items_mut(owner, list) {
        set(rule, "scope", "*");
    }
}

/// Which requests a policy or its binding is about.
pub(super) fn set_match_defaults(matches: Option<&mut Value>) {
    let Some(matches) = matches.filter(|matches| matches.is_object()) else { return };
    set(matches, "matchPolicy", "Equivalent");
    set(matches, "namespaceSelector", json!({}));
    set(matches, "objectSelector", json!({}));
    for list in ["resourceRules", "excludeResourceRules"] {
        set_rule_defaults(matches, list);
    }
}

/// The kind of a policy's parameters.
pub(super) fn param_kind_cell(object: &Value) -> Value {
    let kind = object.pointer("/spec/paramKind").filter(|kind| kind.is_object());
    Value::from(
        kind.map_or("<unset>".to_owned(), |kind| format!("{}/{}", text(kind, "apiVersion"), text(kind, "kind"))),
    )
}

/// The parameters that a binding chooses.
pub(super) fn param_ref_cell(object: &Value) -> Value {
    let Some(reference) = object.pointer("/spec/paramRef").filter(|reference| reference.is_object()) else {
        return Value::from("<unset>");
    };
    match (text(reference, "namespace"), text(reference, "name")) {
        (_, "") if reference.get("selector").is_some_and(Value::is_object) => {
            columns::selector(reference.get("selector"))
        }
        (_, "") => Value::from("<unset>"),
        ("", name) => Value::from(format!("*/{name}")),
        (namespace, name) => Value::from(format!("{namespace}/{name}")),
    }
}
