//! JSONPath as kubectl, printer columns and selectable fields speak it: `.spec.ports[0].name`, `.conditions[?(@.type=="Ready")]`.
//!
//! Fields (`.a`, `['a']`, where a dot in a name is written `\.` in both), items (`[0]`, `[-1:]`, `[0:4:2]`, `[0,2]`), everything
//! (`.*`, `[*]`), whatever depth (`..a`), filters with one comparison or none, and literals. Not `range` and `end`, which print
//! templates and find nothing here.
//!
//! Source: client-go `util/jsonpath`, apiextensions-apiserver `pkg/registry/customresource/tableconvertor`.

mod find;
mod parse;

use serde_json::Value;

/// A path, ready to be used.
#[derive(Debug)]
pub struct JsonPath {
    steps: Steps,
}

type Steps = Box<[Step]>;

#[derive(Debug)]
enum Step {
    Field(Box<str>),
    /// `*`.
    All,
    /// `..`.
    Descend,
    Slice(Slice),
    Union(Box<[Steps]>),
    Filter(Box<Filter>),
    /// A number or a boolean: one for each value that has been found so far.
    Literal(Value),
    /// A text in quotes: one, whatever has been found so far.
    Text(Value),
    /// A word that means nothing.
    Unknown,
}

/// `[from:to:step]`; negative places count from the end.
#[derive(Clone, Copy, Debug)]
struct Slice {
    from: Option<i64>,
    to: Option<i64>,
    step: Option<i64>,
    /// `[n]`: the end is not written.
    is_single: bool,
}

#[derive(Debug)]
enum Filter {
    Exists(Steps),
    Compare { left: Steps, operator: Box<str>, right: Steps },
}

impl JsonPath {
    /// Reads a path as it stands in a definition, without braces around it. The error is upstream's.
    pub fn parse(path: &str) -> Result<Self, String> {
        Ok(Self { steps: parse::path(path)? })
    }

    /// What the path leads to, in order; fields of maps in the order of their names. Nothing where a field is absent, and also
    /// where upstream reports an error: a filter on what is no list, an index beyond the end, values that do not compare; nor where
    /// there would be more than a million values on the way.
    pub fn find<'a>(&'a self, tree: &'a Value) -> Vec<&'a Value> {
        find::all(vec![tree], &self.steps).unwrap_or_default()
    }
}
