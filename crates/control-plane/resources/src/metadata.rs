//! The rules for `metadata` that all kinds share: what the server fills in, what a client may not change, what is valid.
//!
//! Source: apiserver `registry/rest` (BeforeCreate, BeforeUpdate), apimachinery `api/validation/objectmeta.go`.

use std::collections::HashSet;

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path, complaints};
use windlass_api::well_known::finalizer;
use windlass_api::{Chance, GroupVersion, names, time};

use crate::{Moment, Resource, StatusMetadata, rules};
use windlass_machinery::names::{generate, new_uid};
use windlass_machinery::tree::{child, items, keep, put, remove, text};

const IMMUTABLE: &str = "field is immutable";

/// Clears what the server alone decides about a new object, before anybody looks at it.
pub(crate) fn wipe_system_fields(object: &mut Value) {
    let metadata = child(object, "metadata");
    for field in ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
        remove(metadata, field);
    }
}

/// Removes owner references that stand in the list more than once; returns the uids of those.
pub(crate) fn deduplicate_owners(object: &mut Value) -> Vec<String> {
    let owners = object.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut);
    let Some(owners) = owners else { return Vec::new() };
    let mut repeated = Vec::new();
    let mut seen: HashSet<Value> = HashSet::with_capacity(owners.len());
    owners.retain(|owner| {
        let is_new = seen.insert(owner.clone());
        if !is_new {
            repeated.push(text(owner, "uid").to_owned());
        }
        is_new
    });
    repeated
}

/// Fills in what every new object gets.
pub(crate) fn prepare_create(object: &mut Value, resource: &Resource, moment: Moment, chance: &Chance) {
    let metadata = child(object, "metadata");
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"] {
        remove(metadata, field);
    }
    if text(metadata, "name").is_empty() && !text(metadata, "generateName").is_empty() {
        let name = generate(text(metadata, "generateName"), chance);
        put(metadata, "name", name);
    }
    put(metadata, "uid", new_uid(chance));
    put(metadata, "creationTimestamp", time::rfc3339(moment.now));
    if resource.counts_generations {
        put(metadata, "generation", 1);
    }
}

/// Puts back what the server alone decides.
pub(crate) fn prepare_update(object: &mut Value, old: &Value) {
    let metadata = child(object, "metadata");
    let old_metadata = &old["metadata"];
    for field in ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        if metadata.get(field).is_none_or(Value::is_null) {
            keep(metadata, old_metadata, field);
        }
    }
    remove(metadata, "selfLink");
    keep(metadata, old_metadata, "generation");
}

/// Counts one generation more when an update makes a new one. An update of the status never does.
pub(crate) fn count_generation(object: &mut Value, old: &Value, resource: &Resource) {
    if resource.counts_generations && resource.strategy.is_new_generation(object, old) {
        let generation = windlass_machinery::tree::number(&old["metadata"], "generation");
        put(child(object, "metadata"), "generation", generation + 1);
    }
}

/// Puts back what an update of the status does not change of the metadata.
pub(crate) fn reset_for_status(object: &mut Value, old: &Value, changes: StatusMetadata) {
    let fields: &[&str] = match changes {
        StatusMetadata::All => &["ownerReferences"],
        StatusMetadata::AllButLabels => &["ownerReferences", "labels"],
        StatusMetadata::Nothing => {
            &["deletionTimestamp", "generation", "labels", "annotations", "finalizers", "ownerReferences"]
        }
    };
    let metadata = child(object, "metadata");
    fields.iter().for_each(|field| keep(metadata, &old["metadata"], field));
}

pub(crate) fn validate(object: &Value, resource: &Resource) -> Errors {
    let path = Path::new("metadata");
    let metadata = &object["metadata"];
    let mut errors = Errors::new();
    let generate = text(metadata, "generateName");
    if !generate.is_empty() {
        let problems = names::prefix_of(resource.name_rule, generate);
        errors.extend(complaints(&path.child("generateName"), generate, problems));
    }
    match text(metadata, "name") {
        "" => errors.push(Error::required(&path.child("name"), "name or generateName is required")),
        name => errors.extend(complaints(&path.child("name"), name, (resource.name_rule)(name))),
    }
    match (resource.is_namespaced(), text(metadata, "namespace")) {
        (true, "") => errors.push(Error::required(&path.child("namespace"), "")),
        (true, namespace) => {
            let problems = names::dns1123_label(namespace);
            errors.extend(complaints(&path.child("namespace"), namespace, problems));
        }
        (false, "") => {}
        (false, _) => errors.push(Error::forbidden(&path.child("namespace"), "not allowed on this type")),
    }
    validate_common(metadata, &path, &mut errors, resource);
    errors
}

pub(crate) const UNQUALIFIED_FINALIZER: &str = "name is neither a standard finalizer name nor is it fully qualified";

/// Whether a finalizer has a domain, or is one of those that need none.
pub(crate) fn is_qualified_finalizer(name: &str) -> bool {
    name.contains('/') || [finalizer::KUBERNETES, finalizer::ORPHAN, finalizer::FOREGROUND].contains(&name)
}

pub(crate) fn validate_update(object: &Value, old: &Value, resource: &Resource) -> Errors {
    let path = Path::new("metadata");
    let (metadata, old_metadata) = (&object["metadata"], &old["metadata"]);
    let mut errors = Errors::new();
    let immutable =
        ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"];
    for field in immutable {
        let (new, old) = (metadata.get(field), old_metadata.get(field));
        if new != old {
            errors.push(Error::invalid(&path.child(field), new.cloned().unwrap_or_default(), IMMUTABLE));
        }
    }
    if old_metadata.get("deletionTimestamp").is_some() {
        let before: HashSet<&Value> = items(old_metadata, "finalizers").collect();
        let extra: Vec<&str> = items(metadata, "finalizers")
            .filter(|finalizer| !before.contains(finalizer))
            .filter_map(Value::as_str)
            .collect();
        if !extra.is_empty() {
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                extra.iter().map(|f| format!("{f:?}")).collect::<Vec<_>>().join(", ")
            );
            errors.push(Error::forbidden(&path.child("finalizers"), detail));
        }
    }
    if resource.is_namespaced() && text(metadata, "namespace").is_empty() {
        errors.push(Error::required(&path.child("namespace"), ""));
    }
    validate_common(metadata, &path, &mut errors, resource);
    errors
}

fn validate_common(metadata: &Value, path: &Path<'_>, errors: &mut Errors, resource: &Resource) {
    rules::labels_and_annotations(errors, metadata, path);
    validate_owners(metadata, &path.child("ownerReferences"), errors);
    validate_finalizers(metadata, &path.child("finalizers"), errors);
    if resource.qualifies_finalizers {
        let finalizers = path.child("finalizers");
        for (index, name) in items(metadata, "finalizers").filter_map(Value::as_str).enumerate() {
            if !is_qualified_finalizer(name) {
                errors.push(Error::invalid(&finalizers.index(index), name, UNQUALIFIED_FINALIZER));
            }
        }
    }
}

fn validate_owners(metadata: &Value, path: &Path<'_>, errors: &mut Errors) {
    let mut controller: Option<String> = None;
    for (index, owner) in items(metadata, "ownerReferences").enumerate() {
        let owner_path = path.index(index);
        let api_version = text(owner, "apiVersion");
        if api_version.is_empty() {
            errors.push(Error::required(&owner_path.child("apiVersion"), "must not be empty"));
        } else if GroupVersion::parse(api_version).is_none() {
            let detail = "must be <group>/<version> or <version>";
            errors.push(Error::invalid(&owner_path.child("apiVersion"), api_version, detail));
        }
        for field in ["kind", "name", "uid"] {
            if text(owner, field).is_empty() {
                errors.push(Error::required(&owner_path.child(field), "must not be empty"));
            }
        }
        if api_version == "v1" && text(owner, "kind") == "Event" {
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            errors.push(Error::invalid(&owner_path, owner.clone(), detail));
        }
        if owner.get("controller") == Some(&Value::Bool(true)) {
            let this = format!("{}/{}", text(owner, "kind"), text(owner, "name"));
            match &controller {
                Some(first) => errors.push_with(|| {
                    let detail = format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {first} and \
                         {this}"
                    );
                    Error::invalid(path, metadata["ownerReferences"].clone(), detail)
                }),
                None => controller = Some(this),
            }
        }
    }
}

fn validate_finalizers(metadata: &Value, path: &Path<'_>, errors: &mut Errors) {
    let (mut orphan, mut foreground) = (false, false);
    for finalizer in items(metadata, "finalizers").filter_map(Value::as_str) {
        errors.extend(complaints(path, finalizer, names::qualified_name(finalizer)));
        orphan |= finalizer == "orphan";
        foreground |= finalizer == "foregroundDeletion";
    }
    if orphan && foreground {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.push(Error::invalid(path, metadata["finalizers"].clone(), detail));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config_map() -> Resource {
        crate::core::config_map::resource()
    }

    fn moment() -> Moment {
        Moment { now: jiff::Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn a_new_object() {
        let mut object =
            json!({"metadata": {"generateName": "a-", "namespace": "ns", "generation": 7, "deletionTimestamp": "x"}});
        prepare_create(&mut object, &config_map(), moment(), &Chance::system());
        let metadata = &object["metadata"];
        assert!(text(metadata, "name").starts_with("a-"));
        assert_eq!((text(metadata, "namespace"), text(metadata, "creationTimestamp")), ("ns", "1970-01-01T00:00:00Z"));
        assert!(metadata.get("generation").is_none() && metadata.get("deletionTimestamp").is_none());
        assert!(validate(&object, &config_map()).is_empty());
    }

    #[test]
    fn generations_follow_the_content() {
        let deployment = Resource { counts_generations: true, ..config_map() };
        let old = json!({"metadata": {"generation": 3, "uid": "u"}, "spec": {"a": 1}, "status": {}});
        for (content, generation) in [
            (json!({"metadata": {"labels": {}}, "spec": {"a": 1}, "status": {"x": 1}}), 3),
            (json!({"metadata": {"generation": 9}, "spec": {"a": 2}}), 4),
        ] {
            let mut object = content;
            prepare_update(&mut object, &old);
            count_generation(&mut object, &old, &deployment);
            assert_eq!(object["metadata"]["generation"], generation);
            assert_eq!(object["metadata"]["uid"], "u");
        }
    }

    #[test]
    fn complaints_about_metadata() {
        let problems = |metadata: Value| -> Vec<String> {
            let object = json!({"metadata": metadata});
            validate(&object, &config_map()).iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            problems(json!({"namespace": "a"})),
            ["metadata.name: Required value: name or generateName is required"]
        );
        assert!(
            problems(json!({"name": "A", "namespace": "a"}))[0]
                .starts_with("metadata.name: Invalid value: \"A\": a lowercase RFC 1123 subdomain")
        );
        assert!(
            problems(json!({"name": "a", "namespace": "a", "labels": {"a": "b c"}}))[0]
                .starts_with("metadata.labels: Invalid value: \"b c\"")
        );
        let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": true});
        assert!(
            problems(json!({"name": "a", "namespace": "a", "ownerReferences": [owner, owner]}))[0]
                .contains("Only one reference can have Controller")
        );
        assert!(
            problems(json!({"name": "a", "namespace": "a", "finalizers": ["orphan", "foregroundDeletion"]}))[0]
                .contains("cannot be both set")
        );
    }

    #[test]
    fn what_an_update_may_not_change() {
        let old = json!({"metadata": {"name": "a", "namespace": "n", "uid": "u", "deletionTimestamp": "t", "finalizers": ["a/b"]}});
        let mut new = old.clone();
        new["metadata"]["uid"] = json!("v");
        new["metadata"]["finalizers"] = json!(["a/b", "a/c"]);
        let problems: Vec<String> =
            validate_update(&new, &old, &config_map()).iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            [
                "metadata.uid: Invalid value: \"v\": field is immutable",
                "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new \
                 finalizers []string{\"a/c\"}",
            ]
        );
    }
}
