//! Role: rules within one namespace.

use serde_json::Value;
use windlass_api::field::Errors;
use windlass_api::names;

use super::{GROUP, validate_rules};
use crate::columns::{Column, default_cells};
use crate::first::{Beginnings, First};
use crate::{Grants, Resource, Strategy};

pub(crate) fn resource() -> Resource {
    Resource::namespaced(GROUP, "v1", "Role", "roles")
        .creates_on_update()
        .name_rule(names::path_segment)
        .columns(role_columns())
        .strategy(Role)
}

pub(super) fn role_columns() -> Vec<Column> {
    let created = Column { kind: "date".into(), ..Column::string("Created At", "When the object was created.") };
    vec![Column::name(), created]
}

struct Role;

impl Strategy for Role {
    fn first(&self, beginnings: &Beginnings) -> Vec<First> {
        beginnings.roles_of("Role")
    }

    fn validate(&self, object: &Value) -> Errors {
        validate_rules(object, true)
    }

    fn grants<'a>(&self, object: &'a Value) -> Option<Grants<'a>> {
        Some(super::rules(object))
    }

    fn cells(&self, object: &Value, _now: jiff::Timestamp) -> Vec<Value> {
        default_cells(object)
    }
}
