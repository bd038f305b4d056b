//! Lists, maps and objects that are spelt out.

use super::unify::most_general;
use super::{Checker, TYPE_PARTS_MAX};
use crate::ast::{Element, Entry, Expr, Id, Struct};
use crate::types::Type;

impl Checker<'_> {
    pub(super) fn list(&mut self, elements: &mut [Element]) -> Type {
        let mut joined = None;
        for element in elements {
            let of = self.expr(&mut element.value);
            let of = self.unwrapped(&element.value, of, element.optional);
            joined = Some(self.join(joined, of));
        }
        Type::list(joined.unwrap_or_else(|| self.substitution.fresh()))
    }

    pub(super) fn map(&mut self, id: Id, entries: &mut [Entry]) -> Type {
        let (mut keys, mut values) = (None, None);
        for entry in entries {
            let key = self.expr(&mut entry.key);
            keys = Some(self.join(keys, key));
            let value = self.expr(&mut entry.value);
            let value = self.unwrapped(&entry.value, value, entry.optional);
            values = Some(self.join(values, value));
        }
        let (Some(keys), Some(values)) = (keys, values) else {
            let keys = self.substitution.fresh();
            return Type::map(keys, self.substitution.fresh());
        };
        let of = Type::map(keys, values);
        // Types that are made of one type twice would soon be too large to be looked at.
        if parts(&self.substitution.resolve(&of), TYPE_PARTS_MAX).is_none() {
            self.report(id, "the type of the expression is too complex".to_owned());
            return Type::Error;
        }
        of
    }

    /// The type of what an optional element adds.
    fn unwrapped(&mut self, value: &Expr, of: Type, optional: bool) -> Type {
        match of {
            Type::Optional(inner) if optional => Type::clone(&inner),
            of => {
                if optional && !matches!(of, Type::Dyn) {
                    self.mismatch(value.id, &Type::optional(of.clone()), &of);
                }
                of
            }
        }
    }

    /// The type of elements, of which one more is known. That they are of one type is looked at when all types are known.
    fn join(&mut self, joined: Option<Type>, of: Type) -> Type {
        let Some(joined) = joined else { return of };
        if self.substitution.is_assignable(&joined, &of) { most_general(&joined, &of) } else { Type::Dyn }
    }

    pub(super) fn construction(&mut self, id: Id, value: &mut Struct) -> Type {
        let name = value.name.trim_start_matches('.').to_owned();
        let object = match self.env.named_type(&name) {
            Some(Type::Object(object)) => Some(object),
            Some(other) => {
                self.report(id, format!("'{other}' is not a message type"));
                None
            }
            None => {
                let written = value.name.clone();
                self.undeclared(id, &written);
                return Type::Error;
            }
        };
        value.name = name;
        for field in &mut value.fields {
            let of = self.expr(&mut field.value);
            let of = self.unwrapped(&field.value, of, field.optional);
            let declared = match &object {
                None => Type::Error,
                Some(object) => object.field(&field.name).unwrap_or_else(|| {
                    self.report(field.id, format!("undefined field '{}'", field.name));
                    Type::Error
                }),
            };
            if !self.substitution.is_assignable(&declared, &of) {
                let name = &field.name;
                let message = format!("expected type of field '{name}' is '{declared}' but provided type is '{of}'");
                self.report(field.id, message);
            }
        }
        object.map_or(Type::Error, Type::Object)
    }
}

/// Returns what is left of `max` after counting the parts of a type, if they are not more.
fn parts(of: &Type, max: usize) -> Option<usize> {
    of.parameters().into_iter().flatten().try_fold(max.checked_sub(1)?, |left, part| parts(part, left))
}
