//! EndpointSlice: some of the addresses behind a Service.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_api::well_known::{label, namespace};
use windlass_machinery::tree::{items, items_mut, remove, set, text};

use crate::columns::{self, first_three};
use crate::first::{Beginnings, First};
use crate::resource::content_differs;
use crate::rules::{
    self, NameRule, app_protocol, complain, endpoint_ip, labels, object_at, supported, texts, unchanged,
};
use crate::{Moment, Resource, Strategy};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
        .counts_generations()
        .columns(columns::list(&["Name", "AddressType", "Ports", "Endpoints", "Age"]))
        .strategy(EndpointSlice)
}

struct EndpointSlice;

impl Strategy for EndpointSlice {
    /// The API server's.
    fn first(&self, beginnings: &Beginnings) -> Vec<First> {
        let object = json!({
            "metadata": {"name": "kubernetes", "namespace": namespace::DEFAULT,
                "labels": {label::SERVICE_NAME: "kubernetes"}},
            "addressType": if beginnings.server.address.is_ipv4() { "IPv4" } else { "IPv6" },
            "endpoints": [{"addresses": [beginnings.server.address.to_string()], "conditions": {"ready": true}}],
            "ports": [{"name": "https", "port": beginnings.server.port, "protocol": "TCP"}],
        });
        vec![First { object, status: None, follows: &["endpoints", "ports"] }]
    }

    fn set_defaults(&self, object: &mut Value) {
        for port in items_mut(object, "ports") {
            set(port, "name", "");
            set(port, "protocol", "TCP");
        }
    }

    /// The field is a relic of a version that is not served; what clients write into it here is dropped.
    fn prepare_create(&self, object: &mut Value, _moment: Moment) {
        drop_topology(object);
    }

    fn prepare_update(&self, object: &mut Value, old: &Value, _moment: Moment) {
        if object.get("endpoints") != old.get("endpoints") {
            drop_topology(object);
        }
    }

    /// Labels say which Service the slice belongs to, so they count as well.
    fn is_new_generation(&self, object: &Value, old: &Value) -> bool {
        content_differs(object, old) || object.pointer("/metadata/labels") != old.pointer("/metadata/labels")
    }

    fn validate(&self, object: &Value) -> Errors {
        let mut errors = validate_ports(object);
        errors.extend(validate_endpoints(object));
        validate_shape(&mut errors, object);
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let mut errors = validate_ports(object);
        if object.get("endpoints") != old.get("endpoints") {
            errors.extend(validate_endpoints(object));
        }
        validate_shape(&mut errors, object);
        unchanged(&mut errors, &Path::new("addressType"), object.get("addressType"), old.get("addressType"));
        errors
    }

    fn warnings(&self, object: &Value, _old: Option<&Value>) -> Vec<String> {
        let what = "spec.addressType: FQDN endpoints are deprecated";
        (text(object, "addressType") == "FQDN").then(|| what.to_owned()).into_iter().collect()
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let ports: Vec<String> = items(object, "ports")
            .map(|port| match port.get("port").and_then(Value::as_i64) {
                Some(number) => number.to_string(),
                None => port.get("name").and_then(Value::as_str).unwrap_or("*").to_owned(),
            })
            .collect();
        let addresses: Vec<String> = items(object, "endpoints")
            .flat_map(|endpoint| items(endpoint, "addresses"))
            .filter_map(|address| address.as_str().map(str::to_owned))
            .collect();
        vec![
            columns::name(object),
            Value::from(text(object, "addressType")),
            Value::from(first_three(&ports)),
            Value::from(first_three(&addresses)),
            columns::age(object, now),
        ]
    }
}

fn drop_topology(slice: &mut Value) {
    for endpoint in items_mut(slice, "endpoints") {
        remove(endpoint, "deprecatedTopology");
    }
}

const MOST_ENDPOINTS: usize = 1000;
const MOST_ADDRESSES: usize = 100;
const MOST_PORTS: usize = 20_000;
const MOST_TOPOLOGY_LABELS: usize = 16;
const MOST_HINTS: usize = 8;

fn validate_ports(slice: &Value) -> Errors {
    let (mut errors, path) = (Errors::new(), Path::new("ports"));
    let count = items(slice, "ports").count();
    if count > MOST_PORTS {
        errors.push(Error::too_many(&path, count, MOST_PORTS));
        return errors;
    }
    let mut seen = BTreeSet::new();
    for (index, port) in items(slice, "ports").enumerate() {
        let path = path.index(index);
        let name = text(port, "name");
        if !name.is_empty() {
            complain(&mut errors, &path.child("name"), name, names::dns1123_label(name));
        }
        if !seen.insert(name) {
            errors.push(Error::duplicate(&path.child("name"), name));
        }
        supported(&mut errors, &path.child("protocol"), text(port, "protocol"), &["SCTP", "TCP", "UDP"]);
        app_protocol(&mut errors, port, &path);
    }
    errors
}

fn validate_endpoints(slice: &Value) -> Errors {
    let (mut errors, path) = (Errors::new(), Path::new("endpoints"));
    let count = items(slice, "endpoints").count();
    if count > MOST_ENDPOINTS {
        errors.push(Error::too_many(&path, count, MOST_ENDPOINTS));
        return errors;
    }
    for (index, endpoint) in items(slice, "endpoints").enumerate() {
        let path = path.index(index);
        let addresses = path.child("addresses");
        for (index, address) in texts(endpoint, "addresses").enumerate() {
            let at_index = addresses.index(index);
            validate_address(&mut errors, &at_index, &addresses, text(slice, "addressType"), address);
        }
        rules::optional(&mut errors, endpoint, &path, "nodeName", names::dns1123_subdomain);
        let topology = endpoint.get("deprecatedTopology").and_then(Value::as_object).map_or(0, serde_json::Map::len);
        if topology > MOST_TOPOLOGY_LABELS {
            errors.push(Error::too_many(&path.child("deprecatedTopology"), topology, MOST_TOPOLOGY_LABELS));
        }
        labels(&mut errors, &path, endpoint, "deprecatedTopology");
        rules::optional(&mut errors, endpoint, &path, "hostname", names::dns1123_label);
        if let Some(hints) = object_at(endpoint, "hints") {
            validate_hints(&mut errors, hints, &path.child("hints"));
        }
    }
    errors
}

fn validate_address(errors: &mut Errors, path: &Path<'_>, list: &Path<'_>, kind: &str, address: &str) {
    match kind {
        "IPv4" | "IPv6" => {
            if let Some(ip) = rules::canonical_ip(errors, path, address) {
                if ip.is_ipv4() != (kind == "IPv4") {
                    errors.push(Error::invalid(list, address, format!("must be an {kind} address")));
                }
                endpoint_ip(errors, path, address);
            }
        }
        "FQDN" => validate_domain(errors, path, address),
        _ => {}
    }
}

/// A name with at least two parts, with or without a dot at the end.
fn validate_domain(errors: &mut Errors, path: &Path<'_>, name: &str) {
    let short = name.strip_suffix('.').unwrap_or(name);
    let problems = names::dns1123_subdomain(short);
    if name.is_empty() {
        errors.push(Error::required(path, ""));
    } else if !problems.is_empty() {
        complain(errors, path, short, problems);
    } else if !short.contains('.') {
        errors.push(Error::invalid(path, short, "should be a domain with at least two segments separated by dots"));
    }
}

fn validate_hints(errors: &mut Errors, hints: &Value, path: &Path<'_>) {
    let rules: [(&str, NameRule); 2] = [("forZones", names::label_value), ("forNodes", names::dns1123_subdomain)];
    for (field, rule) in rules {
        let path = path.child(field);
        let count = items(hints, field).count();
        if count > MOST_HINTS {
            errors.push(Error::too_many(&path, count, MOST_HINTS));
            return;
        }
        let mut seen = BTreeSet::new();
        for (index, hint) in items(hints, field).enumerate() {
            let path = path.index(index);
            let name = text(hint, "name");
            if !seen.insert(name) {
                errors.push(Error::duplicate(&path.child("name"), name));
            }
            complain(errors, &path.child("name"), name, rule(name));
        }
    }
}

/// What upstream's generated validation finds.
fn validate_shape(errors: &mut Errors, slice: &Value) {
    let kind = text(slice, "addressType");
    rules::required_of(errors, &Path::new("addressType"), kind, &["FQDN", "IPv4", "IPv6"]);
    let path = Path::new("endpoints");
    for (index, endpoint) in items(slice, "endpoints").enumerate() {
        let path = path.index(index);
        let path = path.child("addresses");
        let count = texts(endpoint, "addresses").count();
        if count == 0 {
            errors.push(Error::required(&path, ""));
        } else if count > MOST_ADDRESSES {
            errors.push(Error::too_many(&path, count, MOST_ADDRESSES));
        }
    }
}
