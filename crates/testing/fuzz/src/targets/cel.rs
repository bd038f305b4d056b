//! Expressions of CEL: what is compiled is evaluated within its budget, and means the same each time.

use serde_json::Value as Json;
use windlass_cel::{Env, Mode, Type, Value};

use crate::memory::bounded;
use crate::object::parts;

const BUDGET: u64 = 100_000;
/// A unit of cost may make so many bytes of text or list.
const BYTES_OF_COST: usize = 1 << 10;

/// An expression, and the data that `self` is.
pub(super) fn run(input: &[u8]) {
    let Some((text, data)) = parts(input) else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let data: Json = serde_json::from_slice(data).unwrap_or_default();
    let env = Env::new(Mode::New).variable("self", Type::Dyn);
    let room = input.len() + BYTES_OF_COST * usize::try_from(BUDGET).unwrap_or(0) / 512;
    bounded(room, || {
        let Ok(expression) = env.compile(text) else { return };
        let estimate = expression.estimate();
        assert!(estimate.min <= estimate.max, "{estimate:?}");
        let (Ok(program), Ok(data)) = (expression.program(), Value::from_json(&data, None)) else { return };
        let variables = [("self", data)];
        let first = program.evaluate(&variables, BUDGET);
        let again = program.evaluate(&variables, BUDGET);
        assert_eq!((first.cost, first.result.is_ok()), (again.cost, again.result.is_ok()), "{text}");
    });
}
