//! From text to something that can be evaluated.

use windlass_cel::{Env, Expression, Program, Type};

/// An expression of the right type.
#[derive(Debug)]
pub struct Compiled {
    pub program: Program,
    pub expression: Expression,
}

/// Compiles an expression that has to be of one of the types; with none, of any. Returns upstream's words for what is wrong with it.
pub fn compile(env: &Env, text: &str, types: &[Type]) -> Result<Compiled, String> {
    let expression = env.compile(text).map_err(|issues| format!("compilation failed: {issues}"))?;
    let found = expression.output_type();
    if !types.is_empty() && !types.contains(found) {
        let wanted = match types {
            [only] => only.to_string(),
            several => {
                let names: Vec<String> = several.iter().map(ToString::to_string).collect();
                format!("one of [{}]", names.join(" "))
            }
        };
        return Err(format!("must evaluate to {wanted} but got {found}"));
    }
    let program = expression.program().map_err(|error| format!("program instantiation failed: {error}"))?;
    Ok(Compiled { program, expression })
}
