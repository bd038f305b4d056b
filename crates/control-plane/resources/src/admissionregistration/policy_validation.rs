//! What is wrong with what policies of both kinds have: where they apply, their parameters, conditions and variables.
//!
//! Source: upstream `pkg/apis/admissionregistration/validation/validation.go`.

use std::sync::Arc;

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_machinery::tree::{items, text};

use super::match_conditions::{self, Known};
use super::match_resources::{validate_match_resources, validate_mutable_operations};
use super::param_validation::{validate_param_kind, validate_param_ref};
use crate::expression_validation::validate_expression;
use crate::rules::{at, complain, supported};
use windlass_cel::admission::{Declarations, Environment};
use windlass_cel::{Patterns, is_identifier};

/// A policy that is validated, and the one that it replaces.
pub(super) struct Update<'a> {
    pub spec: &'a Value,
    pub old: Option<&'a Value>,
    /// Those of all its expressions.
    pub patterns: Arc<Patterns>,
}

impl<'a> Update<'a> {
    pub(super) fn of(object: &'a Value, old: Option<&'a Value>) -> Self {
        let (spec, old) = (&object["spec"], old.map(|old| &old["spec"]));
        let patterns = if old == Some(spec) { Patterns::accepted() } else { Patterns::of_expressions() };
        Self { spec, old, patterns }
    }

    /// The expressions in a field of the old policy's lists.
    pub(super) fn known(&self, list: &str, field: &str) -> Known<'a> {
        self.old.into_iter().flat_map(|old| items(old, list)).map(|item| text(item, field)).collect()
    }

    /// What expressions of the policy may name.
    pub(super) fn declarations(&self) -> Declarations {
        Declarations { params: at(self.spec, "paramKind").is_some(), authorizer: true }
    }

    /// Whether match conditions may have become wrong.
    fn changes_conditions(&self) -> bool {
        let is_same = |old: &Value, field| at(old, field) == at(self.spec, field);
        !self.old.is_some_and(|old| is_same(old, "paramKind") && is_same(old, "matchConditions"))
    }

    /// The failure policy, the kind of the parameters, the constraints, and the match conditions.
    pub(super) fn validate_common(&self, errors: &mut Errors, path: &Path<'_>, is_mutating: bool) {
        match at(self.spec, "failurePolicy") {
            None => errors.push(Error::required(&path.child("failurePolicy"), "")),
            Some(_) => {
                let policy = text(self.spec, "failurePolicy");
                supported(errors, &path.child("failurePolicy"), policy, &["Fail", "Ignore"]);
            }
        }
        if let Some(kind) = at(self.spec, "paramKind") {
            validate_param_kind(errors, kind, &path.child("paramKind"));
        }
        let constraints_path = path.child("matchConstraints");
        match at(self.spec, "matchConstraints") {
            None => errors.push(Error::required(&constraints_path, "")),
            Some(constraints) => {
                validate_match_resources(errors, constraints, &constraints_path);
                // At least one rule says what is known of the types.
                if items(constraints, "resourceRules").next().is_none() {
                    errors.push(Error::required(&constraints_path.child("resourceRules"), ""));
                }
                if is_mutating {
                    validate_mutable_operations(errors, constraints, &constraints_path);
                }
            }
        }
        if self.changes_conditions() {
            let known = self.known("matchConditions", "expression");
            let path = path.child("matchConditions");
            match_conditions::validate(errors, self.spec, &path, self.declarations(), &known, &self.patterns);
        }
    }

    /// The variables, which become names of the environment.
    pub(super) fn validate_variables(
        &self,
        errors: &mut Errors,
        path: &Path<'_>,
        environment: &mut Environment,
        known: &Known<'_>,
    ) {
        let path = path.child("variables");
        for (index, variable) in items(self.spec, "variables").enumerate() {
            if errors.is_full() {
                return;
            }
            let path = path.index(index);
            let (name, expression) = (text(variable, "name"), text(variable, "expression"));
            if name.trim().is_empty() {
                errors.push(Error::required(&path.child("name"), "name is not specified"));
            } else if !is_identifier(name) {
                errors.push(Error::invalid(&path.child("name"), name, "must be a valid CEL identifier"));
            }
            if expression.trim().is_empty() {
                errors.push(Error::required(&path.child("expression"), "expression is not specified"));
                continue;
            }
            let env = environment.env(known.mode(expression), self.declarations());
            let compiled = validate_expression(errors, &path.child("expression"), &env, expression, &[]);
            environment.add(name, compiled.as_ref().map(|compiled| compiled.expression.output_type()));
        }
    }
}

/// The policy that a binding is for, the parameters, and where it applies.
pub(super) fn validate_binding(errors: &mut Errors, spec: &Value, path: &Path<'_>, is_mutating: bool) {
    let (policy, policy_path) = (text(spec, "policyName"), path.child("policyName"));
    if policy.is_empty() {
        errors.push(Error::required(&policy_path, ""));
    } else {
        complain(errors, &policy_path, policy, names::dns1123_subdomain(policy));
    }
    validate_param_ref(errors, spec, path);
    if let Some(resources) = at(spec, "matchResources") {
        let path = path.child("matchResources");
        validate_match_resources(errors, resources, &path);
        if is_mutating {
            validate_mutable_operations(errors, resources, &path);
        }
    }
}
