//! The tables of all libraries, put together by name.

use std::collections::HashMap;

use super::signature::Signature;
use crate::error::Error;
use crate::types::Type;
use crate::value::Value;

/// What carries out an overload. The values are of the types that it declares, unless it has no guards.
pub(crate) type Run = for<'a> fn(&[Value<'a>]) -> Result<Value<'a>, Error>;

/// A line of a library's table.
#[derive(Clone, Copy)]
pub(crate) struct Declared {
    pub(crate) id: &'static str,
    pub(crate) function: &'static str,
    pub(crate) signature: &'static str,
    pub(crate) style: Style,
}

/// How calls of a function find what carries them out.
#[derive(Clone, Copy)]
pub(crate) enum Style {
    /// Each overload has its own code, which runs when the values fit the signature.
    Own(Run),
    /// The same, without a look at the values.
    Unguarded(Run),
    /// All overloads have the same code, which looks at the values itself.
    Shared(Run),
    /// Calls become nodes of their own when they are planned.
    Planned,
}

/// An overload with code of its own.
pub(crate) const fn declared(id: &'static str, function: &'static str, signature: &'static str, run: Run) -> Declared {
    Declared { id, function, signature, style: Style::Own(run) }
}

/// An overload whose code is that of the whole function.
pub(crate) const fn shared(id: &'static str, function: &'static str, signature: &'static str, run: Run) -> Declared {
    Declared { id, function, signature, style: Style::Shared(run) }
}

/// An overload that is not called as a function.
pub(crate) const fn not_bound(id: &'static str, function: &'static str, signature: &'static str) -> Declared {
    Declared { id, function, signature, style: Style::Planned }
}

#[derive(Clone)]
pub(crate) struct Overload {
    pub(crate) id: &'static str,
    pub(crate) signature: Signature,
    pub(crate) style: Style,
}

#[derive(Clone)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// In the order of their declarations, in which they are tried.
    pub(crate) overloads: Vec<Overload>,
}

/// All functions of an environment.
#[derive(Clone, Default)]
pub(crate) struct Registry {
    functions: HashMap<&'static str, Function>,
}

impl Registry {
    pub(crate) fn add(&mut self, table: &[Declared]) {
        for declared in table {
            let Declared { id, function: name, signature, style } = *declared;
            let function = self.functions.entry(name).or_insert_with(|| Function { name, overloads: Vec::new() });
            function.overloads.push(Overload { id, signature: Signature::read(signature), style });
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Function> {
        self.functions.get(name)
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} functions", self.functions.len())
    }
}

impl Overload {
    /// Whether values fit the signature, as far as upstream looks at them.
    pub(crate) fn fits(&self, args: &[Value<'_>]) -> bool {
        args.len() == self.signature.parameters.len()
            && self.signature.parameters.iter().zip(args).all(|(parameter, value)| is_instance(parameter, value))
    }
}

/// Whether a value is of a type. Of lists and maps, only the first element is looked at.
fn is_instance(of: &Type, value: &Value<'_>) -> bool {
    match of {
        Type::Dyn | Type::Parameter(_) => true,
        Type::List(element) => match value {
            Value::List(list) => list.first().is_none_or(|first| is_instance(element, &first)),
            _ => false,
        },
        Type::Map(map) => match value {
            Value::Map(entries) => {
                entries.first().is_none_or(|(key, value)| is_instance(&map.0, &key) && is_instance(&map.1, &value))
            }
            _ => false,
        },
        other => other.name() == value.type_name(),
    }
}
