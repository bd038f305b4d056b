//! YAML to and from trees. What a client sends is read as YAML 1.1, as upstream reads it; depth and aliases are bounded.

mod read;
mod scalar;
mod style;
mod write;

use serde_json::Value;

use crate::decode::DecodeError;

/// One document as it was read.
#[derive(Debug, Default, PartialEq)]
pub struct Document {
    pub value: Value,
    /// Keys that stand in a map more than once, in upstream's words. The last one counts.
    pub duplicates: Vec<String>,
}

/// Reads the first document.
pub fn parse(text: &[u8]) -> Result<Document, DecodeError> {
    let text = std::str::from_utf8(text).map_err(|error| DecodeError(format!("yaml: {error}")))?;
    read::read(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Writes one document.
pub fn write(value: &Value) -> String {
    write::document(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::decode::DEPTH_MAX;

    #[test]
    fn reads_and_writes() {
        let value = parse(b"a: {b: [1, x, true, null, 1.5]}\nc: |\n  two\n  lines\nd: '1'\n").unwrap().value;
        assert_eq!(value, json!({"a": {"b": [1, "x", true, null, 1.5]}, "c": "two\nlines\n", "d": "1"}));
        assert_eq!(parse(write(&value).as_bytes()).unwrap().value, value);
        let error = parse(b"a: [").unwrap_err().to_string();
        assert!(error.starts_with("error converting YAML to JSON: yaml: ") && error.lines().count() == 1, "{error}");
        assert!(parse(b"a:\n\tb: 1\n").is_err(), "a tab is no indentation");
        assert!(parse(&[0xff]).is_err());
    }

    #[test]
    fn anchors_merges_keys_and_duplicates() {
        let text = "\u{feff}base: &base {on: 'yes', quoted: \"0400\"}\r\nmerged:\r\n  <<: *base\r\n  extra: !!str 12\r\n\
            again: {a: 1, a: 2}\r\nkeys: {on: x, 1: z}\r\n";
        let document = parse(text.as_bytes()).unwrap();
        assert_eq!(
            document.value,
            json!({
                "base": {"true": "yes", "quoted": "0400"},
                "merged": {"true": "yes", "quoted": "0400", "extra": "12"},
                "again": {"a": 2},
                "keys": {"true": "x", "1": "z"},
            })
        );
        assert_eq!(document.duplicates, ["line 5: key \"a\" already set in map"]);
        assert!(parse(b"a: !!int x\n").is_err() && parse(b"{[1]: 2}\n").is_err() && parse(b"a: *none\n").is_err());
    }

    #[test]
    fn depth_is_bounded() {
        assert!(parse("[".repeat(100_000).as_bytes()).is_err());
        let deep = format!("{}{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX));
        assert!(parse(deep.as_bytes()).is_ok());
    }

    #[test]
    fn aliases_do_not_explode() {
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for level in 1..12 {
            let before = format!("*a{}", level - 1);
            bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![before; 10].join(",")));
        }
        assert!(parse(bomb.as_bytes()).is_err());
    }
}
