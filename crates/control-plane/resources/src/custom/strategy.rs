//! How custom resources differ from other kinds: everything comes from the version's schema.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_machinery::decode;
use windlass_machinery::schema::TypeRef;
use windlass_machinery::tree::weight;

use super::columns::cell;
use super::finalizers;
use super::scale;
use crate::columns;
use crate::definition::CustomSchema;
use crate::definition::Scale;
use crate::definition::rules::TypeMeta;
use crate::resource::content_differs;
use crate::{Strategy, Subresource};

pub(super) struct CustomResource {
    pub schema: Arc<CustomSchema>,
    pub types: TypeMeta,
    /// The types of the printer columns.
    pub columns: Vec<String>,
    pub scale: Option<Scale>,
    pub has_status: bool,
    pub is_terminating: bool,
    /// The revision of the definition; `None` when versions have schemas that differ. What was written later has been pruned and
    /// defaulted by the schema that it is read with.
    pub revision: Option<u64>,
}

/// What the cells of a row may weigh together ([`weight`]): many columns may show the same large value. Those beyond it are empty.
const ROW_WEIGHT_MAX: usize = 4 << 20;

/// Refuses an object that would become too large.
fn too_many_defaults() -> Errors {
    Error::invalid(&Path::new(""), Value::Null, "the defaults of its fields are too large together").into()
}

impl CustomResource {
    fn validate_scale(&self, errors: &mut Errors, object: &Value) {
        if let Some(scale) = &self.scale {
            scale::validate_spec(errors, scale, object);
            scale::validate_status(errors, scale, object);
        }
    }
}

impl Strategy for CustomResource {
    fn set_defaults(&self, object: &mut Value) {
        let structural = &self.schema.compiled().structural;
        structural.prune_nulls(object);
        structural.set_defaults(object);
    }

    /// The schema may have changed since the object was written.
    fn to_served(&self, object: &mut Value) {
        let TypeRef { schema, id } = self.schema.types();
        // What is stored has metadata that can be read.
        if let Ok(pruned) = decode::from_value(schema, id, object.clone()) {
            *object = pruned.value;
        }
        self.set_defaults(object);
    }

    fn is_stored_form(&self, revision: u64) -> bool {
        self.revision.is_some_and(|definition| revision > definition)
    }

    fn validate(&self, object: &Value) -> Errors {
        let structural = &self.schema.compiled().structural;
        if structural.lacks_defaults(object, self.has_status) {
            return too_many_defaults();
        }
        let mut errors = structural.validate_values(object);
        self.validate_scale(&mut errors, object);
        errors.extend(structural.validate_embedded(object));
        errors.extend(structural.validate_lists(object));
        errors
    }

    /// Rules may hold the status against everything else, so all of them are asked of every write.
    fn validate_rules(&self, object: &Value, old: Option<&Value>, found: &mut Errors) {
        if let Some(rules) = &self.schema.compiled().rules {
            rules.validate(&self.types, object, old, found);
        }
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let structural = &self.schema.compiled().structural;
        // Whoever removes a finalizer shall not be held up by a definition that was changed.
        let lacks_defaults = |object| structural.lacks_defaults(object, self.has_status);
        if lacks_defaults(object) && !lacks_defaults(old) {
            return too_many_defaults();
        }
        let mut errors = structural.validate_values_update(object, old);
        self.validate_scale(&mut errors, object);
        errors.extend(structural.validate_embedded(object));
        errors.extend(structural.validate_lists_update(object, old));
        errors
    }

    fn validate_status(&self, object: &Value, old: &Value) -> Errors {
        let mut errors = self.schema.compiled().structural.validate_status_update(object, old);
        if let Some(scale) = &self.scale {
            scale::validate_status(&mut errors, scale, object);
        }
        errors
    }

    fn validate_subresource(&self, _subresource: Subresource, object: &Value, old: &Value) -> Errors {
        self.validate_update(object, old)
    }

    fn warnings(&self, object: &Value, old: Option<&Value>) -> Vec<String> {
        let mut warnings = finalizers::warnings(object, old);
        if let Some((rules, old)) = self.schema.compiled().rules.as_ref().zip(old) {
            warnings.extend(rules.warnings(&self.types, object, old));
        }
        warnings
    }

    fn is_new_generation(&self, object: &Value, old: &Value) -> bool {
        content_differs(object, old) || (!self.has_status && object.get("status") != old.get("status"))
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let paths = &self.schema.compiled().columns;
        // A definition without columns shows how old objects are.
        if self.columns.is_empty() {
            return vec![columns::name(object), columns::age(object, now)];
        }
        let mut left = ROW_WEIGHT_MAX;
        let cells = self.columns.iter().zip(paths).map(|(kind, path)| {
            let cell = if left > 0 { cell(kind, path.as_ref(), object, now) } else { Value::Null };
            left -= weight(&cell, left);
            cell
        });
        std::iter::once(columns::name(object)).chain(cells).collect()
    }

    fn refuses_creation(&self) -> Option<&'static str> {
        self.is_terminating.then_some("create not allowed while custom resource definition is terminating")
    }
}
