//! Who may write a policy or a binding must be able to read its parameters: others learn from refusals what stands in them.
//!
//! Source: upstream `pkg/registry/admissionregistration/*/authz.go`.

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::well_known::group;
use windlass_api::{GroupVersion, GroupVersionKind};
use windlass_auth::{Attributes, User};
use windlass_machinery::tree::text;
use windlass_resources::Reads;

use crate::gate::Gate;

/// What is asked for, with stars for what is not known.
struct Wanted {
    group: String,
    version: String,
    resource: String,
    /// Why something is not known.
    unknown: Option<String>,
}

impl Gate {
    /// What an object refers to although the user may not read it.
    pub(crate) fn unreadable(&self, user: &User, reads: Reads<'_>) -> Errors {
        if user.is_in(group::MASTERS) {
            return Errors::new();
        }
        let spec = Path::new("spec");
        let refusal = match reads {
            Reads::Kind(kind) => self.unreadable_kind(user, kind).map(|why| (spec.child("paramKind"), why)),
            Reads::Params { policies, policy, reference } => {
                let why = self.unreadable_params(user, policies, policy, reference);
                why.map(|why| (spec.child("paramRef"), why))
            }
        };
        refusal.map(|(path, why)| Error::forbidden(&path, why).into()).unwrap_or_default()
    }

    fn unreadable_kind(&self, user: &User, kind: &Value) -> Option<String> {
        let wanted = self.wanted(kind);
        let attributes = Attributes { namespace: "*", name: "*", ..wanted.attributes(user, "get") };
        if self.authorizer.decide(&attributes).is_allowed() {
            return None;
        }
        let (kind, api_version) = (text(kind, "kind"), text(kind, "apiVersion"));
        let user = shown(user);
        Some(format!(
            "user {user} must have \"get\" permission on all objects of the referenced paramKind (kind={kind}, apiVersion={api_version})"
        ))
    }

    fn unreadable_params(&self, user: &User, policies: &str, policy: &str, reference: &Value) -> Option<String> {
        let stored = self.storage.object(policies, "", policy);
        let kind = stored.as_ref().and_then(|stored| stored.pointer("/spec/paramKind")).filter(|kind| kind.is_object());
        let wanted = match (&stored, kind) {
            (None, _) => Wanted::anything(Some(format!("get policy {policy}"))),
            (Some(_), None) => Wanted::anything(None),
            (Some(_), Some(kind)) => self.wanted(kind),
        };
        let (name, namespace) = (text(reference, "name"), text(reference, "namespace"));
        let verb = if name.is_empty() { "list" } else { "get" };
        let attributes = Attributes { namespace, name, ..wanted.attributes(user, verb) };
        if self.authorizer.decide(&attributes).is_allowed() {
            return None;
        }
        let user = shown(user);
        Some(match wanted.unknown {
            Some(what) => format!(
                "unable to {what} to determine minimum required permissions and user {user} does not have \"{verb}\" permission for all groups, versions and resources"
            ),
            None => format!("user {user} does not have \"{verb}\" permission on the object referenced by paramRef"),
        })
    }

    /// The resource of a kind, as far as it is served.
    fn wanted(&self, kind: &Value) -> Wanted {
        let shown = || format!("&ParamKind{{APIVersion:{},Kind:{},}}", text(kind, "apiVersion"), text(kind, "kind"));
        let Some(GroupVersion { group, version }) = GroupVersion::parse(text(kind, "apiVersion")) else {
            return Wanted::anything(Some(format!("parse paramKind {}", shown())));
        };
        let kind_name = text(kind, "kind").to_owned();
        let kind = GroupVersionKind { group, version, kind: kind_name.into() };
        let resource = self.storage.registry().find_kind(&kind).map(|served| served.resource.plural.to_string());
        let unknown = resource.is_none().then(|| format!("resolve paramKind {}", shown()));
        let (group, version) = (kind.group.into_owned(), kind.version.into_owned());
        Wanted { group, version, resource: resource.unwrap_or_else(|| "*".to_owned()), unknown }
    }
}

impl Wanted {
    fn anything(unknown: Option<String>) -> Self {
        let any = || "*".to_owned();
        Self { group: any(), version: any(), resource: any(), unknown }
    }

    fn attributes<'a>(&'a self, user: &'a User, verb: &'a str) -> Attributes<'a> {
        let (group, version, resource) = (&self.group, &self.version, &self.resource);
        Attributes { group, version, resource, ..Attributes::of(user, verb) }
    }
}

/// A user as Go prints one.
fn shown(user: &User) -> String {
    let extra: Vec<String> = user.extra.iter().map(|(key, values)| format!("{key}:[{}]", values.join(" "))).collect();
    format!("&{{{} {} [{}] map[{}]}}", user.name, user.uid, user.groups.join(" "), extra.join(" "))
}
