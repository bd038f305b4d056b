//! One rule of a role.

use serde::{Deserialize, Serialize};
use windlass_api::text::null_is_default;

use crate::Attributes;

/// What a role allows; every list is a choice, and `*` stands for all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    #[serde(deserialize_with = "null_is_default")]
    pub verbs: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<String>,
}

fn allows(choices: &[String], wanted: &str) -> bool {
    choices.iter().any(|choice| choice == "*" || choice == wanted)
}

impl Rule {
    pub fn allows(&self, attributes: &Attributes<'_>) -> bool {
        if !allows(&self.verbs, attributes.verb) {
            return false;
        }
        if attributes.resource.is_empty() {
            return self.allows_path(attributes.path);
        }
        allows(&self.api_groups, attributes.group)
            && self.allows_resource(attributes.resource, attributes.subresource)
            && (self.resource_names.is_empty() || self.resource_names.iter().any(|name| name == attributes.name))
    }

    /// `pods`, `pods/log`, `*`, or `*/log`.
    pub(super) fn allows_resource(&self, resource: &str, subresource: &str) -> bool {
        self.resources.iter().any(|choice| {
            if choice == "*" {
                return true;
            }
            match choice.split_once('/') {
                None => subresource.is_empty() && choice == resource,
                Some((r, s)) => s == subresource && (r == resource || r == "*"),
            }
        })
    }

    /// A path, or the beginning of one with `*` behind.
    pub(super) fn allows_path(&self, path: &str) -> bool {
        self.non_resource_urls.iter().any(|choice| match choice.strip_suffix('*') {
            Some(beginning) => path.starts_with(beginning),
            None => choice == path,
        })
    }
}
