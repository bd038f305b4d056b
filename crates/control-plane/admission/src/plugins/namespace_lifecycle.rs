//! NamespaceLifecycle: nothing is created in a namespace that is not there or is going away, and the namespaces that the
//! cluster itself needs are not deleted.

use async_trait::async_trait;
use serde_json::Value;
use windlass_api::status::Cause;
use windlass_api::well_known::namespace;
use windlass_api::{GroupResource, Status};

use crate::chain::Plugin;
use crate::review::{Cluster, Operation, Review};

pub(super) struct NamespaceLifecycle;

#[async_trait]
impl Plugin for NamespaceLifecycle {
    fn name(&self) -> &'static str {
        "NamespaceLifecycle"
    }

    async fn admit(&self, review: &mut Review<'_>, cluster: &dyn Cluster) -> Result<(), Status> {
        let namespaces = GroupResource::of("", "namespaces");
        if review.resource.group.is_empty() && review.resource.resource == "namespaces" {
            let protected = [namespace::DEFAULT, namespace::KUBE_SYSTEM, namespace::KUBE_PUBLIC];
            if review.operation == Operation::Delete && protected.contains(&review.name) {
                return Err(Status::forbidden(&namespaces, review.name, "this namespace may not be deleted"));
            }
            return Ok(());
        }
        if review.namespace.is_empty() || review.operation != Operation::Create || is_review(review) {
            return Ok(());
        }
        let Some(found) = cluster.object("namespaces", "", review.namespace) else {
            return Err(Status::not_found(&namespaces, review.namespace));
        };
        if found.pointer("/metadata/deletionTimestamp").is_some() {
            let why = format!(
                "unable to create new content in namespace {} because it is being terminated",
                review.namespace
            );
            let cause = Cause {
                reason: "NamespaceTerminating".to_owned(),
                message: format!("namespace {} is being terminated", review.namespace),
                field: "metadata.namespace".to_owned(),
            };
            let name = object_name(review).to_owned();
            return Err(Status::forbidden(&review.resource.group_resource(), &name, why).with_cause(cause));
        }
        Ok(())
    }
}

/// A question about access is answered whether or not the namespace is there.
fn is_review(review: &Review<'_>) -> bool {
    review.resource.group == "authorization.k8s.io"
}

fn object_name<'a>(review: &'a Review<'_>) -> &'a str {
    let of_object = review.object.as_ref().and_then(|object| object.pointer("/metadata/name")).and_then(Value::as_str);
    of_object.unwrap_or(review.name)
}
