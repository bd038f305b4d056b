//! What every cluster has from its first moment: namespaces, default roles, priorities, the Service `kubernetes`. Each kind says
//! which objects of it those are ([`Strategy::first`](crate::Strategy::first)).

use std::net::IpAddr;

use ipnet::Ipv4Net;
use jiff::Timestamp;
use serde_json::Value;

/// What the first objects say about the API server.
#[derive(Clone, Debug)]
pub struct ApiServer {
    /// Where the Service `kubernetes` leads.
    pub address: IpAddr,
    pub port: u16,
    /// The authorities of clients and of front proxies, for API servers that extend this one.
    pub client_ca_pem: String,
    pub front_proxy_ca_pem: String,
}

/// What the first objects say about their cluster.
#[derive(Clone, Debug)]
pub struct Beginnings {
    pub server: ApiServer,
    pub service_cidr: Ipv4Net,
    /// Default roles and bindings, of all four kinds.
    pub roles: Vec<Value>,
    pub now: Timestamp,
}

/// An object that a cluster begins with. One that is there already is left as it is, but for the fields in `follows`, for a status
/// without conditions, and for rights and subjects that a default role or binding has lost.
#[derive(Clone, Debug)]
pub struct First {
    pub object: Value,
    /// Given to the object when its status has no conditions yet.
    pub status: Option<Value>,
    /// Fields that follow the cluster when it comes back with another address, say.
    pub follows: &'static [&'static str],
}

impl First {
    /// An object that belongs to the user once it is there.
    pub(crate) fn once(object: Value) -> Self {
        Self { object, status: None, follows: &[] }
    }
}

impl Beginnings {
    /// The first address of the range is the API server's, by convention.
    pub(crate) fn service_ip(&self) -> String {
        self.service_cidr.hosts().next().unwrap_or_else(|| self.service_cidr.addr()).to_string()
    }

    /// The default roles or bindings of a kind.
    pub(crate) fn roles_of(&self, kind: &str) -> Vec<First> {
        self.roles.iter().filter(|role| role["kind"] == kind).cloned().map(First::once).collect()
    }
}
