//! Reading a few values out of JSON text without building a tree: what selectors need of an object.
//!
//! Cost: one pass that skips everything else, no allocation but for what is found.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// Where wanted values lie: a tree of field names.
#[derive(Clone, Debug, Default)]
pub struct Paths {
    /// The place in the result, when the value here is wanted.
    slot: Option<usize>,
    children: Vec<(String, Paths)>,
}

impl Paths {
    /// `pointers` are JSON pointers (`/metadata/labels`) without array indices; the result of [`Paths::pick`] has a place for each,
    /// in this order. A pointer may not lie within another.
    pub fn new<'a>(pointers: impl IntoIterator<Item = &'a str>) -> Self {
        let mut root = Self::default();
        for (slot, pointer) in pointers.into_iter().enumerate() {
            let mut node = &mut root;
            for name in pointer.split('/').skip(1) {
                let place = match node.children.iter().position(|(n, _)| n == name) {
                    Some(place) => place,
                    None => {
                        node.children.push((name.to_owned(), Self::default()));
                        node.children.len() - 1
                    }
                };
                node = &mut node.children[place].1;
            }
            node.slot = Some(slot);
        }
        root
    }

    fn count(&self) -> usize {
        usize::from(self.slot.is_some()) + self.children.iter().map(|(_, child)| child.count()).sum::<usize>()
    }

    /// The values at the paths; what is absent, or beyond text that is no JSON, is `None`.
    pub fn pick(&self, text: &[u8]) -> Vec<Option<Value>> {
        let mut found = vec![None; self.count()];
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        let _ = Node { paths: self, found: &mut found }.deserialize(&mut deserializer);
        found
    }
}

struct Node<'a> {
    paths: &'a Paths,
    found: &'a mut Vec<Option<Value>>,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.paths.slot {
            Some(slot) => {
                self.found[slot] = Some(serde::Deserialize::deserialize(deserializer)?);
                Ok(())
            }
            None => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(place) = map.next_key_seed(Name(self.paths))? {
            match place {
                Some(place) => {
                    let paths = &self.paths.children[place].1;
                    map.next_value_seed(Node { paths, found: self.found })?;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Finds a key among the children.
struct Name<'a>(&'a Paths);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.0.children.iter().position(|(n, _)| n == name))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn picks_what_is_there() {
        let paths = Paths::new(["/metadata/labels", "/spec/nodeName", "/status/phase", "/spec/hostNetwork"]);
        let text = br#"{"kind":"Pod","metadata":{"name":"a","labels":{"x":"y"}},"spec":{"nodeName":"n","containers":[{"nodeName":1}]},"status":[1,2]}"#;
        assert_eq!(paths.pick(text), [Some(json!({"x": "y"})), Some(json!("n")), None, None]);
        assert_eq!(paths.pick(b"nonsense"), [None, None, None, None]);
    }
}
