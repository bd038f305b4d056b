//! The schema of a version, or of all of them: its root, and in which order its parts are judged.
//!
//! Three readings of the same tree follow one another: is it structural ([`structural`]), are its defaults valid
//! ([`defaults`]), and the rules for each of its nodes ([`open_api`]).

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};

use super::super::go_form;
use super::super::schema::Schema;
use super::demands::{Budgets, Demands};
use super::{defaults, open_api, structural};

/// What a schema may say at its root when the status is a subresource: everything that still holds when the status is judged
/// by `properties.status` alone. As upstream names and orders it.
const ROOT_FIELDS: [(&str, &str); 22] = [
    ("Description", "description"),
    ("Type", "type"),
    ("Format", "format"),
    ("Title", "title"),
    ("Maximum", "maximum"),
    ("ExclusiveMaximum", "exclusiveMaximum"),
    ("Minimum", "minimum"),
    ("ExclusiveMinimum", "exclusiveMinimum"),
    ("MaxLength", "maxLength"),
    ("MinLength", "minLength"),
    ("Pattern", "pattern"),
    ("MaxItems", "maxItems"),
    ("MinItems", "minItems"),
    ("UniqueItems", "uniqueItems"),
    ("MultipleOf", "multipleOf"),
    ("Required", "required"),
    ("Items", "items"),
    ("Properties", "properties"),
    ("ExternalDocs", "externalDocs"),
    ("Example", "example"),
    ("XPreserveUnknownFields", "x-kubernetes-preserve-unknown-fields"),
    ("XValidations", "x-kubernetes-validations"),
];

/// A `CustomResourceValidation`, that of a version; `path` is its own.
pub(super) fn validate(
    errors: &mut Errors,
    validation: &Value,
    version: &str,
    has_status: bool,
    demands: &Demands<'_>,
    path: &Path<'_>,
) {
    let Some(schema) = Schema::of_validation(validation) else { return };
    let path = path.child("openAPIV3Schema");
    let mut found = Errors::new();
    if has_status {
        validate_root_fields(&mut found, schema, &path);
    }
    if schema.is("nullable") {
        found.push(Error::forbidden(&path.child("nullable"), "nullable cannot be true at the root"));
    }
    let conversion_error = demands.structural.then(|| schema.conversion_error()).flatten();
    let is_unchanged = demands.unchanged_schemas.contains(version);
    let budgets = if is_unchanged { Budgets::accepted() } else { demands.budgets.clone() };
    let mut judges_expressions = false;
    if demands.structural && conversion_error.is_none() {
        let before = found.len();
        structural::validate(&mut found, schema, &budgets.schemas, &path);
        if found.len() == before {
            defaults::validate(&mut found, schema, demands.pruned_defaults, &budgets, &path);
        }
        judges_expressions = found.len() == before;
    }
    open_api::validate(&mut found, schema, (judges_expressions, is_unchanged), demands, &budgets, &path);
    // Mostly the nodes' own rules have said it better.
    if let Some(problem) = conversion_error.filter(|_| found.is_empty()) {
        found.push(Error::invalid(&path, "", problem));
    }
    errors.extend(found);
}

fn validate_root_fields(errors: &mut Errors, schema: Schema<'_>, path: &Path<'_>) {
    let refuse_fields = |errors: &mut Errors| {
        let names: Vec<&str> = ROOT_FIELDS.iter().map(|(name, _)| *name).collect();
        let detail = format!(
            "only [{}] fields are allowed at the root of the schema if the status subresource is enabled",
            names.join(" ")
        );
        errors.push_with(|| go_form::invalid(path, &go_form::schema(schema.0), &detail));
    };
    // Upstream reads the fields in the order of its structure, and stops at the first that is wrong.
    if ["id", "$schema", "$ref"].iter().any(|field| schema.at(field).is_some()) {
        refuse_fields(errors);
        return;
    }
    let kind = schema.kind();
    if !matches!(kind, "" | "object") {
        let detail =
            r#"only "object" is allowed as the type at the root of the schema if the status subresource is enabled"#;
        errors.push(Error::invalid(&path.child("type"), kind, detail));
        return;
    }
    let is_allowed = |field: &str| ROOT_FIELDS.iter().any(|(_, allowed)| *allowed == field);
    let fields = schema.0.as_object().into_iter().flatten();
    if fields.into_iter().any(|(field, value)| !value.is_null() && !is_allowed(field)) {
        refuse_fields(errors);
    }
}
