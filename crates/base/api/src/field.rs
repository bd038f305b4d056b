//! Paths of fields and what validation says of them, in upstream's wording (apimachinery `util/validation/field`).

use std::fmt;
use std::ops::Deref;

use serde_json::Value;

/// A field's place in an object: `spec.containers[0].image`. Children borrow their parents, so walking costs nothing until an
/// error is found.
#[derive(Clone, Copy)]
pub struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Name(&'a str),
    Index(usize),
    Key(&'a str),
}

impl<'a> Path<'a> {
    pub const fn new(name: &'a str) -> Self {
        Self { parent: None, step: Step::Name(name) }
    }

    pub const fn child(&'a self, name: &'a str) -> Self {
        Self { parent: Some(self), step: Step::Name(name) }
    }

    pub const fn index(&'a self, index: usize) -> Self {
        Self { parent: Some(self), step: Step::Index(index) }
    }

    /// An entry of a map.
    pub const fn key(&'a self, key: &'a str) -> Self {
        Self { parent: Some(self), step: Step::Key(key) }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Name(name) if self.parent.is_some() => write!(f, ".{name}"),
            Step::Name(name) => f.write_str(name),
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Key(key) => write!(f, "[{key}]"),
        }
    }
}

/// The machine-readable kind of an [`Error`]: the `reason` of a cause in a Status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorType {
    NotFound,
    Required,
    Duplicate,
    Invalid,
    NotSupported,
    Forbidden,
    TooLong,
    TooShort,
    TooMany,
    TooFew,
    TypeInvalid,
    Internal,
}

impl ErrorType {
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotFound => "FieldValueNotFound",
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooShort => "FieldValueTooShort",
            Self::TooMany => "FieldValueTooMany",
            Self::TooFew => "FieldValueTooFew",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::Internal => "InternalError",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::NotFound => "Not found",
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooShort => "Too short",
            Self::TooMany => "Too many",
            Self::TooFew => "Too few",
            Self::Internal => "Internal error",
        }
    }
}

/// One thing that is wrong with an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    pub kind: ErrorType,
    pub field: String,
    /// Shown in the message where upstream shows it.
    pub value: Option<Value>,
    pub detail: String,
}

/// Bytes of all errors together. What is wrong beyond that is only counted: an object can be wrong in as many places as it has, and
/// some errors show a whole list.
const BYTES_MAX: usize = 1 << 20;

/// Everything that is wrong with an object, within bounds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Errors {
    list: Vec<Error>,
    bytes: usize,
    omitted: usize,
}

impl Errors {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn push(&mut self, error: Error) {
        if self.is_full() {
            self.omitted += 1;
            return;
        }
        self.bytes += error.field.len() + error.detail.len() + error.value.as_ref().map_or(0, |v| v.to_string().len());
        self.list.push(error);
    }

    /// Adds an error that is made only when it is kept: one that shows a whole list.
    pub fn push_with(&mut self, make: impl FnOnce() -> Error) {
        if self.is_full() { self.omitted += 1 } else { self.push(make()) }
    }

    /// Whether no more errors are kept.
    pub fn is_full(&self) -> bool {
        self.bytes > BYTES_MAX
    }

    /// How many errors were too many.
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    pub fn truncate(&mut self, len: usize) {
        self.list.truncate(len);
    }

    /// Takes the last one back, if it is as `is` wants it.
    pub fn pop_if(&mut self, is: impl FnOnce(&mut Error) -> bool) -> Option<Error> {
        self.list.pop_if(is)
    }

    pub fn retain(&mut self, keep: impl FnMut(&Error) -> bool) {
        self.list.retain(keep);
    }
}

impl Deref for Errors {
    type Target = [Error];

    fn deref(&self) -> &[Error] {
        &self.list
    }
}

impl Extend<Error> for Errors {
    fn extend<I: IntoIterator<Item = Error>>(&mut self, errors: I) {
        errors.into_iter().for_each(|error| self.push(error));
    }
}

impl FromIterator<Error> for Errors {
    fn from_iter<I: IntoIterator<Item = Error>>(errors: I) -> Self {
        let mut all = Self::new();
        all.extend(errors);
        all
    }
}

impl IntoIterator for Errors {
    type Item = Error;
    type IntoIter = std::vec::IntoIter<Error>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl<'a> IntoIterator for &'a Errors {
    type Item = &'a Error;
    type IntoIter = std::slice::Iter<'a, Error>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.iter()
    }
}

impl From<Error> for Errors {
    fn from(error: Error) -> Self {
        Self::from_iter([error])
    }
}

impl Error {
    fn new(kind: ErrorType, field: &Path<'_>, value: Option<Value>, detail: impl Into<String>) -> Self {
        Self { kind, field: field.to_string(), value, detail: detail.into() }
    }

    pub fn required(field: &Path<'_>, detail: impl Into<String>) -> Self {
        Self::new(ErrorType::Required, field, None, detail)
    }

    pub fn invalid(field: &Path<'_>, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::new(ErrorType::Invalid, field, Some(value.into()), detail)
    }

    pub fn duplicate(field: &Path<'_>, value: impl Into<Value>) -> Self {
        Self::new(ErrorType::Duplicate, field, Some(value.into()), "")
    }

    pub fn not_found(field: &Path<'_>, value: impl Into<Value>) -> Self {
        Self::new(ErrorType::NotFound, field, Some(value.into()), "")
    }

    /// `valid` in the order in which upstream lists them.
    pub fn not_supported(field: &Path<'_>, value: impl Into<Value>, valid: &[&str]) -> Self {
        let valid: Vec<String> = valid.iter().map(|v| format!("{v:?}")).collect();
        let detail = if valid.is_empty() { String::new() } else { format!("supported values: {}", valid.join(", ")) };
        Self::new(ErrorType::NotSupported, field, Some(value.into()), detail)
    }

    pub fn forbidden(field: &Path<'_>, detail: impl Into<String>) -> Self {
        Self::new(ErrorType::Forbidden, field, None, detail)
    }

    pub fn too_long(field: &Path<'_>, max_bytes: usize) -> Self {
        let unit = if max_bytes == 1 { "byte" } else { "bytes" };
        Self::new(ErrorType::TooLong, field, None, format!("may not be more than {max_bytes} {unit}"))
    }

    pub fn too_many(field: &Path<'_>, actual: usize, max: usize) -> Self {
        let unit = if max == 1 { "item" } else { "items" };
        Self::new(ErrorType::TooMany, field, Some(actual.into()), format!("must have at most {max} {unit}"))
    }

    pub fn internal(field: &Path<'_>, detail: impl Into<String>) -> Self {
        Self::new(ErrorType::Internal, field, None, detail)
    }

    /// The message without the field's name: the `message` of a cause in a Status.
    pub fn body(&self) -> String {
        let mut body = self.kind.title().to_owned();
        if let Some(value) = &self.value {
            body.push_str(": ");
            body.push_str(&value.to_string());
        }
        if !self.detail.is_empty() {
            body.push_str(": ");
            body.push_str(&self.detail);
        }
        body
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

/// Turns the complaints of a rule of [`crate::names`] into errors about a field.
pub fn complaints(field: &Path<'_>, value: &str, problems: Vec<String>) -> impl Iterator<Item = Error> {
    let field = field.to_string();
    let value = value.to_owned();
    problems.into_iter().map(move |detail| Error {
        kind: ErrorType::Invalid,
        field: field.clone(),
        value: Some(Value::from(value.clone())),
        detail,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_bounded() {
        let (mut errors, list) = (Errors::new(), Value::from(vec!["x"; 10_000]));
        for _ in 0..1000 {
            errors.push(Error::invalid(&Path::new("spec"), list.clone(), "bad"));
        }
        assert!(errors.is_full() && errors.len() < 100 && errors.len() + errors.omitted() == 1000);
        let status = crate::Status::invalid("", "Pod", "p", &errors);
        assert!(status.message.ends_with(&format!("and {} more errors]", errors.omitted())), "{}", errors.omitted());
    }

    #[test]
    fn wording() {
        let spec = Path::new("spec");
        let containers = spec.child("containers");
        let first = containers.index(0);
        assert_eq!(Error::required(&first.child("image"), "").to_string(), "spec.containers[0].image: Required value");
        assert_eq!(
            Error::invalid(&first.child("name"), "a b", "bad").to_string(),
            "spec.containers[0].name: Invalid value: \"a b\": bad"
        );
        assert_eq!(Error::invalid(&spec, 5, "bad").to_string(), "spec: Invalid value: 5: bad");
        assert_eq!(
            Error::not_supported(&spec.key("x"), "y", &["a", "b"]).to_string(),
            "spec[x]: Unsupported value: \"y\": supported values: \"a\", \"b\""
        );
        assert_eq!(Error::too_long(&spec, 1).to_string(), "spec: Too long: may not be more than 1 byte");
        assert_eq!(Error::too_many(&spec, 3, 2).to_string(), "spec: Too many: 3: must have at most 2 items");
        assert_eq!(Error::duplicate(&spec, "x").to_string(), "spec: Duplicate value: \"x\"");
        assert_eq!(Error::forbidden(&spec, "no").to_string(), "spec: Forbidden: no");
    }
}
