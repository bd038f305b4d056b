//! Acting as somebody else (`kubectl --as`): whom the headers ask for, and whether the user may.
//!
//! There are several modes ([`Mode`]). The old one, the verb `impersonate`, lets a user do whatever the other one may. The others are
//! constrained: `impersonate:MODE` says as whom, and `impersonate-on:MODE:VERB` says to do what.
//!
//! A header that cannot be understood is an error, never an absence: what is skipped here would let the caller act as somebody else.
//! Source: apiserver `endpoints/filters/impersonation`.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;
use http::header::HeaderValue;
use percent_encoding::percent_decode_str;
use windlass_api::well_known::{extra, group, user};
use windlass_api::{Status, names};
use windlass_auth::{Attributes, User};

use crate::authorization::forbidden;
use crate::gate::Gate;

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";

/// From so many groups, or values of extra fields, one question about all of them (`*`) is asked first.
const WILDCARD_CHECK_MIN: usize = 4;

/// The modes of impersonation, in the order in which they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// A service account, as the node that its pod runs on.
    AssociatedNode,
    ArbitraryNode,
    ServiceAccount,
    /// Anybody who is neither a node nor a service account.
    UserInfo,
    /// With the verb `impersonate`, without any constraint.
    Legacy,
}

impl Mode {
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
        let mode = self.verb().strip_prefix("impersonate:")?;
        Some(format!("impersonate-on:{mode}:{verb}"))
    }

    /// Whether the mode is for this user and the one that is wanted.
    fn applies(self, from: &User, wanted: &Wanted) -> bool {
        match self {
            Self::AssociatedNode => {
                let own = from.extra.get(extra::NODE_NAME).map(Vec::as_slice).unwrap_or_default();
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
                let key = percent_decode_str(key).decode_utf8().map_err(|_| not_utf8(name.as_str()))?;
                extra.entry(key.into_owned()).or_default().push(text(name.as_str(), value)?);
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
        self.user.strip_prefix(user::NODE_PREFIX).filter(|name| names::dns1123_subdomain(name).is_empty())
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
    text.map(str::to_owned).map_err(|_| not_utf8(name))
}

fn not_utf8(name: &str) -> Status {
    Status::bad_request(format!("the header {name} is not valid UTF-8"))
}

/// Whom a user acts as.
pub(super) struct Acting {
    pub(super) user: Arc<User>,
    /// The verb of the constrained mode that allows it; empty for the old mode.
    pub(super) constraint: &'static str,
}

/// Lets a user who may do so act as the one whom the headers name. `request` is what he wants to do then.
pub(super) async fn impersonate(
    gate: &Gate,
    headers: &HeaderMap,
    request: &Attributes<'_>,
) -> Result<Option<Acting>, Status> {
    let Some(wanted) = Wanted::read(headers)? else { return Ok(None) };
    // Boxed: most requests do not ask for it.
    Box::pin(act_as(gate, &wanted, request)).await.map(Some)
}

async fn act_as(gate: &Gate, wanted: &Wanted, request: &Attributes<'_>) -> Result<Acting, Status> {
    let mut refusal = None;
    for mode in Mode::ALL.into_iter().filter(|mode| mode.applies(request.user, wanted)) {
        match (Attempt { gate, mode, wanted, request }).user().await {
            Ok(user) => {
                let constraint = if mode == Mode::Legacy { "" } else { mode.verb() };
                return Ok(Acting { user: Arc::new(user), constraint });
            }
            // The client sees why the first mode does not let it.
            Err(status) => drop(refusal.get_or_insert(status)),
        }
    }
    Err(refusal.unwrap_or_else(Status::unauthorized))
}

/// What one mode is asked.
struct Attempt<'a> {
    gate: &'a Gate,
    mode: Mode,
    wanted: &'a Wanted,
    request: &'a Attributes<'a>,
}

impl Attempt<'_> {
    /// Whom the user acts as.
    async fn user(&self) -> Result<User, Status> {
        let Self { mode, wanted, .. } = *self;
        if let Some(verb) = mode.verb_on(self.request.verb) {
            self.gate.authorize(&Attributes { verb: &verb, ..*self.request }).await?;
        }
        let mut groups = self.authorize_name().await?;
        if !wanted.uid.is_empty() {
            let uid = Attributes { resource: "uids", name: &wanted.uid, ..self.uid_or_extra_attributes() };
            self.authorize(&uid).await?;
        }
        self.authorize_groups().await?;
        self.authorize_extra().await?;
        let has = |groups: &[String], group: &str| groups.iter().any(|own| own == group);
        let is_anonymous = wanted.user == user::ANONYMOUS;
        let says = if is_anonymous { group::UNAUTHENTICATED } else { group::AUTHENTICATED };
        // Whoever says that he is not authenticated is not.
        let says_otherwise = !is_anonymous && has(&groups, group::UNAUTHENTICATED);
        if !has(&groups, says) && !says_otherwise {
            groups.push(says.to_owned());
        }
        Ok(User { name: wanted.user.clone(), uid: wanted.uid.clone(), groups, extra: wanted.extra.clone() })
    }

    fn is_constrained(&self) -> bool {
        self.mode != Mode::Legacy
    }

    async fn authorize(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        self.gate.authorize(attributes).await
    }

    /// A question about the name or a group: the constrained modes have their own API group for these.
    fn name_or_group_attributes(&self) -> Attributes<'_> {
        let group = if self.is_constrained() { "authentication.k8s.io" } else { "" };
        Attributes { group, ..self.uid_or_extra_attributes() }
    }

    /// A question about the uid or an extra field.
    fn uid_or_extra_attributes(&self) -> Attributes<'_> {
        Attributes {
            group: "authentication.k8s.io",
            version: "v1",
            ..Attributes::of(self.request.user, self.mode.verb())
        }
    }

    /// Returns the groups that come with the name, or those that are asked for.
    async fn authorize_name(&self) -> Result<Vec<String>, Status> {
        let Self { mode, wanted, .. } = *self;
        let (resource, namespace, name, groups) = match (wanted.account(), wanted.node()) {
            (Some((namespace, name)), _) => {
                ("serviceaccounts", namespace, name, windlass_auth::service_account_groups(namespace))
            }
            (None, Some(_)) if mode == Mode::AssociatedNode => ("nodes", "", "*", vec![group::NODES.to_owned()]),
            (None, Some(node)) if self.is_constrained() => ("nodes", "", node, vec![group::NODES.to_owned()]),
            (None, _) => ("users", "", wanted.user.as_str(), Vec::new()),
        };
        self.authorize(&Attributes { resource, namespace, name, ..self.name_or_group_attributes() }).await?;
        Ok(if wanted.groups.is_empty() { groups } else { wanted.groups.clone() })
    }

    async fn authorize_groups(&self) -> Result<(), Status> {
        let groups = &self.wanted.groups;
        let about = Attributes { resource: "groups", ..self.name_or_group_attributes() };
        if self.is_constrained() {
            if groups.iter().any(String::is_empty) {
                return Err(forbidden(&about, "impersonating the empty string group is not allowed"));
            }
            if groups.iter().any(|group| group == group::MASTERS) {
                let about = Attributes { name: group::MASTERS, ..about };
                return Err(forbidden(&about, "impersonating the system:masters group is not allowed"));
            }
            if groups.len() >= WILDCARD_CHECK_MIN && self.authorize(&Attributes { name: "*", ..about }).await.is_ok() {
                return Ok(());
            }
        }
        for name in groups {
            self.authorize(&Attributes { name, ..about }).await?;
        }
        Ok(())
    }

    async fn authorize_extra(&self) -> Result<(), Status> {
        let extra = &self.wanted.extra;
        let about = Attributes { resource: "userextras", ..self.uid_or_extra_attributes() };
        if self.is_constrained() {
            check_extra(extra).map_err(|why| forbidden(&about, &why))?;
            let is_large = extra.values().map(Vec::len).sum::<usize>() >= WILDCARD_CHECK_MIN;
            if is_large && self.authorize(&Attributes { subresource: "*", name: "*", ..about }).await.is_ok() {
                return Ok(());
            }
        }
        for (subresource, values) in extra {
            for name in values {
                self.authorize(&Attributes { subresource, name, ..about }).await?;
            }
        }
        Ok(())
    }
}

/// What a constrained mode demands of extra fields.
fn check_extra(extra: &BTreeMap<String, Vec<String>>) -> Result<(), String> {
    for (key, values) in extra {
        if key.is_empty() {
            return Err("impersonating the empty string key in extra is not allowed".to_owned());
        }
        if let Some((value, problem)) = names::domain_prefixed_path(key).into_iter().next() {
            return Err(format!(
                "impersonating an invalid key in extra is not allowed: extra.key: Invalid value: {value:?}: {problem}"
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
        assert!(Wanted::read(&headers(&[(USER, b"u"), ("impersonate-extra-%ff", b"v")])).is_err(), "a key");
        assert_eq!(Wanted::read(&HeaderMap::new()).unwrap(), None);
        let nobody = Wanted::read(&headers(&[(GROUP, b"g"), ("impersonate-extra-k", b"v")])).unwrap_err();
        let expected = r#"requested &user.DefaultInfo{Name:"", UID:"", Groups:[]string{"g"}, Extra:map[string][]string{"k":[]string{"v"}}} without impersonating a user name"#;
        assert_eq!((nobody.code, nobody.message.as_str()), (400, expected));
    }

    #[test]
    fn modes() {
        let of = |name: &str| Wanted { user: name.into(), ..Wanted::default() };
        let modes = |from: &User, wanted: &Wanted| -> Vec<Mode> {
            Mode::ALL.into_iter().filter(|mode| mode.applies(from, wanted)).collect()
        };
        let jane = User::new("jane", &[]);
        let mut account = User::service_account("ns", "agent");
        account.extra.insert(extra::NODE_NAME.into(), vec!["n1".into()]);
        let node = of("system:node:n1");
        assert_eq!(modes(&jane, &of("joe")), [Mode::UserInfo, Mode::Legacy]);
        assert_eq!(modes(&jane, &node), [Mode::ArbitraryNode, Mode::Legacy]);
        assert_eq!(modes(&account, &node), [Mode::AssociatedNode, Mode::ArbitraryNode, Mode::Legacy]);
        assert_eq!(modes(&account, &of("system:node:n2")), [Mode::ArbitraryNode, Mode::Legacy]);
        assert_eq!(modes(&jane, &of("system:serviceaccount:ns:agent")), [Mode::ServiceAccount, Mode::Legacy]);
        let with_group = Wanted { groups: vec!["g".into()], ..node };
        assert_eq!(modes(&account, &with_group), [Mode::Legacy]);
        assert_eq!(Mode::UserInfo.verb_on("list").as_deref(), Some("impersonate-on:user-info:list"));
        assert_eq!(Mode::Legacy.verb_on("list"), None);
    }

    #[test]
    fn extra_fields_of_constrained_modes() {
        let of = |key: &str, value: &str| check_extra(&[(key.to_owned(), vec![value.to_owned()])].into());
        assert_eq!(of("acme.com/project", "x"), Ok(()));
        for (key, value) in
            [("", "x"), ("project", "x"), ("acme.com/", "x"), ("acme.com/Project", "x"), ("acme.com/p", "")]
        {
            assert!(of(key, value).is_err(), "{key} {value}");
        }
    }
}
