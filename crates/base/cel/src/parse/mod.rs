//! Reads an expression: text to a tree whose macros are expanded, within bounds.
//!
//! The grammar is small enough to be read by descent ([`grammar`]). What it refuses is read a second time by [`diagnosis`], which
//! knows nothing but which words upstream's generated parser finds for it, for these reach users.

mod diagnosis;
mod grammar;
mod lex;
mod macros;
mod nodes;
mod unescape;

use crate::ast::{Expr, Id};
use crate::issues::{Collector, Issues};
use crate::source::{Location, Source};

/// How long an expression may be, in characters.
const CHARACTERS_MAX: usize = 100_000;
/// How deep rules of the grammar may nest, and the nodes that they make.
const DEPTH_MAX: u32 = 250;
/// How many nodes a tree may have. Macros copy what they are called on, so that a short text could grow without bound.
const NODES_MAX: usize = 1_000_000;

/// How many bytes of a chain are taken for one level of nesting.
const CHAIN_BYTES: usize = 32;

/// A tree with the text that it was read from.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) root: Expr,
    pub(crate) source: Source,
    /// Where each node starts, by its id.
    offsets: Vec<u32>,
}

impl Parsed {
    pub(crate) fn location(&self, id: Id) -> Location {
        self.offsets.get(id as usize).map_or(Location::NONE, |offset| self.source.location(*offset))
    }

    /// Returns how many ids were given out: one more than the greatest.
    pub(crate) fn ids(&self) -> usize {
        self.offsets.len()
    }
}

/// Reads `text`; `binds` says whether there is the macro `cel.bind`.
pub(crate) fn parse(text: &str, binds: bool) -> Result<Parsed, Issues> {
    let source = Source::new(text);
    let mut issues = Collector::default();
    let tree = read(&source, binds, &mut issues);
    issues.into_result(&source)?;
    match tree {
        Some((root, offsets)) => Ok(Parsed { root, source, offsets }),
        None => unreachable!("what is refused is reported"),
    }
}

/// Returns how deep a text can nest, without reading it: brackets nest the grammar's rules, and long chains nest nodes.
pub(crate) fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            // `a ? b : c ? d : e` nests to the right.
            b'?' => depth += 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest.max(text.len() / CHAIN_BYTES)
}

/// Returns the tree and the places of its nodes, or reports why there is none.
fn read(source: &Source, binds: bool, issues: &mut Collector) -> Option<(Expr, Vec<u32>)> {
    let count = source.characters().len();
    if count > CHARACTERS_MAX {
        let message = format!("expression code point size exceeds limit: size: {count}, limit {CHARACTERS_MAX}");
        issues.report(Location::NONE, message);
        return None;
    }
    let lexemes = lex::lex(source, issues);
    match grammar::read(source, &lexemes, binds, issues) {
        Ok(tree) => return Some(tree),
        Err(grammar::Refused::Syntax) => diagnosis::report(source, &lexemes, issues),
        Err(grammar::Refused::Bound(message)) => issues.report(Location::NONE, message),
    }
    if issues.is_empty() {
        issues.report(Location::NONE, "Syntax error");
    }
    None
}
