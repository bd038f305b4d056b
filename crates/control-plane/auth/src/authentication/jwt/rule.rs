//! One expression of an issuer's configuration.

use windlass_api::field::{Error, Errors, Path};
use windlass_cel::{Env, Expression, PER_CALL_LIMIT, Program, Type, Value};

/// An expression that compiled.
#[derive(Debug)]
pub(super) struct Rule {
    pub source: String,
    /// What is said when it is not true.
    pub message: String,
    pub expression: Expression,
    program: Program,
}

impl Rule {
    /// Compiles an expression; its value has to be of a type, if one is given.
    pub(super) fn compile(
        env: &Env,
        source: &str,
        message: &str,
        of: Option<&Type>,
        errors: &mut Errors,
        path: &Path<'_>,
    ) -> Option<Self> {
        match Self::of(env, source, message, of) {
            Ok(rule) => Some(rule),
            Err(detail) => {
                errors.push(Error::invalid(path, source, detail));
                None
            }
        }
    }

    fn of(env: &Env, source: &str, message: &str, of: Option<&Type>) -> Result<Self, String> {
        let expression = env.compile(source).map_err(|issues| format!("compilation failed: {issues}"))?;
        if let Some(of) = of.filter(|of| *of != expression.output_type()) {
            return Err(format!("must evaluate to {}", of.describe()));
        }
        let program = expression.program().map_err(|error| format!("program instantiation failed: {error}"))?;
        Ok(Self { source: source.to_owned(), message: message.to_owned(), expression, program })
    }

    /// The value for these variables.
    pub(super) fn evaluate<'a>(&'a self, variables: &'a [(&'a str, Value<'a>)]) -> Result<Value<'a>, String> {
        let result = self.program.evaluate(variables, PER_CALL_LIMIT).result;
        result.map_err(|error| format!("expression '{}' resulted in error: {error}", self.source))
    }
}

/// The first rule that is not true fails.
pub(super) fn check(rules: &[Rule], variables: &[(&str, Value<'_>)]) -> Result<(), String> {
    for rule in rules {
        match rule.evaluate(variables)?.as_bool() {
            Some(true) => {}
            Some(false) => return Err(format!("validation expression '{}' failed: {}", rule.source, rule.message)),
            None => return Err("validation expression must return a boolean".to_owned()),
        }
    }
    Ok(())
}
