//! What comes next for a StorageVersionMigration.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use windlass_api::meta::Meta;
use windlass_api::text::null_is_default;
use windlass_api::time::parse_rfc3339;
use windlass_api::{GroupResource, Timestamp, condition};

/// A StorageVersionMigration, as far as it matters here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Migration {
    metadata: Meta,
    spec: Spec,
    status: MigrationStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    resource: Resource,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Resource {
    group: String,
    resource: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct MigrationStatus {
    #[serde(deserialize_with = "null_is_default")]
    conditions: Vec<Value>,
    resource_version: String,
}

/// What comes next for a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It has not begun, or is over.
    Wait,
    /// It runs, and the revision up to which objects are written again is not noted yet.
    Note,
    /// Objects up to a revision are to be written again.
    Migrate { until: u64 },
    /// It is over, and its definition has not been told.
    Finish,
}

impl Migration {
    pub(super) fn name(&self) -> &str {
        &self.metadata.name
    }

    pub(super) fn uid(&self) -> &str {
        &self.metadata.uid
    }

    pub(super) fn generation(&self) -> i64 {
        self.metadata.generation
    }

    fn created(&self) -> Option<Timestamp> {
        self.metadata.creation_timestamp.as_deref().and_then(parse_rfc3339)
    }

    pub(super) fn age(&self, now: Timestamp) -> Duration {
        self.created().and_then(|created| Duration::try_from(now.duration_since(created)).ok()).unwrap_or_default()
    }

    pub(super) fn resource(&self) -> GroupResource {
        let Resource { group, resource } = self.spec.resource.clone();
        GroupResource { group: Cow::Owned(group), resource: Cow::Owned(resource) }
    }

    pub(super) fn conditions(&self) -> &[Value] {
        &self.status.conditions
    }

    fn is(&self, kind: &str) -> bool {
        condition::is_true(&self.status.conditions, kind)
    }

    pub(super) fn has_succeeded(&self) -> bool {
        self.is("Succeeded")
    }

    fn is_over(&self) -> bool {
        self.has_succeeded() || self.is("Failed")
    }

    pub(super) fn step(&self) -> Step {
        match (self.is("Running"), self.is_over()) {
            (true, true) => Step::Finish,
            (true, false) if self.status.resource_version.is_empty() => Step::Note,
            // Upstream fails on what is no number; nobody but the controller writes it.
            (true, false) => Step::Migrate { until: self.status.resource_version.parse().unwrap_or_default() },
            (false, _) => Step::Wait,
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        let key = |migration: &Self| (migration.created(), migration.metadata.name.clone());
        key(self).cmp(&key(other))
    }
}

/// The migration of a resource that begins now; none while another one runs.
pub(super) fn next_of(all: &[Migration]) -> Option<&Migration> {
    let runs = |migration: &Migration| migration.is("Running") && !migration.is_over();
    if all.iter().any(runs) {
        return None;
    }
    all.iter().filter(|migration| !migration.is("Running") && !migration.is_over()).min_by(|a, b| a.order(b))
}

/// What the condition says while a migration runs; `counts` are the objects that have not been written again, and all.
pub(super) fn running_message(counts: Option<(usize, usize)>, trouble: Option<&str>) -> String {
    let progress = match counts {
        None | Some((_, 0)) => String::new(),
        Some((0, total)) => format!(", {total} objects verified migrated"),
        Some((left, total)) => format!(", {left}/{total} objects not yet migrated"),
    };
    let trouble = trouble.map(|trouble| format!("; transient error: {trouble}")).unwrap_or_default();
    format!("The migration is running{progress}{trouble}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn migration(name: &str, created: &str, status: Value) -> Migration {
        serde_json::from_value(json!({
            "metadata": {"name": name, "creationTimestamp": created},
            "spec": {"resource": {"group": "example.com", "resource": "cats"}},
            "status": status,
        }))
        .unwrap()
    }

    fn conditions(kinds: &[&str]) -> Value {
        let condition = |kind: &&str| json!({"type": kind, "status": "True"});
        json!({"conditions": kinds.iter().map(condition).collect::<Vec<_>>()})
    }

    #[test]
    fn steps() {
        let step = |status: Value| migration("a", "2026-11-30T10:00:00Z", status).step();
        assert_eq!(step(json!({})), Step::Wait);
        assert_eq!(step(conditions(&["Running"])), Step::Note);
        let mut noted = conditions(&["Running"]);
        noted["resourceVersion"] = json!("17");
        assert_eq!(step(noted), Step::Migrate { until: 17 });
        assert_eq!(step(conditions(&["Running", "Failed"])), Step::Finish);
        assert_eq!(step(conditions(&["Succeeded"])), Step::Wait);
    }

    #[test]
    fn the_oldest_begins_when_none_runs() {
        let waiting = |name: &str, created: &str| migration(name, created, json!({}));
        let all = [
            waiting("c", "2026-11-30T10:00:01Z"),
            waiting("b", "2026-11-30T10:00:00Z"),
            waiting("a", "2026-11-30T10:00:01Z"),
            migration("over", "2026-11-30T09:00:00Z", conditions(&["Succeeded"])),
        ];
        assert_eq!(next_of(&all).map(Migration::name), Some("b"));
        assert_eq!(next_of(&[all[0].clone(), all[2].clone()]).map(Migration::name), Some("a"));
        let running = migration("r", "2026-11-30T11:00:00Z", conditions(&["Running"]));
        assert!(next_of(&[all[0].clone(), running]).is_none());
        // One whose end has not been told yet keeps nobody waiting.
        let ended = migration("r", "2026-11-30T11:00:00Z", conditions(&["Running", "Succeeded"]));
        assert_eq!(next_of(&[all[0].clone(), ended]).map(Migration::name), Some("c"));
    }

    #[test]
    fn messages() {
        assert_eq!(running_message(None, None), "The migration is running");
        assert_eq!(running_message(Some((3, 7)), None), "The migration is running, 3/7 objects not yet migrated");
        assert_eq!(running_message(Some((0, 7)), None), "The migration is running, 7 objects verified migrated");
        assert_eq!(
            running_message(Some((1, 7)), Some("busy")),
            "The migration is running, 1/7 objects not yet migrated; transient error: busy"
        );
    }
}
