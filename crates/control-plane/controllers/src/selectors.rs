//! Selectors as they stand in specs.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use windlass_api::Status;
use windlass_api::k8s::apimachinery::pkg::apis::meta::v1::LabelSelector;
use windlass_api::labels::Selector;

/// Reads a `LabelSelector`; an absent one selects nothing.
pub(crate) fn selector_of_structure(value: &Value) -> Result<Selector, Status> {
    let structure = Option::<LabelSelector>::deserialize(value).map_err(Status::internal)?;
    Selector::from_structure(structure.as_ref()).map_err(Status::internal)
}

/// Reads a map of labels that must all be there; an absent or empty one selects nothing.
pub(crate) fn selector_of_map(value: &Value) -> Result<Selector, Status> {
    let labels = Option::<BTreeMap<String, String>>::deserialize(value).map_err(Status::internal)?;
    Ok(match labels.filter(|labels| !labels.is_empty()) {
        Some(labels) => Selector::from_map(&labels),
        None => Selector::nothing(),
    })
}
