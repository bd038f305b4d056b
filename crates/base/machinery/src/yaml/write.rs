//! A tree as YAML, in the form that upstream's writer gives it: texts stand plain where they can, long ones go on in the next line.
//!
//! Source: go.yaml.in/yaml/v2 `encode.go`, `emitterc.go`.

use serde_json::Value;

use super::style::{Style, style};

/// A text beyond this column goes on in the next line, at a space.
const WIDTH: usize = 80;
const STEP: usize = 2;

/// Writes one document.
pub(super) fn document(value: &Value) -> String {
    let mut writer = Writer { text: String::new(), column: 0 };
    writer.value(value, 0, true);
    writer.line_break();
    writer.text
}

struct Writer {
    text: String,
    column: usize,
}

impl Writer {
    fn put(&mut self, text: &str) {
        self.text.push_str(text);
        self.column += text.chars().count();
    }

    fn line_break(&mut self) {
        if self.column > 0 {
            self.text.push('\n');
            self.column = 0;
        }
    }

    fn indent(&mut self, indent: usize) {
        self.line_break();
        self.put(&" ".repeat(indent));
    }

    /// `indent` is where the lines of a collection begin; `here` says that the first one has begun already.
    fn value(&mut self, value: &Value, indent: usize, here: bool) {
        let mut begun = here;
        let mut begin = |writer: &mut Self| {
            if !std::mem::take(&mut begun) {
                writer.indent(indent);
            }
        };
        match value {
            Value::Object(map) if !map.is_empty() => {
                for (key, value) in map {
                    begin(self);
                    self.scalar(key, indent, true);
                    self.put(":");
                    match value {
                        Value::Object(map) if !map.is_empty() => self.value(value, indent + STEP, false),
                        // A list stands no deeper than its name.
                        Value::Array(list) if !list.is_empty() => self.value(value, indent, false),
                        _ => {
                            self.put(" ");
                            self.value(value, indent, true);
                        }
                    }
                }
            }
            Value::Array(list) if !list.is_empty() => {
                for value in list {
                    begin(self);
                    self.put("- ");
                    match value {
                        Value::String(text) => self.scalar(text, indent, false),
                        value => self.value(value, indent + STEP, true),
                    }
                }
            }
            Value::Object(_) => self.put("{}"),
            Value::Array(_) => self.put("[]"),
            Value::String(text) => self.scalar(text, indent, false),
            other => self.put(&other.to_string()),
        }
    }

    fn scalar(&mut self, text: &str, indent: usize, is_key: bool) {
        let fold = (!is_key).then_some(indent + STEP);
        match style(text, is_key) {
            Style::Plain => self.folded(text, fold, |writer, c| writer.put(c.encode_utf8(&mut [0; 4]))),
            Style::Single => {
                self.put("'");
                self.folded(text, fold, |writer, c| match c {
                    '\'' => writer.put("''"),
                    c => writer.put(c.encode_utf8(&mut [0; 4])),
                });
                self.put("'");
            }
            Style::Double => self.double(text, fold),
            Style::Literal => self.literal(text, indent + STEP),
        }
    }

    /// A text whose single spaces may become the ends of lines.
    fn folded(&mut self, text: &str, fold: Option<usize>, put: impl Fn(&mut Self, char)) {
        let mut after_space = false;
        let mut chars = text.chars().enumerate().peekable();
        while let Some((place, c)) = chars.next() {
            let next = chars.peek().map(|(_, next)| *next);
            let is_end = place > 0 && next.is_some_and(|next| next != ' ');
            match fold.filter(|_| c == ' ' && !after_space && is_end && self.column > WIDTH) {
                Some(indent) => self.indent(indent),
                None => put(self, c),
            }
            after_space = c == ' ';
        }
    }

    fn double(&mut self, text: &str, fold: Option<usize>) {
        self.put("\"");
        let mut after_space = false;
        let mut chars = text.chars().enumerate().peekable();
        while let Some((place, c)) = chars.next() {
            let next = chars.peek().map(|(_, next)| *next);
            let is_end = c == ' ' && !after_space && place > 0 && next.is_some();
            match fold.filter(|_| is_end && self.column > WIDTH) {
                Some(indent) => {
                    self.indent(indent);
                    if next == Some(' ') {
                        self.put("\\");
                    }
                }
                None => self.put(&escaped(c)),
            }
            after_space = c == ' ';
        }
        self.put("\"");
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.put("|");
        if text.starts_with([' ', '\n']) {
            self.put(&STEP.to_string());
        }
        let body = text.strip_suffix('\n');
        match body {
            None => self.put("-"),
            Some(body) if body.is_empty() || body.ends_with('\n') => self.put("+"),
            Some(_) => {}
        }
        for line in body.unwrap_or(text).split('\n') {
            self.text.push('\n');
            self.column = 0;
            if !line.is_empty() {
                self.put(&" ".repeat(indent));
                self.put(line);
            }
        }
        // An empty last line has no column, and ends all the same.
        self.column = self.column.max(1);
    }
}

/// A character between double quotes.
fn escaped(c: char) -> String {
    match c {
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        '\0' => "\\0".to_owned(),
        '\x07' => "\\a".to_owned(),
        '\x08' => "\\b".to_owned(),
        '\t' => "\\t".to_owned(),
        '\n' => "\\n".to_owned(),
        '\x0b' => "\\v".to_owned(),
        '\x0c' => "\\f".to_owned(),
        '\r' => "\\r".to_owned(),
        '\x1b' => "\\e".to_owned(),
        '\u{85}' => "\\N".to_owned(),
        '\u{a0}' => "\\_".to_owned(),
        '\u{2028}' => "\\L".to_owned(),
        '\u{2029}' => "\\P".to_owned(),
        c if super::style::is_printable(c) => c.to_string(),
        c if (c as u32) < 0x100 => format!("\\x{:02X}", c as u32),
        c if (c as u32) < 0x1_0000 => format!("\\u{:04X}", c as u32),
        c => format!("\\U{:08X}", c as u32),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::yaml::parse;

    #[test]
    fn as_upstream_writes_it() {
        let long =
            "only the following media types are accepted: application/json, application/yaml, text/plain, and no other";
        let value = json!({
            "a": {"f:spec": {}, ".": {}, "k:{\"type\":\"x\"}": {"x": null}},
            "b": [{"c": 1, "d": [true, []]}, "it's: so", "2026-11-30T10:00:00Z", "12", "", "yes", "a:b", "- a", "10:20"],
            "long": long,
            "lines": ["a\nb\n", " a\nb", "a\n\n", "tab\t", "x \ny"],
            "plain": "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen",
        });
        let expected = "a:\n  .: {}\n  f:spec: {}\n  k:{\"type\":\"x\"}:\n    x: null\n\
            b:\n- c: 1\n  d:\n  - true\n  - []\n- 'it''s: so'\n- \"2026-11-30T10:00:00Z\"\n- \"12\"\n- \"\"\n- \"yes\"\n- a:b\n- '- a'\n- \"10:20\"\n\
            lines:\n- |\n  a\n  b\n- |2-\n   a\n  b\n- |+\n  a\n\n- \"tab\\t\"\n- \"x \\ny\"\n\
            long: 'only the following media types are accepted: application/json, application/yaml,\n  text/plain, and no other'\n\
            plain: one two three four five six seven eight nine ten eleven twelve thirteen fourteen\n  fifteen sixteen\n";
        assert_eq!(document(&value), expected);
        assert_eq!(parse(expected.as_bytes()).unwrap().value, value);
        assert_eq!(document(&json!({})), "{}\n");
    }

    proptest::proptest! {
        /// Whatever stands between spaces, quotes, colons and ends of lines is read as it was.
        #[test]
        fn texts_come_back(text in "[ a-c0-9:#'\"\\\\\\-?\\[{,\\n\\t.T+~=é😀\u{85}\u{2028}]{0,120}") {
            let value = json!({(text.as_str()): [&text, {"a": &text}], "b": {"c": &text}});
            let written = document(&value);
            proptest::prop_assert_eq!(parse(written.as_bytes()).map(|document| document.value), Ok(value), "{}", written);
        }
    }
}
