//! The built-in plugins that upstream enables by default, one file each.

mod default_ingress_class;
mod default_storage_class;
mod default_toleration_seconds;
mod limit_ranger;
mod namespace_lifecycle;
mod node_restriction;
mod priority;
mod resource_quota;
mod runtime_class;
mod service_account;
mod storage_object_in_use_protection;
mod taint_nodes_by_condition;

use std::sync::Arc;

use serde_json::Value;
use windlass_api::Status;

use crate::chain::Chain;
use crate::review::{Operation, Review};

/// Upstream's default plugins in upstream's order.
pub fn default_chain() -> Chain {
    Chain::new(vec![
        Arc::new(namespace_lifecycle::NamespaceLifecycle),
        Arc::new(limit_ranger::LimitRanger),
        Arc::new(service_account::ServiceAccount),
        Arc::new(node_restriction::NodeRestriction),
        Arc::new(taint_nodes_by_condition::TaintNodesByCondition),
        Arc::new(priority::Priority),
        Arc::new(default_toleration_seconds::DefaultTolerationSeconds),
        Arc::new(default_storage_class::DefaultStorageClass),
        Arc::new(storage_object_in_use_protection::StorageObjectInUseProtection),
        Arc::new(runtime_class::RuntimeClass),
        Arc::new(default_ingress_class::DefaultIngressClass),
        // Last, so that nothing is charged for what another plugin refuses.
        Arc::new(resource_quota::ResourceQuota::default()),
    ])
}

/// The refusal of a plugin, about the object at hand.
fn forbidden(review: &Review<'_>, why: impl std::fmt::Display) -> Status {
    let name = match &review.object {
        Some(object) => object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or(review.name),
        None => review.name,
    };
    Status::forbidden(&review.resource.group_resource(), name, why)
}

/// The object of a creation of `resource` in `group`; `None` for every other write.
fn created<'a>(review: &'a mut Review<'_>, group: &str, resource: &str) -> Option<&'a mut Value> {
    if review.operation == Operation::Create && review.is_of(group, resource) {
        review.object.as_deref_mut()
    } else {
        None
    }
}

/// Whether a pod stands for a static one of a node.
fn is_mirror(pod: &Value) -> bool {
    pod["metadata"]["annotations"].get(windlass_api::well_known::annotation::CONFIG_MIRROR).is_some()
}
