//! ClusterRole: rules for the whole cluster, or to be bound in a namespace; possibly the sum of others by `aggregationRule`.

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;

use super::{GROUP, role, validate_rules};
use crate::columns::default_cells;
use crate::first::{Beginnings, First};
use crate::rules::{label_selector, object_at};
use crate::{Grants, Resource, Strategy};
use windlass_machinery::tree::items;

pub(crate) fn resource() -> Resource {
    Resource::cluster(GROUP, "v1", "ClusterRole", "clusterroles")
        .creates_on_update()
        .name_rule(names::path_segment)
        .columns(role::role_columns())
        .strategy(ClusterRole)
}

struct ClusterRole;

impl Strategy for ClusterRole {
    fn first(&self, beginnings: &Beginnings) -> Vec<First> {
        beginnings.roles_of("ClusterRole")
    }

    fn validate(&self, object: &Value) -> Errors {
        let mut errors = validate_rules(object, false);
        let Some(aggregation) = object_at(object, "aggregationRule") else { return errors };
        let rule = Path::new("aggregationRule");
        let path = rule.child("clusterRoleSelectors");
        if items(aggregation, "clusterRoleSelectors").next().is_none() {
            let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
            errors.push(Error::required(&path, detail));
        }
        for (index, selector) in items(aggregation, "clusterRoleSelectors").enumerate() {
            let before = errors.len();
            label_selector(&mut errors, &path.index(index), Some(selector));
            if errors.len() > before {
                errors.push(Error::invalid(&path.index(index), Value::Null, "invalid label selector."));
            }
        }
        errors
    }

    fn grants<'a>(&self, object: &'a Value) -> Option<Grants<'a>> {
        Some(super::rules(object))
    }

    fn cells(&self, object: &Value, _now: jiff::Timestamp) -> Vec<Value> {
        default_cells(object)
    }
}
