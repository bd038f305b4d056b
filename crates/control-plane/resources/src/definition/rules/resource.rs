//! Rules and whole resources: their types, which are not stored, and what was found before rules are asked.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use windlass_api::field::{Error, ErrorType, Errors};
use windlass_cel::Patterns;
use windlass_machinery::tree::{items, text};

use super::compile::is_old_optional;
use super::correlation::{Pair, Ratchet};
use super::run::{BUDGET, Place, Run};
use super::tree::Rules;

/// What a resource is; objects are stored without it.
#[derive(Debug)]
pub(crate) struct TypeMeta {
    pub(crate) api_version: String,
    pub(crate) kind: String,
}

/// The rules of a version of a custom resource.
pub(crate) struct ResourceRules {
    rules: Rules,
    /// Whether a rule may see `apiVersion` or `kind`: objects are copied with them, and otherwise taken as they are.
    reads_types: bool,
    /// Whether some object has broken a rule that it broke before. As long as none has, nobody looks for warnings.
    has_forgiven: AtomicBool,
}

impl ResourceRules {
    /// Reads an `openAPIV3Schema`; `None` if it has no rules.
    pub(crate) fn read(schema: &Value) -> Option<Self> {
        let rules = Rules::read(schema, true, &Patterns::of_expressions())?;
        let has_type = |rules: &Rules| rules.properties.iter().any(|(name, _)| is_type(name));
        let reads_types = has_type(&rules) || items(schema, "x-kubernetes-validations").any(may_read_types);
        Some(Self { rules, reads_types, has_forgiven: AtomicBool::new(false) })
    }

    /// Adds which rules a new object, or an update, breaks to what else is wrong with it.
    pub(crate) fn validate(&self, types: &TypeMeta, new: &Value, old: Option<&Value>, found: &mut Errors) {
        if found.iter().any(|error| is_blocking(error.kind)) || found.omitted() > 0 {
            let detail = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
            let field = "<nil>".to_owned();
            found.push(Error { kind: ErrorType::Invalid, field, value: Some(Value::Null), detail: detail.to_owned() });
            return;
        }
        let run = self.run(types, new, old);
        if !run.forgiven.is_empty() {
            self.has_forgiven.store(true, Ordering::Relaxed);
        }
        found.extend(run.errors);
    }

    /// Which rules a valid update breaks in parts that it does not change. [`Self::validate`] was asked of it before.
    pub(crate) fn warnings(&self, types: &TypeMeta, new: &Value, old: &Value) -> Vec<String> {
        if !self.has_forgiven.load(Ordering::Relaxed) {
            return Vec::new();
        }
        self.run(types, new, Some(old)).forgiven.iter().map(ToString::to_string).collect()
    }

    fn run(&self, types: &TypeMeta, new: &Value, old: Option<&Value>) -> Run {
        let shown =
            |object| if self.reads_types { Cow::Owned(with_types(object, types)) } else { Cow::Borrowed(object) };
        let (new, old) = (shown(new), old.map(shown));
        let pair = old.as_deref().map(|old| Pair::root(&self.rules.shape, &new, old));
        let ratchet = pair.as_ref().map(Ratchet::of).unwrap_or_default();
        let mut run = Run::with(BUDGET);
        run.value(&self.rules, Place { path: None, new: &new, old: old.as_deref(), ratchet });
        run
    }
}

/// Whether a value with such an error may be none that its schema describes.
fn is_blocking(kind: ErrorType) -> bool {
    use ErrorType::{NotSupported, Required, TooLong, TooMany, TypeInvalid};
    matches!(kind, NotSupported | Required | TooLong | TooMany | TypeInvalid)
}

fn is_type(name: &str) -> bool {
    matches!(name, "apiVersion" | "kind")
}

fn with_types(object: &Value, types: &TypeMeta) -> Value {
    let mut object = object.clone();
    if let Some(map) = object.as_object_mut() {
        map.insert("apiVersion".to_owned(), Value::from(types.api_version.as_str()));
        map.insert("kind".to_owned(), Value::from(types.kind.as_str()));
    }
    object
}

fn may_read_types(rule: &Value) -> bool {
    let is_optional = is_old_optional(rule);
    ["rule", "messageExpression"].iter().any(|field| {
        let expression = text(rule, field);
        takes_whole(expression, "self")
            || takes_whole(expression, "oldSelf")
            || (is_optional && expression.contains("oldSelf"))
    })
}

/// Whether an expression takes a variable as a whole, or its types: whether the name stands anywhere without a selection of another field.
/// It may say so of expressions that do not; it costs them a copy.
fn takes_whole(expression: &str, variable: &str) -> bool {
    let is_word = |c: char| c == '_' || c.is_ascii_alphanumeric();
    expression.match_indices(variable).any(|(at, _)| {
        let (before, after) = (&expression[..at], &expression[at + variable.len()..]);
        if before.ends_with(is_word) || after.starts_with(is_word) {
            return false;
        }
        let Some(rest) = after.trim_start().strip_prefix('.') else { return true };
        let rest = rest.trim_start_matches(|c: char| c == '?' || c.is_whitespace());
        let field = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
        field.is_empty() || is_type(field)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_copied_for_those_who_read_types() {
        let cases = [
            ("self.spec.kind == 'x'", false),
            ("has(self.spec) && myself == self.metadata.name", false),
            ("self\n  .spec == 1", false),
            ("self.?spec.hasValue()", false),
            ("self.kind == 'x'", true),
            ("self . apiVersion == 'x'", true),
            ("self.?kind.hasValue()", true),
            ("self.kinds == 1", false),
            ("self['kind'] == 'x'", true),
            ("self == oldSelf", true),
            ("[self].all(x, x.kind == '')", true),
            ("self. // a comment\n kind == ''", true),
            ("size(self)", true),
            ("1 == 1", false),
        ];
        for (expression, expected) in cases {
            assert_eq!(takes_whole(expression, "self"), expected, "{expression}");
        }
    }
}
