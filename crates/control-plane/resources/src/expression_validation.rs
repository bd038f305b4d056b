//! Whether an expression compiles, said as validation says it.

use windlass_api::field::{Error, Errors, Path};
use windlass_cel::{Env, Type};

use windlass_cel::admission::{CompileError, Compiled, compile_expression};

/// Compiles an expression of one of the types; with none, of any.
pub(crate) fn validate_expression(
    errors: &mut Errors,
    path: &Path<'_>,
    env: &Env,
    text: &str,
    types: &[Type],
) -> Option<Compiled> {
    compiled(errors, path, compile_expression(env, text, types), text)
}

/// Takes what was compiled of a text, which errors show.
pub(crate) fn compiled(
    errors: &mut Errors,
    path: &Path<'_>,
    result: Result<Compiled, CompileError>,
    shown: &str,
) -> Option<Compiled> {
    match result {
        Ok(compiled) => return Some(compiled),
        Err(CompileError::Invalid(detail)) => errors.push(Error::invalid(path, shown, detail)),
        Err(CompileError::Internal(detail)) => errors.push(Error::internal(path, detail)),
    }
    None
}
