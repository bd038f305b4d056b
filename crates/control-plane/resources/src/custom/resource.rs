//! From a definition to the resources that it describes, one for each version that is served.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use windlass_api::{GroupVersionKind, names, version_order};

use super::columns::{age, column};
use super::strategy::CustomResource;
use crate::columns::Column;
use crate::definition::CustomSchema;
use crate::definition::Forms;
use crate::definition::rules::TypeMeta;
use crate::definition::{Definition, Names, PrinterColumn, Version};
use crate::resource::{ScalePaths, SchemaRef, SelectableField};
use crate::{Resource, Scope, StatusMetadata, Subresource, Verbs};

/// The resources of a definition, whose bytes hold their schemas.
pub fn resources(definition: &Definition, bytes: &Bytes) -> Vec<Resource> {
    if !definition.is_served() {
        return Vec::new();
    }
    let served = definition.spec.versions.iter().filter(|version| version.served);
    served.map(|version| resource(definition, version, bytes)).collect()
}

/// The resource in the version in which objects are stored, whether that is served or not.
pub fn stored_resource(definition: &Definition, bytes: &Bytes) -> Option<Resource> {
    let version = definition.spec.versions.iter().find(|version| version.storage)?;
    Some(resource(definition, version, bytes))
}

fn resource(definition: &Definition, version: &Version, bytes: &Bytes) -> Resource {
    let (spec, accepted) = (&definition.spec, &definition.status.accepted_names);
    // The kind is the one that is wanted: another definition may have it, but then nobody asks for this one by its kind.
    let Names { plural, singular, short_names, categories, .. } = accepted.clone();
    let kind = GroupVersionKind {
        group: Cow::Owned(spec.group.clone()),
        version: Cow::Owned(version.name.clone()),
        kind: Cow::Owned(accepted.kind.clone()),
    };
    let schema = CustomSchema::new(definition, bytes, &version.name);
    let is_terminating = definition.is_terminating();
    let has_status = version.subresources.status.is_some();
    let mut subresources = Vec::new();
    subresources.extend(has_status.then_some(Subresource::Status));
    subresources.extend(version.subresources.scale.is_some().then_some(Subresource::Scale));
    let columns = &version.additional_printer_columns;
    let types = TypeMeta { api_version: kind.api_version(), kind: accepted.kind.clone() };
    Resource {
        deprecation: deprecation(version, &kind, &spec.versions),
        table: format!("{plural}.{}", spec.group).into(),
        kind,
        plural: plural.into(),
        singular: singular.into(),
        short_names: short_names.into_iter().map(Cow::Owned).collect(),
        categories: categories.into_iter().map(Cow::Owned).collect(),
        scope: if spec.scope == "Namespaced" { Scope::Namespaced } else { Scope::Cluster },
        verbs: if is_terminating { Verbs::OfTerminating } else { Verbs::All },
        subresources,
        scale: version.subresources.scale.as_ref().map(|scale| ScalePaths {
            replicas: pointer(&scale.spec_replicas_path).into(),
            status_replicas: pointer(&scale.status_replicas_path).into(),
            selector: scale.label_selector_path.as_deref().map(|path| pointer(path).into()),
        }),
        schema: SchemaRef::Custom(schema.clone()),
        forms: Some(Arc::new(Forms::of(definition))),
        list_kind: accepted.list_kind.clone().into(),
        name_rule: names::dns1123_subdomain,
        counts_generations: true,
        takes_status_on_create: false,
        creates_on_update: false,
        updates_need_version: true,
        qualifies_finalizers: false,
        deletes_gracefully: false,
        status_metadata: StatusMetadata::Nothing,
        selectable: version.selectable_fields.iter().map(|field| selectable(&field.json_path)).collect(),
        columns: table(columns),
        strategy: Arc::new(CustomResource {
            schema,
            types,
            columns: columns.iter().map(|column| column.kind.clone()).collect(),
            scale: version.subresources.scale.clone(),
            has_status,
            is_terminating,
            revision: has_one_form(definition, bytes, has_status).then(|| definition.revision()),
        }),
    }
}

/// Whether objects are read as they are stored, in all versions. A status that has a default is not: nothing is created with one, and who reads
/// what has none gets the default.
fn has_one_form(definition: &Definition, bytes: &Bytes, has_status: bool) -> bool {
    if definition.spec.conversion.webhook().is_some() {
        return false;
    }
    if definition.spec.versions.len() == 1 && !has_status {
        return true;
    }
    let read: Result<Schemas<'_>, _> = serde_json::from_slice(bytes);
    read.is_ok_and(|read| {
        let mut schemas = read.spec.versions.iter().map(|version| version.schema.map(RawValue::get));
        let first = schemas.next();
        schemas.all(|schema| Some(schema) == first) && !(has_status && first.flatten().is_some_and(defaults_status))
    })
}

fn defaults_status(schema: &str) -> bool {
    serde_json::from_str::<StatusDefault<'_>>(schema)
        .is_ok_and(|read| read.openapi.is_some_and(|root| root.properties.status.default.is_some()))
}

/// The texts of a definition's schemas.
#[derive(Deserialize)]
struct Schemas<'a> {
    #[serde(borrow)]
    spec: SchemasSpec<'a>,
}

#[derive(Deserialize)]
struct SchemasSpec<'a> {
    #[serde(borrow)]
    versions: Vec<VersionSchema<'a>>,
}

#[derive(Deserialize)]
struct VersionSchema<'a> {
    #[serde(borrow, default)]
    schema: Option<&'a RawValue>,
}

/// Of a schema only what the default of the status is.
#[derive(Deserialize)]
struct StatusDefault<'a> {
    #[serde(borrow, rename = "openAPIV3Schema")]
    openapi: Option<StatusRoot<'a>>,
}

#[derive(Deserialize)]
struct StatusRoot<'a> {
    #[serde(borrow)]
    properties: StatusProperties<'a>,
}

#[derive(Deserialize)]
struct StatusProperties<'a> {
    #[serde(borrow)]
    status: StatusSchema<'a>,
}

#[derive(Deserialize)]
struct StatusSchema<'a> {
    #[serde(borrow, default)]
    default: Option<&'a RawValue>,
}

fn table(columns: &[PrinterColumn]) -> Vec<Column> {
    let all = if columns.is_empty() { &[age()][..] } else { columns };
    std::iter::once(Column::name()).chain(all.iter().map(column)).collect()
}

/// What users of a deprecated version are told: its author's words, or what to use instead.
fn deprecation(version: &Version, kind: &GroupVersionKind, all: &[Version]) -> Option<Cow<'static, str>> {
    let usual = || {
        let (group, name) = (&kind.group, &kind.kind);
        let own = version_order(&version.name);
        let newer = all.iter().filter(|v| v.served && !v.deprecated && version_order(&v.name) < own);
        match newer.min_by_key(|version| version_order(&version.name)) {
            Some(newer) => format!("{group}/{} {name} is deprecated; use {group}/{} {name}", version.name, newer.name),
            None => format!("{group}/{} {name} is deprecated", version.name),
        }
    };
    version.deprecated.then(|| version.deprecation_warning.clone().unwrap_or_else(usual).into())
}

fn selectable(path: &str) -> SelectableField {
    SelectableField {
        name: path.trim_start_matches('.').to_owned().into(),
        pointer: pointer(path).into(),
        absent: "".into(),
        instead: "".into(),
    }
}

/// A path of names (`.spec.replicas`) as a JSON pointer.
fn pointer(path: &str) -> String {
    let names = path.trim_start_matches('.').split('.');
    names.map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1"))).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;

    fn made(definition: &Value) -> Vec<Resource> {
        let bytes = Bytes::from(definition.to_string());
        resources(&serde_json::from_slice(&bytes).unwrap(), &bytes)
    }

    fn cats(accepted: bool) -> Value {
        let names =
            json!({"plural": "cats", "singular": "cat", "kind": "Cat", "listKind": "CatList", "shortNames": ["c"]});
        let schema = json!({"openAPIV3Schema": {"type": "object", "required": ["kind", "spec"], "properties": {
            "spec": {"type": "object", "properties": {"lives": {"type": "integer", "default": 9}}}}}});
        json!({
            "metadata": {"name": "cats.example.com"},
            "spec": {"group": "example.com", "names": names, "scope": "Namespaced", "versions": [
                {"name": "v1", "served": true, "storage": true, "schema": schema,
                    "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.lives", "statusReplicasPath": ".status.lives"}},
                    "selectableFields": [{"jsonPath": ".spec.lives"}],
                    "additionalPrinterColumns": [{"name": "Lives", "type": "integer", "jsonPath": ".spec.lives"}]},
                {"name": "v1alpha1", "served": true, "storage": false, "deprecated": true, "schema": schema},
                {"name": "v0", "served": false, "storage": false, "schema": schema},
            ]},
            "status": {"acceptedNames": names, "conditions": [{"type": "NamesAccepted", "status": if accepted { "True" } else { "False" }}]},
        })
    }

    #[test]
    fn one_for_each_served_version() {
        assert!(made(&cats(false)).is_empty());
        let resources = made(&cats(true));
        let [v1, alpha] = resources.as_slice() else { panic!("{resources:?}") };
        assert_eq!((&*v1.table, &*v1.list_kind, v1.is_namespaced()), ("cats.example.com", "CatList", true));
        assert!(v1.has(Subresource::Status) && v1.has(Subresource::Scale) && !alpha.has(Subresource::Status));
        assert_eq!(v1.scale.as_ref().unwrap().replicas, "/spec/lives");
        assert_eq!(v1.selectable[0].name, "spec.lives");
        assert_eq!(
            alpha.deprecation.as_deref(),
            Some("example.com/v1alpha1 Cat is deprecated; use example.com/v1 Cat")
        );
    }

    #[test]
    fn works_from_its_schema() {
        let v1 = made(&cats(true)).remove(0);
        let mut cat = json!({"metadata": {"name": "tom"}, "spec": {}});
        v1.strategy.set_defaults(&mut cat);
        assert_eq!(cat["spec"], json!({"lives": 9}));
        assert_eq!(v1.strategy.validate(&cat).len(), 0);
        assert_eq!(v1.strategy.validate(&json!({"metadata": {}})).len(), 1);
        assert_eq!(v1.strategy.cells(&cat, Timestamp::UNIX_EPOCH), [json!("tom"), json!(9)]);
        assert_eq!(v1.columns.len(), 2);
    }
}
