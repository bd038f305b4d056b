//! What is wrong with match conditions, of webhooks and of policies.
//!
//! Source: upstream `pkg/apis/admissionregistration/validation/validation.go`.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_cel::{Mode, Patterns, Type};
use windlass_machinery::tree::{items, text};

use crate::expression_validation::validate_expression;
use crate::rules::{complain, required};
use windlass_cel::admission::{Declarations, Environment};

const MOST: usize = 64;

/// Expressions that were accepted already. They may go on using what a new one may not.
#[derive(Default)]
pub(super) struct Known<'a>(HashSet<&'a str>);

impl<'a> FromIterator<&'a str> for Known<'a> {
    fn from_iter<I: IntoIterator<Item = &'a str>>(expressions: I) -> Self {
        Self(expressions.into_iter().collect())
    }
}

impl Known<'_> {
    pub(super) fn mode(&self, expression: &str) -> Mode {
        if self.0.contains(expression) { Mode::Stored } else { Mode::New }
    }
}

/// The `matchConditions` of an owner. They see no variables, whether the owner has any or not.
pub(super) fn validate(
    errors: &mut Errors,
    owner: &Value,
    path: &Path<'_>,
    declarations: Declarations,
    known: &Known<'_>,
    patterns: &Arc<Patterns>,
) {
    let count = items(owner, "matchConditions").count();
    if count > MOST {
        errors.push(Error::too_many(path, count, MOST));
    }
    let environment = Environment::of_webhook(patterns.clone());
    let mut seen = BTreeSet::new();
    for (index, condition) in items(owner, "matchConditions").enumerate() {
        let path = path.index(index);
        let expression = text(condition, "expression").trim();
        if expression.is_empty() {
            errors.push(Error::required(&path.child("expression"), ""));
        } else if !errors.is_full() {
            let env = environment.env(known.mode(expression), declarations);
            validate_expression(errors, &path.child("expression"), &env, expression, &[Type::Bool]);
        }
        if !required(errors, condition, &path, "name") {
            continue;
        }
        let name = text(condition, "name");
        complain(errors, &path.child("name"), name, names::qualified_name(name));
        if !seen.insert(name) {
            errors.push(Error::duplicate(&path.child("name"), name));
        }
    }
}
