//! Checks an expression against what is declared: every node gets a type, every call the overloads that can be meant.

mod calls;
mod format;
mod literals;
mod unify;
mod validate;

use unify::Substitution;

use crate::ast::{Comprehension, Expr, Id, Kind, Literal, Select};
use crate::env::Env;
use crate::issues::{Collector, Issues};
use crate::parse::Parsed;
use crate::source::Location;
use crate::types::Type;

/// A checked expression. Qualified names of variables and functions have become one name each.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) root: Expr,
    /// The types of nodes, by their ids.
    types: Vec<Type>,
    references: Vec<Reference>,
}

/// What a node refers to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Reference {
    #[default]
    None,
    /// A variable or type.
    Name,
    /// The overloads that fit, by their places among the function's.
    Overloads(Vec<usize>),
}

impl Checked {
    pub(crate) fn type_of(&self, id: Id) -> &Type {
        self.types.get(id as usize).unwrap_or(&Type::Error)
    }

    pub(crate) fn reference(&self, id: Id) -> &Reference {
        self.references.get(id as usize).unwrap_or(&Reference::None)
    }

    pub(crate) fn ids(&self) -> usize {
        self.types.len()
    }
}

/// Checks a tree.
pub(crate) fn check(parsed: Parsed, env: &Env) -> Result<Checked, Issues> {
    let count = parsed.ids();
    let mut root = parsed.root.clone();
    let mut checker = Checker {
        env,
        parsed: &parsed,
        issues: Collector::default(),
        types: vec![Type::Error; count],
        references: vec![Reference::None; count],
        substitution: Substitution::default(),
        scopes: Vec::new(),
    };
    checker.expr(&mut root);
    let Checker { issues, types, references, substitution, .. } = checker;
    issues.into_result(&parsed.source)?;
    let types = types.iter().map(|of| substitution.resolve_finally(of)).collect();
    let checked = Checked { root, types, references };
    let mut issues = Collector::default();
    validate::validate(&checked, &parsed, env, &mut issues);
    issues.into_result(&parsed.source)?;
    Ok(checked)
}

/// How many types a type may be made of.
const TYPE_PARTS_MAX: usize = 2_000;

struct Checker<'a> {
    env: &'a Env,
    parsed: &'a Parsed,
    issues: Collector,
    types: Vec<Type>,
    references: Vec<Reference>,
    substitution: Substitution,
    /// The variables of macros, innermost last.
    scopes: Vec<(String, Type)>,
}

impl Checker<'_> {
    fn location(&self, id: Id) -> Location {
        self.parsed.location(id)
    }

    fn report(&mut self, id: Id, message: String) {
        let place = self.location(id);
        self.issues.report(place, message);
    }

    fn undeclared(&mut self, id: Id, name: &str) -> Type {
        self.report(id, format!("undeclared reference to '{name}' (in container '')"));
        Type::Error
    }

    fn mismatch(&mut self, id: Id, expected: &Type, found: &Type) {
        self.report(id, format!("expected type '{expected}' but found '{found}'"));
    }

    /// Checks a node and what is below it; returns its type.
    fn expr(&mut self, expr: &mut Expr) -> Type {
        let of = match &mut expr.kind {
            Kind::Literal(literal) => match literal {
                Literal::Null => Type::Null,
                Literal::Bool(_) => Type::Bool,
                Literal::Int(_) => Type::Int,
                Literal::Uint(_) => Type::Uint,
                Literal::Double(_) => Type::Double,
                Literal::String(_) => Type::String,
                Literal::Bytes(_) => Type::Bytes,
            },
            Kind::Unspecified => Type::Error,
            Kind::Ident(_) => self.ident(expr),
            Kind::Select(_) => self.select(expr),
            Kind::Call(_) => self.call(expr),
            Kind::List(elements) => self.list(elements),
            Kind::Map(entries) => self.map(expr.id, entries),
            Kind::Struct(value) => self.construction(expr.id, value),
            Kind::Comprehension(fold) => self.comprehension(fold),
        };
        self.types[expr.id as usize] = of.clone();
        of
    }

    /// The type of a checked node.
    fn type_of(&self, expr: &Expr) -> &Type {
        &self.types[expr.id as usize]
    }

    fn local(&self, name: &str) -> Option<&Type> {
        self.scopes.iter().rev().find(|(local, _)| local == name).map(|(_, of)| of)
    }

    fn global(&self, name: &str) -> Option<Type> {
        let variable = self.env.variables.get(name).cloned();
        variable.or_else(|| self.env.named_type(name).map(Type::of_type))
    }

    fn ident(&mut self, expr: &mut Expr) -> Type {
        let Kind::Ident(name) = &mut expr.kind else { return Type::Error };
        // A leading dot asks for what macros may have hidden.
        let bare = name.strip_prefix('.');
        if bare.is_none()
            && let Some(of) = self.local(name)
        {
            return of.clone();
        }
        let global = bare.unwrap_or(name).to_owned();
        let Some(of) = self.global(&global) else {
            let name = name.clone();
            return self.undeclared(expr.id, &name);
        };
        *name = if self.local(&global).is_some() { format!(".{global}") } else { global };
        self.references[expr.id as usize] = Reference::Name;
        of
    }

    fn select(&mut self, expr: &mut Expr) -> Type {
        if let Some(of) = self.qualified_variable(expr) {
            return of;
        }
        let id = expr.id;
        let Kind::Select(select) = &mut expr.kind else { return Type::Error };
        let Select { operand, field, test_only } = &mut **select;
        self.expr(operand);
        let of = self.field(id, operand, field, false);
        if *test_only { Type::Bool } else { self.substitution.resolve(&of) }
    }

    /// Makes a chain of selections one name if it spells a variable.
    fn qualified_variable(&mut self, expr: &mut Expr) -> Option<Type> {
        let name = expr.qualified_name()?;
        let first = name.trim_start_matches('.').split('.').next().unwrap_or_default();
        if !name.starts_with('.') && self.local(first).is_some() {
            return None;
        }
        let global = name.trim_start_matches('.').to_owned();
        let of = self.global(&global)?;
        let hidden = self.local(first).is_some();
        expr.kind = Kind::Ident(if hidden { format!(".{global}") } else { global });
        self.references[expr.id as usize] = Reference::Name;
        Some(of)
    }

    /// The type of a field of a checked operand.
    fn field(&mut self, id: Id, operand: &Expr, field: &str, optional: bool) -> Type {
        let operand = self.substitution.resolve(self.type_of(operand));
        let (target, is_optional) = match &operand {
            Type::Optional(value) => (Type::clone(value), true),
            other => (other.clone(), false),
        };
        let of = match &target {
            Type::Map(map) => map.1.clone(),
            Type::Object(object) => match object.field(field) {
                Some(of) => of,
                None => {
                    self.report(id, format!("undefined field '{field}'"));
                    Type::Error
                }
            },
            Type::Library(library) if unify::has_no_fields(*library) => {
                self.report(id, format!("unexpected failed resolution of '{}'", library.name()));
                Type::Error
            }
            Type::Variable(_) => {
                self.substitution.is_assignable(&Type::Dyn, &target);
                Type::Dyn
            }
            other => {
                if !other.is_dyn_or_error() {
                    self.report(id, format!("type '{other}' does not support field selection"));
                }
                Type::Dyn
            }
        };
        if is_optional || optional { Type::optional(of) } else { of }
    }

    fn comprehension(&mut self, fold: &mut Comprehension) -> Type {
        let range = self.expr(&mut fold.range);
        let accumulator = self.expr(&mut fold.init);
        let range = self.substitution.resolve(&range);
        let depth = self.scopes.len();
        self.scopes.push((fold.accumulator.clone(), accumulator.clone()));
        let (first, second) = self.variables(&range, fold);
        self.scopes.push((fold.variable.clone(), first));
        if let Some(name) = &fold.variable2 {
            self.scopes.push((name.clone(), second));
        }
        let condition = self.expr(&mut fold.condition);
        self.assert_type(&fold.condition, &Type::Bool, &condition);
        let step = self.expr(&mut fold.step);
        self.assert_type(&fold.step, &accumulator, &step);
        self.scopes.truncate(depth + 1);
        let result = self.expr(&mut fold.result);
        self.scopes.truncate(depth);
        self.substitution.resolve(&result)
    }

    /// The types of a macro's variables over a range.
    fn variables(&mut self, range: &Type, fold: &Comprehension) -> (Type, Type) {
        let two = fold.variable2.is_some();
        match range {
            Type::List(element) if two => (Type::Int, Type::clone(element)),
            Type::List(element) => (Type::clone(element), Type::Error),
            Type::Map(map) => (map.0.clone(), map.1.clone()),
            Type::Dyn | Type::Error | Type::Variable(_) => {
                self.substitution.is_assignable(&Type::Dyn, range);
                (Type::Dyn, Type::Dyn)
            }
            other => {
                let message = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                self.report(fold.range.id, message);
                (Type::Error, Type::Error)
            }
        }
    }

    fn assert_type(&mut self, expr: &Expr, expected: &Type, found: &Type) {
        if !self.substitution.is_assignable(expected, found) {
            self.mismatch(expr.id, expected, found);
        }
    }
}
