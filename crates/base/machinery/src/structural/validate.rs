//! Validation of objects, from the top.

use serde_json::Value;
use windlass_api::field::{Error, ErrorType, Errors};

use super::correlation::{Correlation, Pair};
use super::findings::{Findings, error};
use super::place::Place;
use super::schema::Structural;

/// The walk of one validation through an object.
pub(super) struct Walk<'a> {
    /// The field that is validated instead of the whole object; places are below it.
    base: Option<&'static str>,
    pub(super) correlation: Option<&'a Correlation>,
}

impl Structural {
    /// What is wrong with a new object: its values, then its embedded resources, then duplicates in its lists.
    ///
    /// Upstream has the errors of the scale subresource's paths between the first two; who needs them there calls
    /// [`Self::validate_values`], [`Self::validate_embedded`] and [`Self::validate_lists`] one by one.
    pub fn validate(&self, object: &Value) -> Errors {
        let mut errors = self.validate_values(object);
        self.embedded_in(None, object, &mut errors);
        self.lists_of(None, object, &mut errors);
        errors
    }

    /// What is wrong with an update that was not wrong before (ratcheting).
    ///
    /// Not reported are errors of a value that is what it was in `old`, together with those below it. A value has an old one when
    /// its parents have, and it is a field that the schema names (or has `additionalProperties` for) and that both objects have,
    /// or an item of a list of type `map` whose keys an old item has. So these do not ratchet:
    ///
    /// - items of other lists, unless the list as a whole is unchanged; for a list of type `map` the order does not count;
    /// - what stands below a field that is not in the schema, and whatever contains one that has such fields;
    /// - errors that a value has because of its changed parts: `required`, sizes, `enum`, `allOf`, `anyOf`, `oneOf`, `not` of an
    ///   object that has changed in any field, also where the field in question is the same;
    /// - `apiVersion` and `kind` of the object;
    /// - embedded resources.
    ///
    /// Duplicates in lists ratchet as a whole: they are not looked for when the old object has any.
    pub fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let mut errors = self.validate_values_update(object, old);
        self.embedded_in(None, object, &mut errors);
        errors.extend(self.validate_lists_update(object, old));
        errors
    }

    /// What is wrong with an update of the status alone: as [`Self::validate_update`], but of all values only `status` is held
    /// against its schema, and embedded resources are not looked at.
    pub fn validate_status_update(&self, object: &Value, old: &Value) -> Errors {
        let mut errors = Errors::new();
        if let (Some(schema), Some(status)) = (self.property("status"), object.get("status")) {
            let correlation = Correlation::default();
            let walk = Walk { base: Some("status"), correlation: Some(&correlation) };
            errors = walk.run(schema, status, Some(old.get("status").unwrap_or(&Value::Null)));
        }
        errors.extend(self.validate_lists_update(object, old));
        errors
    }

    /// The first part of [`Self::validate`]: types, values, formats.
    pub fn validate_values(&self, object: &Value) -> Errors {
        Walk { base: None, correlation: None }.run(self, object, None)
    }

    /// The first part of [`Self::validate_update`].
    pub fn validate_values_update(&self, object: &Value, old: &Value) -> Errors {
        let correlation = Correlation::default();
        Walk { base: None, correlation: Some(&correlation) }.run(self, object, Some(old))
    }

    /// The last part of [`Self::validate_update`].
    pub fn validate_lists_update(&self, object: &Value, old: &Value) -> Errors {
        let errors = self.validate_lists(object);
        if errors.is_empty() || !self.validate_lists(old).is_empty() { Errors::new() } else { errors }
    }
}

impl Walk<'_> {
    fn run(&self, schema: &Structural, value: &Value, old: Option<&Value>) -> Errors {
        let mut findings = Findings::default();
        self.value(schema, value, &Place::Root, old.map(Pair::of), &mut findings);
        findings.into_errors()
    }

    /// An error of one value, of which `shown` is printed.
    pub(super) fn error(&self, kind: ErrorType, place: &Place<'_>, shown: Option<&Value>, detail: String) -> Error {
        let place = place.to_string();
        let field = match (self.base, place.strip_prefix('.').unwrap_or(&place)) {
            (None, "") => NO_FIELD.to_owned(),
            (None, place) => place.to_owned(),
            (Some(base), "") => base.to_owned(),
            (Some(base), place) => format!("{base}.{place}"),
        };
        error(kind, field, shown, detail)
    }

    /// An error that upstream assigns to no value, but to all that is validated.
    pub(super) fn whole(&self, detail: String) -> Error {
        let field = self.base.unwrap_or(NO_FIELD).to_owned();
        Error { kind: ErrorType::Invalid, field, value: Some("".into()), detail }
    }
}

/// The field of what is wrong with the object as a whole: Go's print of a path that is not there.
const NO_FIELD: &str = "<nil>";
