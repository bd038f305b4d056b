//! A definition as a whole: its spec, its status, and what an update may not change.
//!
//! Source: upstream `apiextensions/validation/validation.go`.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_machinery::tree::{items, text};

use crate::rules::{IMMUTABLE, is_true, required_of, texts};

use super::super::go_form;
use super::super::layout::{Layout, Part};
use super::super::schema::Schema;
use super::demands::Demands;
use super::ratcheting::demands_after;
use super::{conversion, names, schema, versions};
use crate::definition::approval;

pub(in super::super) fn validate_create(definition: &Value) -> Errors {
    let mut errors = Errors::new();
    let layout = Layout::of(definition);
    names::validate_own_name(&mut errors, definition);
    validate_spec(&mut errors, &layout, &Demands::of_new());
    validate_beside_spec(&mut errors, definition, None);
    errors
}

pub(in super::super) fn validate_update(definition: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    let layout = Layout::of(definition);
    let demands = demands_after(old, &layout);
    validate_spec(&mut errors, &layout, &demands);
    validate_unchanged(&mut errors, layout.spec, &old["spec"], demands.immutable_names);
    validate_beside_spec(&mut errors, definition, Some(old));
    errors
}

/// After an update of the status. Versions that are stored no longer may leave the list.
pub(in super::super) fn validate_status(definition: &Value) -> Errors {
    let mut errors = Errors::new();
    let status = Path::new("status");
    names::validate_names(&mut errors, &definition["status"]["acceptedNames"], &status.child("acceptedNames"));
    errors
}

fn validate_beside_spec(errors: &mut Errors, definition: &Value, old: Option<&Value>) {
    errors.extend(validate_status(definition));
    validate_stored_versions(errors, definition);
    approval::validate(errors, definition, old);
    let preserves = |definition: &Value| is_true(&definition["spec"], "preserveUnknownFields");
    if preserves(definition) && !old.is_some_and(preserves) {
        let spec = Path::new("spec");
        let detail =
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.push(Error::invalid(&spec.child("preserveUnknownFields"), true, detail));
    }
}

fn validate_spec(errors: &mut Errors, layout: &Layout<'_>, demands: &Demands<'_>) {
    let (spec, path) = (layout.spec, Path::new("spec"));
    names::validate_group(errors, spec, &path);
    required_of(errors, &path.child("scope"), text(spec, "scope"), &["Cluster", "Namespaced"]);
    let mut demands = demands.clone();
    validate_schemas_exist(errors, layout, &demands, &path);
    let has_defaults = layout.any(&|schema| schema.at("default").is_some());
    if has_defaults && layout.preserves_unknown_fields() {
        let detail = "must be false in order to use defaults in the schema";
        errors.push(Error::invalid(&path.child("preserveUnknownFields"), true, detail));
    }
    demands.structural |=
        has_defaults || !layout.preserves_unknown_fields() || layout.any(&|schema| schema.has_extensions());
    validate_versions(errors, layout, &demands, &path);
    names::require_names(errors, &spec["names"], &path.child("names"));
    names::validate_names(errors, &spec["names"], &path.child("names"));
    validate_shared(errors, layout, &demands, &path);
    conversion::validate(errors, layout, &demands, &path);
}

fn validate_schemas_exist(errors: &mut Errors, layout: &Layout<'_>, demands: &Demands<'_>, path: &Path<'_>) {
    let versions = path.child("versions");
    for (index, version) in layout.versions.iter().enumerate() {
        let validation = Part::Schema.of(version);
        if validation.and_then(Schema::of_validation).is_some() {
            continue;
        }
        let path = versions.index(index);
        let path = path.child("schema");
        let path = path.child("openAPIV3Schema");
        if demands.schemas {
            errors.push(Error::required(&path, ""));
        } else if !layout.preserves_unknown_fields() && is_true(version, "served") {
            errors.push(Error::required(&path, "because otherwise all fields are pruned"));
        }
    }
}

/// The versions for themselves, and that exactly one of them is stored.
fn validate_versions(errors: &mut Errors, layout: &Layout<'_>, demands: &Demands<'_>, path: &Path<'_>) {
    let versions_path = path.child("versions");
    for (index, version) in layout.versions.iter().enumerate() {
        let path = versions_path.index(index);
        names::label(errors, text(version, "name"), &path.child("name"));
        versions::validate_version(errors, layout, version, &path, demands);
    }
    let mut seen = HashSet::new();
    let is_unique = layout.versions.iter().all(|version| seen.insert(text(version, "name")));
    let stored = layout.versions.iter().filter(|version| is_true(version, "storage")).count();
    for (is_wrong, detail) in [
        (!is_unique, "must contain unique version names"),
        (stored != 1, "must have exactly one version marked as storage version"),
    ] {
        if is_wrong {
            errors.push_with(|| go_form::invalid(&versions_path, &go_form::versions(layout), detail));
        }
    }
    // The internal form repeats the name of the first.
    if let Some(name) = layout.versions.first().map(|version| text(version, "name")).filter(|name| !name.is_empty()) {
        names::label(errors, name, &path.child("version"));
    }
}

/// What all versions have alike.
fn validate_shared(errors: &mut Errors, layout: &Layout<'_>, demands: &Demands<'_>, path: &Path<'_>) {
    let validation = layout.shared(Part::Schema);
    if let Some(validation) = validation {
        let has_status = layout.versions.iter().any(|v| versions::has_status(Part::Subresources.of(v)));
        let first = layout.versions.first().map_or("", |version| text(version, "name"));
        schema::validate(errors, validation, first, has_status, demands, &path.child("validation"));
    }
    versions::validate_subresources(errors, layout.shared(Part::Subresources), &path.child("subresources"));
    let Some(first) = layout.versions.first() else { return };
    if layout.shared(Part::Columns).is_some() {
        versions::validate_columns(errors, first, &path.child("additionalPrinterColumns"));
    }
    if layout.shared(Part::SelectableFields).is_none() {
        return;
    }
    match validation {
        None => {
            let detail = "may only be set when validations.schema is included";
            errors.push(Error::invalid(&path.child("selectableFields"), "", detail));
        }
        Some(validation) => {
            let schema = Schema::of_validation(validation);
            let may_be_many = demands.too_many_fields.contains("");
            versions::validate_selectable_fields(errors, first, schema, path, may_be_many);
        }
    }
}

fn validate_unchanged(errors: &mut Errors, spec: &Value, old: &Value, names_too: bool) {
    let path = Path::new("spec");
    let names_path = path.child("names");
    let (names, old_names) = (&spec["names"], &old["names"]);
    let fields = [
        (names_too, path.child("scope"), text(spec, "scope"), text(old, "scope")),
        (names_too, names_path.child("kind"), text(names, "kind"), text(old_names, "kind")),
        (true, path.child("group"), text(spec, "group"), text(old, "group")),
        (true, names_path.child("plural"), text(names, "plural"), text(old_names, "plural")),
    ];
    for (is_asked, path, new, old) in fields {
        if is_asked && new != old {
            errors.push(Error::invalid(&path, new, IMMUTABLE));
        }
    }
}

/// Every version in which objects lie in the store is still there.
fn validate_stored_versions(errors: &mut Errors, definition: &Value) {
    let status = Path::new("status");
    let path = status.child("storedVersions");
    let list = &definition["status"]["storedVersions"];
    let stored = texts(&definition["status"], "storedVersions").enumerate();
    let mut missing: HashMap<&str, usize> = stored.map(|(index, name)| (name, index)).collect();
    if missing.is_empty() {
        errors.push(Error::invalid(&path, list.clone(), "must have at least one stored version"));
        return;
    }
    for version in items(&definition["spec"], "versions") {
        let name = text(version, "name");
        // The second version of a name is missing, too.
        if missing.remove(name).is_none() && is_true(version, "storage") {
            errors.push_with(|| Error::invalid(&path, list.clone(), format!("must have the storage version {name}")));
        }
    }
    let mut missing: Vec<(usize, &str)> = missing.into_iter().map(|(name, index)| (index, name)).collect();
    missing.sort_unstable();
    for (index, name) in missing {
        let detail = format!(
            "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a \
             storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
        );
        errors.push(Error::invalid(&path.index(index), name, detail));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn definition(schema: Value) -> Value {
        let version = json!({"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}});
        json!({
            "metadata": {"name": "cats.a.b"},
            "spec": {
                "group": "a.b", "scope": "Cluster", "versions": [version],
                "names": {"plural": "cats", "singular": "cat", "kind": "Cat", "listKind": "CatList"}
            },
            "status": {"storedVersions": ["v1"]}
        })
    }

    #[test]
    fn large_definitions() {
        let properties = |schema: Value| -> serde_json::Map<String, Value> {
            (0..20_000).map(|number| (format!("p{number}"), schema.clone())).collect()
        };
        let fine = definition(json!({"type": "object", "properties": properties(json!({"type": "string"}))}));
        assert_eq!(validate_create(&fine).to_vec(), []);
        assert_eq!(validate_update(&fine, &fine).to_vec(), []);
        let wrong =
            definition(json!({"type": "object", "properties": properties(json!({"type": "x", "pattern": "("}))}));
        let errors = validate_create(&wrong);
        assert!(errors.is_full() && errors.len() < 20_000, "{} errors", errors.len());
    }

    /// Ten kilobytes of such patterns took half a minute and gigabytes.
    #[test]
    fn patterns_of_all_versions_have_a_budget() {
        let schema = |numbers: std::ops::Range<usize>| {
            let property = |number| json!({"type": "string", "pattern": format!(r"\pL{{100}}{number}")});
            let properties: serde_json::Map<String, Value> =
                numbers.map(|number| (format!("p{number}"), property(number))).collect();
            json!({"type": "object", "properties": properties})
        };
        let fine = definition(schema(0..4));
        assert_eq!(validate_create(&fine).to_vec(), []);
        let mut two = fine.clone();
        let version =
            json!({"name": "v2", "served": true, "storage": false, "schema": {"openAPIV3Schema": schema(2..8)}});
        two["spec"]["versions"].as_array_mut().unwrap().push(version);
        let errors: Vec<String> = validate_create(&two).iter().map(ToString::to_string).collect();
        let field = |number| format!("spec.versions[1].schema.openAPIV3Schema.properties[p{number}].pattern");
        let expected = [5, 6, 7].map(|number| {
            let pattern = format!(r"\pL{{100}}{number}");
            let why = "regular expressions of this definition are too large together";
            format!("{}: Invalid value: {pattern:?}: {why}: `{pattern}`", field(number))
        });
        assert_eq!(errors, expected);
        // Who has it already may keep it, and may not add to it.
        assert_eq!(validate_update(&two, &two).to_vec(), []);
        let one =
            definition(json!({"type": "object", "properties": {"p": {"type": "string", "pattern": r"\pL{999}"}}}));
        let error = validate_create(&one).to_vec().remove(0);
        assert_eq!(error.detail, r"error parsing regexp: expression too large: `\pL{999}`");
        assert_eq!(validate_update(&one, &one).to_vec(), []);
        assert_eq!(validate_update(&one, &fine).len(), 1);
    }

    #[test]
    fn patterns_of_rules_have_a_budget() {
        let rules: Vec<Value> =
            (0..150).map(|number| json!({"rule": format!(r"self.matches('\\pL{{90}}{number}')")})).collect();
        let node = json!({"type": "string", "maxLength": 10, "x-kubernetes-validations": rules});
        let large = definition(json!({"type": "object", "properties": {"p": node}}));
        let errors = validate_create(&large).to_vec();
        assert_eq!(errors.len(), 144);
        let why = "program instantiation failed: regular expressions of this definition are too large together";
        assert!(errors[0].detail.ends_with(&format!(r"{why}: `\pL{{90}}6`")), "{}", errors[0].detail);
        assert_eq!(errors[0].field, "spec.validation.openAPIV3Schema.properties[p].x-kubernetes-validations[6].rule");
        assert_eq!(validate_update(&large, &large).to_vec(), []);
    }

    #[test]
    fn deep_definitions() {
        let mut schema = json!({"type": "string", "x-kubernetes-validations": [{"rule": "", "fieldPath": ".a"}]});
        for _ in 0..50 {
            schema = json!({"type": "object", "properties": {"a": schema},
                "x-kubernetes-validations": [{"rule": "true", "fieldPath": ".a.a.a"}], "not": {"properties": {"a": {}}}});
        }
        let details: Vec<String> =
            validate_create(&definition(schema)).iter().map(|error| error.detail.clone()).collect();
        assert_eq!(details[0], "rule is not specified");
        // The three innermost paths lead nowhere.
        assert_eq!(details[1..], ["must be a valid path"; 3]);
    }

    #[test]
    fn trees_that_no_schema_made() {
        for spec in
            [json!(null), json!([]), json!({"versions": [null, 1, {"schema": []}], "names": 7, "conversion": []})]
        {
            let wild = json!({"metadata": [], "spec": spec, "status": "x"});
            assert!(!validate_create(&wild).is_empty());
            assert!(!validate_update(&wild, &wild).is_empty());
        }
    }
}
