//! What is asked about a request, and how a client is told that it is refused.

use windlass_api::{Status, gvk::GroupResource, names};
use windlass_auth::{Attributes, User};
use windlass_client::Request;

/// What is asked about a request of a component for a resource.
pub(crate) fn request_attributes<'a>(user: &'a User, request: &'a Request) -> Attributes<'a> {
    Attributes {
        group: &request.resource.group,
        version: &request.resource.version,
        resource: &request.resource.resource,
        subresource: &request.subresource,
        namespace: &request.namespace,
        name: &request.name,
        fields: Some(&request.options.fields),
        labels: Some(&request.options.labels),
        ..Attributes::of(user, request.verb.name())
    }
}

/// What is asked about a request for a resource, with what its path and its fields say besides: the namespace that a request about a
/// namespace is in, the object that a collection of one is about.
pub(crate) fn with_request_info<'a>(request: Attributes<'a>) -> Attributes<'a> {
    let selects = matches!(request.verb, "list" | "watch" | "deletecollection");
    let fields = request.fields.filter(|_| selects);
    // Who reads a collection of one reads that one.
    let one = fields.filter(|_| request.verb != "deletecollection").and_then(|f| f.required_value("metadata.name"));
    let name = match one.filter(|one| request.name.is_empty() && names::path_segment(one).is_empty()) {
        Some(one) => one,
        None => request.name,
    };
    // Who asks for a namespace asks in it: whoever administrates one may read it.
    let is_namespace = request.resource == "namespaces" && request.group.is_empty();
    let namespace = if is_namespace { request.name } else { request.namespace };
    let labels = request.labels.filter(|_| selects);
    Attributes { namespace, name, fields, labels, ..request }
}

/// The refusal that the client sees.
pub(crate) fn forbidden(attributes: &Attributes<'_>, why: &str) -> Status {
    let resource =
        GroupResource { group: attributes.group.to_owned().into(), resource: attributes.resource.to_owned().into() };
    let text = if why.is_empty() { attributes.to_string() } else { format!("{attributes}: {why}") };
    Status::forbidden(&resource, attributes.name, text)
}

#[cfg(test)]
mod tests {
    use windlass_api::fields::FieldSelector;

    use super::*;

    #[test]
    fn what_is_asked() {
        let jane = User::new("jane", &[]);
        let asked = |verb: &'static str, resource: &'static str, namespace: &'static str, name, selector: &str| {
            let fields = FieldSelector::parse(selector).unwrap();
            let of_user = Attributes::of(&jane, verb);
            let asked = with_request_info(Attributes { resource, namespace, name, fields: Some(&fields), ..of_user });
            (asked.namespace.to_owned(), asked.name.to_owned(), asked.fields.is_some())
        };
        let of = |namespace: &str, name: &str, fields| (namespace.to_owned(), name.to_owned(), fields);
        assert_eq!(asked("get", "namespaces", "", "team", ""), of("team", "team", false));
        assert_eq!(asked("watch", "namespaces", "", "team", ""), of("team", "team", true));
        assert_eq!(asked("list", "namespaces", "", "", "metadata.name=team"), of("", "team", true));
        assert_eq!(asked("list", "pods", "a", "", "metadata.name=p"), of("a", "p", true));
        assert_eq!(asked("list", "pods", "a", "", "metadata.name=p/q"), of("a", "", true));
        assert_eq!(asked("deletecollection", "pods", "a", "", "metadata.name=p"), of("a", "", true));
        assert_eq!(asked("get", "pods", "a", "p", "metadata.name=q"), of("a", "p", false));
    }
}
