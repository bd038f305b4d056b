//! Users.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use windlass_api::names;
use windlass_api::well_known::{group, user};

const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";

/// Who makes a request. The form is that of `authentication.k8s.io/v1` UserInfo.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct User {
    #[serde(rename = "username", skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// An authenticated user; `system:authenticated` is added to the groups.
    pub fn new(name: impl Into<String>, groups: &[&str]) -> Self {
        let mut groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        groups.push(group::AUTHENTICATED.to_owned());
        Self { name: name.into(), groups, ..Self::default() }
    }

    pub fn anonymous() -> Self {
        let groups = vec![group::UNAUTHENTICATED.to_owned()];
        Self { name: user::ANONYMOUS.to_owned(), groups, ..Self::default() }
    }

    /// A service account as the user that it is.
    pub fn service_account(namespace: &str, name: &str) -> Self {
        let mut groups = service_account_groups(namespace);
        groups.push(group::AUTHENTICATED.to_owned());
        Self { name: service_account_name(namespace, name), groups, ..Self::default() }
    }

    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }

    /// The node that this user is, if it is one.
    pub fn node(&self) -> Option<&str> {
        self.name.strip_prefix(user::NODE_PREFIX).filter(|name| !name.is_empty() && self.is_in(group::NODES))
    }
}

/// The user name of a service account.
pub fn service_account_name(namespace: &str, name: &str) -> String {
    format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}")
}

/// Namespace and name of the service account that a user name stands for.
pub fn split_service_account(user: &str) -> Option<(&str, &str)> {
    let is_valid = |(namespace, name): &(&str, &str)| {
        names::dns1123_label(namespace).is_empty() && names::dns1123_subdomain(name).is_empty()
    };
    user.strip_prefix(SERVICE_ACCOUNT_PREFIX)?.split_once(':').filter(is_valid)
}

pub fn service_account_groups(namespace: &str) -> Vec<String> {
    vec![group::SERVICE_ACCOUNTS.to_owned(), format!("{}:{namespace}", group::SERVICE_ACCOUNTS)]
}
