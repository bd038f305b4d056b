//! The versions of a definition: names, deprecation, and what each serves beside the objects themselves.

use std::collections::HashSet;

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::text::is_printable;
use windlass_machinery::tree::{items, text};

use crate::rules::{at, is_true, object_at, required};

use super::super::layout::{Layout, Part};
use super::super::schema::Schema;
use super::demands::Demands;
use super::schema;
use crate::definition::rules::field_path;

const COLUMN_TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: [&str; 8] = ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];
const DEPRECATION_BYTES_MAX: usize = 256;
pub(super) const SELECTABLE_FIELDS_MAX: usize = 8;

/// What a version has for itself.
pub(super) fn validate_version<'a>(
    errors: &mut Errors,
    layout: &Layout<'a>,
    version: &'a Value,
    path: &Path<'_>,
    demands: &Demands<'_>,
) {
    validate_deprecation(errors, version, path);
    if let Some(validation) = layout.own(version, Part::Schema) {
        let has_status = has_status(Part::Subresources.of(version));
        let name = text(version, "name");
        schema::validate(errors, validation, name, has_status, demands, &path.child("schema"));
    }
    validate_subresources(errors, layout.own(version, Part::Subresources), &path.child("subresources"));
    if layout.own(version, Part::Columns).is_some() {
        validate_columns(errors, version, &path.child("additionalPrinterColumns"));
    }
    if layout.own(version, Part::SelectableFields).is_some() {
        let schema = layout.own(version, Part::Schema).and_then(Schema::of_validation);
        let fields = path.child("selectableFields");
        match schema {
            // Upstream's words have a "not" too many.
            None if items(version, "selectableFields").next().is_some() => {
                let detail = "may only be set when `version.schema.openAPIV3Schema` is not included";
                errors.push(Error::invalid(&fields, "", detail));
            }
            schema => {
                let may_be_many = demands.too_many_fields.contains(text(version, "name"));
                validate_selectable_fields(errors, version, schema, path, may_be_many);
            }
        }
    }
}

/// Whether subresources have a status.
pub(super) fn has_status(subresources: Option<&Value>) -> bool {
    subresources.is_some_and(|subresources| object_at(subresources, "status").is_some())
}

fn validate_deprecation(errors: &mut Errors, version: &Value, path: &Path<'_>) {
    let Some(warning) = at(version, "deprecationWarning").and_then(Value::as_str) else { return };
    let path = path.child("deprecationWarning");
    let mut refuse = |detail: String| errors.push(Error::invalid(&path, warning, detail));
    if !is_true(version, "deprecated") {
        refuse("can only be set for deprecated versions".to_owned());
        return;
    }
    if warning.len() > DEPRECATION_BYTES_MAX {
        refuse(format!("must be <= {DEPRECATION_BYTES_MAX} characters long"));
    }
    if warning.is_empty() {
        refuse("must not be an empty string".to_owned());
    }
    if let Some((at, _)) = warning.char_indices().find(|(_, character)| !is_printable(*character)) {
        refuse(format!("must only contain printable UTF-8 characters; non-printable character found at index {at}"));
    }
}

pub(super) fn validate_subresources(errors: &mut Errors, subresources: Option<&Value>, path: &Path<'_>) {
    let Some(scale) = subresources.and_then(|subresources| object_at(subresources, "scale")) else { return };
    let fields = [
        ("specReplicasPath", "scale.specReplicasPath", &[".spec."] as &[&str], "should be a json path under .spec"),
        ("statusReplicasPath", "scale.statusReplicasPath", &[".status."], "should be a json path under .status"),
        (
            "labelSelectorPath",
            "scale.labelSelectorPath",
            &[".spec.", ".status."],
            "should be a json path under either .spec or .status",
        ),
    ];
    for (field, shown, roots, detail) in fields {
        let (value, path) = (text(scale, field), path.child(shown));
        if value.is_empty() {
            if field != "labelSelectorPath" {
                errors.push(Error::required(&path, ""));
            }
        } else if validate_simple_path(errors, value, &path) && !roots.iter().any(|root| value.starts_with(root)) {
            errors.push(Error::invalid(&path, value, detail));
        }
    }
}

/// A JSON path that is only fields and dots, as far as upstream looks; whether it is.
fn validate_simple_path(errors: &mut Errors, value: &str, path: &Path<'_>) -> bool {
    let is_simple = value.starts_with('.');
    if !is_simple {
        errors.push(Error::invalid(path, value, "must be a simple json path starting with ."));
    }
    is_simple
}

/// The columns of a version, or of all of them.
pub(super) fn validate_columns(errors: &mut Errors, owner: &Value, path: &Path<'_>) {
    for (index, column) in items(owner, "additionalPrinterColumns").enumerate() {
        let path = path.index(index);
        required(errors, column, &path, "name");
        let (kind, format, json_path) = (text(column, "type"), text(column, "format"), text(column, "jsonPath"));
        let types = || format!("must be one of {}", COLUMN_TYPES.join(","));
        if kind.is_empty() {
            errors.push(Error::required(&path.child("type"), types()));
        } else if !COLUMN_TYPES.contains(&kind) {
            errors.push(Error::invalid(&path.child("type"), kind, types()));
        }
        if !format.is_empty() && !COLUMN_FORMATS.contains(&format) {
            let detail = format!("must be one of {}", COLUMN_FORMATS.join(","));
            errors.push(Error::invalid(&path.child("format"), format, detail));
        }
        // Upstream calls the field so.
        let path = path.child("JSONPath");
        if json_path.is_empty() {
            errors.push(Error::required(&path, ""));
        } else {
            validate_simple_path(errors, json_path, &path);
        }
    }
}

/// The selectable fields of a version, or of all of them. `path` is that of their owner.
pub(super) fn validate_selectable_fields(
    errors: &mut Errors,
    owner: &Value,
    schema: Option<Schema<'_>>,
    path: &Path<'_>,
    may_be_many: bool,
) {
    let fields = path.child("selectableFields");
    let problem = schema.and_then(Schema::conversion_error);
    if let Some(problem) = problem {
        errors.push(Error::invalid(&path.child("schema.openAPIV3Schema"), "", problem));
    }
    let schema = schema.filter(|_| problem.is_none());
    let mut seen = HashSet::new();
    for (index, field) in items(owner, "selectableFields").enumerate() {
        let path = fields.index(index);
        let found = validate_selectable_field(errors, field, schema, &path);
        if found.is_some_and(|found| !seen.insert(found)) {
            errors.push(Error::duplicate(&path.child("jsonPath"), text(field, "jsonPath")));
        }
    }
    if seen.len() > SELECTABLE_FIELDS_MAX && !may_be_many {
        errors.push(Error::too_many(&fields, seen.len(), SELECTABLE_FIELDS_MAX));
    }
}

/// Returns the path that the field means, if there is one.
fn validate_selectable_field(
    errors: &mut Errors,
    field: &Value,
    schema: Option<Schema<'_>>,
    path: &Path<'_>,
) -> Option<String> {
    if !required(errors, field, path, "jsonPath") {
        return None;
    }
    let (path, json_path) = (path.child("jsonPath"), text(field, "jsonPath"));
    let mut refuse = |detail: &str| errors.push(Error::invalid(&path, json_path, detail));
    let found = match field_path::find(json_path, schema.map(|schema| schema.0), false) {
        Ok(found) => found,
        Err(problem) => {
            refuse(&format!("is an invalid path: {problem}"));
            return None;
        }
    };
    if found.root == "metadata" {
        refuse("must not point to fields in metadata");
    }
    if !found.schema.is_some_and(|schema| matches!(Schema(schema).kind(), "string" | "boolean" | "integer")) {
        refuse(
            "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are \
             allowed.",
        );
    }
    Some(found.path)
}
