//! Where connections go: to the kubelet of a pod's node, to a pod, to an endpoint of a Service. All of it is read from the store, as
//! of now.

use std::net::IpAddr;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use windlass_api::resource::{NODES, PODS};
use windlass_api::{GroupVersionResource, Status, field};
use windlass_resources::Subresource;

use crate::endpoints;
use crate::message::path::ResourcePath;
use crate::message::query::Query;
use crate::storage::{Storage, stored};

/// How the other end is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Security {
    Plain,
    /// TLS; it may be anybody.
    Any,
    /// TLS; it must be the kubelet of the node, and we say who we are.
    Kubelet,
}

/// What a connection is for: what is passed on of the query, and how it is said that there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The client speaks to the other end itself, with a query of its own.
    Proxy,
    Log,
    /// exec, attach, port-forward.
    Session,
}

/// The other end, and what to ask it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The node whose kubelet it is, where it is one.
    pub node: String,
    pub host: String,
    pub port: u16,
    pub security: Security,
    pub purpose: Purpose,
    /// Path and query; a proxy's client appends its own query.
    pub path: String,
    /// The path of the API under which the other end appears to the client, for a proxy.
    pub prefix: Option<String>,
}

/// Where a connection goes; `None` for the log of a pod that has no node yet, and so no log either.
pub(crate) fn target(
    storage: &Storage,
    found: &ResourcePath,
    subresource: Subresource,
    query: &Query,
) -> Result<Option<Target>, Status> {
    let target = match (&*found.resource.resource, subresource) {
        ("pods", Subresource::Log) => return log(storage, found, query),
        ("pods", Subresource::Exec | Subresource::Attach) => session(storage, found, query)?,
        ("pods", Subresource::PortForward) => port_forward(storage, found, query)?,
        ("nodes", Subresource::Proxy) => node_proxy(storage, found)?,
        ("pods", Subresource::Proxy) => pod_proxy(storage, found)?,
        ("services", Subresource::Proxy) => service_proxy(storage, found)?,
        _ => return Err(Status::no_such_path()),
    };
    Ok(Some(target))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pod {
    spec: PodSpec,
    status: PodStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodSpec {
    node_name: String,
    containers: Vec<Container>,
    init_containers: Vec<Container>,
    ephemeral_containers: Vec<Container>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Container {
    name: String,
    ports: Vec<ContainerPort>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerPort {
    container_port: u16,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodStatus {
    phase: String,
    #[serde(rename = "podIP")]
    pod_ip: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Node {
    status: NodeStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeStatus {
    addresses: Vec<NodeAddress>,
    daemon_endpoints: DaemonEndpoints,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeAddress {
    #[serde(rename = "type")]
    kind: String,
    address: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DaemonEndpoints {
    kubelet_endpoint: DaemonEndpoint,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DaemonEndpoint {
    #[serde(rename = "Port")]
    port: u16,
}

fn read<T: DeserializeOwned>(
    storage: &Storage,
    resource: &GroupVersionResource,
    namespace: &str,
    name: &str,
) -> Result<T, Status> {
    let item = stored(&*storage.find(resource)?, namespace, name)?;
    serde_json::from_slice(&item.value).map_err(Status::internal)
}

/// The kubelet of a node, and the path that it is asked for.
fn kubelet(storage: &Storage, node: &str, path: String, purpose: Purpose) -> Result<Target, Status> {
    let found: Node = read(storage, &NODES, "", node)?;
    let of = |kind: &str| found.status.addresses.iter().find(|address| address.kind == kind);
    let preferred = ["InternalIP", "ExternalIP", "Hostname", "InternalDNS", "ExternalDNS"];
    let address = preferred
        .iter()
        .find_map(|kind| of(kind))
        .ok_or_else(|| Status::internal(format_args!("no preferred addresses found; known addresses: []")))?;
    check_address(&address.address)?;
    let port = match found.status.daemon_endpoints.kubelet_endpoint.port {
        0 => 10250,
        port => port,
    };
    let (node, host) = (node.to_owned(), address.address.clone());
    Ok(Target { node, host, port, security: Security::Kubelet, purpose, path, prefix: None })
}

/// The container that is meant: the one that is named, or the only one.
fn container<'a>(pod: &'a Pod, name: &str, wanted: &'a str) -> Result<&'a str, Status> {
    let spec = &pod.spec;
    let names = |containers: &[Container]| {
        let names: Vec<&str> = containers.iter().map(|container| container.name.as_str()).collect();
        names.join(" ")
    };
    if !wanted.is_empty() {
        let mut all = spec.containers.iter().chain(&spec.init_containers).chain(&spec.ephemeral_containers);
        return match all.any(|container| container.name == wanted) {
            true => Ok(wanted),
            false => Err(Status::bad_request(format!("container {wanted} is not valid for pod {name}"))),
        };
    }
    match spec.containers.as_slice() {
        [only] => Ok(&only.name),
        [] => Err(Status::bad_request(format!("a container name must be specified for pod {name}"))),
        several => {
            let mut text =
                format!("a container name must be specified for pod {name}, choose one of: [{}]", names(several));
            if !spec.init_containers.is_empty() {
                text.push_str(&format!(" or one of the init containers: [{}]", names(&spec.init_containers)));
            }
            Err(Status::bad_request(text))
        }
    }
}

/// The options of a log, checked; in the form that a kubelet takes them.
fn log_options(query: &Query) -> Result<Vec<(&'static str, String)>, Status> {
    const PASSED: [&str; 8] =
        ["follow", "previous", "timestamps", "sinceSeconds", "sinceTime", "tailLines", "limitBytes", "stream"];
    let mut errors = field::Errors::new();
    let root = |name| field::Path::new(name);
    for (name, least) in [("sinceSeconds", 1), ("tailLines", 0), ("limitBytes", 1)] {
        let Some(text) = query.get(name).filter(|text| !text.is_empty()) else { continue };
        let number: i64 = text
            .parse()
            .map_err(|_| Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")))?;
        if number < least {
            let rule = if least == 0 { "must be greater than or equal to 0" } else { "must be greater than 0" };
            errors.push(field::Error::invalid(&root(name), number, rule));
        }
    }
    let given = |name| query.get(name).is_some_and(|text| !text.is_empty());
    if given("sinceSeconds") && given("sinceTime") {
        errors.push(field::Error::forbidden(
            &root("sinceSeconds"),
            "at most one of `sinceTime` or `sinceSeconds` may be specified",
        ));
    }
    if let Some(stream) = query.get("stream").filter(|stream| !["", "All", "Stdout", "Stderr"].contains(stream)) {
        errors.push(field::Error::not_supported(&root("stream"), stream, &["All", "Stdout", "Stderr"]));
    }
    if !errors.is_empty() {
        return Err(Status::invalid("", "PodLogOptions", "", &errors));
    }
    let passed = PASSED.iter().filter_map(|&name| Some((name, query.get(name).filter(|v| !v.is_empty())?.to_owned())));
    Ok(passed.collect())
}

fn with_query(path: String, query: &[(&str, String)]) -> String {
    if query.is_empty() {
        return path;
    }
    form_urlencoded::Serializer::for_suffix(format!("{path}?"), path.len() + 1).extend_pairs(query).finish()
}

fn log(storage: &Storage, found: &ResourcePath, query: &Query) -> Result<Option<Target>, Status> {
    let options = log_options(query)?;
    let pod: Pod = read(storage, &PODS, &found.namespace, &found.name)?;
    let container = container(&pod, &found.name, query.get("container").unwrap_or_default())?;
    if pod.spec.node_name.is_empty() {
        return Ok(None);
    }
    let path = format!("/containerLogs/{}/{}/{container}", found.namespace, found.name);
    kubelet(storage, &pod.spec.node_name, with_query(path, &options), Purpose::Log).map(Some)
}

/// A session in a container: exec or attach.
fn session(storage: &Storage, found: &ResourcePath, query: &Query) -> Result<Target, Status> {
    let pod: Pod = read(storage, &PODS, &found.namespace, &found.name)?;
    let container = container(&pod, &found.name, query.get("container").unwrap_or_default())?;
    let node = host(&pod, &found.name)?;
    let mut options: Vec<(&str, String)> = Vec::new();
    for (theirs, ours) in [("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty")] {
        if query.flag(theirs).unwrap_or(theirs == "stdout" || theirs == "stderr") {
            options.push((ours, "1".to_owned()));
        }
    }
    options.extend(query.all("command").map(|word| ("command", word.to_owned())));
    if found.subresource == "exec" && query.all("command").next().is_none() {
        return Err(Status::bad_request("you must specify at least one command for the container"));
    }
    let path = format!("/{}/{}/{}/{container}", found.subresource, found.namespace, found.name);
    kubelet(storage, node, with_query(path, &options), Purpose::Session)
}

fn port_forward(storage: &Storage, found: &ResourcePath, query: &Query) -> Result<Target, Status> {
    let pod: Pod = read(storage, &PODS, &found.namespace, &found.name)?;
    let node = host(&pod, &found.name)?;
    let ports = query.all("ports").flat_map(|ports| ports.split(','));
    let options: Vec<(&str, String)> = ports.map(|port| ("port", port.to_owned())).collect();
    let path = format!("/portForward/{}/{}", found.namespace, found.name);
    kubelet(storage, node, with_query(path, &options), Purpose::Session)
}

fn host<'a>(pod: &'a Pod, name: &str) -> Result<&'a str, Status> {
    if pod.spec.node_name.is_empty() {
        return Err(Status::bad_request(format!("pod {name} does not have a host assigned")));
    }
    if windlass_api::pod::has_ended(&pod.status.phase) {
        let text = format!("cannot exec into a container in a completed pod; current phase is {}", pod.status.phase);
        return Err(Status::bad_request(text));
    }
    Ok(&pod.spec.node_name)
}

/// Whether requests may be carried to an address: to nobody's loopback, and to no link, for there are those who trust everything from
/// there. Who writes a Node's or a pod's status chooses its addresses.
pub(crate) fn is_proxyable(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !(address.is_unspecified() || address.is_loopback() || address.is_multicast() || is_link_local)
}

pub(crate) fn not_allowed() -> Status {
    Status::bad_request("address not allowed")
}

/// Refuses an address that requests are not carried to; what a name leads to is seen when it is connected to.
fn check_address(host: &str) -> Result<(), Status> {
    let address: Option<IpAddr> = host.parse().ok();
    if address.is_none_or(is_proxyable) { Ok(()) } else { Err(not_allowed()) }
}

/// `[scheme:]name[:port]`.
fn split_name(name: &str) -> Result<(Security, &str, &str), Status> {
    let refuse = || Status::bad_request(format!("invalid service request {name:?}"));
    let parts: Vec<&str> = name.split(':').collect();
    let (scheme, name, port) = match parts.as_slice() {
        [name] => ("", *name, ""),
        [name, port] => ("", *name, *port),
        [scheme, name, port] => (*scheme, *name, *port),
        _ => return Err(refuse()),
    };
    match scheme {
        "" | "http" => Ok((Security::Plain, name, port)),
        "https" => Ok((Security::Any, name, port)),
        _ => Err(refuse()),
    }
}

fn prefix(found: &ResourcePath) -> String {
    let scope = match found.namespace.as_str() {
        "" => String::new(),
        namespace => format!("namespaces/{namespace}/"),
    };
    format!("/api/v1/{scope}{}/{}/proxy", found.resource.resource, found.name)
}

fn behind(found: &ResourcePath, host: String, port: u16, security: Security) -> Target {
    let path = format!("/{}", found.rest);
    let node = String::new();
    Target { node, host, port, security, purpose: Purpose::Proxy, path, prefix: Some(prefix(found)) }
}

fn node_proxy(storage: &Storage, found: &ResourcePath) -> Result<Target, Status> {
    let (security, name, port) = split_name(&found.name)?;
    let target = kubelet(storage, name, String::new(), Purpose::Proxy)?;
    let port = match port {
        "" => target.port,
        port => port.parse().map_err(|_| Status::bad_request(format!("invalid port {port:?}")))?,
    };
    let security = if port == target.port { Security::Kubelet } else { security };
    Ok(Target { node: target.node, ..behind(found, target.host, port, security) })
}

fn pod_proxy(storage: &Storage, found: &ResourcePath) -> Result<Target, Status> {
    let (security, name, port) = split_name(&found.name)?;
    let pod: Pod = read(storage, &PODS, &found.namespace, name)?;
    let port = match port {
        "" => pod.spec.containers.iter().flat_map(|container| &container.ports).map(|port| port.container_port).next(),
        port => Some(port.parse().map_err(|_| Status::bad_request(format!("invalid port {port:?}")))?),
    };
    if pod.status.pod_ip.is_empty() {
        return Err(not_allowed());
    }
    check_address(&pod.status.pod_ip)?;
    let port = port.unwrap_or(if security == Security::Plain { 80 } else { 443 });
    Ok(behind(found, pod.status.pod_ip, port, security))
}

/// One of the Service's ready endpoints.
fn service_proxy(storage: &Storage, found: &ResourcePath) -> Result<Target, Status> {
    let (security, name, port) = split_name(&found.name)?;
    let Some((host, port)) = endpoints::of_named_port(storage, &found.namespace, name, port)? else {
        return Err(Status::service_unavailable(format!("no endpoints available for service {:?}", found.name)));
    };
    check_address(&host)?;
    Ok(behind(found, host, port, security))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(spec: serde_json::Value) -> Pod {
        serde_json::from_value(serde_json::json!({"spec": spec})).unwrap()
    }

    #[test]
    fn which_container() {
        let one = pod(serde_json::json!({"containers": [{"name": "a"}]}));
        let two =
            pod(serde_json::json!({"containers": [{"name": "a"}, {"name": "b"}], "initContainers": [{"name": "i"}]}));
        assert_eq!(container(&one, "p", "").unwrap(), "a");
        assert_eq!(container(&two, "p", "i").unwrap(), "i");
        let text = container(&two, "p", "").unwrap_err().message;
        assert_eq!(
            text,
            "a container name must be specified for pod p, choose one of: [a b] or one of the init containers: [i]"
        );
        assert_eq!(container(&one, "p", "x").unwrap_err().message, "container x is not valid for pod p");
    }

    #[test]
    fn where_requests_go() {
        for address in ["10.244.0.7", "192.168.1.2", "192.0.0.8", "fd00::7"] {
            assert!(check_address(address).is_ok(), "{address}");
        }
        for address in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
        ] {
            assert_eq!(check_address(address).unwrap_err().message, "address not allowed", "{address}");
        }
        assert!(check_address("localhost").is_ok(), "what it leads to is seen later");
    }

    #[test]
    fn names_with_scheme_and_port() {
        assert_eq!(split_name("web").unwrap(), (Security::Plain, "web", ""));
        assert_eq!(split_name("web:80").unwrap(), (Security::Plain, "web", "80"));
        assert_eq!(split_name("https:web:https").unwrap(), (Security::Any, "web", "https"));
        assert!(split_name("ftp:web:1").is_err());
        assert!(split_name("a:b:c:d").is_err());
    }

    #[test]
    fn log_options_are_checked() {
        let options = |query: &str| log_options(&Query::parse(Some(query)));
        assert_eq!(options("follow=true&tailLines=5").unwrap().len(), 2);
        for bad in
            ["tailLines=-1", "limitBytes=0", "sinceSeconds=1&sinceTime=2026-11-21T06:00:00Z", "stream=x", "tailLines=x"]
        {
            assert!(options(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn queries_are_encoded() {
        let path =
            with_query("/exec/a/b/c".to_owned(), &[("command", "echo a&b".to_owned()), ("input", "1".to_owned())]);
        assert_eq!(path, "/exec/a/b/c?command=echo+a%26b&input=1");
    }
}
