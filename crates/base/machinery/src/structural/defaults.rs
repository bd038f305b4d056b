//! Nulls that stand for "not set", and defaults.
//!
//! Source: apiextensions-apiserver `pkg/apiserver/schema/defaulting/{prunenulls,algorithm}.go`.

use serde_json::Value;

use super::schema::Structural;
use crate::tree::weight;

/// Fields of the object itself that the server answers for, not the schema.
const SERVERS_OWN: [&str; 3] = ["apiVersion", "kind", "metadata"];
/// The same, of kinds whose status is written by itself: it is taken off other writes, after defaults have been set.
const SERVERS_OWN_AND_STATUS: [&str; 4] = ["apiVersion", "kind", "metadata", "status"];

/// What the defaults of one object may weigh together ([`weight`]).
const DEFAULTS_WEIGHT_MAX: usize = 16 << 20;

/// What an object weighs at least whose defaults had no room: no single one is larger than a definition.
const FULL_WEIGHT_MIN: usize = DEFAULTS_WEIGHT_MAX / 2;

/// What defaults may still weigh.
struct Budget {
    left: usize,
}

impl Budget {
    /// A copy of a default; `None` when there is no room for it, nor for any other from then on.
    fn copy(&mut self, default: &Value) -> Option<Value> {
        let weight = weight(default, self.left);
        self.left -= weight;
        (self.left > 0).then(|| default.clone())
    }
}

impl Structural {
    /// Removes fields that are null although they are not nullable and have no default: `null` there means "not set".
    ///
    /// To be called before [`Self::set_defaults`] with whatever comes in, from a client or from the store, when unknown fields
    /// have been pruned. Nulls in lists stay: validation refuses them, or defaulting replaces them.
    pub fn prune_nulls(&self, object: &mut Value) {
        self.prune_fields(object, &SERVERS_OWN);
    }

    fn prune_fields(&self, value: &mut Value, except: &[&str]) {
        match value {
            Value::Object(map) => map.retain(|name, value| {
                let Some(schema) = self.field(name).filter(|_| !except.contains(&name.as_str())) else { return true };
                schema.prune_fields(value, &[]);
                !value.is_null() || schema.is_nullable || schema.default.is_some()
            }),
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    items.iter_mut().for_each(|item| schema.prune_fields(item, &[]));
                }
            }
            _ => {}
        }
    }

    /// Sets what is absent, or null without being nullable, to its default, from the outside in: a default is completed with the
    /// defaults below it, and what is absent without a default gets none of those below it.
    ///
    /// Small objects can have large defaults in each of many items: what is beyond a bound is left out, and [`Self::lacks_defaults`].
    ///
    /// To be called after [`Self::prune_nulls`].
    pub fn set_defaults(&self, object: &mut Value) {
        self.default_fields(object, &SERVERS_OWN, &mut Budget { left: DEFAULTS_WEIGHT_MAX });
    }

    /// Whether defaults have been left out because they are too large together; a status that has a subresource is not looked at. What a
    /// small object lacks, somebody has taken off.
    pub fn lacks_defaults(&self, object: &Value, has_status: bool) -> bool {
        let is_large = weight(object, FULL_WEIGHT_MIN) == FULL_WEIGHT_MIN;
        is_large && self.lacks(object, if has_status { &SERVERS_OWN_AND_STATUS } else { &SERVERS_OWN })
    }

    fn lacks(&self, value: &Value, except: &[&str]) -> bool {
        match value {
            Value::Object(map) => {
                let is_absent = |name: &str| !except.contains(&name) && !map.contains_key(name);
                self.properties.iter().any(|(name, schema)| schema.default.is_some() && is_absent(name))
                    || map
                        .iter()
                        .filter(|(name, _)| !except.contains(&name.as_str()))
                        .any(|(name, value)| self.field(name).is_some_and(|schema| schema.lacks(value, &[])))
            }
            Value::Array(items) => {
                self.items.as_ref().is_some_and(|schema| items.iter().any(|item| schema.lacks(item, &[])))
            }
            _ => false,
        }
    }

    fn default_fields(&self, value: &mut Value, except: &[&str], budget: &mut Budget) {
        match value {
            Value::Object(map) => {
                for (name, schema) in &self.properties {
                    if except.contains(&&**name) {
                        continue;
                    }
                    let Some(default) = &schema.default else { continue };
                    match map.get_mut(&**name) {
                        None => {
                            if let Some(default) = budget.copy(default) {
                                map.insert(name.to_string(), default);
                            }
                        }
                        Some(value) if value.is_null() && !schema.is_nullable => {
                            *value = budget.copy(default).unwrap_or_default();
                        }
                        Some(_) => {}
                    }
                }
                for (name, value) in map.iter_mut().filter(|(name, _)| !except.contains(&name.as_str())) {
                    if let Some(schema) = self.field(name) {
                        schema.default_item(value, budget);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    items.iter_mut().for_each(|item| schema.default_item(item, budget));
                }
            }
            _ => {}
        }
    }

    fn default_item(&self, value: &mut Value, budget: &mut Budget) {
        if let Some(default) = self.default.as_deref().filter(|_| value.is_null() && !self.is_nullable) {
            *value = budget.copy(default).unwrap_or_default();
        }
        self.default_fields(value, &[], budget);
    }
}
