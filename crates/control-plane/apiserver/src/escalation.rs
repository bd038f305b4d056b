//! Nobody may give away rights that they do not have: what is asked before a role or a binding is written.
//!
//! Who may `escalate` the role, or `bind` the role that a binding names, need not have its rights. Source: upstream's storage of RBAC
//! objects, `pkg/registry/rbac/*/policybased`.

use serde_json::Value;
use windlass_admission::concerns_deletion_only;
use windlass_api::Status;
use windlass_api::gvk::GroupResource;
use windlass_api::well_known::group;
use windlass_auth::rbac::{RoleKey, RoleRef, Rule, describe, quoted, uncovered};
use windlass_auth::{Attributes, User};
use windlass_client::Request;
use windlass_machinery::tree::text;
use windlass_resources::Grants;

use crate::context::Context;
use crate::gate::Gate;
use crate::registry::Served;

const GROUP: &str = "rbac.authorization.k8s.io";

impl Gate {
    /// Refuses an object that gives away rights which its writer lacks, be it a role or a binding.
    pub(crate) fn refuse_escalation(
        &self,
        context: &Context,
        served: &Served,
        request: &Request,
        new: &Value,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        let strategy = &served.resource.strategy;
        let Some(grants) = strategy.grants(new) else { return Ok(()) };
        if context.user.is_in(group::MASTERS) || !request.subresource.is_empty() {
            return Ok(());
        }
        if old.is_some_and(|old| concerns_deletion_only(new, old)) {
            return Ok(());
        }
        let lacking = match grants {
            Grants::Rules { rules, aggregates } => {
                let before = old.and_then(|old| strategy.grants(old));
                let aggregates = aggregates || matches!(before, Some(Grants::Rules { aggregates: true, .. }));
                self.lacking_for_role(&context.user, request, &read::<Vec<Rule>>(rules)?, aggregates)
            }
            Grants::Role(role) => self.lacking_for_binding(&context.user, request, read(role)?)?,
        };
        let name = text(&new["metadata"], "name");
        lacking.map_or(Ok(()), |why| Err(Status::forbidden(&served.resource.group_resource(), name, why)))
    }

    /// Why the user may not write a role with these rules.
    fn lacking_for_role(&self, user: &User, request: &Request, rules: &[Rule], aggregates: bool) -> Option<String> {
        if self.may(user, "escalate", &request.resource.resource, &request.namespace, &request.name) {
            return None;
        }
        let lacking = self.lacking(user, &request.namespace, rules);
        // An aggregated role gathers whatever there will be.
        lacking.or_else(|| {
            let all = aggregates && self.lacking(user, &request.namespace, &everything()).is_some();
            all.then(|| "must have cluster-admin privileges to use an aggregationRule".to_owned())
        })
    }

    /// Why the user may not bind this role.
    fn lacking_for_binding(&self, user: &User, request: &Request, role: RoleRef) -> Result<Option<String>, Status> {
        let (resource, namespace) = match &*role.kind {
            "Role" => ("roles", Some(request.namespace.clone())),
            "ClusterRole" => ("clusterroles", None),
            // Validation refuses it.
            _ => return Ok(None),
        };
        if self.may(user, "bind", resource, &request.namespace, &role.name) {
            return Ok(None);
        }
        let key = RoleKey { namespace, name: role.name };
        let Some(rules) = self.authorizer.rules_of_role(&key) else {
            let resource = GroupResource::of(GROUP, resource);
            return Err(Status::not_found(&resource, &key.name));
        };
        Ok(self.lacking(user, &request.namespace, &rules))
    }

    fn may(&self, user: &User, verb: &str, resource: &str, namespace: &str, name: &str) -> bool {
        let attributes =
            Attributes { group: GROUP, version: "*", resource, namespace, name, ..Attributes::of(user, verb) };
        self.authorizer.decide(&attributes).is_allowed()
    }

    /// What of `wanted` the user has not, in words.
    fn lacking(&self, user: &User, namespace: &str, wanted: &[Rule]) -> Option<String> {
        let missing = uncovered(&self.authorizer.rules_of(user, namespace), wanted);
        (!missing.is_empty()).then(|| {
            let (groups, rights) = (quoted(&user.groups), describe(&missing));
            format!(
                "user {:?} (groups={groups}) is attempting to grant RBAC permissions not currently held:\n{rights}",
                user.name
            )
        })
    }
}

/// Reads what is given away; nothing is when it is not there. What cannot be read is no smaller for that.
fn read<T: serde::de::DeserializeOwned + Default>(given: &Value) -> Result<T, Status> {
    let read: Option<T> = serde_json::from_value(given.clone())
        .map_err(|error| Status::bad_request(format!("the rights cannot be read: {error}")))?;
    Ok(read.unwrap_or_default())
}

fn everything() -> [Rule; 2] {
    let all = || vec!["*".to_owned()];
    let resources = Rule { verbs: all(), api_groups: all(), resources: all(), ..Rule::default() };
    [resources, Rule { verbs: all(), non_resource_urls: all(), ..Rule::default() }]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_cannot_be_read_is_not_nothing() {
        assert!(read::<Vec<Rule>>(&Value::Null).unwrap().is_empty());
        assert_eq!(read::<Vec<Rule>>(&json!([{"verbs": ["get"]}])).unwrap().len(), 1);
        assert!(read::<Vec<Rule>>(&json!([{"verbs": ["*"]}, {"verbs": [null]}])).is_err());
        assert!(read::<RoleRef>(&json!({"kind": "ClusterRole", "name": 1})).is_err());
    }
}
