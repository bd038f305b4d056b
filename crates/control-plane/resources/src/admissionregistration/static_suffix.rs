//! Names that belong to configurations of admission from files of the server, which upstream can have.
//!
//! Source: upstream `pkg/apis/admissionregistration/validation/static_suffix.go`.

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_machinery::tree::text;

const SUFFIX: &str = ".static.k8s.io";

fn detail() -> String {
    format!(
        "names ending with {SUFFIX:?} are reserved for static manifest-based configurations and cannot be managed via the API"
    )
}

fn reserved_name(object: &Value) -> Option<&str> {
    Some(text(&object["metadata"], "name")).filter(|name| name.ends_with(SUFFIX))
}

/// Refuses such a name for a new object.
pub(super) fn validate_static_suffix(errors: &mut Errors, object: &Value) {
    if let Some(name) = reserved_name(object) {
        errors.push(Error::invalid(&Path::new("metadata").child("name"), name, detail()));
    }
}

/// Warns of such a name where an object has it already.
pub(super) fn static_suffix_warning(object: &Value) -> Option<String> {
    reserved_name(object).map(|_| format!("metadata.name: {}", detail()))
}
