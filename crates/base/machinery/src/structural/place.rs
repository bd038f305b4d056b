//! Places in an object as kube-openapi writes them. They borrow their parents, so walking costs nothing until something is wrong.

use std::fmt;

/// `spec.list[0].name`. An additional property of the object itself has a dot in front (`.name`), which messages show.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    Root,
    Property(&'a Place<'a>, &'a str),
    /// A property without a schema of its own name, or one that is missing.
    Additional(&'a Place<'a>, &'a str),
    Item(&'a Place<'a>, usize),
}

impl Place<'_> {
    pub(super) fn is_root(&self) -> bool {
        matches!(self, Self::Root)
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Property(Place::Root, name) => f.write_str(name),
            Self::Property(parent, name) | Self::Additional(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}
