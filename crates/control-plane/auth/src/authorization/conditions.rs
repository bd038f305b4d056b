//! Match conditions of a webhook: expressions all of which must be true for it to be asked.
//!
//! Source: apiserver `pkg/authorization/cel`.

use serde_json::Value as Json;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::text::aggregate;
use windlass_cel::access::{REQUEST, access_review_env};
use windlass_cel::admission::{CompileError, Compiled, compile_expression};
use windlass_cel::{PER_CALL_LIMIT, Type, Value};

/// As many conditions as a webhook may have.
const CONDITIONS_MAX: usize = 64;

/// The `matchConditions` of a webhook, compiled.
#[derive(Debug, Default)]
pub struct MatchConditions(Vec<(String, Compiled)>);

impl MatchConditions {
    /// Compiles expressions; what is wrong with them is added to the errors.
    pub(super) fn compile(expressions: &[&str], errors: &mut Errors, path: &Path<'_>) -> Self {
        if expressions.len() > CONDITIONS_MAX {
            errors.push(Error::too_many(path, expressions.len(), CONDITIONS_MAX));
            return Self::default();
        }
        let env = access_review_env();
        let mut compiled = Vec::new();
        for (index, expression) in expressions.iter().enumerate() {
            let path = path.index(index);
            let path = path.child("expression");
            if expression.trim().is_empty() {
                errors.push(Error::required(&path, ""));
            } else if expressions[..index].contains(expression) {
                errors.push(Error::duplicate(&path, *expression));
            } else {
                match compile_expression(&env, expression, &[Type::Bool]) {
                    Ok(program) => compiled.push(((*expression).to_owned(), program)),
                    Err(CompileError::Invalid(why)) => errors.push(Error::invalid(&path, *expression, why)),
                    Err(CompileError::Internal(why)) => errors.push(Error::internal(&path, why)),
                }
            }
        }
        Self(compiled)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all conditions are true of a question, as [`super::Review::spec`] shows it. One that is false decides, whatever those before it
    /// could not say; otherwise the error says what could not be evaluated.
    pub fn match_spec(&self, spec: &Json) -> Result<bool, String> {
        let variables = [(REQUEST, Value::from_json(spec, None).unwrap_or(Value::Null))];
        let mut errors = Vec::new();
        for (expression, compiled) in &self.0 {
            match compiled.program.evaluate(&variables, PER_CALL_LIMIT).result {
                Ok(value) => match value.as_bool() {
                    Some(true) => {}
                    Some(false) => return Ok(false),
                    None => errors.push(format!(
                        "cel evaluation error: expression '{expression}' eval result type should be bool but got {}",
                        value.type_name()
                    )),
                },
                Err(error) => {
                    errors.push(format!("cel evaluation error: expression '{expression}' resulted in error: {error}"));
                }
            }
        }
        if errors.is_empty() { Ok(true) } else { Err(aggregate(errors)) }
    }
}
