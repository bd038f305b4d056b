//! Paths into the fields that a schema knows (`.spec['a.b'].c`), as selectable fields and the rules of
//! `x-kubernetes-validations` name them.
//!
//! Source: upstream `apiserver/schema/cel/validation.go`, ValidFieldPath.

use serde_json::Value;

const NO_FIELD: &str = "does not refer to a valid field";
const UNEXPECTED_END: &str = "unexpected end of JSON path";

/// What a path leads to.
#[derive(Clone)]
pub(crate) struct Found<'a> {
    /// The path in the form that errors use; two ways of writing it are one.
    pub(crate) path: String,
    /// The first step.
    pub(crate) root: String,
    /// Absent below `additionalProperties: true`.
    pub(crate) schema: Option<&'a Value>,
}

/// Follows a path. `brackets` says whether steps may be written as `['name']`.
pub(crate) fn find<'a>(text: &str, schema: Option<&'a Value>, brackets: bool) -> Result<Found<'a>, String> {
    let mut found = Found { path: String::new(), root: String::new(), schema };
    let mut tokens = Tokens(text);
    while let Some(token) = tokens.next() {
        match token {
            "[" if !brackets => return Err("array notation is not allowed".to_owned()),
            "[" => {
                let name = quoted(tokens.next().ok_or(UNEXPECTED_END)?)?;
                found.step(&name)?;
                match tokens.next() {
                    Some("]") => {}
                    Some(other) => return Err(format!("expected ] but got {other}")),
                    None => return Err(UNEXPECTED_END.to_owned()),
                }
            }
            "." => found.step(tokens.next().ok_or(UNEXPECTED_END)?)?,
            other => return Err(format!("expected [ or . but got: {other}")),
        }
    }
    Ok(found)
}

impl Found<'_> {
    /// Goes to a property, or to the value of any key where the schema has no properties.
    fn step(&mut self, name: &str) -> Result<(), String> {
        let schema = self.schema.ok_or(NO_FIELD)?;
        let properties =
            schema.get("properties").and_then(Value::as_object).filter(|properties| !properties.is_empty());
        let is_named = properties.is_some();
        let written = match is_named {
            true if self.path.is_empty() => name.to_owned(),
            true => format!(".{name}"),
            false => format!("[{name}]"),
        };
        if self.path.is_empty() {
            self.root.clone_from(&written);
        }
        self.path.push_str(&written);
        self.schema = match properties {
            Some(properties) => Some(properties.get(name).ok_or(NO_FIELD)?),
            None => {
                let additional = schema.get("additionalProperties").filter(|additional| !additional.is_null());
                Some(additional.ok_or(NO_FIELD)?).filter(|additional| additional.is_object())
            }
        };
        Ok(())
    }
}

/// The words of a path: the delimiters `.`, `[` and `]`, quoted texts, and what stands between delimiters.
struct Tokens<'t>(&'t str);

impl<'t> Iterator for Tokens<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let bytes = self.0.as_bytes();
        let end = match bytes.first()? {
            b'.' | b'[' | b']' => 1,
            b'\'' => {
                let closes = |at: &usize| bytes[*at] == b'\'' && bytes[at - 1] != b'\\';
                (1..bytes.len()).find(closes).map_or(bytes.len(), |at| at + 1)
            }
            _ => self.0.find(['.', '[', ']']).unwrap_or(bytes.len()),
        };
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        Some(token)
    }
}

/// The text of a quoted step.
fn quoted(token: &str) -> Result<String, String> {
    let inner = token.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    let inner = inner.ok_or_else(|| format!("expected single quoted string but got {token}"))?;
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            text.push(character);
            continue;
        }
        text.push(match characters.next() {
            Some('a') => '\u{7}',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('v') => '\u{b}',
            Some(same @ ('\'' | '\\')) => same,
            Some(other) => return Err(format!("invalid string literal: invalid escape char \\{other}")),
            None => '\\',
        });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths() {
        let schema = json!({"properties": {
            "spec": {"properties": {"a.b": {"type": "string"}, "c": {"type": "integer"}, "it's": {}}},
            "labels": {"additionalProperties": {"properties": {"x": {}}}},
            "any": {"additionalProperties": true}
        }});
        let cases = [
            (".spec.c", true, Ok("spec.c")),
            (".spec['a.b']", true, Ok("spec.a.b")),
            (".spec['it\\'s']", true, Ok("spec.it's")),
            (".labels.one.x", true, Ok("labels[one].x")),
            (".any.one", true, Ok("any[one]")),
            (".any.one.two", true, Err(NO_FIELD)),
            (".spec.a.b", true, Err(NO_FIELD)),
            (".spec['a.b']", false, Err("array notation is not allowed")),
            (".spec[c]", true, Err("expected single quoted string but got c")),
            (".spec['c'.", true, Err("expected ] but got .")),
            (".spec['c'", true, Err(UNEXPECTED_END)),
            (".spec['c", true, Err("expected single quoted string but got 'c")),
            (".spec['\\q']", true, Err("invalid string literal: invalid escape char \\q")),
            (".spec.", true, Err(UNEXPECTED_END)),
            (".", true, Err(UNEXPECTED_END)),
            ("spec", true, Err("expected [ or . but got: spec")),
            (".spec]", true, Err("expected [ or . but got: ]")),
            (".ü", true, Err(NO_FIELD)),
            ("", true, Ok("")),
        ];
        for (path, brackets, expected) in cases {
            let found = find(path, Some(&schema), brackets).map(|found| found.path);
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{path}");
        }
        assert_eq!(find(".spec.c", Some(&schema), true).map(|found| found.root).as_deref(), Ok("spec"));
    }
}
