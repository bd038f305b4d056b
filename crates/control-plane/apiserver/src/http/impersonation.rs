//! Acting as somebody else (`kubectl --as`): whom the headers ask for, and whether the user may.
//!
//! A user may in one of several ways ([`Way`]). The old one, the verb `impersonate`, lets him do whatever the other one may. The others are
//! constrained: `impersonate:WAY` says as whom, and `impersonate-on:WAY:VERB` says to do what.
//!
//! A header that cannot be understood is an error, never an absence: what is skipped here would let the caller act as somebody else.
//! Source: apiserver `endpoints/filters/impersonation`.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;
use http::header::HeaderValue;
use windlass_api::well_known::group;
use windlass_api::{Status, names};
use windlass_auth::{Attributes, User};

use super::path;
use crate::authorization::forbidden;
use crate::gate::Gate;

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";

const ANONYMOUS: &str = "system:anonymous";
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";

/// As many groups, or values of extra fields, are asked about at once first.
const MANY: usize = 4;

/// How a user may come to act as another one, in the order in which they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// A service account, as the node that its pod runs on.
    AssociatedNode,
    ArbitraryNode,
    ServiceAccount,
    /// Anybody who is neither a node nor a service account.
    UserInfo,
    /// With the verb `impersonate`, without any constraint.
    Legacy,
}

impl Way {
    const ALL: [Self; 5] =
        [Self::AssociatedNode, Self::ArbitraryNode, Self::ServiceAccount, Self::UserInfo, Self::Legacy];

    /// The verb that says as whom.
    fn verb(self) -> &'static str {
        match self {
            Self::AssociatedNode => "impersonate:associated-node",
            Self::ArbitraryNode => "impersonate:arbitrary-node",
            Self::ServiceAccount => "impersonate:serviceaccount",
            Self::UserInfo => "impersonate:user-info",
            Self::Legacy => "impersonate",
        }
    }

    /// The verb that says to do what; `None` when there is no constraint.
    fn verb_on(self, verb: &str) -> Option<String> {
        let way = self.verb().strip_prefix("impersonate:")?;
        Some(format!("impersonate-on:{way}:{verb}"))
    }

    /// Whether it is a way from this user to that one.
    fn leads(self, from: &User, wanted: &Wanted) -> bool {
        match self {
            Self::AssociatedNode => {
                let own = from.extra.get(NODE_NAME).map(Vec::as_slice).unwrap_or_default();
                let is_account = windlass_auth::split_service_account(&from.name).is_some();
                wanted.is_name_only() && is_account && wanted.node().is_some_and(|node| own == [node])
            }
            Self::ArbitraryNode => wanted.is_name_only() && wanted.node().is_some(),
            Self::ServiceAccount => wanted.is_name_only() && wanted.account().is_some(),
            Self::UserInfo => wanted.node().is_none() && wanted.account().is_none(),
            Self::Legacy => true,
        }
    }
}

/// Whom the headers ask to act as.
#[derive(Debug, Default, PartialEq)]
struct Wanted {
    user: String,
    uid: String,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

impl Wanted {
    /// `None` when they ask for nobody.
    fn read(headers: &HeaderMap) -> Result<Option<Self>, Status> {
        let first =
            |name: &str| headers.get(name).map(|value| text(name, value)).transpose().map(Option::unwrap_or_default);
        let groups = headers.get_all(GROUP).iter().map(|value| text(GROUP, value)).collect::<Result<_, _>>()?;
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in headers {
            if let Some(key) = name.as_str().strip_prefix(EXTRA) {
                extra.entry(path::decode(key)).or_default().push(text(name.as_str(), value)?);
            }
        }
        let wanted = Self { user: first(USER)?, uid: first(UID)?, groups, extra };
        if !wanted.user.is_empty() {
            return Ok(Some(wanted));
        }
        if wanted.is_name_only() {
            return Ok(None);
        }
        Err(Status::bad_request(format!("requested {} without impersonating a user name", wanted.in_go())))
    }

    fn is_name_only(&self) -> bool {
        self.uid.is_empty() && self.groups.is_empty() && self.extra.is_empty()
    }

    fn node(&self) -> Option<&str> {
        self.user.strip_prefix("system:node:").filter(|name| names::dns1123_subdomain(name).is_empty())
    }

    fn account(&self) -> Option<(&str, &str)> {
        windlass_auth::split_service_account(&self.user)
    }

    /// How upstream's error shows it.
    fn in_go(&self) -> String {
        let list = |values: &[String]| match values {
            [] => "[]string(nil)".to_owned(),
            values => format!("[]string{{{}}}", values.iter().map(|v| format!("{v:?}")).collect::<Vec<_>>().join(", ")),
        };
        let extra = match self.extra.is_empty() {
            true => "map[string][]string(nil)".to_owned(),
            false => {
                let entries = self.extra.iter().map(|(key, values)| format!("{key:?}:{}", list(values)));
                format!("map[string][]string{{{}}}", entries.collect::<Vec<_>>().join(", "))
            }
        };
        let (name, uid, groups) = (&self.user, &self.uid, list(&self.groups));
        format!("&user.DefaultInfo{{Name:{name:?}, UID:{uid:?}, Groups:{groups}, Extra:{extra}}}")
    }
}

/// Header values are bytes; Kubernetes' names in them are UTF-8.
fn text(name: &str, value: &HeaderValue) -> Result<String, Status> {
    let text = std::str::from_utf8(value.as_bytes());
    text.map(str::to_owned).map_err(|_| Status::bad_request(format!("the header {name} is not valid UTF-8")))
}

/// Lets a user who may do so act as the one whom the headers name. `request` is what he wants to do then.
pub(super) fn impersonate(
    gate: &Gate,
    headers: &HeaderMap,
    request: &Attributes<'_>,
) -> Result<Option<Arc<User>>, Status> {
    let Some(wanted) = Wanted::read(headers)? else { return Ok(None) };
    let mut refusal = None;
    for way in Way::ALL.into_iter().filter(|way| way.leads(request.user, &wanted)) {
        match (Attempt { gate, way, wanted: &wanted, request }).user() {
            Ok(user) => return Ok(Some(Arc::new(user))),
            // The client sees why it may not go the first way.
            Err(status) => drop(refusal.get_or_insert(status)),
        }
    }
    Err(refusal.unwrap_or_else(Status::unauthorized))
}

/// One way, gone.
struct Attempt<'a> {
    gate: &'a Gate,
    way: Way,
    wanted: &'a Wanted,
    request: &'a Attributes<'a>,
}

impl Attempt<'_> {
    /// Whom the user acts as.
    fn user(&self) -> Result<User, Status> {
        let Self { way, wanted, .. } = *self;
        if let Some(verb) = way.verb_on(self.request.verb) {
            self.gate.authorize(&Attributes { verb: &verb, ..*self.request })?;
        }
        let mut groups = self.authorize_name()?;
        if !wanted.uid.is_empty() {
            self.authorize(&Attributes { resource: "uids", name: &wanted.uid, ..self.about_more() })?;
        }
        self.authorize_groups()?;
        self.authorize_extra()?;
        let has = |groups: &[String], group: &str| groups.iter().any(|own| own == group);
        let is_anonymous = wanted.user == ANONYMOUS;
        let says = if is_anonymous { group::UNAUTHENTICATED } else { group::AUTHENTICATED };
        // Whoever says that he is not authenticated is not.
        let says_otherwise = !is_anonymous && has(&groups, group::UNAUTHENTICATED);
        if !has(&groups, says) && !says_otherwise {
            groups.push(says.to_owned());
        }
        Ok(User { name: wanted.user.clone(), uid: wanted.uid.clone(), groups, extra: wanted.extra.clone() })
    }

    fn is_constrained(&self) -> bool {
        self.way != Way::Legacy
    }

    fn authorize(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        self.gate.authorize(attributes)
    }

    /// A question about the name or a group.
    fn about_name(&self) -> Attributes<'_> {
        let group = if self.is_constrained() { "authentication.k8s.io" } else { "" };
        Attributes { group, ..self.about_more() }
    }

    /// A question about the uid or an extra field.
    fn about_more(&self) -> Attributes<'_> {
        Attributes {
            group: "authentication.k8s.io",
            version: "v1",
            ..Attributes::of(self.request.user, self.way.verb())
        }
    }

    /// Returns the groups that come with the name, or those that are asked for.
    fn authorize_name(&self) -> Result<Vec<String>, Status> {
        let Self { way, wanted, .. } = *self;
        let (resource, namespace, name, groups) = match (wanted.account(), wanted.node()) {
            (Some((namespace, name)), _) => {
                ("serviceaccounts", namespace, name, windlass_auth::service_account_groups(namespace))
            }
            (None, Some(_)) if way == Way::AssociatedNode => ("nodes", "", "*", vec![group::NODES.to_owned()]),
            (None, Some(node)) if self.is_constrained() => ("nodes", "", node, vec![group::NODES.to_owned()]),
            (None, _) => ("users", "", wanted.user.as_str(), Vec::new()),
        };
        self.authorize(&Attributes { resource, namespace, name, ..self.about_name() })?;
        Ok(if wanted.groups.is_empty() { groups } else { wanted.groups.clone() })
    }

    fn authorize_groups(&self) -> Result<(), Status> {
        let groups = &self.wanted.groups;
        let about = Attributes { resource: "groups", ..self.about_name() };
        if self.is_constrained() {
            if groups.iter().any(String::is_empty) {
                return Err(forbidden(&about, "impersonating the empty string group is not allowed"));
            }
            if groups.iter().any(|group| group == group::MASTERS) {
                let about = Attributes { name: group::MASTERS, ..about };
                return Err(forbidden(&about, "impersonating the system:masters group is not allowed"));
            }
            if groups.len() >= MANY && self.authorize(&Attributes { name: "*", ..about }).is_ok() {
                return Ok(());
            }
        }
        groups.iter().try_for_each(|name| self.authorize(&Attributes { name, ..about }))
    }

    fn authorize_extra(&self) -> Result<(), Status> {
        let extra = &self.wanted.extra;
        let about = Attributes { resource: "userextras", ..self.about_more() };
        if self.is_constrained() {
            check_extra(extra).map_err(|why| forbidden(&about, &why))?;
            let is_large = extra.values().map(Vec::len).sum::<usize>() >= MANY;
            if is_large && self.authorize(&Attributes { subresource: "*", name: "*", ..about }).is_ok() {
                return Ok(());
            }
        }
        let each = extra.iter().flat_map(|(key, values)| values.iter().map(move |value| (key, value)));
        each.into_iter().try_for_each(|(subresource, name)| self.authorize(&Attributes { subresource, name, ..about }))
    }
}

/// What a constrained way demands of extra fields.
fn check_extra(extra: &BTreeMap<String, Vec<String>>) -> Result<(), String> {
    for (key, values) in extra {
        if key.is_empty() {
            return Err("impersonating the empty string key in extra is not allowed".to_owned());
        }
        if let Some(problem) = domain_prefixed_path(key) {
            return Err(format!(
                "impersonating an invalid key in extra is not allowed: extra.key: Invalid value: {key:?}: {problem}"
            ));
        }
        if *key != key.to_lowercase() {
            return Err(format!("impersonating a non-lowercase key in extra is not allowed: {key:?}"));
        }
        if values.iter().any(String::is_empty) {
            return Err("impersonating the empty string value in extra is not allowed".to_owned());
        }
    }
    Ok(())
}

/// What is wrong with a key that should be a domain, a slash and a path.
fn domain_prefixed_path(key: &str) -> Option<String> {
    let Some((domain, path)) = key.split_once('/').filter(|(domain, path)| !domain.is_empty() && !path.is_empty())
    else {
        return Some("must be a domain-prefixed path (such as \"acme.io/foo\")".to_owned());
    };
    let is_path = path.chars().all(|c| c.is_ascii_alphanumeric() || "/-._~%!$&'()*+,;=:".contains(c));
    let bad_path = (!is_path).then(|| "Invalid path".to_owned());
    names::dns1123_subdomain(domain).into_iter().next().or(bad_path)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn headers(pairs: &[(&str, &[u8])]) -> HeaderMap {
        let pair = |(name, value): &(&str, &[u8])| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn headers_are_understood_or_refused() {
        let wanted = Wanted::read(&headers(&[
            (USER, "jürgen".as_bytes()),
            (GROUP, b"a"),
            (GROUP, "größe".as_bytes()),
            (UID, b"u"),
            ("impersonate-extra-acme.com%2fproject", b"x"),
        ]));
        let expected = Wanted {
            user: "jürgen".into(),
            uid: "u".into(),
            groups: vec!["a".into(), "größe".into()],
            extra: [("acme.com/project".into(), vec!["x".into()])].into(),
        };
        assert_eq!(wanted.unwrap(), Some(expected));
        for name in [USER, GROUP, UID, "impersonate-extra-k"] {
            assert!(Wanted::read(&headers(&[(name, b"j\xfcrgen")])).is_err(), "{name}");
        }
        assert_eq!(Wanted::read(&HeaderMap::new()).unwrap(), None);
        let nobody = Wanted::read(&headers(&[(GROUP, b"g"), ("impersonate-extra-k", b"v")])).unwrap_err();
        let expected = r#"requested &user.DefaultInfo{Name:"", UID:"", Groups:[]string{"g"}, Extra:map[string][]string{"k":[]string{"v"}}} without impersonating a user name"#;
        assert_eq!((nobody.code, nobody.message.as_str()), (400, expected));
    }

    #[test]
    fn ways() {
        let of = |name: &str| Wanted { user: name.into(), ..Wanted::default() };
        let ways = |from: &User, wanted: &Wanted| -> Vec<Way> {
            Way::ALL.into_iter().filter(|way| way.leads(from, wanted)).collect()
        };
        let jane = User::new("jane", &[]);
        let mut account = User::service_account("ns", "agent");
        account.extra.insert(NODE_NAME.into(), vec!["n1".into()]);
        let node = of("system:node:n1");
        assert_eq!(ways(&jane, &of("joe")), [Way::UserInfo, Way::Legacy]);
        assert_eq!(ways(&jane, &node), [Way::ArbitraryNode, Way::Legacy]);
        assert_eq!(ways(&account, &node), [Way::AssociatedNode, Way::ArbitraryNode, Way::Legacy]);
        assert_eq!(ways(&account, &of("system:node:n2")), [Way::ArbitraryNode, Way::Legacy]);
        assert_eq!(ways(&jane, &of("system:serviceaccount:ns:agent")), [Way::ServiceAccount, Way::Legacy]);
        let with_group = Wanted { groups: vec!["g".into()], ..node };
        assert_eq!(ways(&account, &with_group), [Way::Legacy]);
        assert_eq!(Way::UserInfo.verb_on("list").as_deref(), Some("impersonate-on:user-info:list"));
        assert_eq!(Way::Legacy.verb_on("list"), None);
    }

    #[test]
    fn extra_fields_of_constrained_ways() {
        let of = |key: &str, value: &str| check_extra(&[(key.to_owned(), vec![value.to_owned()])].into());
        assert_eq!(of("acme.com/project", "x"), Ok(()));
        for (key, value) in
            [("", "x"), ("project", "x"), ("acme.com/", "x"), ("acme.com/Project", "x"), ("acme.com/p", "")]
        {
            assert!(of(key, value).is_err(), "{key} {value}");
        }
    }
}
