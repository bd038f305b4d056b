//! All that the cluster's names lead to, kept up with Services and EndpointSlices.
//!
//! A change costs what its Service is large, and nothing else. Lookups take one hash-map access with a part of the question's
//! name as key, without a copy.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::{HashMap, HashSet};
use hickory_proto::rr::Name;

use crate::object::{EndpointSlice, Protocol, Service, ServiceType};
use windlass_api::ObjectKey;

/// A Service as names see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Records {
    /// The name leads to addresses of the Service itself.
    ClusterIp { addresses: Vec<IpAddr>, ports: Vec<Port> },
    /// The name leads to the endpoints.
    Headless,
    /// The name is another's.
    ExternalName(Name),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) name: String,
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
}

/// A ready endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Its own name below the Service's: the hostname, or the address with dashes.
    pub(crate) label: String,
    pub(crate) address: IpAddr,
    pub(crate) ports: Arc<[Port]>,
}

/// What a Service's name leads to.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) records: Records,
    pub(crate) endpoints: Vec<Endpoint>,
}

#[derive(Debug, Default)]
pub(crate) struct Index {
    /// By `name.namespace`.
    entries: HashMap<String, Entry>,
    sources: HashMap<ObjectKey, Source>,
    /// Which Service each slice belongs to.
    slice_services: HashMap<ObjectKey, ObjectKey>,
    /// Names of each address, relative to `svc` in the zone; a Service's own before those of endpoints.
    reverse: HashMap<IpAddr, Vec<Reverse>>,
    /// Namespaces that exist, as far as anybody told us.
    namespaces: HashSet<String>,
    /// How many Services each namespace has.
    service_namespaces: HashMap<String, usize>,
    pub(crate) initialized: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Reverse {
    service: String,
    /// `None` for the Service's own address.
    label: Option<String>,
}

/// What an entry is made of.
#[derive(Debug, Default)]
struct Source {
    records: Option<Records>,
    slices: BTreeMap<String, Vec<Endpoint>>,
}

impl Index {
    pub(crate) fn set_service(&mut self, key: &ObjectKey, service: Option<&Service>) {
        self.sources.entry(key.clone()).or_default().records = service.and_then(records);
        self.rebuild(key);
    }

    pub(crate) fn set_slice(&mut self, key: &ObjectKey, slice: Option<&EndpointSlice>) {
        let service = slice.and_then(|slice| slice.metadata.labels.service_name.as_deref());
        let service = service.filter(|name| !name.is_empty()).map(|name| ObjectKey::new(&key.namespace, name));
        let before = match &service {
            Some(service) => self.slice_services.insert(key.clone(), service.clone()),
            None => self.slice_services.remove(key),
        };
        if let Some(before) = before.filter(|before| service.as_ref() != Some(before)) {
            if let Some(source) = self.sources.get_mut(&before) {
                source.slices.remove(&key.name);
            }
            self.rebuild(&before);
        }
        if let (Some(service), Some(slice)) = (service, slice) {
            let source = self.sources.entry(service.clone()).or_default();
            source.slices.insert(key.name.clone(), endpoints(slice));
            self.rebuild(&service);
        }
    }

    pub(crate) fn set_namespace(&mut self, name: &str, exists: bool) {
        if exists {
            self.namespaces.insert(name.to_lowercase());
        } else {
            self.namespaces.remove(&name.to_lowercase());
        }
    }

    /// `service` is `name.namespace` in lower case.
    pub(crate) fn entry(&self, service: &str) -> Option<&Entry> {
        self.entries.get(service)
    }

    /// Whether there is such a namespace. Before anybody told us of any, those with Services are known to exist.
    pub(crate) fn has_namespace(&self, name: &str) -> bool {
        self.namespaces.contains(name) || self.service_namespaces.contains_key(name)
    }

    /// Whether there may be such a namespace: as long as nobody told us of any, all may exist.
    pub(crate) fn may_have_namespace(&self, name: &str) -> bool {
        self.namespaces.is_empty() || self.has_namespace(name)
    }

    /// The names of an address, relative to `svc` in the zone. A Service's address has that one name.
    pub(crate) fn names_of(&self, address: IpAddr) -> Vec<String> {
        let Some(names) = self.reverse.get(&address) else { return Vec::new() };
        if let Some(own) = names.iter().find(|name| name.label.is_none()) {
            return vec![own.service.clone()];
        }
        let name = |reverse: &Reverse| {
            reverse
                .label
                .as_ref()
                .map_or_else(|| reverse.service.clone(), |label| format!("{label}.{}", reverse.service))
        };
        names.iter().map(name).collect()
    }

    fn rebuild(&mut self, key: &ObjectKey) {
        let name = format!("{}.{}", key.name, key.namespace).to_lowercase();
        if let Some(before) = self.entries.remove(&name) {
            self.forget(&name, &key.namespace, &before);
        }
        let Some(source) = self.sources.get(key) else { return };
        let Some(records) = &source.records else {
            if source.slices.is_empty() {
                self.sources.remove(key);
            }
            return;
        };
        let mut endpoints: Vec<Endpoint> = source.slices.values().flatten().cloned().collect();
        endpoints.sort_by(|a, b| (&a.label, a.address).cmp(&(&b.label, b.address)));
        endpoints.dedup();
        let entry = Entry { records: records.clone(), endpoints };
        self.remember(&name, &key.namespace, &entry);
        self.entries.insert(name, entry);
    }

    fn remember(&mut self, service: &str, namespace: &str, entry: &Entry) {
        *self.service_namespaces.entry(namespace.to_lowercase()).or_default() += 1;
        for (address, label) in addresses(entry) {
            let reverse = Reverse { service: service.to_owned(), label };
            self.reverse.entry(address).or_default().push(reverse);
        }
    }

    fn forget(&mut self, service: &str, namespace: &str, entry: &Entry) {
        let namespace = namespace.to_lowercase();
        if let Some(count) = self.service_namespaces.get_mut(&namespace) {
            *count -= 1;
            if *count == 0 {
                self.service_namespaces.remove(&namespace);
            }
        }
        for (address, _) in addresses(entry) {
            if let Some(names) = self.reverse.get_mut(&address) {
                names.retain(|name| name.service != service);
                if names.is_empty() {
                    self.reverse.remove(&address);
                }
            }
        }
    }
}

/// Every address of an entry, with the label of the endpoint whose it is.
fn addresses(entry: &Entry) -> Vec<(IpAddr, Option<String>)> {
    let own = match &entry.records {
        Records::ClusterIp { addresses, .. } => addresses.as_slice(),
        Records::Headless | Records::ExternalName(_) => &[],
    };
    let mut all: Vec<_> = own.iter().map(|address| (*address, None)).collect();
    let mut endpoints: Vec<_> = entry.endpoints.iter().map(|e| (e.address, Some(e.label.clone()))).collect();
    endpoints.dedup();
    all.extend(endpoints);
    all
}

fn records(service: &Service) -> Option<Records> {
    let spec = &service.spec;
    if spec.kind == ServiceType::ExternalName {
        // An address is no name; upstream leaves such Services out as well.
        if spec.external_name.parse::<IpAddr>().is_ok() {
            return None;
        }
        let mut name = Name::from_str_relaxed(&spec.external_name).ok()?;
        name.set_fqdn(true);
        return Some(Records::ExternalName(name));
    }
    if spec.cluster_ip == "None" {
        return Some(Records::Headless);
    }
    let mut addresses: Vec<IpAddr> = spec.cluster_ips.iter().filter_map(|text| text.parse().ok()).collect();
    if addresses.is_empty() {
        addresses.extend(spec.cluster_ip.parse::<IpAddr>().ok());
    }
    if addresses.is_empty() {
        return None;
    }
    let port = |port: &crate::object::ServicePort| Port {
        name: port.name.to_lowercase(),
        protocol: port.protocol,
        port: port.port,
    };
    Some(Records::ClusterIp { addresses, ports: spec.ports.iter().map(port).collect() })
}

/// The endpoints that are ready. That a Service publishes those that are not is in their condition already.
fn endpoints(slice: &EndpointSlice) -> Vec<Endpoint> {
    let ports = slice.ports.iter().filter_map(|port| {
        let name = port.name.clone().unwrap_or_default().to_lowercase();
        Some(Port { name, protocol: port.protocol, port: port.port? })
    });
    let ports: Arc<[Port]> = ports.collect();
    let ready = slice.endpoints.iter().filter(|endpoint| endpoint.conditions.ready.unwrap_or(true));
    ready
        .flat_map(|endpoint| {
            let hostname = endpoint.hostname.as_deref().filter(|name| !name.is_empty());
            let addresses = endpoint.addresses.iter().filter_map(|text| text.parse::<IpAddr>().ok());
            let ports = &ports;
            addresses.map(move |address| Endpoint {
                label: hostname.map_or_else(|| dashed(address), str::to_lowercase),
                address,
                ports: Arc::clone(ports),
            })
        })
        .collect()
}

/// `10-0-0-1`; an IPv6 address must not end with a dash.
pub(crate) fn dashed(address: IpAddr) -> String {
    let mut label = address.to_string().replace(['.', ':'], "-");
    if label.ends_with('-') {
        label.push('0');
    }
    label
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(json: &str) -> Service {
        Service::from_json(json.as_bytes()).unwrap()
    }

    fn slice(service: &str, endpoints: &str) -> EndpointSlice {
        let json = format!(
            r#"{{"metadata":{{"labels":{{"kubernetes.io/service-name":"{service}"}}}},"endpoints":{endpoints},
                "ports":[{{"name":"http","port":8080,"protocol":"TCP"}}]}}"#
        );
        EndpointSlice::from_json(json.as_bytes()).unwrap()
    }

    fn labels(index: &Index, name: &str) -> Vec<String> {
        index.entry(name).map(|entry| entry.endpoints.iter().map(|e| e.label.clone()).collect()).unwrap_or_default()
    }

    #[test]
    fn services_and_slices_in_any_order() {
        let mut index = Index::default();
        let key = ObjectKey::new("ns", "web");
        let two = r#"[{"addresses":["10.0.0.2"]},{"addresses":["10.0.0.1"],"hostname":"Zero","conditions":{"ready":true}},
            {"addresses":["10.0.0.3"],"conditions":{"ready":false}}]"#;
        index.set_slice(&ObjectKey::new("ns", "web-1"), Some(&slice("web", two)));
        assert!(index.entry("web.ns").is_none() && !index.has_namespace("ns"));
        index.set_service(&key, Some(&service(r#"{"spec":{"clusterIP":"None"}}"#)));
        assert_eq!(labels(&index, "web.ns"), ["10-0-0-2", "zero"]);
        assert!(index.has_namespace("ns"));
        assert_eq!(index.names_of("10.0.0.1".parse().unwrap()), ["zero.web.ns"]);
        // The slice goes over to another Service.
        index.set_slice(&ObjectKey::new("ns", "web-1"), Some(&slice("other", two)));
        assert_eq!(labels(&index, "web.ns"), Vec::<String>::new());
        index.set_service(&ObjectKey::new("ns", "other"), Some(&service(r#"{"spec":{"clusterIP":"10.96.0.1"}}"#)));
        assert_eq!(index.names_of("10.0.0.2".parse().unwrap()), ["10-0-0-2.other.ns"]);
        assert_eq!(index.names_of("10.96.0.1".parse().unwrap()), ["other.ns"]);
        index.set_slice(&ObjectKey::new("ns", "web-1"), None);
        index.set_service(&key, None);
        index.set_service(&ObjectKey::new("ns", "other"), None);
        assert!(index.entries.is_empty() && index.reverse.is_empty() && index.sources.is_empty());
        assert!(!index.has_namespace("ns") && index.slice_services.is_empty());
    }

    #[test]
    fn kinds_of_services() {
        let of = |json: &str| records(&service(json));
        assert!(matches!(
            of(r#"{"spec":{"type":"ExternalName","externalName":"a.example.com"}}"#),
            Some(Records::ExternalName(_))
        ));
        assert_eq!(of(r#"{"spec":{"type":"ExternalName","externalName":"1.2.3.4"}}"#), None);
        assert_eq!(of(r#"{"spec":{"clusterIP":""}}"#), None);
        assert_eq!(of(r#"{"spec":{"clusterIP":"None"}}"#), Some(Records::Headless));
    }

    #[test]
    fn dashes() {
        for (address, label) in [("10.0.0.1", "10-0-0-1"), ("fd00::1", "fd00--1"), ("fd00::", "fd00--0")] {
            assert_eq!(dashed(address.parse().unwrap()), label);
        }
    }

    #[test]
    fn namespaces() {
        let mut index = Index::default();
        assert!(index.may_have_namespace("any"));
        index.set_namespace("default", true);
        assert!(index.may_have_namespace("default") && !index.may_have_namespace("any"));
        index.set_namespace("default", false);
        assert!(index.may_have_namespace("any"));
    }
}
