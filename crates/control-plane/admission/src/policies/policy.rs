//! A policy as it is compiled: where it applies, its parameters and conditions, and what the kind of policy makes of the rest.

use serde_json::Value;
use windlass_api::GroupVersionKind;
use windlass_cel::admission::{Declarations, Environment, compile_expression};
use windlass_cel::{Mode, Patterns, Type};
use windlass_machinery::tree::text;

use crate::expressions::{MatchConditions, Variables, Written};
use crate::matching::Matcher;

/// A policy; `E` is what it does.
pub(crate) struct Policy<E> {
    pub name: String,
    /// Or why the policy is about nothing.
    pub matcher: Result<Matcher, &'static str>,
    pub params: Option<ParamKind>,
    /// What cannot be evaluated refuses the write (`failurePolicy: Fail`).
    pub fails: bool,
    pub conditions: MatchConditions,
    pub variables: Variables,
    pub evaluator: E,
}

/// The kind of a policy's parameters.
pub(crate) struct ParamKind {
    pub kind: GroupVersionKind,
}

impl<E> Policy<E> {
    /// Compiles a stored policy. `evaluator` gets its specification, and what its expressions may name.
    pub(crate) fn compile(object: &Value, evaluator: impl FnOnce(&Value, &Environment, Declarations) -> E) -> Self {
        let spec = &object["spec"];
        let params = param_kind(spec);
        let declarations = Declarations { params: params.is_some(), authorizer: true };
        let mut environment = Environment::of_policy(Patterns::of_expressions());
        let variables = Variables::compile(spec, &mut environment, declarations);
        Self {
            name: text(&object["metadata"], "name").to_owned(),
            matcher: matcher(&spec["matchConstraints"]),
            params,
            fails: text(spec, "failurePolicy") != "Ignore",
            conditions: MatchConditions::compile(spec, &environment, declarations),
            evaluator: evaluator(spec, &environment, declarations),
            variables,
        }
    }
}

/// Compiles an expression that was accepted already.
pub(crate) fn compile_written(
    source: &str,
    environment: &Environment,
    declarations: Declarations,
    types: &[Type],
) -> Written {
    let env = environment.env(Mode::Stored, declarations);
    Written { source: source.to_owned(), compiled: compile_expression(&env, source, types) }
}

fn param_kind(spec: &Value) -> Option<ParamKind> {
    let kind = spec.get("paramKind").filter(|kind| kind.is_object())?;
    let api_version = text(kind, "apiVersion");
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let (group, version) = (group.to_owned().into(), version.to_owned().into());
    Some(ParamKind { kind: GroupVersionKind { group, version, kind: text(kind, "kind").to_owned().into() } })
}

/// Where something applies. Defaults are set in whatever is stored, so what lacks is wrong.
pub(super) fn matcher(resources: &Value) -> Result<Matcher, &'static str> {
    const NO_NAMESPACES: &str = "a nil namespace selector was passed, please ensure selectors are initialized properly";
    const NO_OBJECTS: &str = "a nil object selector was passed, please ensure selectors are initialized properly";
    if !resources.is_object() {
        return Err("policy contained no match constraints, a required field");
    }
    if !resources["namespaceSelector"].is_object() {
        return Err(NO_NAMESPACES);
    }
    if !resources["objectSelector"].is_object() {
        return Err(NO_OBJECTS);
    }
    Ok(Matcher::of_match_resources(resources))
}
