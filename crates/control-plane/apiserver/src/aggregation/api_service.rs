//! An APIService, as far as it matters here: which group version it is for, and who serves that.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use windlass_api::condition::{self, Condition};
use windlass_api::text::null_is_default;
use windlass_api::{Meta, Status, version_order};

/// The type of the condition that says whether an APIService can be asked.
pub(crate) const AVAILABLE: &str = "Available";

/// Says that the server keeps an APIService as it should be, and when.
pub(crate) const AUTOMANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ApiService {
    pub metadata: Meta,
    pub spec: Spec,
    pub status: State,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Spec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceReference>,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_is_default")]
    pub group: String,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_is_default")]
    pub version: String,
    #[serde(rename = "insecureSkipTLSVerify", skip_serializing_if = "std::ops::Not::not")]
    pub insecure_skip_tls_verify: bool,
    /// PEM in base64.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_is_default")]
    pub ca_bundle: String,
    pub group_priority_minimum: i32,
    pub version_priority: i32,
}

/// The Service that an aggregated server stands behind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct ServiceReference {
    pub namespace: String,
    pub name: String,
    pub port: u16,
}

impl Default for ServiceReference {
    fn default() -> Self {
        Self { namespace: String::new(), name: String::new(), port: 443 }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct State {
    #[serde(deserialize_with = "null_is_default")]
    pub conditions: Vec<Condition>,
}

impl ApiService {
    pub(crate) fn of(object: &serde_json::Value) -> Result<Self, Status> {
        Self::deserialize(object).map_err(Status::internal)
    }

    pub(crate) fn is_available(&self) -> bool {
        condition::is_true(&self.status.conditions, AVAILABLE)
    }

    /// What the label says about who keeps it: `onstart`, `true`, or something that is nobody.
    pub(crate) fn automanaged(&self) -> &str {
        self.metadata.labels.get(AUTOMANAGED).map_or("", String::as_str)
    }
}

/// Where a group version stands in discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Priority {
    pub group: i32,
    pub version: i32,
}

/// A group version as discovery lists it.
#[derive(Clone, Debug)]
pub(crate) struct Listed<T> {
    pub group: String,
    pub version: String,
    pub priority: Priority,
    pub value: T,
}

/// A group and what it has, the preferred version first.
pub(crate) type ListedGroup<T> = (String, Vec<Listed<T>>);

/// Puts group versions into groups: the group with the highest priority first, among equals the one that `tie` says; in a group the
/// version with the highest priority first, among equals the one that its name prefers.
pub(crate) fn in_groups<T, K: Ord>(mut all: Vec<Listed<T>>, tie: impl Fn(&Listed<T>) -> K) -> Vec<ListedGroup<T>> {
    all.sort_by_cached_key(|listed| (Reverse(listed.priority.group), tie(listed)));
    let mut places = HashMap::new();
    let mut groups: Vec<ListedGroup<T>> = Vec::new();
    for listed in all {
        let place = *places.entry(listed.group.clone()).or_insert_with(|| {
            groups.push((listed.group.clone(), Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(listed);
    }
    for (_, versions) in &mut groups {
        versions.sort_by_cached_key(|listed| (Reverse(listed.priority.version), version_order(&listed.version)));
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_stand_by_priority_and_versions_by_theirs() {
        let of = |(group, version, group_priority, version_priority): (&str, &str, i32, i32)| Listed {
            group: group.to_owned(),
            version: version.to_owned(),
            priority: Priority { group: group_priority, version: version_priority },
            value: (),
        };
        let all = [
            ("low", "v1", 100, 1),
            ("apps", "v1beta1", 17800, 9),
            ("b", "v1", 1000, 100),
            ("a", "v1alpha1", 1000, 100),
            ("a", "v2", 1000, 100),
            ("a", "v10", 1000, 100),
            ("a", "v1beta3", 1000, 100),
            ("apps", "v1", 100, 15),
        ];
        let groups = in_groups(all.map(of).into(), |listed| listed.group.clone());
        let names: Vec<(&str, Vec<&str>)> = groups
            .iter()
            .map(|(name, versions)| (name.as_str(), versions.iter().map(|v| v.version.as_str()).collect()))
            .collect();
        let expected = [
            ("apps", vec!["v1", "v1beta1"]),
            ("a", vec!["v10", "v2", "v1beta3", "v1alpha1"]),
            ("b", vec!["v1"]),
            ("low", vec!["v1"]),
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn an_object_is_read_and_its_specification_written_as_it_was() {
        let text = r#"{"metadata":{"name":"v1.a","labels":{"kube-aggregator.kubernetes.io/automanaged":"true"}},
            "spec":{"service":{"namespace":"n","name":"s","port":8443},"group":"a","version":"v1","caBundle":null,
            "groupPriorityMinimum":1000,"versionPriority":100},
            "status":{"conditions":[{"type":"Available","status":"True","reason":"Passed","message":null}]}}"#;
        let object: ApiService = serde_json::from_str(text).unwrap();
        assert!(object.is_available() && object.automanaged() == "true");
        let spec = serde_json::to_value(&object.spec).unwrap();
        assert_eq!(
            spec,
            serde_json::json!({"service": {"namespace": "n", "name": "s", "port": 8443}, "group": "a", "version": "v1",
                "groupPriorityMinimum": 1000, "versionPriority": 100})
        );
    }
}
