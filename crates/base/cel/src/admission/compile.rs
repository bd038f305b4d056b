//! From text to something that can be evaluated.

use crate::env::Env;
use crate::expression::Expression;
use crate::program::Program;
use crate::types::Type;

/// An expression of the right type.
#[derive(Debug)]
pub struct Compiled {
    pub program: Program,
    pub expression: Expression,
}

/// Why an expression cannot be evaluated, in upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// It is wrong, or of a wrong type.
    #[error("{0}")]
    Invalid(String),
    /// It is right and cannot run: what is constant in it fails.
    #[error("{0}")]
    Internal(String),
}

/// Compiles an expression that has to be of one of the types; with none, of any.
pub fn compile_expression(env: &Env, text: &str, types: &[Type]) -> Result<Compiled, CompileError> {
    let failed = |issues| CompileError::Invalid(format!("compilation failed: {issues}"));
    let expression = env.compile(text).map_err(failed)?;
    let found = expression.output_type();
    if !types.is_empty() && !types.contains(found) {
        let wanted = match types {
            [only] => only.describe(),
            several => {
                let names: Vec<String> = several.iter().map(Type::describe).collect();
                format!("one of [{}]", names.join(" "))
            }
        };
        return Err(CompileError::Invalid(format!("must evaluate to {wanted} but got {}", found.describe())));
    }
    let failed = |error| CompileError::Internal(format!("program instantiation failed: {error}"));
    let program = expression.program().map_err(failed)?;
    Ok(Compiled { program, expression })
}
