//! Expressions that were found to be right.

use crate::ast::{Expr, Kind, Literal, operators};
use crate::check::{Checked, check};
use crate::cost::{Range, estimate};
use crate::env::Env;
use crate::issues::Issues;
use crate::parse::{nesting, parse};
use crate::program::{PlanError, Program};
use crate::stack::with_room;
use crate::types::Type;

/// A checked expression, with the environment that it was checked in.
#[derive(Debug)]
pub struct Expression {
    checked: Checked,
    /// How deep the expression may nest, at most.
    depth: usize,
    env: Env,
}

impl Env {
    /// Reads and checks an expression.
    pub fn compile(&self, text: &str) -> Result<Expression, Issues> {
        let depth = nesting(text);
        let checked =
            with_room(depth, || check(parse(text, self.binds)?, self)).unwrap_or_else(|| Err(Issues::no_room()))?;
        Ok(Expression { checked, depth, env: self.clone() })
    }
}

impl Expression {
    /// The type of the expression's value.
    pub fn output_type(&self) -> &Type {
        self.checked.type_of(self.checked.root.id)
    }

    /// What the expression may cost, by the sizes that the environment knows.
    pub fn estimate(&self) -> Range {
        // Without room there is no estimate, and that is the highest one.
        with_room(self.depth, || estimate(&self.checked, &self.env)).unwrap_or(Range { min: 0, max: u64::MAX })
    }

    /// Whether the expression names a variable that was declared.
    pub fn uses(&self, variable: &str) -> bool {
        fn names(expr: &Expr, variable: &str) -> bool {
            let mut found = matches!(&expr.kind, Kind::Ident(name) if name.trim_start_matches('.') == variable);
            expr.children(|child| found |= names(child, variable));
            found
        }
        with_room(self.depth, || names(&self.checked.root, variable)).unwrap_or(true)
    }

    /// Whether the expression selects a field of a variable: `operand.field`, `operand.?field`, or in `has()`.
    pub fn selects(&self, operand: &str, field: &str) -> bool {
        let is_operand = |expr: &Expr| matches!(&expr.kind, Kind::Ident(name) if name == operand);
        let is_field = |expr: &Expr| matches!(&expr.kind, Kind::Literal(Literal::String(name)) if name == field);
        fn any(expr: &Expr, is: &dyn Fn(&Expr) -> bool) -> bool {
            let mut found = is(expr);
            expr.children(|child| found |= any(child, is));
            found
        }
        let is = |expr: &Expr| match &expr.kind {
            Kind::Select(select) => is_operand(&select.operand) && select.field == field,
            Kind::Call(call) if call.target.is_none() && call.function == operators::OPT_SELECT => {
                matches!(call.args.as_slice(), [of, name] if is_operand(of) && is_field(name))
            }
            _ => false,
        };
        with_room(self.depth, || any(&self.checked.root, &is)).unwrap_or(true)
    }

    /// Makes the expression ready to run.
    pub fn program(&self) -> Result<Program, PlanError> {
        let plan = || Program::plan(&self.checked, &self.env, self.depth);
        with_room(self.depth, plan).unwrap_or_else(|| Err(PlanError::no_room()))
    }
}
