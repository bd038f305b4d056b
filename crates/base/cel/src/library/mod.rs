//! The functions of Kubernetes' base environment, a file for each library.

mod arithmetic;
mod authorizer;
mod cidr;
mod conversions;
pub(crate) mod format_string;
mod ip;
mod json_patch;
mod lists;
mod named_format;
mod optionals;
mod patterns;
mod quantity;
mod semver;
mod sets;
mod sorted_lists;
mod strings;
mod timestamps;
mod url;

use crate::functions::Registry;

pub(crate) use arithmetic::add;
pub(crate) use json_patch::FUNCTIONS as JSON_PATCH;
pub(crate) use lists::inserted;
pub(crate) use patterns::with_compiled;

/// Which functions there are, as upstream tells expressions that are being written from those that are stored already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// What the previous release can run as well, so that a cluster can go back.
    New,
    /// All there is.
    Stored,
}

/// All functions, in upstream's order, in which overloads are tried (apiserver `pkg/cel/environment/base.go`).
pub(crate) fn registry(mode: Mode) -> Registry {
    let mut registry = Registry::default();
    for table in [arithmetic::FUNCTIONS, conversions::FUNCTIONS, timestamps::FUNCTIONS, patterns::STANDARD] {
        registry.add(table);
    }
    registry.add(url::FUNCTIONS);
    registry.add(patterns::FUNCTIONS);
    if mode == Mode::New {
        registry.add(lists::FUNCTIONS);
    }
    let tables = [
        authorizer::FUNCTIONS,
        optionals::FUNCTIONS,
        quantity::FUNCTIONS,
        strings::FUNCTIONS,
        sets::FUNCTIONS,
        ip::FUNCTIONS,
        cidr::FUNCTIONS,
        named_format::FUNCTIONS,
        authorizer::SELECTORS,
        lists::COMPREHENSIONS,
        semver::FUNCTIONS,
        sorted_lists::FUNCTIONS,
    ];
    for table in tables {
        registry.add(table);
    }
    if mode == Mode::Stored {
        registry.add(lists::FUNCTIONS);
        registry.add(lists::INCLUDES);
    }
    registry
}
