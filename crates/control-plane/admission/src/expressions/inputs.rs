//! What expressions may name of a write.

use std::sync::Arc;

use serde_json::Value as Json;
use windlass_api::GroupVersionKind;
use windlass_cel::admission::variable;
use windlass_cel::{Map as CelMap, ResourceAttributes, Value};

use super::authorizer::Authorizer;
use super::typed::Typed;
use super::versioned::Versioned;
use crate::request;
use crate::review::{Cluster, Review};

/// What expressions see of a write, whatever webhook or policy they are of. It borrows the objects.
#[derive(Debug)]
pub struct Write<'a> {
    object: Option<Typed<'a>>,
    old: Option<Typed<'a>>,
    request: Json,
    authorizer: Authorizer<'a>,
    request_resource: Arc<ResourceAttributes>,
}

impl<'a> Write<'a> {
    pub fn of(review: &'a Review<'_>, versioned: &'a Versioned<'_>, cluster: &'a dyn Cluster) -> Self {
        let kind = &*versioned.matched.kind;
        Self {
            object: versioned.object.as_deref().and_then(|object| Typed::of(object, kind)),
            old: versioned.old.as_deref().and_then(|object| Typed::of(object, kind)),
            request: request::of(review, &versioned.matched),
            authorizer: Authorizer { cluster, user: review.user },
            request_resource: Arc::new(ResourceAttributes {
                group: review.resource.group.to_string(),
                resource: review.resource.resource.to_string(),
                subresource: review.subresource.to_owned(),
                namespace: review.object_namespace().to_owned(),
                name: review.object_name().to_owned(),
                ..ResourceAttributes::default()
            }),
        }
    }
}

/// The values of the variables of an expression: those of a write, and what is the policy's own.
#[derive(Debug)]
pub struct Inputs<'a> {
    write: &'a Write<'a>,
    namespace: Option<&'a Json>,
    params: Option<Typed<'a>>,
    has_authorizer: bool,
}

impl<'a> Inputs<'a> {
    /// The write itself.
    pub fn of(write: &'a Write<'a>) -> Self {
        Self { write, namespace: None, params: None, has_authorizer: true }
    }

    /// The same with parameters of a policy.
    #[must_use]
    pub fn with_params(mut self, params: Option<(&'a Json, &'a GroupVersionKind)>) -> Self {
        self.params = params.and_then(|(object, kind)| Typed::of(object, kind));
        self
    }

    /// The same with the namespace that the write is in, as expressions see it.
    #[must_use]
    pub fn with_namespace(self, namespace: Option<&'a Json>) -> Self {
        Self { namespace, ..self }
    }

    /// The same without an authorizer to ask, or with one.
    #[must_use]
    pub fn with_authorizer(self, has_authorizer: bool) -> Self {
        Self { has_authorizer, ..self }
    }

    /// The values by their names. `params` is null without parameters.
    pub(super) fn values(&self) -> Vec<(&str, Value<'_>)> {
        let Write { object, old, request, authorizer, request_resource } = self.write;
        let mut values = vec![
            (variable::OBJECT, typed(object)),
            (variable::OLD_OBJECT, typed(old)),
            (variable::REQUEST, data(request)),
            (variable::NAMESPACE, self.namespace.map_or(Value::Null, data)),
            (variable::PARAMS, typed(&self.params)),
        ];
        if self.has_authorizer {
            values.extend([
                (variable::AUTHORIZER, Value::authorizer(authorizer)),
                (variable::REQUEST_RESOURCE, Value::resource_check(authorizer, request_resource.clone())),
            ]);
        }
        values
    }
}

fn typed<'v>(object: &'v Option<Typed<'_>>) -> Value<'v> {
    object.as_ref().map_or(Value::Null, |object| Value::Map(CelMap::Fields(object)))
}

fn data(data: &Json) -> Value<'_> {
    Value::from_json(data, None).unwrap_or(Value::Null)
}
