//! What upstream looks at once types are right: literals that will not convert, patterns, and lists of one type each.

use windlass_regexp::PatternError;

use super::{Checked, format};
use crate::ast::{Entry, Expr, Id, Kind, Literal};
use crate::env::Env;
use crate::issues::Collector;
use crate::parse::Parsed;
use crate::types::Type;
use crate::value::Value;

pub(super) fn validate(checked: &Checked, parsed: &Parsed, env: &Env, issues: &mut Collector) {
    let mut validator = Validator { checked, parsed, env, issues };
    validator.visit(&checked.root, false);
}

struct Validator<'a> {
    checked: &'a Checked,
    parsed: &'a Parsed,
    env: &'a Env,
    issues: &'a mut Collector,
}

impl Validator<'_> {
    fn report(&mut self, id: Id, message: String) {
        let place = self.parsed.location(id);
        self.issues.report(place, message);
    }

    /// Visits a node and those below it; within arguments of `format`, types may be mixed.
    fn visit(&mut self, expr: &Expr, mixed: bool) {
        let mut mixed = mixed;
        match &expr.kind {
            Kind::Call(call) => {
                self.conversions(&call.function, call.args.first());
                if call.function == "format" {
                    if let Some((id, message)) = format::fault(self.checked, self.env, expr.id, call) {
                        self.report(id, message);
                    }
                    mixed = true;
                }
            }
            Kind::List(elements) if !mixed => {
                let types = elements.iter().map(|element| (element.value.id, element.optional));
                self.one_type(&types.collect::<Vec<_>>());
            }
            Kind::Map(entries) if !mixed => self.map(entries),
            _ => {}
        }
        expr.children(|child| self.visit(child, mixed));
    }

    fn conversions(&mut self, function: &str, arg: Option<&Expr>) {
        let Some(Expr { id, kind: Kind::Literal(literal) }) = arg else { return };
        let valid = match (function, literal) {
            ("duration", Literal::String(text)) => Value::borrowed(text).to_duration().is_ok(),
            ("timestamp", Literal::String(text)) => Value::borrowed(text).to_timestamp().is_ok(),
            ("duration" | "timestamp", Literal::Null) => false,
            ("timestamp", Literal::Int(seconds)) => Value::Int(*seconds).to_timestamp().is_ok(),
            ("matches", Literal::String(pattern)) => self.is_pattern(pattern),
            _ => true,
        };
        if !valid {
            self.report(*id, format!("invalid {function} argument"));
        }
    }

    /// One that finds no room is none that is wrong: who plans the expression says so.
    fn is_pattern(&self, pattern: &str) -> bool {
        matches!(self.env.patterns.get(pattern), Ok(_) | Err(PatternError::OverBudget { .. }))
    }

    fn type_of(&self, id: Id, optional: bool) -> Type {
        match self.checked.type_of(id) {
            Type::Optional(inner) if optional => Type::clone(inner),
            other => other.clone(),
        }
    }

    fn one_type(&mut self, elements: &[(Id, bool)]) {
        let Some(((first, optional), rest)) = elements.split_first() else { return };
        let expected = self.type_of(*first, *optional);
        for (id, optional) in rest {
            let found = self.type_of(*id, *optional);
            if found != expected {
                self.report(*id, format!("expected type '{expected}' but found '{found}'"));
                return;
            }
        }
    }

    fn map(&mut self, entries: &[Entry]) {
        let Some((first, rest)) = entries.split_first() else { return };
        let keys = self.type_of(first.key.id, false);
        let values = self.type_of(first.value.id, first.optional);
        for entry in rest {
            let (key, value) = (self.type_of(entry.key.id, false), self.type_of(entry.value.id, entry.optional));
            if key != keys {
                self.report(entry.key.id, format!("expected type '{keys}' but found '{key}'"));
            }
            if value != values {
                self.report(entry.value.id, format!("expected type '{values}' but found '{value}'"));
            }
        }
    }
}
