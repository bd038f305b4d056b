//! Attributes: what is selected, step by step, from variables and values.

use super::node::{Attribute, Base, Step, StepKey, borrowed};
use super::run::Machine;
use crate::error::Error;
use crate::value::{List, Map, Value, index_of};

type Outcome<'a> = Result<Value<'a>, Error>;

impl<'a> Machine<'a> {
    /// Resolves an attribute; its steps are paid for, but not the attribute itself.
    pub(super) fn attribute(&mut self, attribute: &'a Attribute) -> Outcome<'a> {
        match attribute {
            Attribute::Path { base, steps } => {
                let value = match base {
                    Base::Variable(name) => self.variable(name)?,
                    Base::Local(local) => self.local(*local)?,
                    Base::Node(node) => self.node(node)?,
                };
                if steps.is_empty() {
                    return Ok(value);
                }
                self.steps(value, steps)
            }
            Attribute::Conditional(conditional) => match self.node(&conditional.condition)? {
                Value::Bool(true) => self.attribute(&conditional.if_true),
                Value::Bool(false) => self.attribute(&conditional.if_false),
                _ => Err(Error::NoSuchOverload),
            },
        }
    }

    fn steps(&mut self, value: Value<'a>, steps: &'a [std::sync::Arc<Step>]) -> Outcome<'a> {
        let (mut value, mut optional) = match value {
            Value::Optional(None) => return Ok(Value::Optional(None)),
            Value::Optional(Some(value)) => (Value::clone(&value), true),
            value => (value, false),
        };
        for step in steps {
            optional |= step.optional;
            if optional {
                // What is not there costs nothing.
                let key = self.key(step)?;
                match found(&value, &key, true)? {
                    Some(next) => value = next,
                    None => return Ok(Value::Optional(None)),
                }
                self.spend(1)?;
                continue;
            }
            let next = match self.key(step) {
                Ok(key) if step.test => found(&value, &key, true).map(|next| Value::Bool(next.is_some())),
                Ok(key) => found(&value, &key, false).and_then(|next| next.ok_or_else(|| missing(&key))),
                Err(error) if error.is_final() => return Err(error),
                Err(error) => Err(error),
            };
            self.spend(1)?;
            value = next?;
        }
        Ok(if optional { Value::some(value) } else { value })
    }

    fn key(&mut self, step: &'a Step) -> Outcome<'a> {
        match &step.key {
            StepKey::Constant(key) => Ok(borrowed(key)),
            StepKey::Computed(attribute) => {
                let key = self.attribute(attribute)?;
                match go_type_unless_key(&key) {
                    Some(go_type) => Err(Error::Argument(format!("invalid qualifier type: {go_type}"))),
                    None => Ok(key),
                }
            }
        }
    }
}

/// Returns what cel-go calls the type of a value that cannot be a key.
pub(super) fn go_type_unless_key(value: &Value<'_>) -> Option<&'static str> {
    Some(match value {
        Value::String(_) | Value::Int(_) | Value::Uint(_) | Value::Bool(_) | Value::Double(_) => return None,
        Value::Null => "types.Null",
        Value::Bytes(_) => "types.Bytes",
        Value::Timestamp(_) => "types.Timestamp",
        Value::Duration(_) => "types.Duration",
        Value::List(List::Json { schema: None, .. }) => "[]interface {}",
        Value::List(List::Json { .. }) => "*common.unstructuredList",
        Value::List(_) => "*types.baseList",
        Value::Map(Map::Json { schema: None, .. }) => "map[string]interface {}",
        Value::Map(Map::Json { .. }) => "*common.unstructuredMap",
        Value::Map(_) => "*types.baseMap",
        Value::Library(opaque) => opaque.kind().implementation_name(),
        Value::Type(_) => "*types.Type",
        Value::Optional(_) => "*types.Optional",
        Value::Object(_) | Value::Check(_) | Value::Unknown(_) => "ref.Val",
    })
}

fn missing(key: &Value<'_>) -> Error {
    Error::NoSuchKey(key.to_string())
}

/// Returns what a step leads to. Nothing is an error of its own, unless the step only looks.
fn found<'a>(value: &Value<'a>, key: &Value<'a>, looks: bool) -> Result<Option<Value<'a>>, Error> {
    match value {
        Value::Map(map) => map.find(key).transpose(),
        Value::List(list) => {
            let index = index_of(key)?;
            match usize::try_from(index).ok().and_then(|index| list.get(index)) {
                Some(value) => value.map(Some),
                None if looks => Ok(None),
                None => Err(Error::IndexOutOfBounds(key.to_string())),
            }
        }
        Value::Object(object) => {
            let name = key.as_str();
            Ok(object.fields.iter().find(|(have, _)| Some(&**have) == name).map(|(_, value)| value.clone()))
        }
        _ => Ok(None),
    }
}
