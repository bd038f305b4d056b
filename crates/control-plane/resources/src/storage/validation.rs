//! What StorageClasses and VolumeAttributesClasses have in common: a driver and its parameters.

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_machinery::tree::text;

use crate::rules::{complain, map_at};

const MOST_PARAMETERS: usize = 512;
const MOST_BYTES: usize = 256 * 1024;

/// The name of a driver, if it is there.
pub(super) fn validate_driver(errors: &mut Errors, object: &Value, field: &str) {
    let name = text(object, field).to_lowercase();
    if !name.is_empty() {
        complain(errors, &Path::new(field), &name, names::qualified_name(&name));
    }
}

pub(super) fn validate_parameters(errors: &mut Errors, object: &Value, may_be_empty: bool) {
    let path = Path::new("parameters");
    let parameters = map_at(object, "parameters");
    let count = parameters.map_or(0, serde_json::Map::len);
    if count > MOST_PARAMETERS {
        errors.push(Error::too_long(&path, MOST_PARAMETERS));
        return;
    }
    let mut size = 0;
    for (name, value) in parameters.into_iter().flatten() {
        if name.is_empty() {
            errors.push(Error::invalid(&path, "", "field can not be empty."));
        }
        size += name.len() + value.as_str().map_or(0, str::len);
    }
    if size > MOST_BYTES {
        errors.push(Error::too_long(&path, MOST_BYTES));
    }
    if !may_be_empty && count == 0 {
        errors.push(Error::required(&path, "must contain at least one key/value pair"));
    }
}
