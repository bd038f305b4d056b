//! Functions: what is declared under which name, and what carries it out.
//!
//! A function has overloads. An expression is checked against all of them; if only one fits, the call is bound to it, and otherwise
//! values decide when the expression runs. Declarations are tables of signatures ([`signature`]), one table for each library.

mod registry;
pub(crate) mod signature;

pub(crate) use registry::{Declared, Function, Overload, Registry, Run, Style, declared, not_bound, shared};
