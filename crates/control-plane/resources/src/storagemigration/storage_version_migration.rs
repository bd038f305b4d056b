//! StorageVersionMigration: rewrites all objects of a resource in the version that is stored now.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::condition::{self, AnyCondition, TRUE};

use crate::columns::{self, word};
use crate::{Resource, StatusMetadata, Strategy, Subresource};

pub(crate) fn resource() -> Resource {
    let mut table = columns::list(&["Name", "Resource", "Status"]);
    // Upstream does not mark the first column as the name here.
    table[0].format = "".into();
    Resource::cluster("storagemigration.k8s.io", "v1", "StorageVersionMigration", "storageversionmigrations")
        .subresources(&[Subresource::Status])
        .status_metadata(StatusMetadata::Nothing)
        .columns(table)
        .updates_need_version()
        .strategy(StorageVersionMigration)
}

struct StorageVersionMigration;

impl Strategy for StorageVersionMigration {
    fn cells(&self, object: &Value, _now: Timestamp) -> Vec<Value> {
        let group = word(object, "/spec/resource/group");
        let dot = if group.is_empty() { "" } else { "." };
        let holds = condition::list(&object["status"]).iter().filter(|condition| condition.status() == TRUE);
        let mut state =
            holds.map(AnyCondition::kind).filter(|kind| matches!(*kind, "Running" | "Failed" | "Succeeded"));
        vec![
            columns::name(object),
            Value::from(format!("{}{dot}{group}", word(object, "/spec/resource/resource"))),
            Value::from(state.next_back().unwrap_or("Unknown")),
        ]
    }
}
