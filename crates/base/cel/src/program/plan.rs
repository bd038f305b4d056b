//! Makes a program of a checked expression.

use std::sync::Arc;

use super::PlanError;
use super::node::{
    Attribute, Base, Call, Conditional, Element, Entry, Equal, Fold, Node, Object, ObjectField, Otherwise, Step,
    StepKey, Target,
};
use super::run::Machine;
use crate::ast::operators::{
    ADD, AND, CONDITIONAL, EQUALS, IN, INDEX, MAP_INSERT, NOT_EQUALS, NOT_STRICTLY_FALSE, OPT_INDEX, OPT_SELECT, OR,
};
use crate::ast::{self, ACCUMULATOR, Comprehension, Expr, Id, Kind, Literal};
use crate::check::{Checked, Reference};
use crate::cost::{Budget, CostRule};
use crate::env::Env;
use crate::error::Error;
use crate::functions::{Function, Overload, Style};
use crate::types::Type;
use crate::value::{Pairs, Value};

/// Returns the root, and how many locals the program has.
pub(super) fn plan(checked: &Checked, env: &Env) -> Result<(Node, usize), PlanError> {
    let mut planner = Planner { checked, env, scopes: Vec::new(), locals: 0 };
    let root = planner.node(&checked.root)?;
    Ok((root, planner.locals))
}

struct Planner<'a> {
    checked: &'a Checked,
    env: &'a Env,
    /// Names of macros' variables with their locals, innermost last.
    scopes: Vec<(&'a str, usize)>,
    locals: usize,
}

type Planned<T = Node> = Result<T, PlanError>;

impl From<Error> for PlanError {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

impl<'a> Planner<'a> {
    fn node(&mut self, expr: &'a Expr) -> Planned {
        match &expr.kind {
            Kind::Literal(literal) => Ok(Node::Constant(constant(literal))),
            Kind::Unspecified => Err(PlanError("unsupported expr".to_owned())),
            Kind::Ident(name) => Ok(self.ident(expr.id, name)),
            Kind::Select(select) => {
                let key = StepKey::Constant(Value::string(select.field.as_str()));
                let operand = self.node(&select.operand)?;
                let step = Step { key, optional: false, test: select.test_only };
                let attribute = extended(attribute_of(operand), Arc::new(step));
                Ok(if select.test_only { Node::Test(attribute) } else { Node::Attribute(attribute) })
            }
            Kind::Call(call) => self.call(expr.id, call),
            Kind::List(elements) => self.list(elements),
            Kind::Map(entries) => self.map(entries),
            Kind::Struct(value) => self.object(value),
            Kind::Comprehension(fold) => self.fold(fold),
        }
    }

    fn ident(&self, id: Id, name: &str) -> Node {
        let local = self.scopes.iter().rev().find(|(have, _)| *have == name);
        let base = match local {
            Some((_, local)) => Base::Local(*local),
            None => {
                let name = name.strip_prefix('.').unwrap_or(name);
                if !self.env.variables.contains_key(name)
                    && let Type::Type(_) = self.checked.type_of(id)
                {
                    return Node::Constant(Value::type_named(name));
                }
                Base::Variable(name.to_owned())
            }
        };
        Node::Attribute(Attribute::Path { base, steps: Vec::new() })
    }

    fn nodes(&mut self, call: &'a ast::Call) -> Planned<Vec<Node>> {
        call.target.iter().chain(&call.args).map(|arg| self.node(arg)).collect()
    }

    fn call(&mut self, id: Id, call: &'a ast::Call) -> Planned {
        let args = self.nodes(call)?;
        match call.function.as_str() {
            AND => two(args).map(|terms| Node::And(Box::new(terms))),
            OR => two(args).map(|terms| Node::Or(Box::new(terms))),
            EQUALS => two(args).map(|operands| Node::Equal(Box::new(Equal { operands, negated: false }))),
            NOT_EQUALS => two(args).map(|operands| Node::Equal(Box::new(Equal { operands, negated: true }))),
            CONDITIONAL => conditional(args),
            INDEX => index(args, false),
            OPT_INDEX | OPT_SELECT => index(args, true),
            NOT_STRICTLY_FALSE => {
                let operand = args.into_iter().next().ok_or_else(|| wrong_arguments(NOT_STRICTLY_FALSE))?;
                Ok(Node::NotStrictlyFalse(Box::new(operand)))
            }
            _ => self.function(id, call, args),
        }
    }

    /// A call of what is declared as a function.
    fn function(&mut self, id: Id, call: &'a ast::Call, args: Vec<Node>) -> Planned {
        let function = self.env.functions.get(&call.function).ok_or_else(|| wrong_arguments(&call.function))?;
        let overload = match self.checked.reference(id) {
            Reference::Overloads(indexes) => match indexes.as_slice() {
                [only] => function.overloads.get(*only),
                _ => None,
            },
            _ => None,
        };
        if matches!(function.name, "or" | "orValue") {
            let [optional, other] = two(args)?;
            let unwraps = function.name == "orValue";
            return Ok(Node::Otherwise(Box::new(Otherwise { optional, other, unwraps })));
        }
        if let (IN, Some("in_list"), [_, Node::Constant(Value::List(list))]) =
            (function.name, overload.map(|o| o.id), args.as_slice())
            && let Some(constants) = constants(list)?
        {
            let value = args.into_iter().next().ok_or_else(|| wrong_arguments(IN))?;
            if constants.len() == 0 {
                return Ok(Node::Constant(Value::Bool(false)));
            }
            return Ok(Node::Among(Box::new(value), constants));
        }
        let node = self.called(function, overload, args)?;
        fold_conversion(node)
    }

    fn called(&self, function: &'a Function, overload: Option<&Overload>, args: Vec<Node>) -> Planned<Call> {
        let cost = CostRule::of(function.name, overload.map_or("", |overload| overload.id));
        let name = function.name;
        let mut stops = args.len() > 2;
        let mut target = target(function, overload)?;
        if matches!(name, "matches" | "find" | "findAll")
            && let Some(Node::Constant(Value::String(pattern))) = args.get(1)
        {
            target = Target::Pattern(self.env.patterns.get(pattern.as_str()).map_err(Error::Pattern)?);
        }
        stops |= matches!(target, Target::Pattern(_) | Target::Dispatch(_));
        let takes = match (&target, args.first()) {
            (
                Target::Add | Target::MapInsert,
                Some(Node::Attribute(Attribute::Path { base: Base::Local(local), steps })),
            ) if steps.is_empty() && self.scopes.iter().rev().any(|s| *s == (ACCUMULATOR, *local)) => Some(*local),
            _ => None,
        };
        Ok(Call { target, function: name, args, cost, stops, takes })
    }

    fn list(&mut self, elements: &'a [ast::Element]) -> Planned {
        let mut planned = Vec::with_capacity(elements.len());
        for element in elements {
            planned.push(Element { value: self.node(&element.value)?, optional: element.optional });
        }
        let is_constant = planned.iter().all(|element| matches!(element.value, Node::Constant(_)));
        fold_constant(Node::List(planned), is_constant)
    }

    fn map(&mut self, entries: &'a [ast::Entry]) -> Planned {
        let mut planned = Vec::with_capacity(entries.len());
        for entry in entries {
            let (key, value) = (self.node(&entry.key)?, self.node(&entry.value)?);
            planned.push(Entry { key, value, optional: entry.optional });
        }
        let is_constant = |entry: &Entry| matches!((&entry.key, &entry.value), (Node::Constant(_), Node::Constant(_)));
        let are_constant = planned.iter().all(is_constant);
        fold_constant(Node::Map(planned), are_constant)
    }

    fn object(&mut self, value: &'a ast::Struct) -> Planned {
        let mut fields = Vec::with_capacity(value.fields.len());
        for field in &value.fields {
            let name = field.name.as_str().into();
            fields.push(ObjectField { name, value: self.node(&field.value)?, optional: field.optional });
        }
        Ok(Node::Object(Box::new(Object { name: value.name.as_str().into(), fields })))
    }

    fn fold(&mut self, fold: &'a Comprehension) -> Planned {
        let init = self.node(&fold.init)?;
        let range = self.node(&fold.range)?;
        let local = self.locals;
        self.locals += LOCALS;
        let depth = self.scopes.len();
        self.scopes.push((&fold.accumulator, local));
        self.scopes.push((&fold.variable, local + 1));
        if let Some(name) = &fold.variable2 {
            self.scopes.push((name, local + 2));
        }
        let condition = self.node(&fold.condition)?;
        let step = self.node(&fold.step)?;
        self.scopes.truncate(depth + 1);
        let result = self.node(&fold.result)?;
        self.scopes.truncate(depth);
        let two_variables = fold.variable2.is_some();
        Ok(Node::Fold(Box::new(Fold { range, init, local, two_variables, condition, step, result })))
    }
}

/// A fold has its accumulator and two variables.
const LOCALS: usize = 3;

fn wrong_arguments(function: &str) -> PlanError {
    PlanError(format!("no such overload: {function}(...)"))
}

fn two(args: Vec<Node>) -> Planned<[Node; 2]> {
    args.try_into().map_err(|_| wrong_arguments("_"))
}

fn constant(literal: &Literal) -> Value<'static> {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(value) => Value::Bool(*value),
        Literal::Int(value) => Value::Int(*value),
        Literal::Uint(value) => Value::Uint(*value),
        Literal::Double(value) => Value::Double(*value),
        Literal::String(text) => Value::string(text.as_str()),
        Literal::Bytes(bytes) => Value::bytes(bytes.as_slice()),
    }
}

/// Returns an attribute as it is, or one that begins with a node's value.
fn attribute_of(node: Node) -> Attribute {
    match node {
        Node::Attribute(attribute) | Node::Test(attribute) => attribute,
        other => Attribute::Path { base: Base::Node(Box::new(other)), steps: Vec::new() },
    }
}

/// Adds a step to an attribute; to both sides of a conditional one.
fn extended(mut attribute: Attribute, step: Arc<Step>) -> Attribute {
    extend(&mut attribute, step);
    attribute
}

fn extend(attribute: &mut Attribute, step: Arc<Step>) {
    match attribute {
        Attribute::Path { steps, .. } => steps.push(step),
        Attribute::Conditional(conditional) => {
            extend(&mut conditional.if_true, step.clone());
            extend(&mut conditional.if_false, step);
        }
    }
}

fn conditional(args: Vec<Node>) -> Planned {
    let [condition, if_true, if_false]: [Node; 3] = args.try_into().map_err(|_| wrong_arguments(CONDITIONAL))?;
    let (if_true, if_false) = (attribute_of(if_true), attribute_of(if_false));
    Ok(Node::Attribute(Attribute::Conditional(Box::new(Conditional { condition, if_true, if_false }))))
}

fn index(args: Vec<Node>, optional: bool) -> Planned {
    let [operand, key] = two(args)?;
    let key = match key {
        Node::Constant(value) => match super::attribute::go_type_unless_key(&value) {
            Some(go_type) => return Err(PlanError(format!("invalid qualifier type: {go_type}"))),
            None => StepKey::Constant(value),
        },
        other => StepKey::Computed(attribute_of(other)),
    };
    let step = Step { key, optional, test: false };
    Ok(Node::Attribute(extended(attribute_of(operand), Arc::new(step))))
}

/// Returns the elements of a constant list as keys, if all of them can be.
fn constants(list: &crate::value::List<'static>) -> Planned<Option<Pairs<'static>>> {
    let mut constants = Pairs::default();
    for value in list.iter() {
        let value = value?;
        match value {
            Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::String(_) => {
                constants.insert(value, Value::Bool(true));
            }
            _ => return Ok(None),
        }
    }
    Ok(Some(constants))
}

fn target(function: &Function, overload: Option<&Overload>) -> Planned<Target> {
    if function.name == ADD {
        return Ok(Target::Add);
    }
    if function.name == MAP_INSERT && overload.is_some() {
        return Ok(Target::MapInsert);
    }
    let overload = match overload {
        Some(overload) => overload,
        // All overloads of a function that has one code have the same.
        None if matches!(function.overloads[0].style, Style::Shared(_)) || function.overloads.len() == 1 => {
            &function.overloads[0]
        }
        None => return Ok(Target::Dispatch(function.overloads.clone())),
    };
    match overload.style {
        Style::Own(run) => Ok(Target::Guarded(overload.clone(), run)),
        Style::Unguarded(run) | Style::Shared(run) => Ok(Target::Run(run)),
        Style::Planned => Err(wrong_arguments(function.name)),
    }
}

fn fold_constant(node: Node, is_constant: bool) -> Planned {
    if !is_constant {
        return Ok(node);
    }
    let budget = Budget::new(u64::MAX);
    let value = Machine::new(&[], 0, budget).node(&node)?.into_static();
    Ok(Node::Constant(value.ok_or_else(|| PlanError("a constant borrows".to_owned()))?))
}

/// Carries out conversions of constants now.
fn fold_conversion(call: Call) -> Planned {
    let converts = matches!(
        call.function,
        "bool" | "bytes" | "double" | "duration" | "dyn" | "int" | "string" | "timestamp" | "type" | "uint"
    );
    let is_constant = converts && matches!(call.args.as_slice(), [Node::Constant(_)]);
    fold_constant(Node::Call(Box::new(call)), is_constant)
}
