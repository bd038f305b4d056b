//! What expressions may ask of an authorizer, and the steps on the way to it.

use std::sync::Arc;

use crate::types::LibraryType;

/// What decides what an expression asks.
pub trait Authorizer: std::fmt::Debug + Send + Sync {
    fn authorize(&self, attributes: &Attributes) -> Decision;
}

/// What is asked: may the user do this?
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// The namespace and name of a service account that is asked about instead of the request's user.
    pub service_account: Option<(String, String)>,
    pub verb: String,
    pub target: Target,
}

/// What the verb is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Path(String),
    Resource(ResourceAttributes),
}

impl Default for Target {
    fn default() -> Self {
        Self::Path(String::new())
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceAttributes {
    pub group: String,
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    /// As written; empty for none.
    pub field_selector: String,
    pub label_selector: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    pub allowed: bool,
    pub reason: String,
    pub error: Option<String>,
}

/// A step on the way to a decision.
#[derive(Clone, Debug)]
pub enum Check<'a> {
    Authorizer(Subject<'a>),
    Path(Subject<'a>, String),
    Group(Subject<'a>, String),
    Resource(Subject<'a>, Arc<ResourceAttributes>),
    Decision(Decision),
}

/// Who is asked, and about whom.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    pub(crate) authorizer: &'a dyn Authorizer,
    pub(crate) service_account: Option<(String, String)>,
}

impl Check<'_> {
    pub(crate) fn kind(&self) -> LibraryType {
        match self {
            Self::Authorizer(_) => LibraryType::Authorizer,
            Self::Path(..) => LibraryType::PathCheck,
            Self::Group(..) => LibraryType::GroupCheck,
            Self::Resource(..) => LibraryType::ResourceCheck,
            Self::Decision(_) => LibraryType::Decision,
        }
    }
}
