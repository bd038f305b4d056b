//! From a client's words to the canonical tree of an object.
//!
//! One pass, driven by the schema, over any serde source (JSON text, or a tree that came from YAML, protobuf or a patch): it
//! checks every field's type, drops and reports fields that the schema does not have and fields that come twice, and puts
//! scalars into their canonical spelling. The result is what upstream's Go structures would encode to: empty values are
//! there or not exactly as upstream writes them ([`Presence`]), which is what makes stored bytes canonical.
//!
//! A type error ends the reading with upstream's message; unknown and duplicate fields are collected, since the request's
//! `fieldValidation` decides what becomes of them. Custom resources are read in another [`Form`]: there, only what the server knows
//! itself (their metadata) has to be of its type.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use windlass_api::Quantity;
use windlass_api::time;

use crate::schema::{Field, Form, Presence, Scalar, Schema, Shape, Type, TypeId};

/// As many unknown and duplicate fields are reported, as upstream.
pub(crate) const PROBLEMS_MAX: usize = 100;
/// As long may their paths be together: each may repeat a long key.
pub(crate) const PROBLEMS_BYTES_MAX: usize = 64 * 1024;

/// How deep lists and maps of an object may stand in one another, whatever it came as: as deep as the reader of JSON goes.
pub const DEPTH_MAX: usize = 127;

/// A field that a strict client would not have sent; the text is upstream's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    Unknown(String),
    Duplicate(String),
    /// A key that stands more than once in a map of a YAML document: the line, and the key.
    DuplicateKey(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(path) => write!(f, "unknown field {path:?}"),
            Self::Duplicate(path) => write!(f, "duplicate field {path:?}"),
            Self::DuplicateKey(line) => f.write_str(line),
        }
    }
}

/// Problems so far, as many as are reported.
#[derive(Default)]
pub(crate) struct Problems {
    pub list: Vec<Problem>,
    bytes: usize,
}

impl Problems {
    /// Adds the problem with what the path leads to.
    pub(crate) fn report(&mut self, steps: &[Step<'_>], last: &str, problem: fn(String) -> Problem) {
        if self.list.len() < PROBLEMS_MAX && self.bytes < PROBLEMS_BYTES_MAX {
            let path = path_to(steps, last);
            self.bytes += path.len();
            self.list.push(problem(path));
        }
    }
}

/// A canonical object, and what was wrong with the one that came.
#[derive(Debug)]
pub struct Decoded {
    pub value: Value,
    pub problems: Vec<Problem>,
}

/// The body is no object of the type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub String);

/// Reads JSON text.
pub fn from_json(schema: &Schema, id: TypeId, text: &[u8]) -> Result<Decoded, DecodeError> {
    let read = |text: &[u8]| {
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        let decoded = read(schema, id, &mut deserializer)?;
        deserializer.end().map_err(|error| DecodeError(error.to_string()))?;
        Ok(decoded)
    };
    match read(text) {
        Err(error) => mend_surrogates(text).map_or(Err(error), |text| read(&text)),
        decoded => decoded,
    }
}

/// Reads JSON text as Go does, into whatever form: half of a character is no error.
pub fn json_as_go<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(text)
        .or_else(|error| mend_surrogates(text).map_or(Err(error), |text| serde_json::from_slice(&text)))
}

/// JSON text with a mark in place of each escaped half of a character; `None` when there is none of them.
pub(crate) fn mend_surrogates(text: &[u8]) -> Option<Vec<u8>> {
    let unit = |at: usize| -> Option<u32> {
        let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let mut mended = Vec::with_capacity(text.len());
    let (mut at, mut found) = (0, false);
    while let Some(&byte) = text.get(at) {
        let (length, is_half) = match (byte, unit(at)) {
            (b'\\', Some(0xd800..0xdc00)) if matches!(unit(at + 6), Some(0xdc00..0xe000)) => (12, false),
            (b'\\', Some(unit)) => (6, (0xd800..0xe000).contains(&unit)),
            (b'\\', None) => (2, false),
            _ => (1, false),
        };
        let part = &text[at..(at + length).min(text.len())];
        mended.extend_from_slice(if is_half { b"\\ufffd" } else { part });
        found |= is_half;
        at += length;
    }
    found.then_some(mended)
}

/// Makes a tree from another source canonical.
pub fn from_value(schema: &Schema, id: TypeId, value: Value) -> Result<Decoded, DecodeError> {
    read(schema, id, value)
}

/// The canonical tree of an object of which nothing was said.
pub fn empty(schema: &Schema, id: TypeId) -> Value {
    zero(schema, &Shape::Struct(id))
}

fn read<'de, D: Deserializer<'de>>(schema: &Schema, id: TypeId, deserializer: D) -> Result<Decoded, DecodeError> {
    let mut context = Context { schema, path: Vec::new(), problems: Problems::default(), error: None };
    let shape = Shape::Struct(id);
    let seed = Seed { context: &mut context, shape: &shape, owner: None };
    match seed.deserialize(deserializer) {
        Ok(value) => Ok(Decoded { value: value.unwrap_or_else(|| empty(schema, id)), problems: context.problems.list }),
        Err(error) => Err(DecodeError(context.error.unwrap_or_else(|| error.to_string()))),
    }
}

struct Context<'s> {
    schema: &'s Schema,
    path: Vec<Step<'s>>,
    problems: Problems,
    /// The message of a type error; serde's own error would add a position to it.
    error: Option<String>,
}

/// A step on the way to a value.
pub(crate) enum Step<'s> {
    Field(&'s str),
    Key(String),
    Index(usize),
}

impl Context<'_> {
    fn report(&mut self, last: &str, problem: fn(String) -> Problem) {
        self.problems.report(&self.path, last, problem);
    }

    /// Go's words for a value of the wrong type.
    fn mismatch(&mut self, found: &str, shape: &Shape, owner: Option<&str>) -> String {
        let wanted = go_type(self.schema, shape);
        match owner {
            None => format!("json: cannot unmarshal {found} into Go value of type {wanted}"),
            Some(owner) => {
                let names: Vec<&str> = self
                    .path
                    .iter()
                    .filter_map(|step| match step {
                        Step::Field(name) => Some(*name),
                        Step::Key(_) | Step::Index(_) => None,
                    })
                    .collect();
                format!(
                    "json: cannot unmarshal {found} into Go struct field {owner}.{} of type {wanted}",
                    names.join(".")
                )
            }
        }
    }
}

/// `spec.containers[0].image`, with `last` as one more field.
pub(crate) fn path_to(steps: &[Step<'_>], last: &str) -> String {
    let mut path = String::new();
    for step in steps {
        match step {
            Step::Index(index) => path.push_str(&format!("[{index}]")),
            Step::Field(name) => push_name(&mut path, name),
            Step::Key(key) => push_name(&mut path, key),
        }
    }
    push_name(&mut path, last);
    path
}

fn push_name(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

/// The type's spelling in Go, for error messages.
fn go_type(schema: &Schema, shape: &Shape) -> String {
    match shape {
        Shape::Struct(id) => {
            let name = &schema.get(*id).name;
            let start = name.rmatch_indices('.').nth(1).map_or(0, |(at, _)| at + 1);
            name[start..].to_owned()
        }
        Shape::List(element) | Shape::WrappedList(element) => format!("[]{}", go_type(schema, element)),
        Shape::Map(element) => format!("map[string]{}", go_type(schema, element)),
        Shape::Scalar(scalar) => match scalar {
            Scalar::String => "string",
            Scalar::Int32 => "int32",
            Scalar::Int64 => "int64",
            Scalar::Bool => "bool",
            Scalar::Double => "float64",
            Scalar::Bytes => "[]uint8",
            Scalar::Time => "v1.Time",
            Scalar::MicroTime => "v1.MicroTime",
            Scalar::Duration => "v1.Duration",
            Scalar::Quantity => "resource.Quantity",
            Scalar::IntOrString => "intstr.IntOrString",
            Scalar::Raw => "runtime.RawExtension",
            Scalar::Json => "v1.JSON",
            Scalar::Fields => "v1.FieldsV1",
            Scalar::SchemaOrBool => "v1.JSONSchemaPropsOrBool",
            Scalar::SchemaOrArray => "v1.JSONSchemaPropsOrArray",
            Scalar::SchemaOrStrings => "v1.JSONSchemaPropsOrStringArray",
        }
        .to_owned(),
        Shape::Any => "interface {}".to_owned(),
    }
}

/// The shape of what stands in a list where a custom resource has none.
const NOTHING_KNOWN: Shape = Shape::Scalar(Scalar::String);

/// Reads one value of a shape; null is `None`.
struct Seed<'a, 's> {
    context: &'a mut Context<'s>,
    shape: &'a Shape,
    /// The structure whose field this is.
    owner: Option<&'s Type>,
}

impl<'de> DeserializeSeed<'de> for Seed<'_, '_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Value>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'s> Seed<'_, 's> {
    fn refuse<E: serde::de::Error>(self, found: &str) -> E {
        // What the server knows of a custom resource is read by itself.
        let owner = self.owner.filter(|owner| owner.form == Form::Go).map(Type::short_name);
        let message = self.context.mismatch(found, self.shape, owner);
        self.fail(message)
    }

    /// Whether any value will do, as far as reading goes: in a custom resource, unless the server knows the type itself.
    fn takes_anything(&self) -> bool {
        let is_custom = |t: &Type| t.form != Form::Go;
        let of_server = |shape: &Shape| matches!(shape, Shape::Struct(id) if !is_custom(self.context.schema.get(*id)));
        self.owner.is_some_and(is_custom) && !of_server(self.shape)
    }

    fn fail<E: serde::de::Error>(self, message: String) -> E {
        self.context.error = Some(message);
        E::custom("wrong type")
    }

    fn number<E: serde::de::Error>(self, number: serde_json::Number) -> Result<Option<Value>, E> {
        if self.takes_anything() {
            // What is no integer of Go's is a float.
            return Ok(Some(if number.is_i64() { Value::Number(number) } else { double(&number) }));
        }
        let fits = match self.shape {
            Shape::Scalar(Scalar::Int32 | Scalar::IntOrString) => {
                number.as_i64().is_some_and(|n| i32::try_from(n).is_ok())
            }
            Shape::Scalar(Scalar::Int64) => number.as_i64().is_some(),
            Shape::Scalar(Scalar::Double) => return Ok(Some(double(&number))),
            Shape::Scalar(Scalar::Json) => true,
            Shape::Scalar(Scalar::Quantity) => return self.quantity(&number.to_string()),
            _ => return Err(self.refuse("number")),
        };
        if fits { Ok(Some(Value::Number(number))) } else { Err(self.refuse(&format!("number {number}"))) }
    }

    fn quantity<E: serde::de::Error>(self, text: &str) -> Result<Option<Value>, E> {
        match text.trim().parse::<Quantity>() {
            Ok(quantity) => Ok(Some(Value::String(quantity.to_string()))),
            Err(error) => Err(self.fail(error.to_string())),
        }
    }

    fn text<E: serde::de::Error>(self, text: String) -> Result<Option<Value>, E> {
        if self.takes_anything() {
            return Ok(Some(Value::String(text)));
        }
        let Shape::Scalar(scalar) = self.shape else { return Err(self.refuse("string")) };
        let canonical = match scalar {
            Scalar::String | Scalar::Json | Scalar::IntOrString => text,
            Scalar::Quantity => return self.quantity(&text),
            Scalar::Time => match time::rewrite_rfc3339(&text, time::rfc3339) {
                Some(anew) => anew,
                None => return Err(self.fail(no_time(&text, LAYOUT, &text, "2006"))),
            },
            Scalar::MicroTime => match (time::rewrite_rfc3339(&text, time::rfc3339_micro), after_seconds(&text)) {
                (Some(anew), None) => anew,
                (Some(_), Some((rest, part))) => return Err(self.fail(no_time(&text, MICRO_LAYOUT, rest, part))),
                (None, _) => return Err(self.fail(no_time(&text, MICRO_LAYOUT, &text, "2006"))),
            },
            Scalar::Duration => match time::parse_duration(&text) {
                Some(nanos) => time::format_duration(nanos),
                None => return Err(self.fail(format!("time: invalid duration {text:?}"))),
            },
            Scalar::Bytes => {
                let compact: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
                match BASE64.decode(&compact) {
                    Ok(_) => compact,
                    Err(error) => {
                        let at = match error {
                            base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => {
                                at
                            }
                            _ => compact.len(),
                        };
                        return Err(self.fail(format!("illegal base64 data at input byte {at}")));
                    }
                }
            }
            _ => return Err(self.refuse("string")),
        };
        Ok(Some(Value::String(canonical)))
    }

    fn structure<'de, A: MapAccess<'de>>(self, id: TypeId, mut map: A) -> Result<Option<Value>, A::Error> {
        let schema = self.context.schema;
        let t = schema.get(id);
        if t.form != Form::Go {
            return self.custom_structure(t, map);
        }
        let mut object = Map::new();
        let mut seen = [0_u64; 2];
        while let Some(key) = map.next_key_seed(FieldName(t))? {
            let (place, field) = match key {
                Ok(place) => (place, &t.fields[place]),
                Err(name) => {
                    self.context.report(&name, Problem::Unknown);
                    map.next_value::<serde::de::IgnoredAny>()?;
                    continue;
                }
            };
            // The last of several wins, as in Go.
            let bit = 1 << (place % 64);
            if seen[place / 64 % 2] & bit != 0 {
                self.context.report(&field.name, Problem::Duplicate);
            }
            seen[place / 64 % 2] |= bit;
            self.context.path.push(Step::Field(&field.name));
            let seed = Seed { context: self.context, shape: &field.shape, owner: Some(t) };
            let value = map.next_value_seed(seed)?;
            self.context.path.pop();
            if let Some(value) = value.filter(|value| !left_out(field, value) && !is_forgotten(t, field, value)) {
                object.insert(field.name.clone().into_owned(), value);
            }
        }
        fill(schema, t, &mut object);
        Ok(Some(Value::Object(object)))
    }

    /// Whether the shape is a structure that keeps what it does not know.
    fn keeps_unknown(&self) -> bool {
        matches!(self.shape, Shape::Struct(id) if self.context.schema.get(*id).keeps_unknown())
    }

    /// An object where its schema has none: validation refuses it, and none of its fields is known.
    fn nothing_known<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<Option<Value>, A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            self.context.report(&key, Problem::Unknown);
            map.next_value::<serde::de::IgnoredAny>()?;
        }
        Ok(Some(Value::Object(Map::new())))
    }

    /// As [`Self::structure`], but nothing is left out.
    fn custom_structure<'de, A: MapAccess<'de>>(self, t: &'s Type, mut map: A) -> Result<Option<Value>, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key_seed(FieldName(t))? {
            let (name, shape) = match key {
                Ok(place) => (t.fields[place].name.clone(), &t.fields[place].shape),
                Err(name) if t.keeps_unknown() => (name.into(), &Shape::Any),
                Err(name) => {
                    self.context.report(&name, Problem::Unknown);
                    map.next_value::<serde::de::IgnoredAny>()?;
                    continue;
                }
            };
            if object.contains_key(&*name) {
                self.context.report(&name, Problem::Duplicate);
            }
            self.context.path.push(Step::Key(name.clone().into_owned()));
            let value = map.next_value_seed(Seed { context: self.context, shape, owner: Some(t) })?;
            self.context.path.pop();
            if let Some(value) = value {
                object.insert(name.into_owned(), value);
            }
        }
        fill(self.context.schema, t, &mut object);
        Ok(Some(Value::Object(object)))
    }

    fn entries<'de, A: MapAccess<'de>>(self, element: &Shape, mut map: A) -> Result<Option<Value>, A::Error> {
        let mut entries = Map::new();
        let nested = element.structure().is_some() || *element == Shape::Any;
        while let Some(key) = map.next_key::<String>()? {
            if entries.contains_key(&key) {
                self.context.report(&key, Problem::Duplicate);
            }
            if nested {
                self.context.path.push(Step::Key(key.clone()));
            }
            let seed = Seed { context: self.context, shape: element, owner: self.owner };
            let value = map.next_value_seed(seed)?;
            if nested {
                self.context.path.pop();
            }
            entries.insert(key, value.unwrap_or_else(|| zero(self.context.schema, element)));
        }
        Ok(Some(Value::Object(entries)))
    }
}

impl<'de> Visitor<'de> for Seed<'_, '_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&go_type(self.context.schema, self.shape))
    }

    fn visit_unit<E>(self) -> Result<Option<Value>, E> {
        Ok(self.takes_anything().then_some(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Option<Value>, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Value>, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Option<Value>, E> {
        match self.shape {
            Shape::Scalar(Scalar::Bool | Scalar::Json | Scalar::SchemaOrBool) => Ok(Some(Value::Bool(value))),
            _ if self.takes_anything() => Ok(Some(Value::Bool(value))),
            _ => Err(self.refuse("bool")),
        }
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Option<Value>, E> {
        self.number(value.into())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Option<Value>, E> {
        self.number(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Option<Value>, E> {
        match serde_json::Number::from_f64(value) {
            Some(number) => self.number(number),
            None => Err(self.refuse("number")),
        }
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Option<Value>, E> {
        self.text(value.to_owned())
    }

    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<Option<Value>, E> {
        self.text(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Option<Value>, A::Error> {
        let element = match self.shape {
            Shape::List(element) | Shape::WrappedList(element) => element,
            Shape::Scalar(Scalar::Json | Scalar::SchemaOrArray | Scalar::SchemaOrStrings) => {
                &const { Shape::Scalar(Scalar::Json) }
            }
            shape if self.takes_anything() => {
                let keeps = *shape == Shape::Any || self.keeps_unknown();
                if keeps { &Shape::Any } else { &NOTHING_KNOWN }
            }
            _ => return Err(self.refuse("array")),
        };
        let mut items = Vec::with_capacity(seq.size_hint().unwrap_or(0).min(1024));
        loop {
            self.context.path.push(Step::Index(items.len()));
            let seed = Seed { context: self.context, shape: element, owner: self.owner };
            let item = seq.next_element_seed(seed)?;
            self.context.path.pop();
            match item {
                Some(item) => items.push(item.unwrap_or_else(|| zero(self.context.schema, element))),
                None => return Ok(Some(Value::Array(items))),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<Value>, A::Error> {
        match self.shape {
            Shape::Struct(id) => self.structure(*id, map),
            Shape::Map(element) => self.entries(element, map),
            Shape::Scalar(Scalar::Raw | Scalar::Json | Scalar::Fields) => {
                serde::Deserialize::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(Some)
            }
            Shape::Scalar(Scalar::SchemaOrBool | Scalar::SchemaOrArray | Scalar::SchemaOrStrings) => {
                let name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";
                match self.context.schema.find(name) {
                    Some(id) => self.structure(id, map),
                    None => Err(A::Error::custom("the schema has no JSONSchemaProps")),
                }
            }
            Shape::Any if self.takes_anything() => self.entries(&Shape::Any, map),
            _ if self.takes_anything() => self.nothing_known(map),
            _ => Err(self.refuse("object")),
        }
    }
}

/// Reads the name of a field: its place in the type, or the name that the type does not have.
struct FieldName<'s>(&'s Type);

impl<'de> DeserializeSeed<'de> for FieldName<'_> {
    type Value = Result<usize, String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for FieldName<'_> {
    type Value = Result<usize, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.position(name).ok_or_else(|| name.to_owned()))
    }
}

/// Whether upstream's encoder would leave the value out.
fn left_out(field: &Field, value: &Value) -> bool {
    match field.presence {
        Presence::Pointer | Presence::AlwaysPointer | Presence::AlwaysValue => false,
        Presence::OmitZero => value.as_object().is_some_and(Map::is_empty) || value.is_null(),
        Presence::Value => match (&field.shape, value) {
            // An empty record of who manages what is a wish to begin it anew.
            (Shape::List(_), Value::Array(_)) if field.name == "managedFields" => false,
            (Shape::List(_) | Shape::WrappedList(_), Value::Array(items)) => items.is_empty(),
            (Shape::Map(_), Value::Object(entries)) => entries.is_empty(),
            (Shape::Scalar(Scalar::String | Scalar::Bytes), Value::String(text)) => text.is_empty(),
            (Shape::Scalar(Scalar::Bool), Value::Bool(value)) => !value,
            (Shape::Scalar(Scalar::Int32 | Scalar::Int64 | Scalar::Double), Value::Number(n)) => {
                n.as_f64() == Some(0.0)
            }
            _ => false,
        },
    }
}

/// Whether upstream forgets that the list or map was there: it stores most objects as protobuf, which knows no empty list, and
/// writes null for it afterwards. Definitions and API services are stored as JSON.
fn is_forgotten(t: &Type, field: &Field, value: &Value) -> bool {
    let is_empty = match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty() && matches!(field.shape, Shape::Map(_)),
        _ => false,
    };
    is_empty
        && field.presence == Presence::AlwaysValue
        && !["io.k8s.apiextensions-apiserver", "io.k8s.kube-aggregator"].iter().any(|group| t.name.starts_with(group))
}

/// Adds what upstream's encoder writes although nobody has set it.
fn fill(schema: &Schema, t: &Type, object: &mut Map<String, Value>) {
    for field in t.always_written() {
        if !object.contains_key(&*field.name) {
            let value = match field.presence {
                Presence::AlwaysPointer => Value::Null,
                _ => zero(schema, &field.shape),
            };
            object.insert(field.name.clone().into_owned(), value);
        }
    }
}

/// The JSON of a Go float: one without a fraction is written without one.
fn double(number: &serde_json::Number) -> Value {
    /// From here on a float is no exact `i64`.
    const INTEGER_MAX: f64 = 9_223_372_036_854_774_784.0;
    let value = number.as_f64().unwrap_or_default();
    if value.fract() == 0.0 && value.abs() <= INTEGER_MAX { Value::from(value as i64) } else { Value::from(value) }
}

/// The JSON of Go's zero value.
fn zero(schema: &Schema, shape: &Shape) -> Value {
    match shape {
        Shape::List(_) | Shape::WrappedList(_) | Shape::Map(_) | Shape::Any => Value::Null,
        Shape::Struct(id) => {
            let mut object = Map::new();
            fill(schema, schema.get(*id), &mut object);
            Value::Object(object)
        }
        Shape::Scalar(scalar) => match scalar {
            Scalar::String | Scalar::Bytes => Value::from(""),
            Scalar::Int32 | Scalar::Int64 | Scalar::IntOrString => Value::from(0),
            Scalar::Double => Value::from(0),
            Scalar::Bool => Value::from(false),
            Scalar::Quantity => Value::from("0"),
            Scalar::Duration => Value::from("0s"),
            _ => Value::Null,
        },
    }
}

/// How Go shows what a time looks like, with seconds and with microseconds.
const LAYOUT: &str = "2006-01-02T15:04:05Z07:00";
const MICRO_LAYOUT: &str = "2006-01-02T15:04:05.000000Z07:00";

/// What Go says of a text whose `rest` is not the `part` of the layout that is expected there.
fn no_time(text: &str, layout: &str, rest: &str, part: &str) -> String {
    format!("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as {part:?}")
}

/// What is wrong after the seconds of a time that should have exactly six digits of their fraction, and what should be there.
fn after_seconds(time: &str) -> Option<(&str, &'static str)> {
    const SECONDS_END: usize = "2006-01-02T15:04:05".len();
    let rest = time.get(SECONDS_END..)?;
    let digits = rest.strip_prefix('.').map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    match digits {
        0..6 => Some((rest, ".000000")),
        6 => None,
        _ => rest.get(7..).map(|rest| (rest, "Z07:00")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn decode(kind: &str, text: &str) -> Result<Decoded, DecodeError> {
        let id = Schema::object_type("", "v1", kind).or_else(|| Schema::object_type("apps", "v1", kind)).unwrap();
        from_json(Schema::builtin(), id, text.as_bytes())
    }

    /// Found by the fuzzer: a reader that is not exact to the last digit makes another number each time.
    #[test]
    fn floats_are_read_as_they_are_written() {
        let id = Schema::object_type("apiextensions.k8s.io", "v1", "CustomResourceDefinition").unwrap();
        let maximum_of = |number: &str| {
            let schema = format!(r#"{{"openAPIV3Schema":{{"maximum":{number}}}}}"#);
            let text = format!(r#"{{"spec":{{"versions":[{{"name":"v","schema":{schema}}}]}}}}"#);
            let read = from_json(Schema::builtin(), id, text.as_bytes()).unwrap().value;
            read.pointer("/spec/versions/0/schema/openAPIV3Schema/maximum").cloned().unwrap()
        };
        // As Go writes them, which knows floats alone here.
        let cases = [("1.0", json!(1)), ("1e3", json!(1000)), ("-0", json!(0))];
        for (sent, kept) in cases.into_iter().chain([("9007199254740993", json!(9_007_199_254_740_992_u64))]) {
            assert_eq!(maximum_of(sent), kept, "{sent}");
        }
        for number in ["1.5624999999563443", "0.1", "2.2250738585072014e-308", "4503599627370495.5", "1e300"] {
            let read = maximum_of(number);
            assert_eq!(read.as_f64(), number.parse().ok(), "{number}");
            assert_eq!(maximum_of(&read.to_string()), read);
        }
    }

    #[test]
    fn long_keys_are_not_repeated_for_ever() {
        let fields: Vec<String> = (0..200).map(|n| format!("\"x{n}\":1")).collect();
        let key = "k".repeat(10_000);
        let schema = format!(r#"{{"properties":{{"{key}":{{{}}}}}}}"#, fields.join(","));
        let text = format!(r#"{{"spec":{{"versions":[{{"name":"v","schema":{{"openAPIV3Schema":{schema}}}}}]}}}}"#);
        let id = Schema::object_type("apiextensions.k8s.io", "v1", "CustomResourceDefinition").unwrap();
        let problems = from_json(Schema::builtin(), id, text.as_bytes()).unwrap().problems;
        let bytes: usize = problems.iter().map(|problem| problem.to_string().len()).sum();
        assert!(problems.len() > 1 && bytes < 100_000, "{} problems of {bytes} bytes", problems.len());
    }

    #[test]
    fn halves_of_characters() {
        let mended = |text: &str| mend_surrogates(text.as_bytes()).map(|text| String::from_utf8(text).unwrap());
        assert_eq!(mended(r#""\ud83d\ude00 \\ud800 \u0041""#), None);
        assert_eq!(mended(r#""\ud800x\udc00\ud83d\ude00""#).as_deref(), Some(r#""\ufffdx\ufffd\ud83d\ude00""#));
        assert_eq!(mended(r#""\ud8"#), None);
        let secret = decode("Secret", r#"{"stringData":{"a":"\ud800"}}"#).unwrap();
        assert_eq!(secret.value["stringData"]["a"], "\u{fffd}");
    }

    #[test]
    fn canonical_form() {
        let pod = decode(
            "Pod",
            r#"{"metadata":{"name":"p","labels":{},"creationTimestamp":null,"annotations":{"a":null}},
                "spec":{"hostNetwork":false,"containers":[{"name":"c","resources":{"limits":{"cpu":1,"memory":"1024Mi"}},
                "ports":[{"containerPort":80}],"env":[]}],"activeDeadlineSeconds":0},
                "status":{"startTime":"2026-01-01T02:00:00+01:00","conditions":[{"type":"Ready","status":"True"}]}}"#,
        )
        .unwrap();
        assert_eq!(
            pod.value,
            json!({
                "metadata": {"name": "p", "annotations": {"a": ""}},
                "spec": {
                    "containers": [{"name": "c", "ports": [{"containerPort": 80}],
                        "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}],
                    "activeDeadlineSeconds": 0,
                },
                "status": {"startTime": "2026-01-01T01:00:00Z", "conditions": [
                    {"type": "Ready", "status": "True", "lastProbeTime": null, "lastTransitionTime": null}]},
            })
        );
        assert!(pod.problems.is_empty());
    }

    #[test]
    fn what_is_always_written() {
        let deployment = decode("Deployment", r#"{"spec":{"template":{"spec":{}}}}"#).unwrap();
        assert_eq!(
            deployment.value,
            json!({"metadata": {}, "status": {}, "spec": {"selector": null, "strategy": {},
                "template": {"metadata": {}, "spec": {"containers": null}}}})
        );
        let service = decode("Service", r#"{"spec":{"ports":[{"port":80}]}}"#).unwrap();
        assert_eq!(service.value["spec"]["ports"][0], json!({"port": 80, "targetPort": 0}));
        assert_eq!(service.value["status"], json!({"loadBalancer": {}}));
    }

    #[test]
    fn reports_unknown_and_duplicate_fields() {
        let pod = decode(
            "Pod",
            r#"{"spec":{"containers":[{"name":"a","name":"b","foo":{"x":1}}],"bar":1},"metadata":{"labels":{"a":"1","a":"2"}}}"#,
        )
        .unwrap();
        let problems: Vec<String> = pod.problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            [
                r#"duplicate field "spec.containers[0].name""#,
                r#"unknown field "spec.containers[0].foo""#,
                r#"unknown field "spec.bar""#,
                r#"duplicate field "metadata.labels.a""#,
            ]
        );
        assert_eq!(pod.value["spec"]["containers"][0]["name"], "b");
    }

    #[test]
    fn type_errors() {
        let cases = [
            (
                "Deployment",
                r#"{"spec":{"replicas":"x"}}"#,
                "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
            (
                "Deployment",
                r#"{"spec":{"replicas":1.5}}"#,
                "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
            (
                "Pod",
                r#"{"spec":{"containers":{"a":1}}}"#,
                "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container",
            ),
            (
                "Pod",
                r#"{"metadata":{"labels":{"a":1}}}"#,
                "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
            ),
            ("Pod", "[]", "json: cannot unmarshal array into Go value of type v1.Pod"),
            (
                "Pod",
                r#"{"spec":{"containers":[{"resources":{"limits":{"cpu":"x"}}}]}}"#,
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            ),
            ("Secret", r#"{"data":{"a":"!"}}"#, "illegal base64 data at input byte 0"),
        ];
        for (kind, text, message) in cases {
            assert_eq!(decode(kind, text).unwrap_err().0, message);
        }
        assert!(decode("Pod", "{").is_err());
        assert!(decode("Pod", "{} x").is_err());
        assert!(decode("Pod", &"[".repeat(10_000)).is_err());
    }

    #[test]
    fn canonical_form_is_stable() {
        let pod = decode("Pod", r#"{"spec":{"containers":[{"livenessProbe":{"httpGet":{"port":"x"}}}]}}"#).unwrap();
        let id = Schema::object_type("", "v1", "Pod").unwrap();
        let again = from_value(Schema::builtin(), id, pod.value.clone()).unwrap();
        assert_eq!(again.value, pod.value);
    }
}
