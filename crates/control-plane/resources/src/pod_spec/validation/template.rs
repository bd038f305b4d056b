//! Templates of pods, in every workload kind.

use serde_json::{Map, Value};
use windlass_api::field::{Error, Errors, Path};
use windlass_machinery::tree::items;

use super::{Subject, validate_annotations, validate_profiles_match, validate_spec};
use crate::rules;

pub(crate) fn validate_template(errors: &mut Errors, template: &Value, path: &Path<'_>) {
    let empty = Value::Object(Map::new());
    let metadata = template.get("metadata").unwrap_or(&empty);
    let spec = template.get("spec").unwrap_or(&empty);
    // The path of the labels is the template's, not its metadata's, as it always was.
    rules::labels(errors, path, metadata, "labels");
    rules::annotations(errors, path, metadata);
    let annotations = path.child("annotations");
    validate_annotations(errors, metadata, spec, &annotations);
    let spec_path = path.child("spec");
    validate_spec(errors, spec, &spec_path, Subject { pod: None });
    validate_profiles_match(errors, metadata, spec, &spec_path);
    if items(spec, "ephemeralContainers").next().is_some() {
        let detail = "ephemeral containers not allowed in pod template";
        errors.push(Error::forbidden(&spec_path.child("ephemeralContainers"), detail));
    }
}
