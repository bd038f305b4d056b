//! From a rule's text to a program.

use std::sync::Arc;

use serde_json::Value;
use windlass_cel::{
    Env, Expression, Mode, Patterns, Program, Schema, SchemaSizes, Sizes, Type, cardinality_max, declare,
};
use windlass_machinery::tree::text;

use super::shape::Shape;

/// The value that a rule is about, and the one that it replaces.
pub(super) const SELF: &str = "self";
pub(super) const OLD_SELF: &str = "oldSelf";

/// What expressions about values of a schema may name.
pub(crate) struct Types {
    own: Type,
    sizes: Arc<SelfSizes>,
    shape: Arc<Shape>,
}

/// Which functions the expressions of a rule may use.
#[derive(Clone, Copy)]
pub(crate) struct Modes {
    pub(crate) rule: Mode,
    pub(crate) message: Mode,
}

/// A rule that can run.
pub(crate) struct Compiled {
    pub(crate) program: Program,
    pub(crate) uses_self: bool,
    pub(crate) uses_old_self: bool,
    /// What it may cost; asked for only where that matters, for it is not cheap to find out.
    expression: Expression,
    pub(crate) message: Option<Result<Message, String>>,
}

/// A message expression that can run.
pub(crate) struct Message {
    pub(crate) program: Program,
    expression: Expression,
}

/// The sizes of the values of a schema. Upstream takes every path for one from the value, whatever it begins with: `oldSelf`, and also the
/// elements of what is computed (`self.name.split('')`), which have its own size then.
#[derive(Debug)]
struct SelfSizes(SchemaSizes);

impl Sizes for SelfSizes {
    fn size_max(&self, path: &[&str]) -> Option<u64> {
        let mut path = path.to_vec();
        *path.first_mut()? = SELF;
        self.0.size_max(&path)
    }
}

impl Types {
    /// The types for a schema; `None` if expressions cannot have its values.
    pub(crate) fn of(shape: &Arc<Shape>) -> Option<Self> {
        let schema: Arc<dyn Schema> = shape.clone();
        // Upstream's name has a number that is another each time, so that nobody depends on it.
        let own = declare(schema.clone(), "selfType")?;
        let sizes = SelfSizes(SchemaSizes::default().variable(SELF, schema));
        Some(Self { own, sizes: Arc::new(sizes), shape: shape.clone() })
    }

    /// How often such a value can stand in one object, if no schema above it bounds it.
    pub(crate) fn cardinality_max(&self) -> u64 {
        cardinality_max(&*self.shape)
    }

    fn env(&self, mode: Mode, is_old_optional: bool, patterns: &Arc<Patterns>) -> Env {
        let old = if is_old_optional { Type::optional(self.own.clone()) } else { self.own.clone() };
        Env::new(mode)
            .patterns(patterns.clone())
            .variable(SELF, self.own.clone())
            .variable(OLD_SELF, old)
            .sizes(self.sizes.clone())
    }
}

impl Modes {
    /// For expressions that were accepted already.
    pub(crate) const STORED: Self = Self { rule: Mode::Stored, message: Mode::Stored };
}

impl Compiled {
    pub(crate) fn cost_max(&self) -> u64 {
        self.expression.estimate().max
    }
}

impl Message {
    pub(crate) fn cost_max(&self) -> u64 {
        self.expression.estimate().max
    }
}

/// Compiles an entry of `x-kubernetes-validations`; `None` if it has no rule.
pub(crate) fn compile(
    rule: &Value,
    types: &Types,
    modes: Modes,
    patterns: &Arc<Patterns>,
) -> Option<Result<Compiled, String>> {
    let source = text(rule, "rule");
    if source.trim().is_empty() {
        return None;
    }
    let is_old_optional = is_old_optional(rule);
    Some(compile_rule(source, &types.env(modes.rule, is_old_optional, patterns)).map(|compiled| {
        let source = text(rule, "messageExpression");
        let compile = || compile_message(source, &types.env(modes.message, is_old_optional, patterns));
        Compiled { message: (!source.is_empty()).then(compile), ..compiled }
    }))
}

/// Whether the old value is optional, and the rule is also about values that have none.
pub(super) fn is_old_optional(rule: &Value) -> bool {
    rule["optionalOldSelf"] == true
}

fn compile_rule(source: &str, env: &Env) -> Result<Compiled, String> {
    let expression = env.compile(source).map_err(|issues| format!("compilation failed: {issues}"))?;
    if *expression.output_type() != Type::Bool {
        return Err("cel expression must evaluate to a bool".to_owned());
    }
    let program = expression.program().map_err(|error| format!("program instantiation failed: {error}"))?;
    Ok(Compiled {
        program,
        uses_self: expression.uses(SELF),
        uses_old_self: expression.uses(OLD_SELF),
        expression,
        message: None,
    })
}

fn compile_message(source: &str, env: &Env) -> Result<Message, String> {
    let failed = |issues| format!("messageExpression compilation failed: {issues}");
    let expression = env.compile(source).map_err(failed)?;
    if *expression.output_type() != Type::String {
        return Err("messageExpression must evaluate to a string".to_owned());
    }
    let failed = |error| format!("messageExpression instantiation failed: {error}");
    let program = expression.program().map_err(failed)?;
    Ok(Message { program, expression })
}
