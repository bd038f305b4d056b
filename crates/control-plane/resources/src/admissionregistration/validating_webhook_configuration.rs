//! ValidatingWebhookConfiguration: services that may refuse writes.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::field::Errors;
use windlass_machinery::tree::items_mut;

use super::defaults::set_webhook_defaults;
use super::static_suffix::{static_suffix_warning, validate_static_suffix};
use super::webhook_validation::{Demands, validate_webhooks};
use super::webhook_warnings::warnings_of_rules;
use crate::columns::{self, length};
use crate::{Resource, Strategy};

pub(crate) fn resource() -> Resource {
    Resource::cluster(
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
    )
    .takes_any_finalizer()
    .categories(&["api-extensions"])
    .counts_generations()
    .columns(columns::list(&["Name", "Webhooks:integer", "Age"]))
    .updates_need_version()
    .strategy(ValidatingWebhookConfiguration)
}

struct ValidatingWebhookConfiguration;

impl Strategy for ValidatingWebhookConfiguration {
    fn set_defaults(&self, object: &mut Value) {
        for webhook in items_mut(object, "webhooks") {
            set_webhook_defaults(webhook);
        }
    }

    fn validate(&self, object: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_webhooks(&mut errors, object, &Demands::all());
        validate_static_suffix(&mut errors, object);
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_webhooks(&mut errors, object, &Demands::of_update(object, old));
        errors
    }

    fn warnings(&self, object: &Value, old: Option<&Value>) -> Vec<String> {
        let mut warnings = Vec::new();
        if old.is_some() {
            warnings.extend(static_suffix_warning(object));
        }
        warnings.extend(warnings_of_rules(object));
        warnings
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![columns::name(object), Value::from(length(object, "/webhooks")), columns::age(object, now)]
    }
}
