//! Nulls that stand for "not set", and defaults.
//!
//! Source: apiextensions-apiserver `pkg/apiserver/schema/defaulting/{prunenulls,algorithm}.go`.

use serde_json::Value;

use super::schema::Structural;

/// Fields of the object itself that the server answers for, not the schema.
const SERVERS_OWN: [&str; 3] = ["apiVersion", "kind", "metadata"];

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
    /// To be called after [`Self::prune_nulls`].
    pub fn set_defaults(&self, object: &mut Value) {
        self.default_fields(object, &SERVERS_OWN);
    }

    fn default_fields(&self, value: &mut Value, except: &[&str]) {
        match value {
            Value::Object(map) => {
                for (name, schema) in &self.properties {
                    if except.contains(&&**name) {
                        continue;
                    }
                    let Some(default) = &schema.default else { continue };
                    match map.get_mut(&**name) {
                        None => {
                            map.insert(name.to_string(), (**default).clone());
                        }
                        Some(value) if value.is_null() && !schema.is_nullable => *value = (**default).clone(),
                        Some(_) => {}
                    }
                }
                for (name, value) in map.iter_mut().filter(|(name, _)| !except.contains(&name.as_str())) {
                    if let Some(schema) = self.field(name) {
                        schema.default_item(value);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    items.iter_mut().for_each(|item| schema.default_item(item));
                }
            }
            _ => {}
        }
    }

    fn default_item(&self, value: &mut Value) {
        if let Some(default) = self.default.as_deref().filter(|_| value.is_null() && !self.is_nullable) {
            *value = default.clone();
        }
        self.default_fields(value, &[]);
    }
}
