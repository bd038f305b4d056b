//! Lease: who holds something, and until when.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_machinery::tree::{child, remove};

use crate::columns::{self, word};
use crate::{Moment, Resource, Strategy};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("coordination.k8s.io", "v1", "Lease", "leases")
        .takes_any_finalizer()
        .creates_on_update()
        .columns(columns::list(&["Name", "Holder", "Age"]))
        .updates_need_version()
        .strategy(Lease)
}

struct Lease;

/// Fields of coordinated leader election, which is off in v1.37.
const OFF: [&str; 2] = ["strategy", "preferredHolder"];

impl Strategy for Lease {
    fn prepare_create(&self, object: &mut Value, _moment: Moment) {
        for field in OFF {
            remove(child(object, "spec"), field);
        }
    }

    fn prepare_update(&self, object: &mut Value, old: &Value, _moment: Moment) {
        for field in OFF.iter().filter(|field| old["spec"].get(**field).is_none()) {
            remove(child(object, "spec"), field);
        }
    }

    fn validate(&self, object: &Value) -> Errors {
        let spec = Path::new("spec");
        let mut errors = Errors::new();
        let number = |field: &str| object.pointer(&format!("/spec/{field}")).and_then(Value::as_i64);
        if let Some(seconds) = number("leaseDurationSeconds").filter(|seconds| *seconds <= 0) {
            errors.push(Error::invalid(&spec.child("leaseDurationSeconds"), seconds, "must be greater than 0"));
        }
        if let Some(count) = number("leaseTransitions").filter(|count| *count < 0) {
            errors.push(Error::invalid(&spec.child("leaseTransitions"), count, "must be greater than or equal to 0"));
        }
        errors
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![columns::name(object), Value::from(word(object, "/spec/holderIdentity")), columns::age(object, now)]
    }
}
