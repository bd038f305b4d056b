//! A request in the API's own terms.

use std::borrow::Cow;

use bytes::Bytes;
use windlass_api::GroupVersionResource;

use crate::options::Options;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch(PatchType),
    Delete,
    DeleteCollection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PatchType {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    Strategic,
    /// Server-side apply.
    Apply,
}

impl Verb {
    /// As RBAC names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch(_) => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }

    pub fn is_read_only(self) -> bool {
        matches!(self, Self::Get | Self::List | Self::Watch)
    }
}

impl PatchType {
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json-patch+json",
            Self::Merge => "application/merge-patch+json",
            Self::Strategic => "application/strategic-merge-patch+json",
            Self::Apply => "application/apply-patch+yaml",
        }
    }
}

/// How a body is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    #[default]
    Json,
    Yaml,
    Protobuf,
}

#[derive(Clone, Debug, Default)]
pub struct Body {
    pub bytes: Bytes,
    pub encoding: Encoding,
}

/// What is wanted of the API.
#[derive(Clone, Debug)]
pub struct Request {
    pub verb: Verb,
    pub resource: GroupVersionResource,
    /// Empty for the object itself.
    pub subresource: Cow<'static, str>,
    /// Empty for cluster-wide objects, and for lists over all namespaces.
    pub namespace: String,
    /// Empty for collections.
    pub name: String,
    pub options: Options,
    pub body: Body,
}

impl Request {
    pub fn new(verb: Verb, resource: &GroupVersionResource) -> Self {
        Self {
            verb,
            resource: resource.clone(),
            subresource: Cow::Borrowed(""),
            namespace: String::new(),
            name: String::new(),
            options: Options::default(),
            body: Body::default(),
        }
    }

    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    pub fn subresource(mut self, subresource: impl Into<Cow<'static, str>>) -> Self {
        self.subresource = subresource.into();
        self
    }

    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    pub fn json(mut self, bytes: impl Into<Bytes>) -> Self {
        self.body = Body { bytes: bytes.into(), encoding: Encoding::Json };
        self
    }
}
