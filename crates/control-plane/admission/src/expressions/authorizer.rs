//! The authorizer that expressions may ask.

use std::fmt;

use windlass_api::fields::FieldSelector;
use windlass_api::labels::Selector;
use windlass_auth::{Attributes, User, service_account_groups, service_account_name};
use windlass_cel as cel;

use crate::review::Cluster;

/// Answers for the user of a request, or for a service account that the expression names.
pub(super) struct Authorizer<'a> {
    pub cluster: &'a dyn Cluster,
    pub user: &'a User,
}

impl cel::Authorizer for Authorizer<'_> {
    fn authorize(&self, asked: &cel::Attributes) -> cel::Decision {
        let account = asked.service_account.as_ref().map(|(namespace, name)| User {
            name: service_account_name(namespace, name),
            groups: service_account_groups(namespace),
            ..User::default()
        });
        let of = Attributes::of(account.as_ref().unwrap_or(self.user), &asked.verb);
        let decision = match &asked.target {
            cel::Target::Path(path) => self.cluster.decide(&Attributes { path, ..of }),
            cel::Target::Resource(resource) => {
                let fields = FieldSelector::parse(&resource.field_selector).ok();
                let labels = Selector::parse(&resource.label_selector).ok();
                self.cluster.decide(&Attributes {
                    group: &resource.group,
                    version: "*",
                    resource: &resource.resource,
                    subresource: &resource.subresource,
                    namespace: &resource.namespace,
                    name: &resource.name,
                    fields: fields.as_ref().filter(|_| !resource.field_selector.is_empty()),
                    labels: labels.as_ref().filter(|_| !resource.label_selector.is_empty()),
                    ..of
                })
            }
        };
        let (allowed, reason) = match decision {
            windlass_auth::Decision::Allow => (true, String::new()),
            windlass_auth::Decision::Deny(why) | windlass_auth::Decision::NoOpinion(why) => (false, why),
        };
        cel::Decision { allowed, reason, error: None }
    }
}

impl fmt::Debug for Authorizer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorizer").field("user", &self.user.name).finish_non_exhaustive()
    }
}
