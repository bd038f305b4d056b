//! ResourceClaim: a wish for devices.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::field::{Errors, Path};
use windlass_machinery::tree::{child, items, put, remove, text};

use super::claim_validation::validate_claim;
use super::complaints::Complaints;
use super::defaults::{set_claim_spec_defaults, set_toleration_defaults};
use crate::columns::{self, length};
use crate::rules::unchanged;
use crate::{Moment, Resource, StatusMetadata, Strategy, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("resource.k8s.io", "v1", "ResourceClaim", "resourceclaims")
        .subresources(&[Subresource::Status])
        .status_metadata(StatusMetadata::Nothing)
        .columns(columns::list(&["Name", "State", "Age"]))
        .strategy(ResourceClaim)
}

struct ResourceClaim;

impl Strategy for ResourceClaim {
    fn set_defaults(&self, object: &mut Value) {
        set_claim_spec_defaults(child(object, "spec"));
        let results = object.pointer_mut("/status/allocation/devices/results").and_then(Value::as_array_mut);
        for result in results.into_iter().flatten() {
            set_toleration_defaults(result);
        }
    }

    fn validate(&self, object: &Value) -> Errors {
        let (mut found, path) = (Complaints::default(), Path::new("spec"));
        let devices = object.pointer("/spec/devices").unwrap_or(&Value::Null);
        validate_claim(&mut found, devices, &path.child("devices"));
        found.all()
    }

    /// A claim stays what it is, and needs not be looked at again.
    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let mut errors = Errors::new();
        unchanged(&mut errors, &Path::new("spec"), object.get("spec"), old.get("spec"));
        errors
    }

    fn prepare_status(&self, object: &mut Value, old: &Value, _moment: Moment) {
        drop_deallocated(object, old);
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![columns::name(object), Value::from(state(object)), columns::age(object, now)]
    }
}

/// The status of a device goes when the device is no longer allocated.
fn drop_deallocated(claim: &mut Value, old: &Value) {
    type Device = (String, String, String);
    let device = |d: &Value| -> Device {
        let [driver, pool, name] = ["driver", "pool", "device"].map(|field| text(d, field).to_owned());
        (driver, pool, name)
    };
    let allocated = |object: &Value| -> BTreeSet<Device> {
        let devices = object.pointer("/status/allocation/devices").unwrap_or(&Value::Null);
        items(devices, "results").map(device).collect()
    };
    let (before, now) = (allocated(old), allocated(claim));
    let gone: BTreeSet<&Device> = before.difference(&now).collect();
    if gone.is_empty() || length(claim, "/status/devices") == 0 {
        return;
    }
    let kept: Vec<Value> = items(&claim["status"], "devices").filter(|d| !gone.contains(&device(d))).cloned().collect();
    let status = child(claim, "status");
    if kept.is_empty() {
        remove(status, "devices");
    } else {
        put(status, "devices", kept);
    }
}

fn state(claim: &Value) -> &'static str {
    let deleted = claim["metadata"].get("deletionTimestamp").is_some();
    let allocated = claim.pointer("/status/allocation").is_some_and(Value::is_object);
    let reserved = length(claim, "/status/reservedFor") > 0;
    match (deleted, allocated, reserved) {
        (false, false, _) => "pending",
        (true, false, _) => "deleted",
        (false, true, false) => "allocated",
        (false, true, true) => "allocated,reserved",
        (true, true, false) => "deleted,allocated",
        (true, true, true) => "deleted,allocated,reserved",
    }
}
