//! ClusterRoleBinding: gives a role to users, groups and service accounts, in the whole cluster.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::field::Errors;
use windlass_api::names;

use super::{
    GROUP, binding_columns, role_cell, set_binding_defaults, subject_cells, validate_binding, validate_binding_update,
};
use crate::columns;
use crate::first::{Beginnings, First};
use crate::{Grants, Resource, Strategy};

pub(crate) fn resource() -> Resource {
    Resource::cluster(GROUP, "v1", "ClusterRoleBinding", "clusterrolebindings")
        .creates_on_update()
        .name_rule(names::path_segment)
        .columns(binding_columns())
        .strategy(ClusterRoleBinding)
}

struct ClusterRoleBinding;

impl Strategy for ClusterRoleBinding {
    fn first(&self, beginnings: &Beginnings) -> Vec<First> {
        beginnings.roles_of("ClusterRoleBinding")
    }

    fn set_defaults(&self, object: &mut Value) {
        set_binding_defaults(object);
    }

    fn validate(&self, object: &Value) -> Errors {
        validate_binding(object, false)
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        validate_binding_update(object, old, false)
    }

    fn grants<'a>(&self, object: &'a Value) -> Option<Grants<'a>> {
        object.get("roleRef").map(Grants::Role)
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let [users, groups, accounts] = subject_cells(object);
        vec![columns::name(object), role_cell(object), columns::age(object, now), users, groups, accounts]
    }
}
