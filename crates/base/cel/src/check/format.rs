//! Format strings whose clauses and arguments are spelt out: each clause must take its argument's type.

use super::{Checked, Reference};
use crate::ast::{Call, Expr, Id, Kind, Literal};
use crate::env::Env;
use crate::library::format_string::{Clause, interpolate};
use crate::types::Type;

/// What is wrong, and with which node if that is not the call.
struct Fault {
    message: String,
    node: Option<Id>,
}

impl From<String> for Fault {
    fn from(message: String) -> Self {
        Self { message, node: None }
    }
}

/// Returns what is wrong with a call of `format`, and with which node.
pub(super) fn fault(checked: &Checked, env: &Env, id: Id, call: &Call) -> Option<(Id, String)> {
    let Some(Expr { kind: Kind::Literal(Literal::String(text)), .. }) = &call.target else { return None };
    let [Expr { kind: Kind::List(elements), .. }] = call.args.as_slice() else { return None };
    if !is_string_format(checked, env, id) {
        return None;
    }
    let mut used = 0;
    let outcome = interpolate::<Fault>(text, elements.len(), false, |index, clause| {
        used = index + 1;
        match refused(checked, clause, &elements[index].value) {
            None => Ok(String::new()),
            Some(node) => {
                let refusal = clause.refusal(checked.type_of(node).name());
                Err(Fault { message: format!("error during formatting: {refusal}"), node: Some(node) })
            }
        }
    });
    match outcome {
        Err(fault) => Some((fault.node.unwrap_or(id), fault.message)),
        Ok(_) if elements.len() > used => {
            let given = elements.len();
            let message = format!("too many arguments supplied to string.format (expected {used}, got {given})");
            Some((id, message))
        }
        Ok(_) => None,
    }
}

fn is_string_format(checked: &Checked, env: &Env, id: Id) -> bool {
    let Some(function) = env.functions.get("format") else { return false };
    match checked.reference(id) {
        Reference::Overloads(indexes) => indexes.iter().any(|index| function.overloads[*index].id == "string_format"),
        _ => false,
    }
}

/// Returns the node that a clause does not take.
fn refused(checked: &Checked, clause: Clause, arg: &Expr) -> Option<Id> {
    let of = checked.type_of(arg.id);
    let taken = match clause {
        Clause::String => return refused_as_string(checked, arg),
        Clause::Decimal | Clause::Octal => matches!(of, Type::Int | Type::Uint),
        Clause::Fixed(_) | Clause::Scientific(_) => matches!(of, Type::Double | Type::String),
        Clause::Binary => matches!(of, Type::Int | Type::Uint | Type::Bool),
        Clause::Hex { .. } => matches!(of, Type::Int | Type::Uint | Type::String | Type::Bytes),
    };
    (!taken && !matches!(of, Type::Dyn)).then_some(arg.id)
}

fn refused_as_string(checked: &Checked, arg: &Expr) -> Option<Id> {
    let taken = matches!(
        checked.type_of(arg.id),
        Type::Dyn
            | Type::List(_)
            | Type::Map(_)
            | Type::Int
            | Type::Uint
            | Type::Double
            | Type::Bool
            | Type::String
            | Type::Timestamp
            | Type::Bytes
            | Type::Duration
            | Type::Type(_)
            | Type::Null
    );
    if !taken {
        return Some(arg.id);
    }
    match &arg.kind {
        Kind::List(elements) => elements.iter().find_map(|element| refused_as_string(checked, &element.value)),
        Kind::Map(entries) => entries.iter().find_map(|entry| {
            refused_as_string(checked, &entry.key).or_else(|| refused_as_string(checked, &entry.value))
        }),
        _ => None,
    }
}
