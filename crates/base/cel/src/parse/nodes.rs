//! Makes nodes, each with an id of its own and a place.

use super::NODES_MAX;
use crate::ast::{ACCUMULATOR, Call, Comprehension, Element, Entry, Expr, Field, Id, Kind, Literal, Select, Struct};
use crate::issues::Collector;
use crate::source::Source;

/// The tree has more nodes than it may.
#[derive(Debug)]
pub(super) struct TooManyNodes;

/// Gives out ids and keeps where their nodes start.
pub(super) struct Nodes<'a> {
    pub(super) source: &'a Source,
    pub(super) issues: &'a mut Collector,
    /// Whether there is the macro `cel.bind`.
    pub(super) binds: bool,
    pub(super) offsets: Vec<u32>,
}

impl Nodes<'_> {
    pub(super) fn id(&mut self, offset: u32) -> Id {
        self.offsets.push(offset);
        self.offsets.len() as Id - 1
    }

    pub(super) fn offset(&self, id: Id) -> u32 {
        self.offsets[id as usize]
    }

    pub(super) fn node(&mut self, offset: u32, kind: Kind) -> Expr {
        Expr { id: self.id(offset), kind }
    }

    /// Reports at a place, and returns what stands for the faulty node.
    pub(super) fn wrong(&mut self, offset: u32, message: impl Into<String>) -> Expr {
        let place = self.source.location(offset);
        self.issues.report(place, message);
        self.node(offset, Kind::Unspecified)
    }

    pub(super) fn literal(&mut self, offset: u32, value: Literal) -> Expr {
        self.node(offset, Kind::Literal(value))
    }

    pub(super) fn ident(&mut self, offset: u32, name: &str) -> Expr {
        self.node(offset, Kind::Ident(name.to_owned()))
    }

    pub(super) fn accumulator(&mut self, offset: u32) -> Expr {
        self.ident(offset, ACCUMULATOR)
    }

    pub(super) fn call(&mut self, offset: u32, function: &str, args: Vec<Expr>) -> Expr {
        self.node(offset, Kind::Call(Box::new(Call { target: None, function: function.to_owned(), args })))
    }

    pub(super) fn member_call(&mut self, offset: u32, function: &str, target: Expr, args: Vec<Expr>) -> Expr {
        let call = Call { target: Some(target), function: function.to_owned(), args };
        self.node(offset, Kind::Call(Box::new(call)))
    }

    pub(super) fn list(&mut self, offset: u32, values: Vec<Expr>) -> Expr {
        let elements = values.into_iter().map(|value| Element { value, optional: false });
        let kind = Kind::List(elements.collect());
        self.node(offset, kind)
    }

    pub(super) fn comprehension(&mut self, offset: u32, fold: Comprehension) -> Expr {
        self.node(offset, Kind::Comprehension(Box::new(fold)))
    }

    /// Copies a tree; the copies have ids of their own and the places of the originals.
    pub(super) fn copy(&mut self, expr: &Expr) -> Result<Expr, TooManyNodes> {
        if self.offsets.len() >= NODES_MAX {
            return Err(TooManyNodes);
        }
        let id = self.id(self.offset(expr.id));
        let kind = match &expr.kind {
            Kind::Literal(_) | Kind::Ident(_) | Kind::Unspecified => expr.kind.clone(),
            Kind::Select(select) => {
                let operand = self.copy(&select.operand)?;
                Kind::Select(Box::new(Select { operand, field: select.field.clone(), test_only: select.test_only }))
            }
            Kind::Call(call) => {
                let args = call.args.iter().map(|arg| self.copy(arg)).collect::<Result<_, _>>()?;
                let target = call.target.as_ref().map(|target| self.copy(target)).transpose()?;
                Kind::Call(Box::new(Call { target, function: call.function.clone(), args }))
            }
            Kind::List(elements) => Kind::List(self.copy_elements(elements)?),
            Kind::Map(entries) => Kind::Map(self.copy_entries(entries)?),
            Kind::Struct(value) => Kind::Struct(Box::new(self.copy_struct(value)?)),
            Kind::Comprehension(fold) => Kind::Comprehension(Box::new(self.copy_comprehension(fold)?)),
        };
        Ok(Expr { id, kind })
    }

    fn copy_elements(&mut self, elements: &[Element]) -> Result<Vec<Element>, TooManyNodes> {
        let mut copy =
            |element: &Element| Ok(Element { value: self.copy(&element.value)?, optional: element.optional });
        elements.iter().map(&mut copy).collect()
    }

    fn copy_entries(&mut self, entries: &[Entry]) -> Result<Vec<Entry>, TooManyNodes> {
        let mut copy = |entry: &Entry| {
            let (key, value) = (self.copy(&entry.key)?, self.copy(&entry.value)?);
            Ok(Entry { key, value, optional: entry.optional })
        };
        entries.iter().map(&mut copy).collect()
    }

    fn copy_struct(&mut self, value: &Struct) -> Result<Struct, TooManyNodes> {
        let mut copy = |field: &Field| {
            let id = self.id(self.offset(field.id));
            Ok(Field { id, name: field.name.clone(), value: self.copy(&field.value)?, optional: field.optional })
        };
        let fields = value.fields.iter().map(&mut copy).collect::<Result<_, _>>()?;
        Ok(Struct { name: value.name.clone(), fields })
    }

    fn copy_comprehension(&mut self, fold: &Comprehension) -> Result<Comprehension, TooManyNodes> {
        Ok(Comprehension {
            range: self.copy(&fold.range)?,
            variable: fold.variable.clone(),
            variable2: fold.variable2.clone(),
            accumulator: fold.accumulator.clone(),
            init: self.copy(&fold.init)?,
            condition: self.copy(&fold.condition)?,
            step: self.copy(&fold.step)?,
            result: self.copy(&fold.result)?,
        })
    }
}
