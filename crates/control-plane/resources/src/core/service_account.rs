//! ServiceAccount: the identity of pods.

use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{self, Column};
use crate::{Resource, Strategy, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("", "v1", "ServiceAccount", "serviceaccounts")
        .short_names(&["sa"])
        .subresources(&[Subresource::Token])
        .columns(vec![Column::name(), Column::age()])
        .strategy(ServiceAccount)
}

struct ServiceAccount;

impl Strategy for ServiceAccount {
    fn returns_deleted(&self) -> bool {
        true
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![columns::name(object), columns::age(object, now)]
    }
}
