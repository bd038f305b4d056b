//! Calls: which overloads can be meant.

use super::{Checker, Reference};
use crate::ast::operators::{AND, OPT_SELECT, OR};
use crate::ast::{Call, Expr, Id, Kind, Literal};
use crate::functions::{Function, Overload};
use crate::types::Type;

impl Checker<'_> {
    pub(super) fn call(&mut self, expr: &mut Expr) -> Type {
        let id = expr.id;
        let Kind::Call(call) = &mut expr.kind else { return Type::Error };
        if call.function == OPT_SELECT {
            return self.optional_selection(id, call);
        }
        for arg in &mut call.args {
            self.expr(arg);
        }
        let env = self.env;
        if let Some(target) = &call.target {
            let qualified = target.qualified_name().map(|prefix| format!("{prefix}.{}", call.function));
            let function = qualified.and_then(|name| env.functions.get(name.trim_start_matches('.')));
            if let Some(function) = function {
                // The target is no value but the function's namespace.
                function.name.clone_into(&mut call.function);
                call.target = None;
                return self.overload(id, function, call);
            }
        }
        if let Some(target) = &mut call.target {
            self.expr(target);
        }
        match env.functions.get(call.function.trim_start_matches('.')) {
            Some(function) => {
                function.name.clone_into(&mut call.function);
                self.overload(id, function, call)
            }
            None => {
                let name = call.function.clone();
                self.undeclared(id, &name)
            }
        }
    }

    fn optional_selection(&mut self, id: Id, call: &mut Call) -> Type {
        let [operand, field] = call.args.as_mut_slice() else { return Type::Error };
        self.expr(operand);
        self.expr(field);
        let Kind::Literal(Literal::String(name)) = &field.kind else { return Type::Error };
        let of = self.field(id, operand, name, true);
        self.references[id as usize] = Reference::Overloads(vec![0]);
        self.substitution.resolve(&of)
    }

    fn overload(&mut self, id: Id, function: &Function, call: &Call) -> Type {
        if function.name == AND || function.name == OR {
            return self.logical(id, call);
        }
        let types: Vec<Type> = call.target.iter().chain(&call.args).map(|arg| self.type_of(arg).clone()).collect();
        let mut fitting = Vec::new();
        let mut result: Option<Type> = None;
        for (index, overload) in function.overloads.iter().enumerate() {
            if overload.signature.member != call.target.is_some() {
                continue;
            }
            let (parameters, of) = self.instantiated(overload);
            if !self.substitution.are_assignable(&types, &parameters) {
                continue;
            }
            fitting.push(index);
            let of = self.substitution.resolve(&of);
            result = Some(match result {
                None => of,
                Some(Type::Dyn) => Type::Dyn,
                Some(have) if have == of => have,
                Some(_) => Type::Dyn,
            });
        }
        let Some(result) = result else {
            self.no_overload(id, function.name, &types, call.target.is_some());
            return Type::Error;
        };
        self.references[id as usize] = Reference::Overloads(fitting);
        result
    }

    fn no_overload(&mut self, id: Id, function: &str, types: &[Type], is_member: bool) {
        let shown: Vec<String> = types.iter().map(|of| self.substitution.resolve_finally(of).to_string()).collect();
        let applied = if is_member {
            format!("{}.({})", shown[0], shown[1..].join(", "))
        } else {
            format!("({})", shown.join(", "))
        };
        self.report(id, format!("found no matching overload for '{function}' applied to '{applied}'"));
    }

    /// `&&` and `||` say which side is wrong.
    fn logical(&mut self, id: Id, call: &Call) -> Type {
        let mut of = Type::Bool;
        for arg in &call.args {
            let found = self.type_of(arg).clone();
            if !self.substitution.is_assignable(&found, &Type::Bool) {
                self.mismatch(arg.id, &Type::Bool, &found);
                of = Type::Error;
            }
        }
        if of == Type::Bool {
            self.references[id as usize] = Reference::Overloads(vec![0]);
        }
        of
    }

    /// An overload's parameters and result, with variables of their own for those that stand for any type.
    fn instantiated(&mut self, overload: &Overload) -> (Vec<Type>, Type) {
        let mut variables = Vec::new();
        let substitution = &mut self.substitution;
        let mut fresh = |letter: char| match variables.iter().find(|(have, _)| *have == letter) {
            Some((_, variable)) => Type::clone(variable),
            None => {
                let variable = substitution.fresh();
                variables.push((letter, variable.clone()));
                variable
            }
        };
        let parameters = overload.signature.parameters.iter().map(|of| instantiate(of, &mut fresh)).collect();
        (parameters, instantiate(&overload.signature.result, &mut fresh))
    }
}

fn instantiate(of: &Type, fresh: &mut impl FnMut(char) -> Type) -> Type {
    match of {
        Type::Parameter(letter) => fresh(*letter),
        other => other.map_parameters(|part| instantiate(part, fresh)),
    }
}
