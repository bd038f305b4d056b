//! Builds a tree from the events of a YAML parser. Nothing here recurses: what is open stands on a stack whose height is bounded, and
//! so is what aliases may repeat.
//!
//! Source: go.yaml.in/yaml/v2 `decode.go`, sigs.k8s.io/yaml.

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use granit_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::{Map, Value};

use super::Document;
use super::scalar::resolve;
use crate::decode::{DEPTH_MAX, DecodeError};

/// Nodes that aliases may repeat before a document counts as hostile.
const REPEATED_MAX: usize = 400_000;

const MERGE: &str = "<<";

/// As many keys that stand twice are told of.
const DUPLICATES_MAX: usize = 100;

fn failure(why: impl std::fmt::Display) -> DecodeError {
    DecodeError(format!("error converting YAML to JSON: yaml: {why}"))
}

/// A list or map that is being read.
enum Open {
    List(Vec<Value>),
    Map { entries: Map<String, Value>, key: Option<Key> },
}

/// A key whose value is still to come.
enum Key {
    Name(String),
    /// `<<`: the value's entries become the map's.
    Merge,
}

struct Frame {
    open: Open,
    anchor: usize,
    /// Nodes in it, itself included.
    nodes: usize,
    /// Where it begins, from 1.
    line: usize,
}

/// A complete node.
struct Node {
    value: Value,
    nodes: usize,
    line: usize,
    /// A plain `<<`.
    is_merge: bool,
}

#[derive(Default)]
struct Reader {
    stack: Vec<Frame>,
    anchors: HashMap<usize, (Value, usize)>,
    repeated: usize,
    duplicates: Vec<String>,
    root: Option<Value>,
}

/// Reads the first document of a text.
pub(super) fn read(text: &str) -> Result<Document, DecodeError> {
    let first = text.lines().find(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    if first.is_some_and(|line| line.starts_with('\t')) {
        return Err(failure("found character that cannot start any token"));
    }
    let mut reader = Reader::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(failure)?;
        if matches!(event, Event::DocumentEnd) {
            break;
        }
        reader.take(event, &span)?;
    }
    Ok(Document { value: reader.root.unwrap_or(Value::Null), duplicates: reader.duplicates })
}

impl Reader {
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), DecodeError> {
        let line = span.start.line();
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain && tag.is_none();
                let is_merge = is_plain && text == MERGE;
                let value = scalar(text, is_plain, tag.as_deref())?;
                self.finished(Node { value, nodes: 1, line, is_merge }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => self.open(Open::List(Vec::new()), anchor, line),
            Event::MappingStart(_, anchor, _) => self.open(Open::Map { entries: Map::new(), key: None }, anchor, line),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Frame { open, anchor, nodes, line }) = self.stack.pop() else { return Ok(()) };
                let value = match open {
                    Open::List(items) => Value::Array(items),
                    Open::Map { entries, .. } => Value::Object(entries),
                };
                self.finished(Node { value, nodes, line, is_merge: false }, anchor)
            }
            Event::Alias(anchor) => {
                let (value, nodes) =
                    self.anchors.get(&anchor).cloned().ok_or_else(|| failure("an anchor's value contains itself"))?;
                self.repeated += nodes;
                if self.repeated > REPEATED_MAX {
                    return Err(failure("document contains excessive aliasing"));
                }
                self.finished(Node { value, nodes, line, is_merge: false }, 0)
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, open: Open, anchor: usize, line: usize) -> Result<(), DecodeError> {
        if self.stack.len() >= DEPTH_MAX {
            return Err(failure("exceeded max depth"));
        }
        self.stack.push(Frame { open, anchor, nodes: 1, line });
        Ok(())
    }

    /// Puts a node where it belongs.
    fn finished(&mut self, node: Node, anchor: usize) -> Result<(), DecodeError> {
        if anchor != 0 {
            self.anchors.insert(anchor, (node.value.clone(), node.nodes));
        }
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node.value);
            return Ok(());
        };
        frame.nodes += node.nodes;
        match &mut frame.open {
            Open::List(items) => items.push(node.value),
            Open::Map { key: key @ None, .. } => {
                *key = Some(if node.is_merge { Key::Merge } else { Key::Name(key_text(node.value)?) });
            }
            Open::Map { entries, key } => match key.take() {
                Some(Key::Name(name)) => {
                    if entries.contains_key(&name) && self.duplicates.len() < DUPLICATES_MAX {
                        self.duplicates.push(format!("line {}: key {name:?} already set in map", node.line));
                    }
                    entries.insert(name, node.value);
                }
                _ => merge(entries, node.value)?,
            },
        }
        Ok(())
    }
}

fn scalar(text: Cow<'_, str>, is_plain: bool, tag: Option<&Tag>) -> Result<Value, DecodeError> {
    if is_plain {
        return Ok(resolve(&text));
    }
    let Some(tag) = tag else { return Ok(Value::from(text.into_owned())) };
    let name = tag.to_string();
    let Some(kind) = name.strip_prefix("tag:yaml.org,2002:").or_else(|| name.strip_prefix("!!")) else {
        return Ok(Value::from(text.into_owned()));
    };
    let resolved = resolve(&text);
    let fits = match kind {
        "str" | "timestamp" => return Ok(Value::from(text.into_owned())),
        "binary" => {
            let plain: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
            let bytes = BASE64.decode(plain).map_err(|_| failure("!!binary value contains invalid base64 data"))?;
            return Ok(Value::from(String::from_utf8_lossy(&bytes)));
        }
        "bool" => resolved.is_boolean(),
        "int" => resolved.is_i64() || resolved.is_u64(),
        "float" => resolved.is_number(),
        "null" => resolved.is_null(),
        _ => return Ok(Value::from(text.into_owned())),
    };
    if fits { Ok(resolved) } else { Err(failure(format_args!("cannot decode `{text}` as a !!{kind}"))) }
}

/// A key as JSON has it: text. A number or a truth value becomes its text.
fn key_text(key: Value) -> Result<String, DecodeError> {
    match key {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(truth) => Ok(truth.to_string()),
        Value::Null => Err(failure("unsupported map key of type: nil")),
        _ => Err(failure("invalid map key")),
    }
}

/// Takes the entries of another map, or of several, as if they stood here.
fn merge(entries: &mut Map<String, Value>, value: Value) -> Result<(), DecodeError> {
    let refuse = || failure("map merge requires map or sequence of maps as the value");
    match value {
        Value::Object(other) => entries.extend(other),
        Value::Array(others) => {
            // The first that has a key decides.
            for other in others.into_iter().rev() {
                let Value::Object(other) = other else { return Err(refuse()) };
                entries.extend(other);
            }
        }
        _ => return Err(refuse()),
    }
    Ok(())
}
