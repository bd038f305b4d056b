//! CSINode: the storage drivers of a node.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_machinery::tree::{items, remove, text};

use crate::columns::{self, length};
use crate::pod_spec::validation::csi_driver_name;
use crate::rules::{complain, immutable_structure, non_negative_fields, texts};
use crate::{Resource, Strategy, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::cluster("storage.k8s.io", "v1", "CSINode", "csinodes")
        .subresources(&[Subresource::Status])
        .columns(columns::list(&["Name", "Drivers:integer", "Age"]))
        .updates_need_version()
        .strategy(CsiNode)
}

struct CsiNode;

impl Strategy for CsiNode {
    fn returns_deleted(&self) -> bool {
        true
    }

    fn validate(&self, object: &Value) -> Errors {
        let (mut errors, root) = (Errors::new(), Path::new("spec"));
        let path = root.child("drivers");
        let spec = object.get("spec").unwrap_or(&Value::Null);
        let mut seen = BTreeSet::new();
        for (index, driver) in items(spec, "drivers").enumerate() {
            let path = path.index(index);
            let (name, node) = (text(driver, "name"), text(driver, "nodeID"));
            csi_driver_name(&mut errors, name, &path.child("name"));
            if node.is_empty() {
                errors.push(Error::required(&path.child("nodeID"), ""));
            }
            if node.len() > LONGEST_NODE_ID {
                let detail = format!("must be {LONGEST_NODE_ID} characters or less");
                errors.push(Error::invalid(&path.child("nodeID"), node, detail));
            }
            let allocatable = driver.get("allocatable").unwrap_or(&Value::Null);
            non_negative_fields(&mut errors, allocatable, &path.child("allocatable"), &["count"]);
            if !seen.insert(name) {
                errors.push(Error::duplicate(&path.child("name"), name));
            }
            let mut keys = BTreeSet::new();
            for key in texts(driver, "topologyKeys") {
                if key.is_empty() {
                    errors.push(Error::required(&path, ""));
                }
                if !keys.insert(key) {
                    errors.push(Error::duplicate(&path, key));
                }
                complain(&mut errors, &path, key, names::qualified_name(key));
            }
        }
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let (mut errors, root) = (self.validate(object), Path::new("spec"));
        let path = root.child("drivers");
        let null = Value::Null;
        let fixed = |driver: &Value| {
            let mut driver = driver.clone();
            remove(&mut driver, "allocatable");
            driver
        };
        for before in items(old.get("spec").unwrap_or(&null), "drivers") {
            for driver in items(object.get("spec").unwrap_or(&null), "drivers") {
                if text(driver, "name") == text(before, "name") {
                    let (new, old) = (fixed(driver), fixed(before));
                    immutable_structure(&mut errors, &path, "storage.v1.CSINodeDriver", Some(&new), Some(&old));
                }
            }
        }
        errors
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![columns::name(object), Value::from(length(object, "/spec/drivers")), columns::age(object, now)]
    }
}

const LONGEST_NODE_ID: usize = 256;
