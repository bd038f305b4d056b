//! What an expression may cost, from how large data may be.

use std::collections::HashMap;

use super::functions::{Arg, Estimate, call_cost, size_at};
use super::{LIST_BASE, Range};
use crate::ast::operators::{ADD, AND, CONDITIONAL, EQUALS, INDEX, NOT_EQUALS, OR};
use crate::ast::{ACCUMULATOR, Call, Comprehension, Expr, Id, Kind, Literal, OLD_ACCUMULATOR, Select};
use crate::check::{Checked, Reference};
use crate::env::Env;
use crate::types::Type;

/// Estimates the cost of a checked expression.
pub(crate) fn estimate(checked: &Checked, env: &Env) -> Range {
    let count = checked.ids();
    let mut estimator = Estimator {
        checked,
        env,
        paths: vec![None; count],
        sizes: vec![None; count],
        entries: vec![None; count],
        locals: HashMap::new(),
    };
    estimator.cost(&checked.root)
}

/// A path to data: a variable, then fields, `@items`, `@keys` and so on.
type Path = Vec<String>;

/// How large keys and values of a list or map are.
#[derive(Clone, Copy, Debug)]
struct Entries {
    is_list: bool,
    key: Range,
    value: Range,
}

impl Entries {
    fn union(self, other: Self) -> Self {
        Self { is_list: self.is_list, key: self.key.union(other.key), value: self.value.union(other.value) }
    }
}

/// What is known of a variable of a macro.
#[derive(Clone, Debug)]
struct Local {
    path: Path,
    size: Option<Range>,
    entries: Option<Entries>,
}

pub(super) struct Estimator<'a> {
    checked: &'a Checked,
    env: &'a Env,
    paths: Vec<Option<Path>>,
    sizes: Vec<Option<Range>>,
    entries: Vec<Option<Entries>>,
    locals: HashMap<&'a str, Vec<Local>>,
}

impl<'a> Estimator<'a> {
    fn type_of(&self, expr: &Expr) -> &'a Type {
        self.checked.type_of(expr.id)
    }

    fn local(&self, name: &str) -> Option<&Local> {
        self.locals.get(name)?.last()
    }

    fn path(&self, expr: &Expr) -> Path {
        if let Kind::Ident(name) = &expr.kind
            && let Some(local) = self.local(name)
        {
            return local.path.clone();
        }
        self.paths[expr.id as usize].clone().unwrap_or_default()
    }

    fn path_with(&self, expr: &Expr, last: &str) -> Path {
        let mut path = self.path(expr);
        path.push(last.to_owned());
        path
    }

    fn cost(&mut self, expr: &'a Expr) -> Range {
        match &expr.kind {
            Kind::Literal(_) | Kind::Unspecified => Range::ZERO,
            Kind::Ident(name) => {
                let path = self.local(name).map_or_else(|| vec![name.clone()], |local| local.path.clone());
                self.paths[expr.id as usize] = Some(path);
                Range::ONE
            }
            Kind::Select(select) => self.select(expr.id, select),
            Kind::Call(call) => self.call(expr, call),
            Kind::List(elements) => {
                let values: Vec<&Expr> = elements.iter().map(|element| &element.value).collect();
                let (cost, value) = self.items(&values);
                self.entries[expr.id as usize] = Some(Entries { is_list: true, key: Range::ONE, value });
                cost.plus(Range::fixed(LIST_BASE))
            }
            Kind::Map(entries) => {
                let keys: Vec<&Expr> = entries.iter().map(|entry| &entry.key).collect();
                let values: Vec<&Expr> = entries.iter().map(|entry| &entry.value).collect();
                let (key_cost, key) = self.items(&keys);
                let (value_cost, value) = self.items(&values);
                self.entries[expr.id as usize] = Some(Entries { is_list: false, key, value });
                key_cost.plus(value_cost).plus(Range::fixed(30))
            }
            Kind::Struct(value) => {
                let fields = value.fields.iter().map(|field| self.cost(&field.value));
                fields.fold(Range::fixed(40), Range::plus)
            }
            Kind::Comprehension(fold) if fold.is_bind() => self.bind(expr.id, fold),
            Kind::Comprehension(fold) => self.fold(expr.id, fold),
        }
    }

    /// What items cost together, and how large they are.
    fn items(&mut self, items: &[&'a Expr]) -> (Range, Range) {
        let (mut cost, mut size) = (Range::ZERO, Range::new(u64::MAX, 0));
        if items.is_empty() {
            size.min = 0;
        }
        for item in items {
            cost = cost.plus(self.cost(item));
            size = size.union(self.size_or_unknown(item));
        }
        (cost, size)
    }

    fn select(&mut self, id: Id, select: &'a Select) -> Range {
        let cost = self.cost(&select.operand);
        if select.test_only {
            return cost;
        }
        let steps = matches!(
            self.type_of(&select.operand),
            Type::Map(_) | Type::Object(_) | Type::Library(_) | Type::Variable(_) | Type::Parameter(_)
        );
        self.paths[id as usize] = Some(self.path_with(&select.operand, &select.field));
        if steps { cost.plus(Range::ONE) } else { cost }
    }

    fn call(&mut self, expr: &'a Expr, call: &'a Call) -> Range {
        if call.function == "dyn"
            && let [arg] = call.args.as_slice()
        {
            let cost = self.cost(arg);
            self.copy_sizes(expr.id, arg);
            return cost.plus(Range::ONE);
        }
        let mut arg_costs = Vec::with_capacity(call.args.len());
        let mut args = Vec::with_capacity(call.args.len());
        for arg in &call.args {
            arg_costs.push(self.cost(arg));
            args.push(self.arg(arg));
        }
        let overloads = self.overloads(expr.id, call);
        if overloads.is_empty() {
            return Range::ZERO;
        }
        let mut cost = Range::ZERO;
        let target = call.target.as_ref().map(|target| {
            cost = self.cost(target);
            self.arg(target)
        });
        let mut of_call = Range::new(u64::MAX, 0);
        let mut size: Option<Range> = None;
        for overload in overloads {
            let estimate = self.overload(expr, call, overload, target.as_ref(), &args, &arg_costs);
            of_call = of_call.union(estimate.cost);
            if let Some(of_overload) = estimate.size {
                size = Some(size.map_or(of_overload, |size| size.union(of_overload)));
            }
            if let ("index_list" | "index_map", Some(operand)) = (overload, call.args.first()) {
                size = self.entries_of(operand).map(|entries| entries.value);
                let last = if overload == "index_list" { "@items" } else { "@values" };
                self.paths[expr.id as usize] = Some(self.path_with(operand, last));
            }
            if size.is_none() {
                size = self.size(expr);
            }
        }
        if size.is_some() {
            self.sizes[expr.id as usize] = size;
        }
        cost.plus(of_call)
    }

    fn overloads(&self, id: Id, call: &Call) -> Vec<&'static str> {
        let Reference::Overloads(indexes) = self.checked.reference(id) else { return Vec::new() };
        // A selection of an optional field is one, and bound to no function.
        let Some(function) = self.env.functions.get(&call.function) else { return Vec::new() };
        indexes.iter().filter_map(|index| function.overloads.get(*index)).map(|overload| overload.id).collect()
    }

    fn overload(
        &mut self,
        expr: &Expr,
        call: &'a Call,
        overload: &str,
        target: Option<&Arg<'a>>,
        args: &[Arg<'a>],
        arg_costs: &[Range],
    ) -> Estimate {
        let spent = arg_costs.iter().copied().fold(Range::ZERO, Range::plus);
        if let Some(estimate) = call_cost(self.env, &call.function, overload, target, args) {
            return Estimate { cost: estimate.cost.plus(spent), size: estimate.size };
        }
        let one = Estimate { cost: spent.plus(Range::ONE), size: None };
        match (call.function.as_str(), arg_costs) {
            (AND | OR, [left, right]) => Estimate { cost: Range::new(left.min, left.plus(*right).max), size: None },
            (CONDITIONAL, [condition, if_true, if_false]) => {
                let (a, b) = (&call.args[1], &call.args[2]);
                let size = self.size_or_unknown(a).union(self.size_or_unknown(b));
                if let (Some(a), Some(b)) = (self.entries_of(a), self.entries_of(b)) {
                    self.entries[expr.id as usize] = Some(a.union(b));
                }
                Estimate { cost: condition.plus(if_true.union(*if_false)), size: Some(size) }
            }
            (ADD, _) => match overload {
                "add_string" | "add_bytes" | "add_list" => {
                    let (a, b) = (&call.args[0], &call.args[1]);
                    let size = self.size_or_unknown(a).plus(self.size_or_unknown(b));
                    if let (Some(a), Some(b)) = (self.entries_of(a), self.entries_of(b)) {
                        self.entries[expr.id as usize] = Some(a.union(b));
                    }
                    let own = if overload == "add_list" { Range::ONE } else { size.scaled(super::STRING_FACTOR) };
                    Estimate { cost: own.plus(spent), size: Some(size) }
                }
                _ => one,
            },
            (EQUALS | NOT_EQUALS, _) => {
                let max = args[0].known_size().max.min(args[1].known_size().max);
                let own = Range::new(u64::from(max > 0), max).scaled(super::STRING_FACTOR);
                Estimate { cost: own.plus(spent), size: None }
            }
            (INDEX, _) => one,
            _ => {
                let estimate = super::functions::overload_cost(overload, target, args);
                estimate.map_or(one, |estimate| Estimate { cost: estimate.cost.plus(spent), size: estimate.size })
            }
        }
    }

    fn arg(&mut self, expr: &'a Expr) -> Arg<'a> {
        let mut path = Some(self.path(expr));
        if path.as_ref().is_some_and(|path| path.first().is_some_and(|first| is_accumulator(first))) {
            path = None;
        }
        let path = path.filter(|path| !path.is_empty());
        Arg { expr: Some(expr), of: self.type_of(expr).clone(), path, size: self.size(expr) }
    }

    fn push(&mut self, name: &'a str, local: Local) {
        self.locals.entry(name).or_default().push(local);
    }

    fn pop(&mut self, name: &str) {
        if let Some(stack) = self.locals.get_mut(name) {
            stack.pop();
        }
    }

    fn push_value(&mut self, name: &'a str, value: &'a Expr) {
        let (path, size, entries) = (self.path(value), self.size(value), self.entries_of(value));
        self.push(name, Local { path, size, entries });
    }

    /// A variable that stands for the keys or the values of a range.
    fn push_variable(&mut self, name: &'a str, range: &'a Expr, which: Which) {
        let entries = self.entries_of(range);
        let is_list = entries.map_or_else(|| matches!(self.type_of(range), Type::List(_)), |entries| entries.is_list);
        let wants_value = match which {
            Which::Key => false,
            Which::Value => true,
            Which::Element => is_list,
        };
        let last = match (wants_value, is_list) {
            (true, true) => "@items",
            (true, false) => "@values",
            (false, true) => "@indices",
            (false, false) => "@keys",
        };
        let size = entries.map(|entries| if wants_value { entries.value } else { entries.key });
        let path = self.path_with(range, last);
        self.push(name, Local { path, size, entries: None });
    }

    fn fold(&mut self, id: Id, fold: &'a Comprehension) -> Range {
        let mut cost = self.cost(&fold.range).plus(self.cost(&fold.init));
        self.push_value(&fold.accumulator, &fold.init);
        match &fold.variable2 {
            Some(second) => {
                self.push_variable(&fold.variable, &fold.range, Which::Key);
                self.push_variable(second, &fold.range, Which::Value);
            }
            None => self.push_variable(&fold.variable, &fold.range, Which::Element),
        }
        let condition = self.cost(&fold.condition);
        let step = self.cost(&fold.step);
        self.pop(&fold.variable);
        if let Some(second) = &fold.variable2 {
            self.pop(second);
        }
        cost = cost.plus(self.cost(&fold.result));
        self.pop(&fold.accumulator);
        let count = self.size_or_unknown(&fold.range);
        cost = cost.plus(count.times(step.plus(condition)));
        match &fold.init.kind {
            Kind::Literal(_) => self.sizes[id as usize] = self.size(&fold.init),
            Kind::List(_) | Kind::Map(_) => {
                self.sizes[id as usize] = Some(count);
                if let Some(entries) = self.entries_of(&fold.step) {
                    self.entries[id as usize] = Some(entries);
                }
            }
            _ => {}
        }
        cost
    }

    fn bind(&mut self, id: Id, fold: &'a Comprehension) -> Range {
        let cost = self.cost(&fold.range).plus(self.cost(&fold.init));
        self.push_value(&fold.accumulator, &fold.init);
        let cost = cost.plus(self.cost(&fold.result));
        self.pop(&fold.accumulator);
        self.copy_sizes(id, &fold.result);
        cost
    }

    fn copy_sizes(&mut self, id: Id, from: &Expr) {
        if let Some(size) = self.size(from) {
            self.sizes[id as usize] = Some(size);
        }
        if let Some(entries) = self.entries_of(from) {
            self.entries[id as usize] = Some(entries);
        }
    }

    fn entries_of(&self, expr: &Expr) -> Option<Entries> {
        self.entries[expr.id as usize].or_else(|| match &expr.kind {
            Kind::Ident(name) => self.local(name)?.entries,
            _ => None,
        })
    }

    fn size_or_unknown(&mut self, expr: &Expr) -> Range {
        self.size(expr).unwrap_or(Range::UNKNOWN)
    }

    fn size(&mut self, expr: &Expr) -> Option<Range> {
        if let Some(size) = self.sizes[expr.id as usize] {
            return Some(size);
        }
        if let Some(size) = literal_size(expr) {
            return Some(size);
        }
        if let Some(size) = size_at(self.env, Some(&self.path(expr))) {
            self.sizes[expr.id as usize] = Some(size);
            return Some(size);
        }
        if self.type_of(expr).is_scalar() {
            return Some(Range::ONE);
        }
        match &expr.kind {
            Kind::Ident(name) => self.local(name)?.size,
            _ => None,
        }
    }
}

enum Which {
    Key,
    Value,
    /// The value of a list, the key of a map.
    Element,
}

fn is_accumulator(name: &str) -> bool {
    name == ACCUMULATOR || name == OLD_ACCUMULATOR
}

fn literal_size(expr: &Expr) -> Option<Range> {
    let size = match &expr.kind {
        Kind::Literal(Literal::String(text)) => text.chars().count(),
        Kind::Literal(Literal::Bytes(bytes)) => bytes.len(),
        Kind::Literal(_) => 1,
        Kind::List(elements) => elements.len(),
        Kind::Map(entries) => entries.len(),
        _ => return None,
    };
    Some(Range::fixed(size as u64))
}
