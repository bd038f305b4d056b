//! Runs programs.

use std::sync::Arc;

use super::node::{Call, Element, Entry, Equal, Node, Object, Otherwise, Target, borrowed};
use crate::cost::{Budget, equal_cost, not_equal_cost};
use crate::error::Error;
use crate::functions::{Overload, Style};
use crate::library;
use crate::value::{Constructed, Map, Pairs, Value};

type Outcome<'a> = Result<Value<'a>, Error>;

/// How deep values may nest that a program makes.
const DEPTH_MAX: u32 = 400;

/// What a run knows: variables, and what is left to spend.
pub(super) struct Machine<'a> {
    variables: &'a [(&'a str, Value<'a>)],
    locals: Vec<Local<'a>>,
    budget: Budget,
}

/// A variable of a macro.
#[derive(Clone)]
pub(super) enum Local<'a> {
    Lazy(&'a Node),
    Known(Outcome<'a>),
}

impl<'a> Machine<'a> {
    pub(super) fn new(variables: &'a [(&'a str, Value<'a>)], locals: usize, budget: Budget) -> Self {
        Self { variables, locals: vec![Local::Known(Ok(Value::Null)); locals], budget }
    }

    pub(super) fn cost(&self) -> u64 {
        self.budget.spent()
    }

    pub(super) fn spend(&mut self, cost: u64) -> Result<(), Error> {
        self.budget.spend(cost)
    }

    pub(super) fn variable(&self, name: &str) -> Outcome<'a> {
        let found = self.variables.iter().find(|(have, _)| *have == name);
        found.map(|(_, value)| value.clone()).ok_or_else(|| Error::NoSuchAttribute(name.to_owned()))
    }

    pub(super) fn set(&mut self, local: usize, value: Local<'a>) {
        self.locals[local] = value;
    }

    pub(super) fn local(&mut self, local: usize) -> Outcome<'a> {
        match &self.locals[local] {
            Local::Known(value) => value.clone(),
            Local::Lazy(node) => {
                let value = self.node(node);
                self.locals[local] = Local::Known(value.clone());
                value
            }
        }
    }

    /// Takes an accumulator, which is about to become something else.
    fn take(&mut self, local: usize) -> Outcome<'a> {
        self.local(local)?;
        match std::mem::replace(&mut self.locals[local], Local::Known(Ok(Value::Null))) {
            Local::Known(value) => value,
            Local::Lazy(_) => Err(Error::NoSuchOverload),
        }
    }

    /// Computes a node. What it costs is upstream's, down to what is not counted.
    pub(super) fn node(&mut self, node: &'a Node) -> Outcome<'a> {
        match node {
            Node::Constant(value) => Ok(borrowed(value)),
            Node::Attribute(attribute) => {
                let value = self.attribute(attribute);
                if let super::node::Attribute::Path { .. } = attribute {
                    not_final(&value)?;
                    self.spend(1)?;
                }
                value
            }
            Node::Test(attribute) => Ok(match self.attribute(attribute)? {
                Value::Optional(value) => Value::Bool(value.is_some()),
                value => value,
            }),
            Node::And(terms) => self.logical(terms, false),
            Node::Or(terms) => self.logical(terms, true),
            Node::Equal(equal) => self.equal(equal),
            Node::NotStrictlyFalse(operand) => self.not_strictly_false(operand),
            Node::Call(call) => self.call(call),
            Node::Among(value, constants) => {
                let value = self.node(value)?;
                Ok(Value::Bool(constants.find(&value).is_some()))
            }
            Node::Otherwise(otherwise) => self.otherwise(otherwise),
            Node::List(elements) => self.list(elements),
            Node::Map(entries) => self.map(entries),
            Node::Object(object) => self.object(object),
            Node::Fold(fold) => self.fold(fold),
        }
    }

    /// `&&` (decided by false) or `||` (decided by true): an error counts only if nothing decides.
    fn logical(&mut self, terms: &'a [Node; 2], decides: bool) -> Outcome<'a> {
        let mut fault = None;
        for term in terms {
            match self.node(term) {
                Ok(Value::Bool(value)) if value == decides => return Ok(Value::Bool(decides)),
                Ok(Value::Bool(_)) => {}
                Ok(_) => fault = fault.or(Some(Error::NoSuchOverload)),
                Err(error) if error.is_final() => return Err(error),
                Err(error) => fault = fault.or(Some(error)),
            }
        }
        fault.map_or(Ok(Value::Bool(!decides)), Err)
    }

    fn not_strictly_false(&mut self, operand: &'a Node) -> Outcome<'a> {
        let value = self.node(operand);
        not_final(&value)?;
        self.spend(1)?;
        Ok(match value {
            Ok(Value::Bool(value)) => Value::Bool(value),
            _ => Value::Bool(true),
        })
    }

    fn equal(&mut self, equal: &'a Equal) -> Outcome<'a> {
        let [left, right] = &equal.operands;
        let left = self.node(left);
        not_final(&left)?;
        let right = self.node(right);
        not_final(&right)?;
        let cost = if equal.negated { not_equal_cost(&left, &right) } else { equal_cost(&left, &right) };
        self.spend(cost)?;
        let are_equal = left?.equals(&right?);
        if equal.negated {
            // What cannot be compared is not equal.
            return Ok(Value::Bool(are_equal != Ok(true)));
        }
        are_equal.map(Value::Bool)
    }

    fn call(&mut self, call: &'a Call) -> Outcome<'a> {
        match call.args.as_slice() {
            [] => self.carry_out(call, &mut []),
            [only] => {
                let value = self.node(only);
                not_final(&value)?;
                self.carry_out(call, &mut [value])
            }
            [first, second] => {
                let first = self.first(call, first);
                not_final(&first)?;
                if call.stops && first.is_err() {
                    return first;
                }
                let second = self.node(second);
                not_final(&second)?;
                if call.stops && second.is_err() {
                    return second;
                }
                self.carry_out(call, &mut [first, second])
            }
            [first, rest @ .., last] => {
                let mut values = Vec::with_capacity(call.args.len());
                values.push(Ok(self.first(call, first)?));
                for arg in rest {
                    values.push(Ok(self.node(arg)?));
                }
                // An error stops here, but is paid for if no argument is left.
                let last = self.node(last);
                not_final(&last)?;
                values.push(last);
                self.carry_out(call, &mut values)
            }
        }
    }

    /// The first argument; of an accumulator that will be taken only what it costs, and whether it is an error.
    fn first(&mut self, call: &'a Call, first: &'a Node) -> Outcome<'a> {
        match call.takes {
            Some(local) => {
                self.spend(1)?;
                if let Local::Known(Err(error)) = &self.locals[local] {
                    return Err(error.clone());
                }
                Ok(Value::Null)
            }
            None => self.node(first),
        }
    }

    /// Calls a function on its arguments, errors among them, and pays for it.
    fn carry_out(&mut self, call: &'a Call, args: &mut [Outcome<'a>]) -> Outcome<'a> {
        if let (Some(local), Some(Ok(_))) = (call.takes, args.first()) {
            args[0] = self.take(local);
        }
        let result = match args.iter().find_map(|arg| arg.as_ref().err()) {
            Some(error) => Err(error.clone()),
            None => called(call, args),
        };
        let cost = call.cost.cost(args, &result);
        self.spend(cost)?;
        bounded(result?)
    }

    fn otherwise(&mut self, otherwise: &'a Otherwise) -> Outcome<'a> {
        match self.node(&otherwise.optional)? {
            Value::Optional(Some(value)) if otherwise.unwraps => Ok(Value::clone(&value)),
            Value::Optional(Some(value)) => Ok(Value::Optional(Some(value))),
            Value::Optional(None) => self.node(&otherwise.other),
            _ => Err(Error::NoSuchOverload),
        }
    }

    fn list(&mut self, elements: &'a [Element]) -> Outcome<'a> {
        let values = self.elements(elements);
        not_final(&values)?;
        self.spend(10)?;
        bounded(Value::list(values?))
    }

    fn elements(&mut self, elements: &'a [Element]) -> Result<Vec<Value<'a>>, Error> {
        let mut values = Vec::with_capacity(elements.len());
        for element in elements {
            let value = self.node(&element.value)?;
            if element.optional {
                match value {
                    Value::Optional(None) => {}
                    Value::Optional(Some(value)) => values.push(Value::clone(&value)),
                    other => {
                        let message =
                            format!("cannot initialize optional list element from non-optional value {other}");
                        return Err(Error::Argument(message));
                    }
                }
            } else {
                values.push(value);
            }
        }
        Ok(values)
    }

    fn map(&mut self, entries: &'a [Entry]) -> Outcome<'a> {
        let pairs = self.entries(entries);
        not_final(&pairs)?;
        self.spend(30)?;
        bounded(Value::Map(Map::Shared(Arc::new(pairs?))))
    }

    fn entries(&mut self, entries: &'a [Entry]) -> Result<Pairs<'a>, Error> {
        let mut pairs = Pairs::default();
        for entry in entries {
            let (key, value) = (self.node(&entry.key)?, self.node(&entry.value)?);
            if entry.optional {
                match value {
                    Value::Optional(None) => pairs.remove(&key),
                    Value::Optional(Some(value)) => pairs.insert(key, Value::clone(&value)),
                    other => return Err(not_optional(&key.to_string(), &other)),
                }
            } else {
                pairs.insert(key, value);
            }
        }
        Ok(pairs)
    }

    fn object(&mut self, object: &'a Object) -> Outcome<'a> {
        let fields = self.fields(object);
        not_final(&fields)?;
        self.spend(40)?;
        let fields = fields?;
        let depth = fields.iter().map(|(_, value)| value.depth()).max().unwrap_or(0);
        bounded(Value::Object(Arc::new(Constructed { name: object.name.clone(), fields, depth })))
    }

    fn fields(&mut self, object: &'a Object) -> Result<Vec<(Arc<str>, Value<'a>)>, Error> {
        let mut fields: Vec<(Arc<str>, Value<'a>)> = Vec::with_capacity(object.fields.len());
        for field in &object.fields {
            let value = self.node(&field.value)?;
            fields.retain(|(name, _)| *name != field.name);
            if field.optional {
                match value {
                    Value::Optional(None) => {}
                    Value::Optional(Some(value)) => fields.push((field.name.clone(), Value::clone(&value))),
                    other => return Err(not_optional(&field.name, &other)),
                }
            } else {
                fields.push((field.name.clone(), value));
            }
        }
        Ok(fields)
    }
}

fn not_optional(key: &str, value: &Value<'_>) -> Error {
    Error::Argument(format!("cannot initialize optional entry '{key}' from non-optional value {value}"))
}

fn not_final<T>(outcome: &Result<T, Error>) -> Result<(), Error> {
    match outcome {
        Err(error) if error.is_final() => Err(error.clone()),
        _ => Ok(()),
    }
}

/// Refuses values that nest too deep to be walked and dropped.
fn bounded(value: Value<'_>) -> Outcome<'_> {
    if value.depth() > DEPTH_MAX {
        return Err(Error::Argument("the value nests too deep".to_owned()));
    }
    Ok(value)
}

/// Calls a function on values.
fn called<'a>(call: &Call, args: &mut [Outcome<'a>]) -> Outcome<'a> {
    match &call.target {
        Target::Add => match args {
            // A list may grow in place, and what adding lists costs does not depend on them.
            [left @ Ok(Value::List(_)), Ok(right @ Value::List(_))] => {
                let left = std::mem::replace(left, Ok(Value::Null));
                library::add(left?, right)
            }
            [Ok(left), Ok(right)] => library::add(left.clone(), right),
            _ => Err(Error::NoSuchOverload),
        },
        Target::MapInsert => {
            let map = args.first_mut().map(|first| std::mem::replace(first, Ok(Value::Null)));
            let Some(Ok(Value::Map(map))) = map else { return Err(Error::NoSuchOverload) };
            with_values(&args[1..], |values| match values {
                [Value::Map(_)] | [_, _] => library::inserted(map, values).map(Value::Map),
                [other] => Err(Error::NoOverload(format!("{}(map, {})", call.function, other.type_name()))),
                _ => Err(Error::NoSuchOverload),
            })
        }
        Target::Run(run) => with_values(args, run),
        Target::Pattern(pattern) => with_values(args, |values| library::with_compiled(call.function, pattern, values)),
        Target::Guarded(overload, run) => {
            with_values(
                args,
                |values| {
                    if overload.fits(values) { run(values) } else { Err(no_overload(call.function, values)) }
                },
            )
        }
        Target::Dispatch(overloads) => with_values(args, |values| dispatched(call.function, overloads, values)),
    }
}

/// Calls with the values of outcomes that are no errors.
fn with_values<'a>(args: &[Outcome<'a>], run: impl FnOnce(&[Value<'a>]) -> Outcome<'a>) -> Outcome<'a> {
    match args {
        [] => run(&[]),
        [Ok(only)] => run(std::slice::from_ref(only)),
        [Ok(first), Ok(second)] => run(&[first.clone(), second.clone()]),
        more => run(&more.iter().cloned().collect::<Result<Vec<_>, _>>()?),
    }
}

fn dispatched<'a>(function: &str, overloads: &[Overload], values: &[Value<'a>]) -> Outcome<'a> {
    for overload in overloads {
        match overload.style {
            Style::Own(run) if overload.fits(values) => return run(values),
            Style::Unguarded(run) if overload.signature.parameters.len() == values.len() => return run(values),
            _ => {}
        }
    }
    Err(no_overload(function, values))
}

fn no_overload(function: &str, values: &[Value<'_>]) -> Error {
    let types: Vec<&str> = values.iter().map(Value::type_name).collect();
    Error::NoOverload(format!("{function}({})", types.join(", ")))
}
