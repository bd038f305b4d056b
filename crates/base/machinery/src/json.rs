//! Writing objects as JSON, with a place left for the revision that the store will give them.

use serde_json::Value;

/// An object's JSON without `kind` and `apiVersion` (they are the same for all objects of a resource, and are put in front
/// when the object goes out), and with a hole where `metadata.resourceVersion` will stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: Vec<u8>,
    hole: usize,
}

impl Template {
    /// A value that is no object becomes an empty one; the request path has checked that it is one.
    pub fn new(object: &Value) -> Self {
        Self::after(b"{", object)
    }

    /// With `kind` and `apiVersion` after all, as [`type_meta_prefix`] writes them: for objects whose kind has several forms.
    pub fn typed(prefix: &[u8], object: &Value) -> Self {
        Self::after(prefix, object)
    }

    fn after(prefix: &[u8], object: &Value) -> Self {
        let mut text = Vec::with_capacity(1024);
        let mut hole = None;
        text.extend_from_slice(prefix);
        for (name, value) in object.as_object().into_iter().flatten() {
            match (name.as_str(), value) {
                ("kind" | "apiVersion", _) => {}
                ("metadata", Value::Object(metadata)) => {
                    start_entry(&mut text, name);
                    text.push(b'{');
                    for (name, value) in metadata.iter().filter(|(name, _)| *name != "resourceVersion") {
                        start_entry(&mut text, name);
                        push(&mut text, value);
                    }
                    hole = Some(open_hole(&mut text));
                    text.push(b'}');
                }
                _ => {
                    start_entry(&mut text, name);
                    push(&mut text, value);
                }
            }
        }
        let hole = hole.unwrap_or_else(|| {
            start_entry(&mut text, "metadata");
            text.push(b'{');
            let hole = open_hole(&mut text);
            text.push(b'}');
            hole
        });
        text.push(b'}');
        Self { text, hole }
    }

    /// The finished JSON.
    pub fn at_revision(&self, revision: u64) -> Vec<u8> {
        let revision = revision.to_string();
        let mut text = Vec::with_capacity(self.text.len() + revision.len());
        text.extend_from_slice(&self.text[..self.hole]);
        text.extend_from_slice(revision.as_bytes());
        text.extend_from_slice(&self.text[self.hole..]);
        text
    }

    /// Whether the finished JSON would be `text`, apart from the revision.
    pub fn is_same_as(&self, text: &[u8]) -> bool {
        let Some(before) = text.get(..self.hole) else { return false };
        let digits = text[self.hole..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        before == &self.text[..self.hole] && text[self.hole + digits..] == self.text[self.hole..]
    }

    /// Where the revision's digits will stand.
    pub fn hole(&self) -> usize {
        self.hole
    }

    pub fn len(&self) -> usize {
        self.text.len()
    }

    pub fn is_empty(&self) -> bool {
        false
    }
}

fn open_hole(text: &mut Vec<u8>) -> usize {
    start_entry(text, "resourceVersion");
    text.push(b'"');
    let hole = text.len();
    text.push(b'"');
    hole
}

fn start_entry(text: &mut Vec<u8>, name: &str) {
    if text.last() != Some(&b'{') {
        text.push(b',');
    }
    push(text, name);
    text.push(b':');
}

fn push<T: serde::Serialize + ?Sized>(text: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(text, value).expect("a tree of JSON is written to memory without failure");
}

/// Puts `kind` and `apiVersion` in front of a stored object's JSON, as `{"kind":"Pod","apiVersion":"v1",…`; in place of its own, where it
/// has some.
pub fn with_type_meta(prefix: &[u8], object: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(prefix.len() + object.len());
    push_with_type_meta(&mut text, prefix, object);
    text
}

/// As [`with_type_meta`], into a buffer.
pub fn push_with_type_meta(text: &mut Vec<u8>, prefix: &[u8], object: &[u8]) {
    text.extend_from_slice(prefix);
    // `prefix` ends before the comma, and a stored object is never without metadata.
    match split_type_meta(object) {
        Some((_, rest)) => text.extend_from_slice(rest),
        None => {
            text.push(b',');
            text.extend_from_slice(&object[1..]);
        }
    }
}

/// How many bytes [`push_with_type_meta`] appends.
pub fn len_with_type_meta(prefix: &[u8], object: &[u8]) -> usize {
    prefix.len() + split_type_meta(object).map_or(object.len(), |(_, rest)| rest.len())
}

/// The `apiVersion` that a stored object's JSON says it has; most kinds have one form, and their objects say nothing.
pub fn stored_version(object: &[u8]) -> Option<&str> {
    split_type_meta(object).map(|(version, _)| version)
}

/// The version that an object's JSON begins with, and what follows the type, from the comma on. Neither name needs an escape.
fn split_type_meta(object: &[u8]) -> Option<(&str, &[u8])> {
    let up_to_quote = |text: &[u8]| text.iter().position(|byte| *byte == b'"');
    let text = object.strip_prefix(br#"{"kind":""#)?;
    let text = text[up_to_quote(text)?..].strip_prefix(br#"","apiVersion":""#)?;
    let (version, rest) = text.split_at(up_to_quote(text)?);
    Some((std::str::from_utf8(version).ok()?, &rest[1..]))
}

/// The prefix for [`with_type_meta`].
pub fn type_meta_prefix(api_version: &str, kind: &str) -> Vec<u8> {
    format!("{{\"kind\":\"{kind}\",\"apiVersion\":\"{api_version}\"").into_bytes()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn leaves_room_for_the_revision() {
        let cases = [
            (json!({"kind": "X", "apiVersion": "v1"}), r#"{"metadata":{"resourceVersion":"7"}}"#),
            (json!({"metadata": {}}), r#"{"metadata":{"resourceVersion":"7"}}"#),
            (
                json!({"data": {"a": "é\n"}, "kind": "X", "metadata": {"name": "n", "resourceVersion": "1", "uid": "u"}, "spec": 1}),
                "{\"data\":{\"a\":\"é\\n\"},\"metadata\":{\"name\":\"n\",\"uid\":\"u\",\"resourceVersion\":\"7\"},\"spec\":1}",
            ),
        ];
        for (object, text) in cases {
            let template = Template::new(&object);
            assert_eq!(String::from_utf8(template.at_revision(7)).unwrap(), text);
            assert!(template.is_same_as(&template.at_revision(123)));
            assert!(!template.is_same_as(b"{}"));
        }
        let other = Template::new(&json!({"metadata": {"name": "m"}}));
        assert!(!other.is_same_as(&Template::new(&json!({"metadata": {"name": "n"}})).at_revision(1)));
    }

    #[test]
    fn type_meta_in_front() {
        let prefix = type_meta_prefix("apps/v1", "Deployment");
        let text = with_type_meta(&prefix, br#"{"metadata":{}}"#);
        assert_eq!(text, br#"{"kind":"Deployment","apiVersion":"apps/v1","metadata":{}}"#);
        assert_eq!(stored_version(br#"{"metadata":{}}"#), None);
        assert_eq!(len_with_type_meta(&prefix, br#"{"metadata":{}}"#), text.len());
    }

    #[test]
    fn objects_that_say_what_they_are() {
        let prefix = type_meta_prefix("x/v1", "Cat");
        let template = Template::typed(&prefix, &json!({"kind": "Dog", "metadata": {"name": "tom"}, "spec": 1}));
        let stored = template.at_revision(7);
        let text = r#"{"kind":"Cat","apiVersion":"x/v1","metadata":{"name":"tom","resourceVersion":"7"},"spec":1}"#;
        assert_eq!(String::from_utf8(stored.clone()).unwrap(), text);
        assert_eq!(stored_version(&stored), Some("x/v1"));
        assert_eq!(with_type_meta(&prefix, &stored), stored);
        assert_eq!(len_with_type_meta(&prefix, &stored), stored.len());
        let other = String::from_utf8(with_type_meta(&type_meta_prefix("x/v2", "Cat"), &stored)).unwrap();
        assert_eq!(other, text.replace("x/v1", "x/v2"));
    }
}
