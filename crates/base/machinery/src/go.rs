//! How Go prints what clients see in messages.

use serde_json::Value;

/// A value as `fmt` prints it with `%v`: `map[a:1 b:[x y]]`.
pub fn print(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, text: &mut String) {
    let (open, items, close): (&str, Vec<(Option<&str>, &Value)>, &str) = match value {
        Value::Null => return text.push_str("<nil>"),
        Value::String(content) => return text.push_str(content),
        Value::Bool(_) | Value::Number(_) => return text.push_str(&value.to_string()),
        Value::Array(items) => ("[", items.iter().map(|item| (None, item)).collect(), "]"),
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().map(|(key, value)| (Some(key.as_str()), value)).collect();
            entries.sort_by_key(|(key, _)| *key);
            ("map[", entries, "]")
        }
    };
    text.push_str(open);
    for (place, (key, item)) in items.into_iter().enumerate() {
        if place > 0 {
            text.push(' ');
        }
        if let Some(key) = key {
            text.push_str(key);
            text.push(':');
        }
        write(item, text);
    }
    text.push_str(close);
}

/// JSON as Go writes it: what would mean something in HTML is escaped.
pub fn json(value: &Value) -> String {
    // Nothing of this stands outside a string.
    let escapes =
        [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026"), ('\u{2028}', "\\u2028"), ('\u{2029}', "\\u2029")];
    escapes.into_iter().fold(value.to_string(), |text, (character, escape)| text.replace(character, escape))
}

/// What JSON calls the value's type in Go's errors.
pub fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The type that a value has in Go when nothing is known of it.
pub fn any_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn prints() {
        let value = json!({"b": [1, "x y", null, true], "a": {"c": 1.5}});
        assert_eq!(print(&value), "map[a:map[c:1.5] b:[1 x y <nil> true]]");
        assert_eq!((print(&json!("x")), print(&json!([]))), ("x".to_owned(), "[]".to_owned()));
    }
}
