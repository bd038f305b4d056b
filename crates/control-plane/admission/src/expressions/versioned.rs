//! A write as one of the kind that a webhook or policy matches.

use std::borrow::Cow;

use serde_json::Value;
use windlass_api::{GroupVersionKind, Status};

use crate::matching::Matched;
use crate::review::{Cluster, Review};

/// The objects of a write, converted to a kind.
pub struct Versioned<'a> {
    pub matched: Matched<'a>,
    pub object: Option<Cow<'a, Value>>,
    pub old: Option<Cow<'a, Value>>,
}

impl<'a> Versioned<'a> {
    /// Converts what has to be converted. Objects that are of the kind already are borrowed.
    pub async fn of(review: &'a Review<'_>, matched: Matched<'a>, cluster: &dyn Cluster) -> Result<Self, Status> {
        let object = converted(review.object.as_deref(), review.kind, &matched.kind, cluster).await?;
        let old = converted(review.old, review.kind, &matched.kind, cluster).await?;
        Ok(Self { matched, object, old })
    }
}

async fn converted<'a>(
    object: Option<&'a Value>,
    from: &GroupVersionKind,
    to: &GroupVersionKind,
    cluster: &dyn Cluster,
) -> Result<Option<Cow<'a, Value>>, Status> {
    Ok(match object {
        Some(object) if from != to => Some(Cow::Owned(cluster.convert(object.clone(), from, to).await?)),
        object => object.map(Cow::Borrowed),
    })
}
