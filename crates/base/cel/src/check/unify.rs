//! Which types fit which, and what the variables among them stand for.

use crate::types::{LibraryType, Type};

/// What type variables stand for. What a failed attempt has bound is forgotten.
#[derive(Debug, Default)]
pub(super) struct Substitution {
    bound: Vec<Option<Type>>,
    /// What was bound before, newest last.
    trail: Vec<(u32, Option<Type>)>,
}

impl Substitution {
    pub(super) fn fresh(&mut self) -> Type {
        self.bound.push(None);
        Type::Variable(self.bound.len() as u32 - 1)
    }

    fn find(&self, of: &Type) -> Option<&Type> {
        match of {
            Type::Variable(number) => self.bound.get(*number as usize)?.as_ref(),
            _ => None,
        }
    }

    fn bind(&mut self, number: u32, to: Type) {
        let old = self.bound[number as usize].replace(to);
        self.trail.push((number, old));
    }

    fn attempt(&mut self, fits: impl FnOnce(&mut Self) -> bool) -> bool {
        let mark = self.trail.len();
        if fits(self) {
            return true;
        }
        for (number, old) in self.trail.drain(mark..).rev() {
            self.bound[number as usize] = old;
        }
        false
    }

    /// Whether one type can be used as the other.
    pub(super) fn is_assignable(&mut self, from: &Type, to: &Type) -> bool {
        self.attempt(|this| this.fits(from, to))
    }

    /// The same for all of the arguments of a call.
    pub(super) fn are_assignable(&mut self, from: &[Type], to: &[Type]) -> bool {
        self.attempt(|this| from.len() == to.len() && from.iter().zip(to).all(|(from, to)| this.fits(from, to)))
    }

    fn fits(&mut self, from: &Type, to: &Type) -> bool {
        if let Type::Variable(number) = to {
            match self.substitutes(from, *number) {
                Fit::Yes => return true,
                Fit::BoundToOther => return false,
                Fit::No => {}
            }
        }
        if let Type::Variable(number) = from {
            return matches!(self.substitutes(to, *number), Fit::Yes);
        }
        if matches!(from, Type::Parameter(_)) || matches!(to, Type::Parameter(_)) {
            return true;
        }
        if from.is_dyn_or_error() || to.is_dyn_or_error() {
            return true;
        }
        match (from, to) {
            (Type::Null, other) | (other, Type::Null) => is_nullable(other),
            (Type::Type(_), Type::Type(_)) => true,
            _ => {
                from.is_same_kind(to)
                    && from
                        .parameters()
                        .into_iter()
                        .flatten()
                        .zip(to.parameters().into_iter().flatten())
                        .all(|(from, to)| self.fits(from, to))
            }
        }
    }

    /// Whether a type can be what a variable stands for; binds it if so.
    fn substitutes(&mut self, of: &Type, variable: u32) -> Fit {
        let itself = Type::Variable(variable);
        if *of == itself {
            return Fit::Yes;
        }
        let Some(bound) = self.find(&itself).cloned() else {
            if self.occurs(&itself, of) {
                return Fit::No;
            }
            self.bind(variable, of.clone());
            return Fit::Yes;
        };
        if *of == bound {
            return Fit::Yes;
        }
        if !self.fits(of, &bound) {
            return Fit::BoundToOther;
        }
        let general = most_general(of, &bound);
        if !self.occurs(&itself, &general) {
            self.bind(variable, general);
        }
        Fit::Yes
    }

    /// Whether a variable is part of a type.
    fn occurs(&self, variable: &Type, within: &Type) -> bool {
        if variable == within {
            return true;
        }
        match within {
            Type::Variable(_) => self.find(within).is_some_and(|bound| self.occurs(variable, bound)),
            _ => within.parameters().into_iter().flatten().any(|part| self.occurs(variable, part)),
        }
    }

    /// Replaces variables by what they stand for.
    pub(super) fn resolve(&self, of: &Type) -> Type {
        match self.find(of) {
            Some(bound) => self.resolve(bound),
            None => of.map_parameters(|part| self.resolve(part)),
        }
    }

    /// The same, and what is still unknown becomes dynamic.
    pub(super) fn resolve_finally(&self, of: &Type) -> Type {
        match (self.find(of), of) {
            (Some(bound), _) => self.resolve_finally(bound),
            (None, Type::Variable(_) | Type::Parameter(_)) => Type::Dyn,
            (None, _) => of.map_parameters(|part| self.resolve_finally(part)),
        }
    }
}

enum Fit {
    Yes,
    No,
    /// The variable stands for something else already.
    BoundToOther,
}

/// Types whose values may be null.
fn is_nullable(of: &Type) -> bool {
    matches!(
        of,
        Type::Optional(_)
            | Type::Object(_)
            | Type::Library(_)
            | Type::Duration
            | Type::Timestamp
            | Type::Null
            | Type::Dyn
            | Type::Error
            | Type::Parameter(_)
    )
}

/// Returns the more general one of two types that fit.
pub(super) fn most_general(a: &Type, b: &Type) -> Type {
    if is_equal_or_less_specific(a, b) { a.clone() } else { b.clone() }
}

fn is_equal_or_less_specific(a: &Type, b: &Type) -> bool {
    match (a, b) {
        (Type::Dyn | Type::Variable(_) | Type::Parameter(_), _) => true,
        (_, Type::Dyn | Type::Variable(_) | Type::Parameter(_)) => false,
        (Type::Type(_), Type::Type(_)) => true,
        _ => {
            a.is_same_kind(b)
                && a.parameters()
                    .into_iter()
                    .flatten()
                    .zip(b.parameters().into_iter().flatten())
                    .all(|(a, b)| is_equal_or_less_specific(a, b))
        }
    }
}

/// Whether a library's type has no fields that could be looked up.
pub(super) fn has_no_fields(library: LibraryType) -> bool {
    library.is_object()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_bound_or_forgotten() {
        let mut substitution = Substitution::default();
        let variable = substitution.fresh();
        assert!(substitution.is_assignable(&Type::list(Type::Int), &Type::list(variable.clone())));
        assert_eq!(substitution.resolve(&variable), Type::Int);
        assert!(!substitution.is_assignable(&Type::String, &variable));
        assert_eq!(substitution.resolve(&variable), Type::Int);
        let other = substitution.fresh();
        assert!(!substitution.are_assignable(&[Type::Int, Type::Bool], &[other.clone(), Type::String]));
        assert_eq!(substitution.resolve_finally(&other), Type::Dyn);
    }

    #[test]
    fn what_fits() {
        let mut substitution = Substitution::default();
        let cases = [
            (Type::Null, Type::Timestamp, true),
            (Type::Null, Type::String, false),
            (Type::Dyn, Type::String, true),
            (Type::Int, Type::Uint, false),
            (Type::list(Type::Dyn), Type::list(Type::Int), true),
            (Type::map(Type::String, Type::Int), Type::map(Type::String, Type::Bool), false),
        ];
        for (from, to, expected) in cases {
            assert_eq!(substitution.is_assignable(&from, &to), expected, "{from} {to}");
        }
    }
}
