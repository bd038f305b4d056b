//! The schema of a version of a custom resource, compiled when it is first needed.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::Value;
use windlass_machinery::schema::{TypeId, TypeRef};
use windlass_machinery::structural::Structural;
use windlass_machinery::structural::json_path::JsonPath;
use windlass_machinery::{Schema, tree};

use super::Definition;
use super::rules::ResourceRules;

/// A version's schema in the stored bytes of its definition.
pub struct CustomSchema {
    definition: Bytes,
    version: String,
    stored_version: String,
    revision: u64,
    compiled: OnceLock<Compiled>,
}

/// What requests need of a version.
pub(crate) struct Compiled {
    types: Schema,
    id: TypeId,
    pub structural: Structural,
    /// Those of `x-kubernetes-validations`, if there are any.
    pub rules: Option<ResourceRules>,
    /// Those of the printer columns, in their order. One that is no path finds nothing.
    pub columns: Vec<Option<JsonPath>>,
}

impl CustomSchema {
    pub(crate) fn new(definition: &Definition, bytes: &Bytes, version: &str) -> Arc<Self> {
        let stored = definition.spec.versions.iter().find(|version| version.storage);
        Arc::new(Self {
            definition: bytes.clone(),
            revision: definition.revision(),
            version: version.to_owned(),
            stored_version: stored.map(|version| version.name.clone()).unwrap_or_default(),
            compiled: OnceLock::new(),
        })
    }

    pub(crate) fn compiled(&self) -> &Compiled {
        self.compiled.get_or_init(|| Compiled::new(&self.version()))
    }

    pub fn types(&self) -> TypeRef<'_> {
        let compiled = self.compiled();
        TypeRef { schema: &compiled.types, id: compiled.id }
    }

    /// The version in which objects are stored.
    pub fn stored_version(&self) -> &str {
        &self.stored_version
    }

    /// The resourceVersion of the definition.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The schema as its author wrote it.
    pub fn openapi(&self) -> Value {
        self.version().pointer("/schema/openAPIV3Schema").cloned().unwrap_or_default()
    }

    /// The version's entry in the definition, read from the bytes.
    fn version(&self) -> Value {
        // Whoever made this has read the definition, if not all of it.
        let definition: Value = serde_json::from_slice(&self.definition).unwrap_or_default();
        let mut versions = tree::items(&definition["spec"], "versions");
        versions.find(|version| version["name"] == *self.version).cloned().unwrap_or_default()
    }
}

impl Compiled {
    fn new(version: &Value) -> Self {
        let openapi = version.pointer("/schema/openAPIV3Schema").unwrap_or(&Value::Null);
        let (types, id) = Schema::custom(openapi);
        let columns = tree::items(version, "additionalPrinterColumns");
        let path = |column: &Value| JsonPath::parse(tree::text(column, "jsonPath")).ok();
        Self {
            types,
            id,
            structural: Structural::read(&without_type_meta(openapi)),
            rules: ResourceRules::read(openapi),
            columns: columns.map(path).collect(),
        }
    }
}

/// A schema that asks for no kind and no version: objects have both, and none is stored with them.
fn without_type_meta(openapi: &Value) -> Value {
    let mut openapi = openapi.clone();
    let is_type_meta = |name: &str| matches!(name, "kind" | "apiVersion" | "metadata");
    if let Some(required) = openapi.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| !name.as_str().is_some_and(is_type_meta));
    }
    if let Some(properties) = openapi.get_mut("properties").and_then(Value::as_object_mut) {
        properties.retain(|name, _| !matches!(name.as_str(), "kind" | "apiVersion"));
    }
    openapi
}

impl std::fmt::Debug for CustomSchema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CustomSchema({})", self.version)
    }
}
