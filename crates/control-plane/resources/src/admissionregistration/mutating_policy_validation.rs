//! What is wrong with a MutatingAdmissionPolicy.
//!
//! Source: upstream `pkg/apis/admissionregistration/validation/validation.go`.

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_cel::Type;
use windlass_machinery::tree::{items, text};

use super::match_conditions::Known;
use super::policy_validation::Update;
use crate::expression_validation::validate_expression;
use crate::rules::{at, required_of};
use windlass_cel::admission::{Environment, apply_configuration, json_patch};

/// The fields of a mutation by its `patchType`.
const APPLY_CONFIGURATION: &str = "applyConfiguration";
const JSON_PATCH: &str = "jsonPatch";

/// Validates a policy, or an update of one.
pub(super) fn validate_policy(errors: &mut Errors, object: &Value, old: Option<&Value>) {
    let update = Update::of(object, old);
    let path = Path::new("spec");
    update.validate_common(errors, &path, true);
    let mut environment = Environment::of_policy(update.patterns.clone());
    update.validate_variables(errors, &path, &mut environment, &Known::default());
    // Upstream holds JSON patches against apply configurations, too.
    let before = update.old.into_iter().flat_map(|old| items(old, "mutations"));
    let known: Known<'_> =
        before.filter_map(|mutation| at(mutation, APPLY_CONFIGURATION)).map(|one| text(one, "expression")).collect();
    let list_path = path.child("mutations");
    if items(update.spec, "mutations").next().is_none() {
        errors.push(Error::required(&list_path, "mutations must contain at least one item"));
    }
    for (index, mutation) in items(update.spec, "mutations").enumerate() {
        if !errors.is_full() {
            validate_mutation(errors, mutation, &list_path.index(index), &environment, &update, &known);
        }
    }
    let reinvocation = text(update.spec, "reinvocationPolicy");
    required_of(errors, &path.child("reinvocationPolicy"), reinvocation, &["IfNeeded", "Never"]);
}

fn validate_mutation(
    errors: &mut Errors,
    mutation: &Value,
    path: &Path<'_>,
    environment: &Environment,
    update: &Update<'_>,
    known: &Known<'_>,
) {
    let patch_type = text(mutation, "patchType");
    let (own, other, of) = match patch_type {
        "JSONPatch" => (JSON_PATCH, APPLY_CONFIGURATION, json_patch()),
        "ApplyConfiguration" => (APPLY_CONFIGURATION, JSON_PATCH, apply_configuration()),
        _ => {
            required_of(errors, &path.child("patchType"), patch_type, &["ApplyConfiguration", "JSONPatch"]);
            return;
        }
    };
    match at(mutation, own) {
        None => {
            let detail = format!("must be specified when patchType is {patch_type}");
            errors.push(Error::required(&path.child(own), detail));
        }
        Some(patch) => {
            let (written, path) = (text(patch, "expression"), path.child(own));
            validate_patch(errors, written, &path, environment, update, known, of);
        }
    }
    if at(mutation, other).is_some() {
        let detail = format!("must not be specified when patchType is {patch_type}");
        errors.push(Error::invalid(&path.child(other), format!("{{{other}}}"), detail));
    }
}

fn validate_patch(
    errors: &mut Errors,
    written: &str,
    path: &Path<'_>,
    environment: &Environment,
    update: &Update<'_>,
    known: &Known<'_>,
    of: Type,
) {
    let path = path.child("expression");
    if written.trim().is_empty() {
        errors.push(Error::required(&path, ""));
        return;
    }
    let env = environment.patch_env(known.mode(written), update.declarations());
    validate_expression(errors, &path, &env, written.trim(), &[of]);
}
