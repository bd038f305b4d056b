//! What expressions may name of a write.

use serde_json::{Map, Value as Json};
use windlass_api::GroupVersionKind;
use windlass_cel::admission::variable;
use windlass_cel::{Map as CelMap, ResourceAttributes, Value};

use super::authorizer::Authorizer;
use super::typed::Typed;
use super::versioned::Versioned;
use crate::request;
use crate::review::{Cluster, Review};

/// The values of the variables of a write, which borrow its objects.
#[derive(Debug)]
pub struct Inputs<'a> {
    object: Option<Typed<'a>>,
    old: Option<Typed<'a>>,
    request: Json,
    namespace: Option<Json>,
    params: Option<Typed<'a>>,
    authorizer: Authorizer<'a>,
    has_authorizer: bool,
    request_resource: ResourceAttributes,
}

impl<'a> Inputs<'a> {
    /// The write itself.
    pub fn of(review: &'a Review<'_>, versioned: &'a Versioned<'_>, cluster: &'a dyn Cluster) -> Self {
        let kind = &*versioned.matched.kind;
        Self {
            object: versioned.object.as_deref().and_then(|object| Typed::of(object, kind)),
            old: versioned.old.as_deref().and_then(|object| Typed::of(object, kind)),
            request: request::of(review, &versioned.matched),
            namespace: None,
            params: None,
            authorizer: Authorizer { cluster, user: review.user },
            has_authorizer: true,
            request_resource: ResourceAttributes {
                group: review.resource.group.to_string(),
                resource: review.resource.resource.to_string(),
                subresource: review.subresource.to_owned(),
                namespace: review.object_namespace().to_owned(),
                name: review.object_name().to_owned(),
                ..ResourceAttributes::default()
            },
        }
    }

    /// The same with parameters of a policy.
    #[must_use]
    pub fn with_params(mut self, params: Option<(&'a Json, &'a GroupVersionKind)>) -> Self {
        self.params = params.and_then(|(object, kind)| Typed::of(object, kind));
        self
    }

    /// The same with the namespace that the write is in.
    #[must_use]
    pub fn with_namespace(mut self, namespace: Option<&Json>) -> Self {
        self.namespace = namespace.map(shown_namespace);
        self
    }

    /// The same without an authorizer to ask, or with one.
    #[must_use]
    pub fn with_authorizer(self, has_authorizer: bool) -> Self {
        Self { has_authorizer, ..self }
    }

    /// The values by their names. `params` is null without parameters.
    pub(super) fn values(&self) -> Vec<(&str, Value<'_>)> {
        let mut values = vec![
            (variable::OBJECT, typed(&self.object)),
            (variable::OLD_OBJECT, typed(&self.old)),
            (variable::REQUEST, data(&self.request)),
            (variable::NAMESPACE, self.namespace.as_ref().map_or(Value::Null, data)),
            (variable::PARAMS, typed(&self.params)),
        ];
        if self.has_authorizer {
            let resource = Value::resource_check(&self.authorizer, self.request_resource.clone());
            values.extend([
                (variable::AUTHORIZER, Value::authorizer(&self.authorizer)),
                (variable::REQUEST_RESOURCE, resource),
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

/// A namespace without what expressions do not see of it.
fn shown_namespace(namespace: &Json) -> Json {
    const METADATA: [&str; 12] = [
        "name",
        "generateName",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "labels",
        "annotations",
        "finalizers",
    ];
    let mut shown = Map::new();
    let metadata = namespace["metadata"].as_object().into_iter().flatten();
    let metadata: Map<String, Json> = metadata
        .filter(|(field, _)| METADATA.contains(&field.as_str()))
        .map(|(field, value)| (field.clone(), value.clone()))
        .collect();
    shown.insert("metadata".to_owned(), Json::Object(metadata));
    for part in ["spec", "status"] {
        let value = namespace.get(part).cloned().unwrap_or_else(|| Json::Object(Map::new()));
        shown.insert(part.to_owned(), value);
    }
    Json::Object(shown)
}
