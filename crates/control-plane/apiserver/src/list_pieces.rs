//! Long lists object by object: what surrounds the objects, and each of them when it is its turn. So a list that nobody reads holds no more than
//! what the store has anyway, and no thread encodes for long.

use std::sync::Arc;

use serde_json::{Value, json};
use windlass_api::{GroupVersionKind, Status};
use windlass_client::Encoding;
use windlass_machinery::schema::Schema;
use windlass_machinery::{protobuf, yaml};
use windlass_resources::SchemaRef;
use windlass_store::Item;

use crate::encode::{Format, PARTIAL_LIST, Shape, list_meta, partial_tree, unreadable, whole_list_meta, whole_tree};
use crate::outcome::Listed;
use crate::table;

/// Shorter lists are encoded at once: their length is known before they are sent.
const SHORT_BYTES: usize = 128 << 10;
/// As protobuf a list is encoded twice when it goes out in pieces, for its length stands in front.
const SHORT_PROTOBUF_BYTES: usize = 4 << 20;

type Encode = Box<dyn Fn(&Arc<Item>) -> Result<Vec<u8>, Status> + Send + Sync>;

/// A list in pieces.
pub(crate) struct ListPieces {
    pub head: Vec<u8>,
    /// Between two objects.
    pub separator: &'static [u8],
    pub tail: Vec<u8>,
    pub encode: Encode,
}

impl ListPieces {
    /// `None` for a list that is better encoded at once.
    pub(crate) fn of(format: Format, listed: &Listed, now: jiff::Timestamp) -> Result<Option<Self>, Status> {
        let bytes: usize = listed.items.iter().map(|item| item.value.len()).sum();
        match format.encoding {
            Encoding::Protobuf if bytes > SHORT_PROTOBUF_BYTES && format.shape == Shape::Whole => {
                Self::protobuf(listed)
            }
            Encoding::Protobuf => Ok(None),
            _ if bytes <= SHORT_BYTES => Ok(None),
            // Beyond that size nobody reads it himself, so it is not made pretty.
            _ => Self::text(Format { pretty: false, ..format }, listed, now).map(Some),
        }
    }

    fn text(format: Format, listed: &Listed, now: jiff::Timestamp) -> Result<Self, Status> {
        let served = listed.served.clone();
        let kind = &served.resource.kind;
        let list_kind = GroupVersionKind { kind: served.resource.list_kind.clone(), ..kind.clone() };
        let (kind, mut empty, field) = match format.shape {
            Shape::Table(_) => (table::KIND, table::table(Some(&served), Vec::new(), list_meta(listed)), "rows"),
            Shape::Partial => (PARTIAL_LIST, json!({"metadata": list_meta(listed)}), "items"),
            Shape::Whole => (list_kind, json!({"metadata": whole_list_meta(listed)}), "items"),
        };
        empty[field] = json!([]);
        let empty = format.tree_bytes(&kind, empty)?;
        let tree = move |item: &Arc<Item>| -> Result<Value, Status> {
            match format.shape {
                Shape::Table(include) => table::row(&served, item, include, now),
                Shape::Partial => partial_tree(item),
                Shape::Whole => whole_tree(&served, item),
            }
        };
        let is_yaml = format.encoding == Encoding::Yaml;
        let (place, opening, separator): (String, &str, &'static [u8]) = match is_yaml {
            true => (format!("{field}: []\n"), "", b""),
            false => (format!("\"{field}\":[]"), "[", b","),
        };
        let at = empty.windows(place.len()).position(|window| window == place.as_bytes());
        let at = at.ok_or_else(|| unreadable("the list has no place for its items"))?;
        // Up to the bracket, and after it.
        let begin = place.find('[').unwrap_or_default();
        let mut head = empty[..at + begin].to_vec();
        let mut tail = empty[at + place.len()..].to_vec();
        if is_yaml {
            head.pop();
            head.push(b'\n');
        } else {
            head.extend_from_slice(opening.as_bytes());
            tail.insert(0, b']');
        }
        let encode = move |item: &Arc<Item>| match is_yaml {
            true => Ok(yaml::write(&Value::Array(vec![tree(item)?])).into_bytes()),
            false => serde_json::to_vec(&tree(item)?).map_err(unreadable),
        };
        Ok(Self { head, separator, tail, encode: Box::new(encode) })
    }

    fn protobuf(listed: &Listed) -> Result<Option<Self>, Status> {
        let served = listed.served.clone();
        let SchemaRef::Builtin(id) = served.resource.schema else { return Ok(None) };
        let kind = &served.resource.kind;
        let meta = serde_json::to_vec(&whole_list_meta(listed)).map_err(unreadable)?;
        let (version, list_kind) = (kind.api_version(), served.resource.list_kind.to_string());
        let encode = move |item: &Arc<Item>| -> Result<Vec<u8>, Status> {
            let converted;
            let text = if served.resource.strategy.is_stored_form(item.revision) {
                &*item.value
            } else {
                converted = serde_json::to_vec(&crate::storage::tree(&served, item)?).map_err(unreadable)?;
                &converted
            };
            protobuf::encode_list_item(Schema::builtin(), id, text).map_err(unreadable)
        };
        let mut bytes = 0;
        for item in &listed.items {
            bytes += encode(item)?.len();
        }
        let (head, tail) =
            protobuf::list_envelope(Schema::builtin(), &version, &list_kind, &meta, bytes).map_err(unreadable)?;
        Ok(Some(Self { head, separator: b"", tail, encode: Box::new(encode) }))
    }
}
