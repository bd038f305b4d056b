//! YAML to and from trees. A client's YAML is untrusted: aliases and depth are bounded by the reader.

use serde_json::Value;

use crate::decode::DecodeError;

/// Reads one document.
pub fn parse(text: &[u8]) -> Result<Value, DecodeError> {
    let text = std::str::from_utf8(text).map_err(|error| DecodeError(format!("yaml: {error}")))?;
    serde_saphyr::from_str(text)
        .map_err(|error| DecodeError(format!("error converting YAML to JSON: yaml: {}", error.without_snippet())))
}

/// Writes one document.
pub fn write(value: &Value) -> String {
    serde_saphyr::to_string(value).expect("a tree of JSON can be written as YAML")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_and_writes() {
        let value = parse(b"a: {b: [1, x, true, null, 1.5]}\nc: |\n  two\n  lines\nd: '1'\n").unwrap();
        assert_eq!(value, json!({"a": {"b": [1, "x", true, null, 1.5]}, "c": "two\nlines\n", "d": "1"}));
        assert_eq!(parse(write(&value).as_bytes()).unwrap(), value);
        let error = parse(b"a: [").unwrap_err().to_string();
        assert!(error.starts_with("error converting YAML to JSON: yaml: ") && error.lines().count() == 1, "{error}");
        assert!(parse(b"a: 1\na: 2\n").is_err());
        assert!(parse(&[0xff]).is_err());
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
