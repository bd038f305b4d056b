//! Roles by name, bindings by subject.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use windlass_api::text::quoted;

use super::Rule;
use crate::{Attributes, Decision, User, service_account_name};

/// A Role (with its namespace) or a ClusterRole.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RoleKey {
    pub namespace: Option<String>,
    pub name: String,
}

/// A RoleBinding (with its namespace) or a ClusterRoleBinding.
pub type BindingKey = RoleKey;

/// Whom a binding is about, as it stands in the object.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[derive(Default)]
pub struct Subject {
    pub kind: String,
    pub name: String,
    pub namespace: String,
}

/// Which role a binding gives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RoleRef {
    pub kind: String,
    pub name: String,
}

/// Whom a binding is about: users and groups as bindings are looked up, and a service account by its user's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    User(String),
    Group(String),
    ServiceAccount { user: String, namespace: String, name: String },
}

impl Who {
    fn is(&self, user: &User) -> bool {
        match self {
            Self::User(name) | Self::ServiceAccount { user: name, .. } => *name == user.name,
            Self::Group(group) => user.is_in(group),
        }
    }
}

impl fmt::Display for Who {
    /// As upstream names the subject of a binding.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "User {}", quoted(name)),
            Self::Group(name) => write!(f, "Group {}", quoted(name)),
            Self::ServiceAccount { namespace, name, .. } => {
                write!(f, "ServiceAccount {}", quoted(&format!("{name}/{namespace}")))
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Binding {
    whom: Vec<Who>,
    role: RoleKey,
}

/// All roles and bindings.
#[derive(Debug, Default)]
pub struct Rbac {
    roles: HashMap<RoleKey, Arc<[Rule]>>,
    bindings: HashMap<BindingKey, Binding>,
    by_user: HashMap<String, Vec<BindingKey>>,
    by_group: HashMap<String, Vec<BindingKey>>,
}

impl Rbac {
    /// Takes in a role, or its end.
    pub fn set_role(&mut self, key: RoleKey, rules: Option<Vec<Rule>>) {
        match rules {
            Some(rules) => self.roles.insert(key, rules.into()),
            None => self.roles.remove(&key),
        };
    }

    pub fn role(&self, key: &RoleKey) -> Option<&Arc<[Rule]>> {
        self.roles.get(key)
    }

    /// Takes in a binding, or its end.
    pub fn set_binding(&mut self, key: BindingKey, binding: Option<(RoleRef, Vec<Subject>)>) {
        if let Some(old) = self.bindings.remove(&key) {
            for who in old.whom {
                let (index, name) = self.place(who);
                if let Some(keys) = index.get_mut(&name) {
                    keys.retain(|k| *k != key);
                    if keys.is_empty() {
                        index.remove(&name);
                    }
                }
            }
        }
        let Some((role, subjects)) = binding else { return };
        let role_namespace = if role.kind == "Role" { key.namespace.clone() } else { None };
        let whom: Vec<Who> = subjects.iter().filter_map(|subject| who(subject, key.namespace.as_deref())).collect();
        for who in &whom {
            let (index, name) = self.place(who.clone());
            let keys = index.entry(name).or_default();
            if !keys.contains(&key) {
                keys.push(key.clone());
            }
        }
        let role = RoleKey { namespace: role_namespace, name: role.name };
        self.bindings.insert(key, Binding { whom, role });
    }

    fn place(&mut self, who: Who) -> (&mut HashMap<String, Vec<BindingKey>>, String) {
        match who {
            Who::User(name) | Who::ServiceAccount { user: name, .. } => (&mut self.by_user, name),
            Who::Group(name) => (&mut self.by_group, name),
        }
    }

    /// The bindings that apply to a user in a namespace (those of the cluster always do).
    fn bindings_of<'a>(
        &'a self,
        user: &'a User,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a BindingKey, &'a Binding)> {
        let of_user = self.by_user.get(&user.name).into_iter().flatten();
        let of_groups = user.groups.iter().filter_map(|group| self.by_group.get(group)).flatten();
        of_user
            .chain(of_groups)
            .filter(move |key| key.namespace.as_deref().is_none_or(|n| !namespace.is_empty() && n == namespace))
            .filter_map(|key| self.bindings.get_key_value(key))
    }

    /// Every rule that a user has in a namespace; with an empty namespace, in the whole cluster.
    pub fn rules_of<'a>(&'a self, user: &'a User, namespace: &'a str) -> impl Iterator<Item = &'a Rule> {
        // Thousands of bindings may say the same.
        let (mut roles, mut rules) = (HashSet::new(), HashSet::new());
        self.bindings_of(user, namespace)
            .filter(move |(_, binding)| roles.insert(&binding.role))
            .filter_map(|(_, binding)| self.roles.get(&binding.role))
            .flat_map(|rules| rules.iter())
            .filter(move |rule| rules.insert(*rule))
    }

    pub fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        let mut missing = None;
        for (_, binding) in self.bindings_of(attributes.user, attributes.namespace) {
            match self.roles.get(&binding.role) {
                Some(rules) if rules.iter().any(|rule| rule.allows(attributes)) => return Decision::Allow,
                Some(_) => {}
                None => missing = Some(&binding.role),
            }
        }
        Decision::NoOpinion(missing.map_or_else(String::new, |role| {
            let kind = if role.namespace.is_some() { "role" } else { "clusterrole" };
            format!("RBAC: {kind}.rbac.authorization.k8s.io {:?} not found", role.name)
        }))
    }
}

impl Rbac {
    /// Upstream's words for the binding that allows what is allowed: one of the cluster before one of the namespace. Empty when there
    /// is none.
    pub fn why_allowed(&self, attributes: &Attributes<'_>) -> String {
        let allows = |(_, binding): &(&BindingKey, &Binding)| {
            self.roles.get(&binding.role).is_some_and(|rules| rules.iter().any(|rule| rule.allows(attributes)))
        };
        let allowing = self.bindings_of(attributes.user, attributes.namespace).filter(allows);
        let Some((key, binding)) =
            allowing.min_by(|(a, _), (b, _)| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)))
        else {
            return String::new();
        };
        let (kind, name) = match &key.namespace {
            Some(namespace) => ("RoleBinding", format!("{}/{namespace}", key.name)),
            None => ("ClusterRoleBinding", key.name.clone()),
        };
        let role = if binding.role.namespace.is_some() { "Role" } else { "ClusterRole" };
        let subject =
            binding.whom.iter().find(|who| who.is(attributes.user)).map(ToString::to_string).unwrap_or_default();
        format!("RBAC: allowed by {kind} {} of {role} {} to {subject}", quoted(&name), quoted(&binding.role.name))
    }
}

fn who(subject: &Subject, binding_namespace: Option<&str>) -> Option<Who> {
    match subject.kind.as_str() {
        "User" => Some(Who::User(subject.name.clone())),
        "Group" => Some(Who::Group(subject.name.clone())),
        "ServiceAccount" => {
            let namespace = if subject.namespace.is_empty() { binding_namespace? } else { &subject.namespace };
            let user = service_account_name(namespace, &subject.name);
            Some(Who::ServiceAccount { user, namespace: namespace.to_owned(), name: subject.name.clone() })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(verbs: &str, groups: &str, resources: &str, names: &str) -> Rule {
        let list = |text: &str| text.split(',').filter(|part| *part != "-").map(str::to_owned).collect();
        Rule {
            verbs: list(verbs),
            api_groups: list(groups),
            resources: list(resources),
            resource_names: list(names),
            non_resource_urls: Vec::new(),
        }
    }

    fn key(namespace: Option<&str>, name: &str) -> RoleKey {
        RoleKey { namespace: namespace.map(str::to_owned), name: name.to_owned() }
    }

    fn subject(kind: &str, name: &str) -> Vec<Subject> {
        vec![Subject { kind: kind.to_owned(), name: name.to_owned(), namespace: String::new() }]
    }

    fn role_ref(kind: &str, name: &str) -> RoleRef {
        RoleRef { kind: kind.to_owned(), name: name.to_owned() }
    }

    fn may(rbac: &Rbac, user: &User, verb: &str, resource: &str, namespace: &str, name: &str) -> bool {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let attributes =
            Attributes { version: "v1", resource, subresource, namespace, name, ..Attributes::of(user, verb) };
        rbac.authorize(&attributes).is_allowed()
    }

    #[test]
    fn roles_and_bindings() {
        let mut rbac = Rbac::default();
        rbac.set_role(key(None, "reader"), Some(vec![rule("get,list", "", "pods,pods/log", "-")]));
        rbac.set_role(key(Some("a"), "one"), Some(vec![rule("*", "*", "configmaps", "x")]));
        rbac.set_binding(key(Some("a"), "b1"), Some((role_ref("ClusterRole", "reader"), subject("User", "jane"))));
        rbac.set_binding(key(Some("a"), "b2"), Some((role_ref("Role", "one"), subject("ServiceAccount", "sa"))));
        rbac.set_binding(key(None, "b3"), Some((role_ref("ClusterRole", "reader"), subject("Group", "ops"))));
        let (jane, sa, ops) = (User::new("jane", &[]), User::service_account("a", "sa"), User::new("bob", &["ops"]));
        assert!(may(&rbac, &jane, "get", "pods", "a", "p"));
        let why = |user: &User, verb, resource, namespace, name| {
            rbac.why_allowed(&Attributes { version: "v1", resource, namespace, name, ..Attributes::of(user, verb) })
        };
        assert_eq!(
            why(&jane, "get", "pods", "a", "p"),
            r#"RBAC: allowed by RoleBinding "b1/a" of ClusterRole "reader" to User "jane""#
        );
        assert_eq!(
            why(&sa, "update", "configmaps", "a", "x"),
            r#"RBAC: allowed by RoleBinding "b2/a" of Role "one" to ServiceAccount "sa/a""#
        );
        assert_eq!(
            why(&ops, "list", "pods", "", ""),
            r#"RBAC: allowed by ClusterRoleBinding "b3" of ClusterRole "reader" to Group "ops""#
        );
        assert_eq!(why(&jane, "list", "pods", "", ""), "");
        assert!(may(&rbac, &jane, "get", "pods/log", "a", "p"));
        assert!(!may(&rbac, &jane, "get", "pods/exec", "a", "p"));
        assert!(!may(&rbac, &jane, "delete", "pods", "a", "p"));
        assert!(!may(&rbac, &jane, "get", "pods", "b", "p"));
        assert!(!may(&rbac, &jane, "list", "pods", "", ""));
        assert!(may(&rbac, &ops, "list", "pods", "", ""));
        assert!(may(&rbac, &sa, "update", "configmaps", "a", "x"));
        assert!(!may(&rbac, &sa, "update", "configmaps", "a", "y"));
        assert!(!may(&rbac, &sa, "list", "configmaps", "a", ""));
        rbac.set_binding(key(Some("a"), "b1"), None);
        assert!(!may(&rbac, &jane, "get", "pods", "a", "p"));
        rbac.set_role(key(None, "reader"), None);
        assert!(!may(&rbac, &ops, "list", "pods", "", ""));
    }

    #[test]
    fn wildcards_and_paths() {
        let all =
            Rule { non_resource_urls: vec!["/healthz".to_owned(), "/api/*".to_owned()], ..rule("*", "*", "*", "-") };
        let user = User::new("u", &[]);
        let path = |path| Attributes { path, ..Attributes::of(&user, "get") };
        assert!(all.allows(&path("/healthz")) && all.allows(&path("/api/v1")) && !all.allows(&path("/metrics")));
        assert!(rule("get", "", "*/scale", "-").allows_resource("x", "scale"));
        assert!(!rule("get", "", "*/scale", "-").allows_resource("x", ""));
        assert!(rule("get", "", "*", "-").allows_resource("x", "y"));
    }

    #[test]
    fn says_which_role_is_missing() {
        let mut rbac = Rbac::default();
        rbac.set_binding(key(None, "b"), Some((role_ref("ClusterRole", "gone"), subject("User", "u"))));
        let user = User::new("u", &[]);
        let attributes =
            Attributes { version: "v1", resource: "pods", namespace: "x", name: "y", ..Attributes::of(&user, "get") };
        assert_eq!(
            rbac.authorize(&attributes),
            Decision::NoOpinion("RBAC: clusterrole.rbac.authorization.k8s.io \"gone\" not found".to_owned())
        );
        assert_eq!(
            attributes.to_string(),
            "User \"u\" cannot get resource \"pods\" in API group \"\" in the namespace \"x\""
        );
    }
}
