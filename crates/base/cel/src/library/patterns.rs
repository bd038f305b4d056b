//! Parts of strings, and regular expressions.
//!
//! A pattern that is constant is read when the call is planned, and does not come here.

use windlass_regexp::{Limits, Pattern, PatternError};

use crate::error::Error;
use crate::functions::{Declared, Style, declared, shared};
use crate::value::Value;
use crate::work;

type Outcome<'a> = Result<Value<'a>, Error>;

pub(super) const STANDARD: &[Declared] = &[
    Declared {
        id: "contains_string",
        function: "contains",
        signature: "string.(string) -> bool",
        style: Style::Unguarded(contains),
    },
    Declared {
        id: "ends_with_string",
        function: "endsWith",
        signature: "string.(string) -> bool",
        style: Style::Unguarded(ends_with),
    },
    Declared {
        id: "starts_with_string",
        function: "startsWith",
        signature: "string.(string) -> bool",
        style: Style::Unguarded(starts_with),
    },
    shared("matches", "matches", "(string, string) -> bool", matches),
    shared("matches_string", "matches", "string.(string) -> bool", matches),
];

pub(super) const FUNCTIONS: &[Declared] = &[
    declared("string_find_string", "find", "string.(string) -> string", find),
    declared("string_find_all_string", "findAll", "string.(string) -> list(string)", find_all),
    declared("string_find_all_string_int", "findAll", "string.(string, int) -> list(string)", find_all),
];

fn on_strings<'a>(args: &[Value<'a>], holds: fn(&str, &str) -> bool) -> Outcome<'a> {
    match args {
        [Value::String(text), Value::String(part)] => Ok(Value::Bool(holds(text.as_str(), part.as_str()))),
        _ => Err(Error::NoSuchOverload),
    }
}

fn contains<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    on_strings(args, |text, part| text.contains(part))
}

fn ends_with<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    on_strings(args, |text, part| text.ends_with(part))
}

fn starts_with<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    on_strings(args, |text, part| text.starts_with(part))
}

/// What reading and compiling a pattern takes, measured in what [`work`] counts: so much and something for the bytes that it becomes.
const EFFORT_BASE: usize = 1_000;
const BYTES_OF_EFFORT: usize = 6;

/// Compiles a pattern that is only known in a run, which can bring up another one each time.
fn compiled(pattern: &str) -> Result<Result<Pattern, PatternError>, Error> {
    work::spend(EFFORT_BASE + Pattern::weight_min(pattern) / BYTES_OF_EFFORT)?;
    let pattern = Pattern::parse(pattern, Limits::OF_EXPRESSIONS.each);
    let weight = match &pattern {
        Ok(pattern) => pattern.weight(),
        Err(error) if error.is_of_size() => Limits::OF_EXPRESSIONS.each,
        Err(_) => 0,
    };
    work::spend(weight / BYTES_OF_EFFORT)?;
    Ok(pattern)
}

fn matches<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text), Value::String(pattern)] => {
            let pattern = compiled(pattern.as_str())?.map_err(Error::Pattern)?;
            Ok(Value::Bool(pattern.is_match(text.as_str())?))
        }
        [Value::String(_), _] => Err(Error::NoSuchOverload),
        _ => Err(Error::NoOverload("matches".to_owned())),
    }
}

fn illegal(pattern: &str) -> Result<Pattern, Error> {
    let wrong = |error| Error::Argument(format!("Illegal regex: {}", Error::Pattern(error)));
    compiled(pattern)?.map_err(wrong)
}

fn find<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text), Value::String(pattern)] => found(&illegal(pattern.as_str())?, text.as_str()),
        _ => Err(Error::NoSuchOverload),
    }
}

/// Returns the first match of a pattern.
fn found<'a>(pattern: &Pattern, text: &str) -> Outcome<'a> {
    Ok(Value::string(pattern.find(text)?))
}

fn find_all<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text), Value::String(pattern), limit @ ..] => {
            all_found(&illegal(pattern.as_str())?, text.as_str(), limit)
        }
        _ => Err(Error::NoSuchOverload),
    }
}

fn all_found<'a>(pattern: &Pattern, text: &str, limit: &[Value<'a>]) -> Outcome<'a> {
    let limit = match limit {
        [Value::Int(limit)] => usize::try_from(*limit).ok(),
        _ => None,
    };
    Ok(Value::list(pattern.find_all(text, limit)?.into_iter().map(Value::string).collect()))
}

/// Carries out `matches`, `find` or `findAll` with a pattern that is compiled already.
pub(crate) fn with_compiled<'a>(function: &str, pattern: &Pattern, args: &[Value<'a>]) -> Outcome<'a> {
    let (Some(Value::String(text)), Some(limit)) = (args.first(), args.get(2..)) else {
        return Err(Error::NoSuchOverload);
    };
    match function {
        "matches" => Ok(Value::Bool(pattern.is_match(text.as_str())?)),
        "find" => found(pattern, text.as_str()),
        _ => all_found(pattern, text.as_str(), limit),
    }
}
