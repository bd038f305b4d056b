//! What is asked of field management.

use crate::schema::{Schema, TypeId};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Apply,
    Update,
}

impl Operation {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// Who changes an object, through what, and when.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    pub schema: &'a Schema,
    pub id: TypeId,
    pub manager: &'a str,
    pub api_version: &'a str,
    pub subresource: &'a str,
    /// RFC 3339.
    pub now: &'a str,
    /// Trees that this endpoint does not let anybody change, as paths of names: the status, or everything else.
    pub reset: &'a [&'a [&'a str]],
}
