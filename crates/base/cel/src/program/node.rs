//! The nodes of a program.

use std::sync::Arc;

use windlass_regexp::Pattern;

use crate::cost::CostRule;
use crate::functions::{Overload, Run};
use crate::value::{List, Map, Octets, Pairs, Text, Value};

#[derive(Debug)]
pub(super) enum Node {
    Constant(Value<'static>),
    /// What is selected from a variable or value. It costs one itself, and one for each step.
    Attribute(Attribute),
    /// `has(…)`, whose last step only looks.
    Test(Attribute),
    And(Box<[Node; 2]>),
    Or(Box<[Node; 2]>),
    Equal(Box<Equal>),
    /// True, unless the operand is false.
    NotStrictlyFalse(Box<Node>),
    Call(Box<Call>),
    /// Whether a value is among constants.
    Among(Box<Node>, Pairs<'static>),
    /// `or` and `orValue` of an optional value, whose other side may not be needed.
    Otherwise(Box<Otherwise>),
    List(Vec<Element>),
    Map(Vec<Entry>),
    Object(Box<Object>),
    Fold(Box<Fold>),
}

#[derive(Debug)]
pub(super) enum Attribute {
    Path { base: Base, steps: Vec<Arc<Step>> },
    Conditional(Box<Conditional>),
}

#[derive(Debug)]
pub(super) enum Base {
    Variable(String),
    Local(usize),
    Node(Box<Node>),
}

#[derive(Debug)]
pub(super) struct Conditional {
    pub(super) condition: Node,
    pub(super) if_true: Attribute,
    pub(super) if_false: Attribute,
}

/// A step from a value into it.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) key: StepKey,
    /// Whether the step may lead nowhere.
    pub(super) optional: bool,
    /// Whether only the presence is asked for.
    pub(super) test: bool,
}

#[derive(Debug)]
pub(super) enum StepKey {
    Constant(Value<'static>),
    Computed(Attribute),
}

#[derive(Debug)]
pub(super) struct Equal {
    pub(super) operands: [Node; 2],
    pub(super) negated: bool,
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) target: Target,
    pub(super) function: &'static str,
    pub(super) args: Vec<Node>,
    pub(super) cost: CostRule,
    /// Whether arguments are no longer computed after one has failed.
    pub(super) stops: bool,
    /// The accumulator that the first argument is, if it may be taken.
    pub(super) takes: Option<usize>,
}

/// What carries out a call.
pub(super) enum Target {
    Run(Run),
    /// Runs if the values fit the signature.
    Guarded(Overload, Run),
    /// The first overload that the values fit.
    Dispatch(Vec<Overload>),
    /// A regular expression that is constant.
    Pattern(Pattern),
    Add,
    MapInsert,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Run(_) => "Run",
            Self::Guarded(..) => "Guarded",
            Self::Dispatch(_) => "Dispatch",
            Self::Pattern(_) => "Pattern",
            Self::Add => "Add",
            Self::MapInsert => "MapInsert",
        })
    }
}

#[derive(Debug)]
pub(super) struct Otherwise {
    pub(super) optional: Node,
    pub(super) other: Node,
    /// Whether the value is wanted, as opposed to an optional one.
    pub(super) unwraps: bool,
}

#[derive(Debug)]
pub(super) struct Element {
    pub(super) value: Node,
    pub(super) optional: bool,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Node,
    pub(super) value: Node,
    pub(super) optional: bool,
}

#[derive(Debug)]
pub(super) struct Object {
    pub(super) name: Arc<str>,
    pub(super) fields: Vec<ObjectField>,
}

#[derive(Debug)]
pub(super) struct ObjectField {
    pub(super) name: Arc<str>,
    pub(super) value: Node,
    pub(super) optional: bool,
}

#[derive(Debug)]
pub(super) struct Fold {
    pub(super) range: Node,
    /// What the accumulator is at first; computed when it is first asked for.
    pub(super) init: Node,
    /// The local that accumulates; the next ones are the variables.
    pub(super) local: usize,
    pub(super) two_variables: bool,
    pub(super) condition: Node,
    pub(super) step: Node,
    pub(super) result: Node,
}

/// Returns a constant as a value that borrows from it.
pub(super) fn borrowed<'a>(constant: &'a Value<'static>) -> Value<'a> {
    match constant {
        Value::String(Text::Shared(text)) => Value::borrowed(text),
        Value::Bytes(Octets::Shared(bytes)) => Value::Bytes(Octets::Borrowed(bytes)),
        Value::Type(Text::Shared(name)) => Value::Type(Text::Borrowed(name)),
        Value::List(List::Shared(items)) => Value::List(List::Borrowed(items.as_slice())),
        Value::Map(Map::Shared(pairs)) => Value::Map(Map::Borrowed(pairs)),
        other => other.clone(),
    }
}
