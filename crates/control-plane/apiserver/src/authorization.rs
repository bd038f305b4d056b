//! Authorization over the store: the indexes of [`windlass_auth`], kept up to date by reading what has changed since the last
//! request. So a role counts from the moment that its creation is acknowledged, and nothing runs in the background.

use std::sync::Arc;

use parking_lot::RwLock;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use windlass_api::well_known::group;
use windlass_api::{Status, gvk::GroupResource, names};
use windlass_auth::node::NodeAuthorizer;
use windlass_auth::rbac::{BindingKey, Rbac, RoleKey, RoleRef, Rule, Subject, bootstrap};
use windlass_auth::{Attributes, Decision, User};
use windlass_client::Request;
use windlass_store::{EventKind, Item, Range, Store, Table};

pub(crate) struct Authorizer {
    rbac: Fed<Rbac>,
    nodes: Fed<NodeAuthorizer>,
}

/// An index over tables, with the revision of each up to which it has been fed.
struct Fed<T> {
    tables: Vec<Arc<Table>>,
    state: RwLock<(T, Vec<u64>)>,
    /// The index of nothing.
    empty: Box<dyn Fn() -> T + Send + Sync>,
    /// Takes in a change: the table's number, the object, and whether it is gone.
    take: fn(&mut T, usize, &Item, bool),
}

impl<T> Fed<T> {
    fn new(
        store: &Store,
        tables: &[&str],
        empty: impl Fn() -> T + Send + Sync + 'static,
        take: fn(&mut T, usize, &Item, bool),
    ) -> Self {
        let tables: Vec<_> = tables.iter().map(|name| store.table(name)).collect();
        let state = RwLock::new((empty(), vec![0; tables.len()]));
        Self { tables, state, empty: Box::new(empty), take }
    }

    /// Answers from the index as of now. Cost when nothing has changed: a revision compared for each table, and a read lock.
    fn ask<R>(&self, question: impl FnOnce(&T) -> R) -> R {
        {
            let state = self.state.read();
            if self.tables.iter().zip(&state.1).all(|(table, seen)| table.last() == *seen) {
                return question(&state.0);
            }
        }
        let mut state = self.state.write();
        let (index, seen) = &mut *state;
        if !self.catch_up(index, seen) {
            // Events are missing, so what has been deleted meanwhile is not known: start from nothing.
            *index = (self.empty)();
            seen.fill(0);
            self.catch_up(index, seen);
        }
        question(index)
    }

    /// Whether the logs still reached back to what had been seen.
    fn catch_up(&self, index: &mut T, seen: &mut [u64]) -> bool {
        for (number, table) in self.tables.iter().enumerate() {
            let now = table.state();
            if seen[number] == 0 {
                now.iter(&Range::default()).for_each(|item| (self.take)(index, number, item, false));
            } else {
                let Ok(events) = now.events_after(seen[number]) else { return false };
                for event in events {
                    (self.take)(index, number, &event.item, event.kind == EventKind::Deleted);
                }
            }
            seen[number] = now.last();
        }
        true
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RoleObject {
    rules: Option<Vec<Rule>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BindingObject {
    role_ref: RoleRef,
    subjects: Option<Vec<Subject>>,
}

fn read<T: DeserializeOwned + Default>(item: &Item) -> T {
    serde_json::from_slice(&item.value).unwrap_or_else(|error| {
        tracing::error!(key = %item.key, %error, "an object in the store cannot be read");
        T::default()
    })
}

fn key(item: &Item) -> BindingKey {
    let namespace = item.namespace();
    RoleKey { namespace: (!namespace.is_empty()).then(|| namespace.to_owned()), name: item.name().to_owned() }
}

fn take_rbac(rbac: &mut Rbac, table: usize, item: &Item, gone: bool) {
    if table < 2 {
        rbac.set_role(key(item), (!gone).then(|| read::<RoleObject>(item).rules.unwrap_or_default()));
    } else {
        let binding = (!gone).then(|| read::<BindingObject>(item));
        rbac.set_binding(key(item), binding.map(|b| (b.role_ref, b.subjects.unwrap_or_default())));
    }
}

/// The tables of objects that belong to nodes, or lead to them.
const OF_NODES: [&str; 5] = [
    "pods",
    "persistentvolumes",
    "volumeattachments.storage.k8s.io",
    "resourceslices.resource.k8s.io",
    "podcertificaterequests.certificates.k8s.io",
];

fn take_of_nodes(nodes: &mut NodeAuthorizer, table: usize, item: &Item, gone: bool) {
    let object = (!gone).then(|| read::<Value>(item));
    let (namespace, name) = (item.namespace(), item.name());
    let node = object.as_ref().and_then(|object| object["spec"]["nodeName"].as_str());
    match table {
        0 => nodes.set_pod(namespace, name, object.as_ref()),
        1 => nodes.set_volume(name, object.as_ref()),
        2 => nodes.set_named("volumeattachments", namespace, name, node),
        3 => nodes.set_named("resourceslices", namespace, name, node),
        _ => nodes.set_named("podcertificaterequests", namespace, name, node),
    }
}

/// The rules that every node has; upstream binds the role to nobody and builds it into the Node authorizer.
fn node_rules() -> Vec<Rule> {
    let objects = bootstrap::objects();
    let role = objects.iter().find(|o| o["kind"] == "ClusterRole" && o["metadata"]["name"] == "system:node");
    role.and_then(|role| serde_json::from_value(role["rules"].clone()).ok()).unwrap_or_default()
}

impl Authorizer {
    pub(crate) fn new(store: &Store) -> Self {
        const RBAC: [&str; 4] = [
            "roles.rbac.authorization.k8s.io",
            "clusterroles.rbac.authorization.k8s.io",
            "rolebindings.rbac.authorization.k8s.io",
            "clusterrolebindings.rbac.authorization.k8s.io",
        ];
        Self {
            rbac: Fed::new(store, &RBAC, Rbac::default, take_rbac),
            nodes: Fed::new(store, &OF_NODES, || NodeAuthorizer::new(node_rules()), take_of_nodes),
        }
    }

    /// Whether the attributes' user may do what they say.
    pub(crate) fn decide(&self, attributes: &Attributes<'_>) -> Decision {
        if attributes.user.is_in(group::MASTERS) {
            return Decision::Allow;
        }
        let mut reason = String::new();
        if attributes.user.node().is_some() {
            match self.nodes.ask(|nodes| nodes.authorize(attributes)) {
                Decision::Allow => return Decision::Allow,
                Decision::NoOpinion(why) => reason = why,
            }
        }
        match self.rbac.ask(|rbac| rbac.authorize(attributes)) {
            Decision::NoOpinion(why) if reason.is_empty() => Decision::NoOpinion(why),
            Decision::NoOpinion(_) => Decision::NoOpinion(reason),
            Decision::Allow => Decision::Allow,
        }
    }

    /// Which binding allows what is allowed; nothing of what needs none.
    pub(crate) fn why_allowed(&self, attributes: &Attributes<'_>) -> String {
        let needs_no_binding = attributes.user.is_in(group::MASTERS)
            || (attributes.user.node().is_some() && self.nodes.ask(|nodes| nodes.authorize(attributes)).is_allowed());
        if needs_no_binding { String::new() } else { self.rbac.ask(|rbac| rbac.why_allowed(attributes)) }
    }

    /// Every RBAC rule of a user in a namespace.
    pub(crate) fn rules_of(&self, user: &User, namespace: &str) -> Vec<Rule> {
        self.rbac.ask(|rbac| rbac.rules_of(user, namespace).cloned().collect())
    }

    /// The rules of a role; `None` when there is no such role.
    pub(crate) fn rules_of_role(&self, key: &RoleKey) -> Option<Arc<[Rule]>> {
        self.rbac.ask(|rbac| rbac.role(key).cloned())
    }
}

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
        ..Attributes::of(user, request.verb.name())
    }
}

/// What is asked about a request for a resource, with what its path and its fields say besides: the namespace that a request about a
/// namespace is in, the object that a collection of one is about.
pub(crate) fn with_request_info<'a>(request: Attributes<'a>) -> Attributes<'a> {
    let fields = request.fields.filter(|_| matches!(request.verb, "list" | "watch" | "deletecollection"));
    // Who reads a collection of one reads that one.
    let one = fields.filter(|_| request.verb != "deletecollection").and_then(|f| f.required_value("metadata.name"));
    let name = match one.filter(|one| request.name.is_empty() && names::path_segment(one).is_empty()) {
        Some(one) => one,
        None => request.name,
    };
    // Who asks for a namespace asks in it: whoever administrates one may read it.
    let is_namespace = request.resource == "namespaces" && request.group.is_empty();
    let namespace = if is_namespace { request.name } else { request.namespace };
    Attributes { namespace, name, fields, ..request }
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
    use super::*;
    use windlass_api::fields::FieldSelector;

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
