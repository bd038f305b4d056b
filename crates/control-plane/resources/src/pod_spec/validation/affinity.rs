//! Affinity of pods to nodes and to each other.

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_machinery::tree::{items, number, text};

use super::scheduling::{validate_label_keys, validate_node_selector, validate_node_selector_term};
use crate::rules::{complain, label_name, label_selector, object_at, texts};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub(super) fn validate_affinity(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    let Some(affinity) = object_at(spec, "affinity") else { return };
    if let Some(node) = object_at(affinity, "nodeAffinity") {
        let path = path.child("nodeAffinity");
        if let Some(selector) = object_at(node, REQUIRED) {
            validate_node_selector(errors, selector, &path.child(REQUIRED), true);
        }
        let preferred = path.child(PREFERRED);
        for (index, term) in items(node, PREFERRED).enumerate() {
            let path = preferred.index(index);
            validate_weight(errors, term, &path);
            validate_node_selector_term(errors, &term["preference"], &path.child("preference"), false);
        }
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let Some(pods) = object_at(affinity, kind) else { continue };
        let path = path.child(kind);
        let required = path.child(REQUIRED);
        for (index, term) in items(pods, REQUIRED).enumerate() {
            validate_term(errors, term, &required.index(index));
        }
        let preferred = path.child(PREFERRED);
        for (index, term) in items(pods, PREFERRED).enumerate() {
            let path = preferred.index(index);
            validate_weight(errors, term, &path);
            validate_term(errors, &term["podAffinityTerm"], &path.child("podAffinityTerm"));
        }
    }
}

fn validate_weight(errors: &mut Errors, term: &Value, path: &Path<'_>) {
    let weight = number(term, "weight");
    if !(1..=100).contains(&weight) {
        errors.push(Error::invalid(&path.child("weight"), weight, "must be in the range 1-100"));
    }
}

fn validate_term(errors: &mut Errors, term: &Value, path: &Path<'_>) {
    label_selector(errors, &path.child("labelSelector"), term.get("labelSelector"));
    label_selector(errors, &path.child("namespaceSelector"), term.get("namespaceSelector"));
    for namespace in texts(term, "namespaces") {
        complain(errors, &path.child("namespace"), namespace, names::dns1123_label(namespace));
    }
    validate_label_keys(errors, term, path);
    let key = text(term, "topologyKey");
    if key.is_empty() {
        errors.push(Error::required(&path.child("topologyKey"), "can not be empty"));
    }
    label_name(errors, &path.child("topologyKey"), key);
}
