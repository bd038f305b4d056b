//! Keys in the paths of JSON patches.

use crate::error::Error;
use crate::functions::{Declared, declared};
use crate::value::Value;

pub(crate) const FUNCTIONS: &[Declared] =
    &[declared("string_jsonpatch_escapeKey_string", "jsonpatch.escapeKey", "(string) -> string", escape_key)];

fn escape_key<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    match args {
        [Value::String(key)] => Ok(Value::string(key.as_str().replace('~', "~0").replace('/', "~1"))),
        _ => Err(Error::NoSuchOverload),
    }
}
