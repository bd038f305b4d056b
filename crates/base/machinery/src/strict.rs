//! Reading JSON of any shape as a strict client would: keys that stand twice are told of. The last one counts, as in Go.
//!
//! Objects of a known type are read by [`crate::decode`]; this is for patches, whose shape is free.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::decode::{DecodeError, Problem, Problems, Step, mend_surrogates};

/// A document, and the keys that stand twice in it. How deep it may be is up to the reader of JSON ([`crate::decode::DEPTH_MAX`]).
pub fn parse(text: &[u8]) -> Result<(Value, Vec<Problem>), DecodeError> {
    read(text).or_else(|error| mend_surrogates(text).map_or(Err(error), |text| read(&text)))
}

fn read(text: &[u8]) -> Result<(Value, Vec<Problem>), DecodeError> {
    let mut reader = Reader { path: Vec::new(), problems: Problems::default() };
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Any(&mut reader).deserialize(&mut deserializer).map_err(|error| DecodeError(error.to_string()))?;
    deserializer.end().map_err(|error| DecodeError(error.to_string()))?;
    Ok((value, reader.problems.list))
}

struct Reader {
    path: Vec<Step<'static>>,
    problems: Problems,
}

/// Reads one value.
struct Any<'a>(&'a mut Reader);

impl<'de> DeserializeSeed<'de> for Any<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Any<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        serde_json::Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        loop {
            self.0.path.push(Step::Index(items.len()));
            let item = seq.next_element_seed(Any(self.0))?;
            self.0.path.pop();
            match item {
                Some(item) => items.push(item),
                None => return Ok(Value::Array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if entries.contains_key(&key) {
                self.0.problems.report(&self.0.path, &key, Problem::Duplicate);
            }
            self.0.path.push(Step::Key(key.clone()));
            let value = map.next_value_seed(Any(self.0))?;
            self.0.path.pop();
            entries.insert(key, value);
        }
        Ok(Value::Object(entries))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_that_stand_twice() {
        let text = br#"{"a": {"b": 1, "b": [2, -3, 1.5]}, "l": [null, {"x": "y", "x": true}], "a": 4}"#;
        let (value, problems) = parse(text).unwrap();
        assert_eq!(value, json!({"a": 4, "l": [null, {"x": true}]}));
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let expected = [r#"duplicate field "a.b""#, r#"duplicate field "l[1].x""#, r#"duplicate field "a""#];
        assert_eq!(problems, expected);
        for broken in ["", "{", "{} x", "[1,]", "1e999"] {
            assert!(parse(broken.as_bytes()).is_err(), "{broken}");
        }
        assert!(parse("[".repeat(1000).as_bytes()).is_err());
    }
}
