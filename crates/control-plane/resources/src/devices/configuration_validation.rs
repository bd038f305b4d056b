//! What is wrong with the configuration of devices, which their driver understands.

use serde_json::Value;
use windlass_api::field::{Error, Path};
use windlass_machinery::tree::text;

use super::complaints::Complaints;
use crate::rules::{at, driver_name, object_at};

pub(super) const CONFIGURATIONS_MAX: usize = 32;
const PARAMETERS_BYTES_MAX: usize = 10 << 10;

/// A configuration; one that is stored already may be longer than new ones.
pub(super) fn validate_configuration(found: &mut Complaints, config: &Value, path: &Path<'_>, is_new: bool) {
    let path = path.child("opaque");
    let Some(opaque) = object_at(config, "opaque") else {
        found.coded.push(Error::required(&path, ""));
        return;
    };
    let parameters = path.child("parameters");
    match at(opaque, "parameters") {
        None => found.coded.push(Error::required(&parameters, "")),
        Some(value) if is_new && value.to_string().len() > PARAMETERS_BYTES_MAX => {
            found.coded.push(Error::too_long(&parameters, PARAMETERS_BYTES_MAX));
        }
        Some(Value::Object(_)) => {}
        Some(_) => found.coded.push(Error::invalid(&parameters, "<value omitted>", "must be a valid JSON object")),
    }
    driver_name(&mut found.declared, text(opaque, "driver"), &path.child("driver"));
}
