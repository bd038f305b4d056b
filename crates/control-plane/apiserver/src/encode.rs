//! Outcomes in the form that the client asked for.
//!
//! Cost of the plain forms: for JSON, one copy of the stored bytes behind a prefix; for protobuf, one pass over them. A watch event is
//! encoded once for all its watchers.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use windlass_api::{GroupVersionKind, Status};
use windlass_client::Encoding;
use windlass_machinery::json::{push_with_type_meta, with_type_meta};
use windlass_machinery::schema::{Schema, TypeRef};
use windlass_machinery::tree::{put, text};
use windlass_machinery::{decode, protobuf, yaml};
use windlass_resources::SchemaRef;
use windlass_store::{Event, EventKind, Item};

use crate::outcome::{Listed, Payload};
use crate::registry::Served;
use crate::scale_view::SCALE;
use crate::table::{self, IncludeObject};
use crate::watcher::Change;

/// What of the objects is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The objects.
    #[default]
    Whole,
    /// Their metadata.
    Partial,
    /// Rows for `kubectl get`.
    Table(IncludeObject),
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Format {
    pub encoding: Encoding,
    pub shape: Shape,
    pub pretty: bool,
}

const PARTIAL: GroupVersionKind = GroupVersionKind::of("meta.k8s.io", "v1", "PartialObjectMetadata");
pub(crate) const PARTIAL_LIST: GroupVersionKind =
    GroupVersionKind::of("meta.k8s.io", "v1", "PartialObjectMetadataList");

/// A stored object's metadata, as text.
#[derive(Deserialize)]
struct OnlyMetadata<'a> {
    #[serde(borrow)]
    metadata: &'a RawValue,
}

fn only_metadata(item: &Item) -> Result<Vec<u8>, Status> {
    let object: OnlyMetadata<'_> = serde_json::from_slice(&item.value).map_err(unreadable)?;
    Ok(format!("{{\"metadata\":{}}}", object.metadata).into_bytes())
}

/// The refusal of a form that custom resources do not have.
fn no_protobuf() -> Status {
    Status::not_acceptable("application/json, application/yaml, application/vnd.kubernetes.protobuf")
}

pub(crate) fn unreadable(error: impl std::fmt::Display) -> Status {
    Status::internal(format_args!("an object cannot be encoded: {error}"))
}

impl Format {
    pub(crate) fn content_type(self) -> &'static str {
        match self.encoding {
            Encoding::Json => "application/json",
            Encoding::Yaml => "application/yaml",
            Encoding::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }

    pub(crate) fn watch_content_type(self) -> &'static str {
        match self.encoding {
            Encoding::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
            _ => "application/json",
        }
    }

    /// A status, which no shape applies to.
    pub(crate) fn status(self, status: &Status) -> Bytes {
        let tree = status.to_value();
        self.tree_bytes(&GroupVersionKind::of("", "v1", "Status"), tree)
            .unwrap_or_else(|_| Bytes::from(status.message.clone()))
    }

    pub(crate) fn object(self, payload: &Payload, now: jiff::Timestamp) -> Result<Bytes, Status> {
        match (payload, self.shape) {
            (Payload::Tree(kind, tree), Shape::Whole) => self.tree_bytes(kind, tree.clone()),
            (Payload::Tree(kind, tree), _) if kind.kind == "Status" => self.tree_bytes(kind, tree.clone()),
            (Payload::Tree(_, tree), Shape::Partial) => {
                self.tree_bytes(&PARTIAL, json!({"metadata": tree["metadata"]}))
            }
            (Payload::Tree(kind, scale), Shape::Table(include)) if *kind == SCALE => {
                self.tree_bytes(&table::KIND, table::of_scale(scale, include, now))
            }
            (Payload::Tree(..), Shape::Table(_)) => {
                Err(Status::not_acceptable("application/json, application/yaml, application/vnd.kubernetes.protobuf"))
            }
            (Payload::Draft(served, object), Shape::Whole) => self.tree_bytes(&served.resource.kind, object.clone()),
            (Payload::Draft(_, object), Shape::Partial) => {
                self.tree_bytes(&PARTIAL, json!({"metadata": object["metadata"]}))
            }
            (Payload::Draft(served, object), Shape::Table(include)) => {
                let meta = json!({"resourceVersion": text(&object["metadata"], "resourceVersion")});
                let rows = vec![table::row_of(served, object.clone(), include, now)];
                self.tree_bytes(&table::KIND, table::table(Some(served), rows, meta))
            }
            (Payload::Item(served, item), Shape::Whole) => self.whole(served, item),
            (Payload::Item(_, item), Shape::Partial) => self.partial(item),
            (Payload::Item(served, item), Shape::Table(include)) => {
                let rows = vec![table::row(served, item, include, now)?];
                let meta = json!({"resourceVersion": item.revision.to_string()});
                self.tree_bytes(&table::KIND, table::table(Some(served), rows, meta))
            }
        }
    }

    fn whole(self, served: &Served, item: &Item) -> Result<Bytes, Status> {
        let kind = &served.resource.kind;
        if !served.resource.strategy.is_stored_form(item.revision) {
            return self.tree_bytes(kind, crate::storage::tree(served, item)?);
        }
        match self.encoding {
            Encoding::Json if !self.pretty => Ok(Bytes::from(with_type_meta(&served.prefix, &item.value))),
            Encoding::Protobuf => {
                let SchemaRef::Builtin(id) = served.resource.schema else { return Err(no_protobuf()) };
                let message = protobuf::encode(Schema::builtin(), id, &item.value).map_err(unreadable)?;
                Ok(Bytes::from(protobuf::envelope(&kind.api_version(), &kind.kind, &message)))
            }
            _ => self.tree_bytes(kind, crate::storage::tree(served, item)?),
        }
    }

    fn partial(self, item: &Item) -> Result<Bytes, Status> {
        let tree = serde_json::from_slice(&only_metadata(item)?).map_err(unreadable)?;
        self.tree_bytes(&PARTIAL, tree)
    }

    /// A tree with its kind in front. What the schema does not know cannot be sent as protobuf and goes out as JSON text within.
    pub(crate) fn tree_bytes(self, kind: &GroupVersionKind, mut tree: Value) -> Result<Bytes, Status> {
        if self.encoding == Encoding::Protobuf {
            let schema = Schema::builtin();
            let group = if kind.group == "meta.k8s.io" { "" } else { &*kind.group };
            let id = Schema::object_type(group, &kind.version, &kind.kind)
                .ok_or_else(|| Status::not_acceptable("application/json, application/yaml"))?;
            // Only trees from stored objects are canonical yet.
            let tree = decode::from_value(schema, id, tree).map_err(unreadable)?.value;
            let text = serde_json::to_vec(&tree).map_err(unreadable)?;
            let message = protobuf::encode(schema, id, &text).map_err(unreadable)?;
            return Ok(Bytes::from(protobuf::envelope(&kind.api_version(), &kind.kind, &message)));
        }
        if let Some(map) = tree.as_object_mut() {
            map.insert("kind".to_owned(), Value::from(&*kind.kind));
            map.insert("apiVersion".to_owned(), Value::from(kind.api_version()));
        }
        let text = match (self.encoding, self.pretty) {
            (Encoding::Yaml, _) => yaml::write(&tree).into_bytes(),
            (_, true) => serde_json::to_vec_pretty(&tree).map_err(unreadable)?,
            (_, false) => serde_json::to_vec(&tree).map_err(unreadable)?,
        };
        Ok(Bytes::from(text))
    }

    /// What precedes the items of a list that is no more than the text of its items; `None` when more is to be done. Each item of a
    /// custom resource also says what it is.
    pub(crate) fn plain_list_head(self, listed: &Listed) -> Option<Vec<u8>> {
        let resource = &listed.served.resource;
        let is_plain = self.encoding == Encoding::Json && self.shape == Shape::Whole && !self.pretty;
        let is_plain = is_plain && is_stored_form(listed);
        is_plain.then(|| {
            let (kind, version, meta) = (&resource.list_kind, resource.kind.api_version(), whole_list_meta(listed));
            format!("{{\"kind\":\"{kind}\",\"apiVersion\":\"{version}\",\"metadata\":{meta},\"items\":[").into_bytes()
        })
    }

    pub(crate) fn list(self, listed: &Listed, now: jiff::Timestamp) -> Result<Bytes, Status> {
        let served = &*listed.served;
        let meta = list_meta(listed);
        match self.shape {
            Shape::Table(include) => {
                let rows: Result<Vec<Value>, Status> =
                    listed.items.iter().map(|item| table::row(served, item, include, now)).collect();
                self.tree_bytes(&table::KIND, table::table(Some(served), rows?, meta))
            }
            Shape::Partial => {
                let items: Result<Vec<Value>, Status> = listed.items.iter().map(|item| partial_tree(item)).collect();
                let items = Some(items?).filter(|items| !items.is_empty());
                self.tree_bytes(&PARTIAL_LIST, json!({"metadata": meta, "items": items}))
            }
            Shape::Whole => self.whole_list(listed),
        }
    }

    fn whole_list(self, listed: &Listed) -> Result<Bytes, Status> {
        let served = &*listed.served;
        let meta = whole_list_meta(listed);
        let kind = &served.resource.kind;
        let list_kind = GroupVersionKind { kind: served.resource.list_kind.clone(), ..kind.clone() };
        let stored_form = is_stored_form(listed);
        match self.encoding {
            Encoding::Protobuf => {
                let SchemaRef::Builtin(id) = served.resource.schema else { return Err(no_protobuf()) };
                let meta = serde_json::to_vec(&meta).map_err(unreadable)?;
                let trees: Vec<Vec<u8>>;
                let converted: Vec<&[u8]> = if stored_form {
                    listed.items.iter().map(|item| &*item.value).collect()
                } else {
                    trees = converted_items(served, listed)?;
                    trees.iter().map(Vec::as_slice).collect()
                };
                let message = protobuf::encode_list(Schema::builtin(), id, &meta, converted.into_iter());
                let message = message.map_err(unreadable)?;
                Ok(Bytes::from(protobuf::envelope(&kind.api_version(), &list_kind.kind, &message)))
            }
            _ => {
                let items: Result<Vec<Value>, Status> =
                    listed.items.iter().map(|item| whole_tree(served, item)).collect();
                self.tree_bytes(&list_kind, json!({"metadata": meta, "items": items?}))
            }
        }
    }

    /// One change on a watch stream, with its framing.
    pub(crate) fn change(
        self,
        served: &Served,
        change: &Change,
        first: bool,
        now: jiff::Timestamp,
    ) -> Result<Bytes, Status> {
        match change {
            Change::Event(event) => match (self.shape, served.resource.strategy.is_stored_form(event.item.revision)) {
                (Shape::Whole, true) => self.shared_frame(served, event),
                _ => self.item_frame(served, event.kind.name(), &event.item, first, now),
            },
            Change::Object(kind, item) => self.item_frame(served, kind.name(), item, first, now),
            Change::Bookmark { revision, initial_events_end } => {
                self.bookmark(served, *revision, *initial_events_end, first)
            }
        }
    }

    fn shared_frame(self, served: &Served, event: &Event) -> Result<Bytes, Status> {
        let place = match self.encoding {
            Encoding::Protobuf => 1,
            _ => 0,
        };
        // Versions of a custom resource share the events of its table.
        let is_ours = |frame: &Bytes| !served.resource.is_custom() || is_frame_of(frame, event.kind, &served.prefix);
        if let Some(frame) = event.frames[place].get().filter(|frame| is_ours(frame)) {
            return Ok(frame.clone());
        }
        let frame = self.whole_frame(served, event.kind, &event.item)?;
        let kept = event.frames[place].get_or_init(|| frame.clone());
        Ok(if is_ours(kept) { kept.clone() } else { frame })
    }

    fn whole_frame(self, served: &Served, kind: EventKind, item: &Item) -> Result<Bytes, Status> {
        if self.encoding == Encoding::Protobuf {
            return Ok(Bytes::from(protobuf::watch_frame(kind.name(), &self.whole(served, item)?)));
        }
        let mut text = Vec::with_capacity(item.value.len() + served.prefix.len() + 40);
        text.extend_from_slice(frame_head(kind).as_bytes());
        push_with_type_meta(&mut text, &served.prefix, &item.value);
        text.extend_from_slice(b"}\n");
        Ok(Bytes::from(text))
    }

    fn item_frame(
        self,
        served: &Served,
        event: &str,
        item: &Item,
        first: bool,
        now: jiff::Timestamp,
    ) -> Result<Bytes, Status> {
        let object = match self.shape {
            Shape::Whole => self.whole(served, item)?,
            Shape::Partial => self.partial(item)?,
            Shape::Table(include) => {
                let rows = vec![table::row(served, item, include, now)?];
                let meta = json!({"resourceVersion": item.revision.to_string()});
                self.tree_bytes(&table::KIND, table::table(first.then_some(served), rows, meta))?
            }
        };
        Ok(self.frame(event, &object))
    }

    fn bookmark(self, served: &Served, revision: u64, initial_events_end: bool, first: bool) -> Result<Bytes, Status> {
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if initial_events_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object = match self.shape {
            Shape::Whole => {
                let TypeRef { schema, id } = served.resource.object_type();
                let mut tree = decode::empty(schema, id);
                tree["metadata"] = metadata;
                self.tree_bytes(&served.resource.kind, tree)?
            }
            Shape::Partial => self.tree_bytes(&PARTIAL, json!({"metadata": metadata}))?,
            Shape::Table(_) => {
                // The annotation has to be found on an object, so the one row has no cells but an object.
                let object =
                    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata});
                let rows = vec![json!({"cells": null, "object": object})];
                let meta = json!({"resourceVersion": revision.to_string()});
                self.tree_bytes(&table::KIND, table::table(first.then_some(served), rows, meta))?
            }
        };
        Ok(self.frame("BOOKMARK", &object))
    }

    /// The end of a watch that went wrong.
    pub(crate) fn error_frame(self, status: &Status) -> Bytes {
        self.frame("ERROR", &self.status(status))
    }

    fn frame(self, event: &str, object: &[u8]) -> Bytes {
        if self.encoding == Encoding::Protobuf {
            return Bytes::from(protobuf::watch_frame(event, object));
        }
        let mut text = Vec::with_capacity(object.len() + 40);
        text.extend_from_slice(format!("{{\"type\":\"{event}\",\"object\":").as_bytes());
        text.extend_from_slice(object);
        text.extend_from_slice(b"}\n");
        Bytes::from(text)
    }
}

/// What the JSON frame of an event begins with.
fn frame_head(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Added => "{\"type\":\"ADDED\",\"object\":",
        EventKind::Modified => "{\"type\":\"MODIFIED\",\"object\":",
        EventKind::Deleted => "{\"type\":\"DELETED\",\"object\":",
    }
}

/// Whether a JSON frame shows the object as the kind and version of this prefix.
fn is_frame_of(frame: &[u8], kind: EventKind, prefix: &[u8]) -> bool {
    frame.strip_prefix(frame_head(kind).as_bytes()).is_some_and(|object| object.starts_with(prefix))
}

/// An object's metadata as an item of a list.
pub(crate) fn partial_tree(item: &Item) -> Result<Value, Status> {
    let mut tree: Value = serde_json::from_slice(&only_metadata(item)?).map_err(unreadable)?;
    tree["kind"] = Value::from("PartialObjectMetadata");
    tree["apiVersion"] = Value::from("meta.k8s.io/v1");
    Ok(tree)
}

/// An object as an item of a list; one of a custom resource says what it is.
pub(crate) fn whole_tree(served: &Served, item: &Item) -> Result<Value, Status> {
    let mut tree = crate::storage::tree(served, item)?;
    if served.resource.is_custom() {
        put(&mut tree, "kind", &*served.resource.kind.kind);
        put(&mut tree, "apiVersion", served.api_version.as_str());
    }
    Ok(tree)
}

/// Whether all objects of a list are stored as they are served.
fn is_stored_form(listed: &Listed) -> bool {
    let strategy = &listed.served.resource.strategy;
    listed.items.iter().all(|item| strategy.is_stored_form(item.revision))
}

pub(crate) fn list_meta(listed: &Listed) -> Value {
    let mut meta = json!({"resourceVersion": listed.revision.to_string()});
    if !listed.continue_token.is_empty() {
        meta["continue"] = Value::from(listed.continue_token.as_str());
    }
    if let Some(remaining) = listed.remaining {
        meta["remainingItemCount"] = Value::from(remaining);
    }
    meta
}

/// What precedes whole objects: upstream's lists of custom resources have no type, so nothing of theirs is left out for being empty.
pub(crate) fn whole_list_meta(listed: &Listed) -> Value {
    let mut meta = list_meta(listed);
    if listed.served.resource.is_custom() && listed.continue_token.is_empty() {
        meta["continue"] = Value::from("");
    }
    meta
}

fn converted_items(served: &Served, listed: &Listed) -> Result<Vec<Vec<u8>>, Status> {
    listed
        .items
        .iter()
        .map(|item| serde_json::to_vec(&crate::storage::tree(served, item)?).map_err(unreadable))
        .collect()
}
