//! The `AdmissionRequest` of `admission.k8s.io/v1` that tells webhooks and expressions of a write.

use serde_json::{Map, Value, json};
use windlass_api::{GroupVersionKind, GroupVersionResource};
use windlass_machinery::tree::put;

use crate::matching::Matched;
use crate::review::Review;

/// What a webhook gets beside what every expression sees. Objects are null where there are none.
pub struct Contents<'a> {
    pub uid: &'a str,
    pub object: Value,
    pub old_object: Value,
}

/// The request as a webhook gets it.
pub fn with_contents(review: &Review<'_>, matched: &Matched<'_>, contents: Contents<'_>) -> Value {
    let mut request = of(review, matched);
    put(&mut request, "uid", contents.uid);
    put(&mut request, "object", contents.object);
    put(&mut request, "oldObject", contents.old_object);
    request
}

/// The request as expressions see it: without a uid, and without the objects, which are variables of their own. What is empty is left out.
pub fn of(review: &Review<'_>, matched: &Matched<'_>) -> Value {
    let mut request = Map::new();
    let mut put = |field: &str, value: Value| drop(request.insert(field.to_owned(), value));
    put("kind", kind(&matched.kind));
    put("resource", resource(&matched.resource));
    put("requestKind", kind(review.kind));
    put("requestResource", resource(review.resource));
    let texts = [
        ("subResource", review.subresource),
        ("requestSubResource", review.subresource),
        ("name", review.object_name()),
        ("namespace", review.object_namespace()),
    ];
    for (field, text) in texts {
        if !text.is_empty() {
            put(field, Value::from(text));
        }
    }
    put("operation", Value::from(review.operation.name()));
    put("userInfo", serde_json::to_value(review.user).unwrap_or_default());
    put("dryRun", Value::from(review.dry_run));
    put("options", review.options.options(review.operation));
    Value::Object(request)
}

/// An object as those see it who are not told of its kind otherwise.
pub fn with_type(mut object: Value, kind: &GroupVersionKind) -> Value {
    put(&mut object, "apiVersion", kind.api_version());
    put(&mut object, "kind", &*kind.kind);
    object
}

fn kind(kind: &GroupVersionKind) -> Value {
    json!({"group": kind.group, "version": kind.version, "kind": kind.kind})
}

fn resource(resource: &GroupVersionResource) -> Value {
    json!({"group": resource.group, "version": resource.version, "resource": resource.resource})
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use windlass_auth::User;

    use super::*;
    use crate::fake::Fake;
    use crate::reinvocation::Reinvocation;
    use crate::review::Operation;

    #[test]
    fn what_a_webhook_gets() {
        let cluster = Fake::default();
        let (asked, matched) =
            (GroupVersionKind::of("autoscaling", "v2", "X"), GroupVersionKind::of("autoscaling", "v1", "X"));
        let review = Review {
            operation: Operation::Delete,
            kind: &asked,
            resource: &GroupVersionResource::of("autoscaling", "v2", "xs"),
            subresource: "",
            namespace: "n",
            name: "x",
            user: &User { name: "jane".to_owned(), ..User::default() },
            object: None,
            old: None,
            dry_run: false,
            options: &json!({"kind": "DeleteOptions"}),
            warnings: &cluster,
            reinvocation: Reinvocation::default(),
        };
        let resource = Cow::Owned(GroupVersionResource::of("autoscaling", "v1", "xs"));
        let matched = Matched { resource, kind: Cow::Owned(matched) };
        let old_object = with_type(json!({"metadata": {"name": "x"}}), &matched.kind);
        let contents = Contents { uid: "u", object: Value::Null, old_object };
        let expected = json!({
            "uid": "u", "operation": "DELETE", "name": "x", "namespace": "n", "dryRun": false,
            "kind": {"group": "autoscaling", "version": "v1", "kind": "X"},
            "resource": {"group": "autoscaling", "version": "v1", "resource": "xs"},
            "requestKind": {"group": "autoscaling", "version": "v2", "kind": "X"},
            "requestResource": {"group": "autoscaling", "version": "v2", "resource": "xs"},
            "userInfo": {"username": "jane"}, "options": {"kind": "DeleteOptions"}, "object": null,
            "oldObject": {"apiVersion": "autoscaling/v1", "kind": "X", "metadata": {"name": "x"}}});
        assert_eq!(with_contents(&review, &matched, contents), expected);
    }
}
