//! The options of requests: what query parameters and DeleteOptions say.

use serde::{Deserialize, Serialize};
use windlass_api::fields::FieldSelector;
use windlass_api::labels::Selector;

/// How `resourceVersion` is to be understood by a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionMatch {
    Exact,
    NotOlderThan,
}

/// Options of any request; each verb looks at those that it knows.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub labels: Selector,
    pub fields: FieldSelector,
    /// `None` is "most recent", 0 is "any".
    pub resource_version: Option<u64>,
    pub version_match: Option<VersionMatch>,
    /// 0 is no limit.
    pub limit: usize,
    pub continue_token: String,
    pub timeout_seconds: Option<u64>,
    pub allow_bookmarks: bool,
    pub send_initial_events: Option<bool>,
    pub dry_run: bool,
    pub field_manager: String,
    /// `Strict`, `Warn` or `Ignore`; empty means Warn.
    pub field_validation: String,
    /// Server-side apply takes fields from other managers.
    pub force: Option<bool>,
    pub ignore_store_read_error: bool,
}

/// What becomes of an object's dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Propagation {
    Orphan,
    Background,
    Foreground,
}

/// The body, or the query, of a delete.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeleteOptions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_period_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preconditions: Option<Preconditions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orphan_dependents: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub propagation_policy: Option<Propagation>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dry_run: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Preconditions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
}
