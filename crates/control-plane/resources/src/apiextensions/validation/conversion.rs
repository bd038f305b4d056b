//! How objects of one version become those of another: `spec.conversion`, and the webhook that does it.
//!
//! Source: upstream `apiextensions/validation/validation.go`, validateCustomResourceConversion.

use std::collections::HashSet;

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names::dns1035_label;
use windlass_machinery::tree::text;

use crate::rules::{complain, object_at, required_of, texts};
use crate::webhook_client;

use super::super::layout::Layout;
use super::demands::Demands;

const REVIEW_VERSIONS: [&str; 2] = ["v1", "v1beta1"];

/// Where upstream's internal form has the client's configuration, and so its errors.
const CLIENT: &str = "webhookClientConfig";
const VERSIONS: &str = "conversionReviewVersions";

pub(super) fn validate(errors: &mut Errors, layout: &Layout<'_>, demands: &Demands<'_>, path: &Path<'_>) {
    let Some(conversion) = object_at(layout.spec, "conversion") else { return };
    let path = path.child("conversion");
    let strategy = text(conversion, "strategy");
    if strategy != "None" && layout.preserves_unknown_fields() {
        let detail = "must be None if spec.preserveUnknownFields is true";
        errors.push(Error::invalid(&path.child("strategy"), strategy, detail));
    }
    required_of(errors, &path.child("strategy"), strategy, &["None", "Webhook"]);
    let webhook = conversion.get("webhook").unwrap_or(&Value::Null);
    let client = object_at(webhook, "clientConfig");
    if strategy == "Webhook" {
        match client {
            None => errors.push(Error::required(&path.child(CLIENT), "required when strategy is set to Webhook")),
            Some(client) => webhook_client::validate(errors, client, demands.valid_ca_bundle, &path.child(CLIENT)),
        }
        validate_review_versions(errors, webhook, demands.known_review_version, &path.child(VERSIONS));
        return;
    }
    for (field, is_said) in [(CLIENT, client.is_some()), (VERSIONS, texts(webhook, VERSIONS).next().is_some())] {
        if is_said {
            let detail = "should not be set when strategy is not set to Webhook";
            errors.push(Error::forbidden(&path.child(field), detail));
        }
    }
}

fn validate_review_versions(errors: &mut Errors, webhook: &Value, must_be_known: bool, path: &Path<'_>) {
    if texts(webhook, VERSIONS).next().is_none() {
        errors.push(Error::required(path, ""));
        return;
    }
    let mut seen = HashSet::new();
    for (index, version) in texts(webhook, VERSIONS).enumerate() {
        let path = path.index(index);
        if seen.insert(version) {
            complain(errors, &path, version, dns1035_label(version));
        } else {
            errors.push(Error::invalid(&path, version, "duplicate version"));
        }
    }
    if must_be_known && !has_known_version(webhook) {
        let detail = format!("must include at least one of {}", REVIEW_VERSIONS.join(", "));
        errors.push_with(|| Error::invalid(path, webhook.get(VERSIONS).cloned().unwrap_or_default(), detail));
    }
}

fn has_known_version(webhook: &Value) -> bool {
    texts(webhook, VERSIONS).any(|version| REVIEW_VERSIONS.contains(&version))
}

/// Whether a conversion that is stored names a version of reviews that is known, or none.
pub(super) fn is_known(conversion: &Value) -> bool {
    let webhook = &conversion["webhook"];
    texts(webhook, VERSIONS).next().is_none() || has_known_version(webhook)
}

/// Whether a conversion that is stored has a bundle of authorities that cannot be read.
pub(super) fn has_broken_ca_bundle(conversion: &Value) -> bool {
    webhook_client::ca_bundle_problem(&conversion["webhook"]["clientConfig"]).is_some()
}
