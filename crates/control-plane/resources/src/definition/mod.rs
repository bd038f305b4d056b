//! A CustomResourceDefinition as the request path reads it. [`Definition`] skips the schemas, which make up most of it.
//!
//! [`naming`] decides which names a definition gets. A version's [`schema`] with its [`rules`] is compiled when the first request
//! needs it: clusters have many definitions, and use few. [`conversion`] is about the forms of one kind, [`approval`] about groups of
//! the Kubernetes community.

pub(crate) mod approval;
pub mod conversion;
pub mod naming;
pub(crate) mod rules;
mod schema;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use windlass_api::condition::{self as conditions, Condition};
use windlass_api::meta::Meta;
use windlass_api::text::null_is_default;

pub use conversion::Forms;
pub use schema::CustomSchema;

/// The conditions of a definition.
pub mod condition {
    pub const NAMES_ACCEPTED: &str = "NamesAccepted";
    pub const ESTABLISHED: &str = "Established";
    pub const TERMINATING: &str = "Terminating";
}

/// A CustomResourceDefinition, read narrowly.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Definition {
    pub metadata: Meta,
    pub spec: Spec,
    pub status: DefinitionStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Spec {
    pub group: String,
    pub names: Names,
    pub scope: String,
    pub versions: Vec<Version>,
    #[serde(deserialize_with = "null_is_default")]
    pub conversion: Conversion,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Conversion {
    pub strategy: String,
    pub webhook: Option<Webhook>,
}

/// Who converts objects between versions that differ in more than their names.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Webhook {
    pub client_config: Value,
    #[serde(deserialize_with = "null_is_default")]
    pub conversion_review_versions: Vec<String>,
}

impl Conversion {
    /// Who converts; nobody, where versions differ in their names alone.
    pub fn webhook(&self) -> Option<&Webhook> {
        self.webhook.as_ref().filter(|_| self.strategy == "Webhook")
    }
}

/// The names of a kind; a definition wants some and has been given some.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Names {
    pub plural: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub singular: String,
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub short_names: Vec<String>,
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub list_kind: String,
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Version {
    pub name: String,
    pub served: bool,
    pub storage: bool,
    pub deprecated: bool,
    pub deprecation_warning: Option<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub subresources: Subresources,
    #[serde(deserialize_with = "null_is_default")]
    pub additional_printer_columns: Vec<PrinterColumn>,
    #[serde(deserialize_with = "null_is_default")]
    pub selectable_fields: Vec<SelectableField>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Subresources {
    pub status: Option<serde::de::IgnoredAny>,
    pub scale: Option<Scale>,
}

/// Where an object has what its scale is about, as paths of names (`.spec.replicas`).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Scale {
    pub spec_replicas_path: String,
    pub status_replicas_path: String,
    pub label_selector_path: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PrinterColumn {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub format: String,
    pub description: String,
    pub priority: i32,
    pub json_path: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SelectableField {
    pub json_path: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DefinitionStatus {
    #[serde(deserialize_with = "null_is_default")]
    pub conditions: Vec<Condition>,
    pub accepted_names: Names,
}

impl Definition {
    /// Whether the condition of a type is true.
    pub fn is(&self, condition: &str) -> bool {
        conditions::is_true(&self.status.conditions, condition)
    }

    /// Its resourceVersion.
    pub fn revision(&self) -> u64 {
        self.metadata.resource_version.parse().unwrap_or(0)
    }

    /// Whether its resources are served: they are once the names are the definition's own.
    pub fn is_served(&self) -> bool {
        self.is(condition::NAMES_ACCEPTED) || self.is(condition::ESTABLISHED)
    }

    /// What its status is to say of the approval of its group, which only groups of the Kubernetes community need; `None` when it says so.
    pub fn approval(&self) -> Option<Condition> {
        let wanted = approval::condition(&self.spec.group, &self.metadata.annotations)?;
        let found = conditions::find(&self.status.conditions, &wanted.kind);
        let is_said = found.is_some_and(|found| (&found.status, &found.message) == (&wanted.status, &wanted.message));
        (!is_said).then_some(wanted)
    }

    /// Whether it is on its way out: nothing new may come.
    pub fn is_terminating(&self) -> bool {
        self.metadata.is_deleting() || self.is(condition::TERMINATING)
    }
}
