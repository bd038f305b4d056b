//! Strings, in characters: cel-go's extension in its version 2.

use super::format_string;
use crate::error::Error;
use crate::functions::{Declared, declared};
use crate::value::Value;
use crate::work;

type Outcome<'a> = Result<Value<'a>, Error>;

pub(super) const FUNCTIONS: &[Declared] = &[
    declared("string_char_at_int", "charAt", "string.(int) -> string", char_at),
    declared("string_index_of_string", "indexOf", "string.(string) -> int", index_of),
    declared("string_index_of_string_int", "indexOf", "string.(string, int) -> int", index_of),
    declared("string_last_index_of_string", "lastIndexOf", "string.(string) -> int", last_index_of),
    declared("string_last_index_of_string_int", "lastIndexOf", "string.(string, int) -> int", last_index_of),
    declared("string_lower_ascii", "lowerAscii", "string.() -> string", lower_ascii),
    declared("string_replace_string_string", "replace", "string.(string, string) -> string", replace),
    declared("string_replace_string_string_int", "replace", "string.(string, string, int) -> string", replace),
    declared("string_split_string", "split", "string.(string) -> list(string)", split),
    declared("string_split_string_int", "split", "string.(string, int) -> list(string)", split),
    declared("string_substring_int", "substring", "string.(int) -> string", substring),
    declared("string_substring_int_int", "substring", "string.(int, int) -> string", substring),
    declared("string_trim", "trim", "string.() -> string", trim),
    declared("string_upper_ascii", "upperAscii", "string.() -> string", upper_ascii),
    declared("string_format", "format", "string.(list(dyn)) -> string", format),
    declared("strings_quote", "strings.quote", "(string) -> string", quote),
    declared("list_join", "join", "list(string).() -> string", join),
    declared("list_join_string", "join", "list(string).(string) -> string", join),
];

fn characters(text: &str) -> Vec<char> {
    text.chars().collect()
}

/// Skips characters; returns how many there were, and the rest.
fn split_at(text: &str, count: usize) -> (usize, &str) {
    let mut characters = text.chars();
    let skipped = characters.by_ref().take(count).count();
    (skipped, characters.as_str())
}

fn within(index: i64, end: usize) -> Result<usize, Error> {
    usize::try_from(index).ok().filter(|index| *index <= end).ok_or(Error::IndexOutOfRange(index))
}

fn char_at<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text), Value::Int(index)] = args else { return Err(Error::NoSuchOverload) };
    let count = text.as_str().chars().count();
    let at = within(*index, count)?;
    Ok(Value::string(text.as_str().chars().nth(at).map(String::from).unwrap_or_default()))
}

fn index_of<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (text, part, from) = match args {
        [Value::String(text), Value::String(part)] => (text, part, 0),
        [Value::String(text), Value::String(part), Value::Int(from)] => (text, part, *from),
        _ => return Err(Error::NoSuchOverload),
    };
    let from = usize::try_from(from).map_err(|_| Error::IndexOutOfRange(from))?;
    let (text, part) = (text.as_str(), part.as_str());
    let (skipped, rest) = split_at(text, from);
    if part.is_empty() {
        return Ok(Value::Int(skipped as i64));
    }
    let found = rest.find(part);
    Ok(Value::Int(found.map_or(-1, |at| (skipped + rest[..at].chars().count()) as i64)))
}

fn last_index_of<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (text, part, from) = match args {
        [Value::String(text), Value::String(part)] => (text, part, None),
        [Value::String(text), Value::String(part), Value::Int(from)] => (text, part, Some(*from)),
        _ => return Err(Error::NoSuchOverload),
    };
    let (text, part) = (text.as_str(), part.as_str());
    let count = text.chars().count();
    let start = from.map_or(Ok(count), |from| usize::try_from(from).map_err(|_| Error::IndexOutOfRange(from)))?;
    if part.is_empty() {
        return Ok(Value::Int(start.min(count) as i64));
    }
    // Upstream finds nothing from the end on, unless it starts there itself.
    if from.is_some() && start >= count {
        return Ok(Value::Int(-1));
    }
    let (_, after) = split_at(text, start.saturating_add(part.chars().count()));
    let within = &text[..text.len() - after.len()];
    let found = within.rfind(part);
    Ok(Value::Int(found.map_or(-1, |at| text[..at].chars().count() as i64)))
}

fn on_string<'a>(args: &[Value<'a>], change: fn(&str) -> String) -> Outcome<'a> {
    match args {
        [Value::String(text)] => Ok(Value::string(change(text.as_str()))),
        _ => Err(Error::NoSuchOverload),
    }
}

fn lower_ascii<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    on_string(args, str::to_ascii_lowercase)
}

fn upper_ascii<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    on_string(args, str::to_ascii_uppercase)
}

fn trim<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    on_string(args, |text| text.trim().to_owned())
}

fn quote<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    on_string(args, |text| {
        let mut quoted = String::from("\"");
        for c in text.chars() {
            match c {
                '\u{7}' => quoted.push_str("\\a"),
                '\u{8}' => quoted.push_str("\\b"),
                '\u{c}' => quoted.push_str("\\f"),
                '\n' => quoted.push_str("\\n"),
                '\r' => quoted.push_str("\\r"),
                '\t' => quoted.push_str("\\t"),
                '\u{b}' => quoted.push_str("\\v"),
                '\\' => quoted.push_str("\\\\"),
                '"' => quoted.push_str("\\\""),
                c => quoted.push(c),
            }
        }
        quoted.push('"');
        quoted
    })
}

fn replace<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (text, old, new, count) = match args {
        [Value::String(text), Value::String(old), Value::String(new)] => (text, old, new, None),
        [Value::String(text), Value::String(old), Value::String(new), Value::Int(count)] => {
            (text, old, new, usize::try_from(*count).ok())
        }
        _ => return Err(Error::NoSuchOverload),
    };
    let (text, old, new) = (text.as_str(), old.as_str(), new.as_str());
    let times = text.matches(old).take(count.unwrap_or(usize::MAX)).count();
    work::spend(times.saturating_mul(new.len()))?;
    Ok(Value::string(text.replacen(old, new, count.unwrap_or(usize::MAX))))
}

fn split<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (text, separator, count) = match args {
        [Value::String(text), Value::String(separator)] => (text, separator, None),
        [Value::String(text), Value::String(separator), Value::Int(count)] => {
            (text, separator, usize::try_from(*count).ok())
        }
        _ => return Err(Error::NoSuchOverload),
    };
    let (text, separator) = (text.as_str(), separator.as_str());
    let count = count.unwrap_or(usize::MAX);
    let parts: Vec<Value<'a>> = if separator.is_empty() {
        by_character(text, count)
    } else {
        text.splitn(count, separator).map(Value::string).collect()
    };
    Ok(Value::list(parts))
}

/// Splits into characters, of which the last part has all that are left.
fn by_character<'a>(text: &str, count: usize) -> Vec<Value<'a>> {
    let mut parts = Vec::new();
    for (at, c) in text.char_indices() {
        if parts.len() + 1 >= count {
            if count > 0 {
                parts.push(Value::string(&text[at..]));
            }
            break;
        }
        parts.push(Value::string(c.to_string()));
    }
    parts
}

fn substring<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (text, start, end) = match args {
        [Value::String(text), Value::Int(start)] => (text, *start, None),
        [Value::String(text), Value::Int(start), Value::Int(end)] => (text, *start, Some(*end)),
        _ => return Err(Error::NoSuchOverload),
    };
    let text = characters(text.as_str());
    if let Some(end) = end
        && start > end
    {
        return Err(Error::Argument(format!("invalid substring range. start: {start}, end: {end}")));
    }
    let start = within(start, text.len())?;
    let end = within(end.unwrap_or(text.len() as i64), text.len())?;
    Ok(Value::string(text[start..end].iter().collect::<String>()))
}

fn join<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (list, separator) = match args {
        [Value::List(list)] => (list, ""),
        [Value::List(list), Value::String(separator)] => (list, separator.as_str()),
        _ => return Err(Error::NoSuchOverload),
    };
    let mut joined = String::new();
    for (index, value) in list.iter().enumerate() {
        if index > 0 {
            work::spend(separator.len())?;
            joined.push_str(separator);
        }
        let value = value?;
        let text = value.as_str().ok_or_else(|| Error::Argument(format!("join: invalid input: {value}")))?;
        work::spend(text.len())?;
        joined.push_str(text);
    }
    Ok(Value::string(joined))
}

fn format<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text), Value::List(list)] => format_string::format(text.as_str(), list).map(Value::string),
        _ => Err(Error::NoSuchOverload),
    }
}
