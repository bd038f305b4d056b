//! Warnings of rules that no write can fulfil, for nobody asks webhooks about it.
//!
//! Source: upstream `pkg/apis/admissionregistration/validation/warnings.go`.

use std::collections::BTreeSet;

use serde_json::Value;
use windlass_api::GroupResource;
use windlass_api::field::Path;
use windlass_machinery::tree::items;

use super::VIRTUAL_RESOURCES;
use crate::WARNINGS_MAX;
use crate::rules::texts;

/// The warnings of a configuration, as many as a client is told.
pub(super) fn warnings_of_rules(object: &Value) -> Vec<String> {
    let webhooks = Path::new("webhooks");
    let mut warnings = Vec::new();
    for (index, webhook) in items(object, "webhooks").enumerate() {
        let (webhook_path, rules) = (webhooks.index(index), items(webhook, "rules").enumerate());
        let rules_path = webhook_path.child("rules");
        for (index, rule) in rules {
            let path = rules_path.index(index);
            warnings.extend(named(rule).into_iter().map(|resource| {
                format!("{path}: {resource} is excluded from admission webhooks; this rule will have no effect")
            }));
            if warnings.len() >= WARNINGS_MAX {
                return warnings;
            }
        }
    }
    warnings
}

/// The resources that a rule names one by one although webhooks are not asked about them, in the rule's order.
fn named(rule: &Value) -> Vec<&'static GroupResource> {
    if texts(rule, "apiGroups").chain(texts(rule, "resources")).any(|word| word == "*") {
        return Vec::new();
    }
    let mut seen = BTreeSet::new();
    let groups =
        texts(rule, "apiGroups").filter(|group| VIRTUAL_RESOURCES.iter().any(|virtual_| virtual_.group == *group));
    // As many as there are resources like these, however often they are named.
    let groups: Vec<&str> = groups.filter(|group| seen.insert(*group)).collect();
    let mut found = Vec::new();
    for group in groups {
        for resource in texts(rule, "resources") {
            let excluded = VIRTUAL_RESOURCES.iter().find(|one| one.group == group && one.resource == resource);
            found.extend(excluded.filter(|one| !found.contains(one)));
        }
    }
    found
}
