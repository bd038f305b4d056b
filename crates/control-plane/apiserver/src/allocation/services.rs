//! What a Service takes: a cluster address, node ports, a port for health checks.
//!
//! Source: upstream `pkg/registry/core/service/storage/alloc.go`.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use ipnet::Ipv4Net;
use serde_json::{Value, json};
use windlass_api::field::{Error, Path};
use windlass_api::time::Clock;
use windlass_api::{Chance, Status};
use windlass_machinery::tree::{child, items, items_mut, number, put, remove, text};
use windlass_store::{Op, Store};

use super::{Allocator, addresses, ports};

pub(crate) struct ServiceAllocator {
    pub range: Ipv4Net,
    pub node_ports: RangeInclusive<u16>,
    pub clock: Clock,
    pub chance: Chance,
}

/// What a Service holds.
#[derive(Debug, Default, PartialEq, Eq)]
struct Holdings {
    addresses: Vec<String>,
    ports: Vec<u16>,
}

impl Holdings {
    fn of(service: &Value) -> Self {
        let spec = &service["spec"];
        let mut held: Vec<u16> = Vec::new();
        let all = items(spec, "ports").map(|port| number(port, "nodePort"));
        for port in all.chain([number(spec, "healthCheckNodePort")]) {
            match u16::try_from(port) {
                Ok(port) if port != 0 && !held.contains(&port) => held.push(port),
                _ => {}
            }
        }
        let addresses = items(spec, "clusterIPs").filter_map(Value::as_str).filter(|ip| !matches!(*ip, "" | "None"));
        Self { addresses: addresses.map(str::to_owned).collect(), ports: held }
    }
}

impl Allocator for ServiceAllocator {
    fn write(&self, store: &Arc<Store>, old: Option<&Value>, new: &mut Value) -> Result<Vec<Op>, Status> {
        let name = text(&new["metadata"], "name").to_owned();
        let namespace = text(&new["metadata"], "namespace").to_owned();
        let before = old.map(Holdings::of).unwrap_or_default();
        if let Some(old) = old {
            carry_over(old, new);
        }
        let seed = self.chance.number();
        let mut taking = Taking { store, before: &before, namespace: &namespace, name: &name, seed, ops: Vec::new() };
        let mut errors = Vec::new();
        self.address(&mut taking, new, &mut errors);
        self.node_ports(&mut taking, new, &mut errors);
        if !errors.is_empty() {
            return Err(Status::invalid("", "Service", &name, &errors));
        }
        let mut ops = taking.ops;
        let after = Holdings::of(new);
        for address in before.addresses.iter().filter(|address| !after.addresses.contains(address)) {
            ops.extend(addresses::give_back(store, address, &namespace, &name));
        }
        for port in before.ports.iter().filter(|port| !after.ports.contains(port)) {
            ops.extend(ports::give_back(store, *port, &namespace, &name));
        }
        Ok(ops)
    }

    fn delete(&self, store: &Arc<Store>, old: &Value) -> Vec<Op> {
        let (namespace, name) = (text(&old["metadata"], "namespace"), text(&old["metadata"], "name"));
        let held = Holdings::of(old);
        let addresses =
            held.addresses.iter().filter_map(|address| addresses::give_back(store, address, namespace, name));
        let ports = held.ports.iter().filter_map(|port| ports::give_back(store, *port, namespace, name));
        addresses.chain(ports).collect()
    }
}

/// What is being taken for one Service.
struct Taking<'a> {
    store: &'a Arc<Store>,
    before: &'a Holdings,
    namespace: &'a str,
    name: &'a str,
    seed: u64,
    ops: Vec<Op>,
}

fn kind(service: &Value) -> &str {
    text(&service["spec"], "type")
}

/// What a client that replaces a Service need not know: what has been given to it stays, if its type still has it.
fn carry_over(old: &Value, new: &mut Value) {
    let (old_spec, old_kind, new_kind) = (&old["spec"], kind(old).to_owned(), kind(new).to_owned());
    if old_kind != "ExternalName" && new_kind != "ExternalName" && text(&new["spec"], "clusterIP").is_empty() {
        let none_given = items(&new["spec"], "clusterIPs").next().is_none();
        if none_given {
            for field in ["clusterIP", "clusterIPs"] {
                if let Some(value) = old_spec.get(field) {
                    put(child(new, "spec"), field, value.clone());
                }
            }
        }
    }
    if !has_node_ports(&old_kind) || !has_node_ports(&new_kind) {
        return;
    }
    let taken: Vec<i64> = items(&new["spec"], "ports").map(|port| number(port, "nodePort")).collect();
    for port in items_mut(child(new, "spec"), "ports") {
        if number(port, "nodePort") != 0 {
            continue;
        }
        let same = |other: &&Value| {
            number(other, "port") == number(port, "port") && text(other, "protocol") == text(port, "protocol")
        };
        let before = items(old_spec, "ports").find(same).map_or(0, |other| number(other, "nodePort"));
        if before != 0 && !taken.contains(&before) {
            put(port, "nodePort", before);
        }
    }
    if number(&new["spec"], "healthCheckNodePort") == 0 && wants_health_check_port(new) {
        let before = number(old_spec, "healthCheckNodePort");
        if before != 0 {
            put(child(new, "spec"), "healthCheckNodePort", before);
        }
    }
}

fn has_node_ports(kind: &str) -> bool {
    matches!(kind, "NodePort" | "LoadBalancer")
}

fn wants_health_check_port(service: &Value) -> bool {
    kind(service) == "LoadBalancer" && text(&service["spec"], "externalTrafficPolicy") == "Local"
}

impl ServiceAllocator {
    fn address(&self, taking: &mut Taking<'_>, service: &mut Value, errors: &mut Vec<Error>) {
        if kind(service) == "ExternalName" {
            let spec = child(service, "spec");
            for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                remove(spec, field);
            }
            return;
        }
        let has_selector = service.pointer("/spec/selector").and_then(Value::as_object).is_some_and(|s| !s.is_empty());
        let spec = child(service, "spec");
        let listed = items(spec, "clusterIPs").next().and_then(Value::as_str).unwrap_or_default().to_owned();
        let asked = match text(spec, "clusterIP") {
            "" => listed,
            asked => asked.to_owned(),
        };
        if asked == "None" {
            put(spec, "clusterIP", "None");
            put(spec, "clusterIPs", json!(["None"]));
            // Nobody knows the families of endpoints that come from elsewhere.
            let (policy, families) = match has_selector {
                true => ("SingleStack", json!(["IPv4"])),
                false => ("RequireDualStack", json!(["IPv4", "IPv6"])),
            };
            set_families(spec, policy, families);
            return;
        }
        set_families(spec, "SingleStack", json!(["IPv4"]));
        if taking.before.addresses.contains(&asked) {
            put(spec, "clusterIP", asked.as_str());
            put(spec, "clusterIPs", json!([asked]));
            return;
        }
        match self.choose_address(taking, &asked) {
            Ok(address) => {
                put(spec, "clusterIP", address.to_string());
                put(spec, "clusterIPs", json!([address.to_string()]));
                let now = self.clock.now_rfc3339();
                taking.ops.push(addresses::take(address, taking.namespace, taking.name, &now, &self.chance));
            }
            Err(why) => {
                let path = Path::new("spec");
                let given: Vec<&str> = if asked.is_empty() { Vec::new() } else { vec![&asked] };
                errors.push(Error::invalid(&path.child("clusterIPs"), given, why));
            }
        }
    }

    fn choose_address(&self, taking: &Taking<'_>, asked: &str) -> Result<IpAddr, String> {
        let ranges = addresses::ranges(taking.store, self.range);
        if asked.is_empty() {
            let free = addresses::pick(taking.store, &ranges, taking.seed);
            return free.map(IpAddr::from).ok_or_else(|| "failed to allocate a serviceIP: range is full".to_owned());
        }
        let fail = |why: &str| format!("failed to allocate IP {asked}: {why}");
        let address: IpAddr = asked.parse().map_err(|_| fail("not a valid IP address"))?;
        let within = matches!(address, IpAddr::V4(v4) if ranges.iter().any(|range| range.contains(&v4)));
        if !within {
            let all: Vec<String> = ranges.iter().map(ToString::to_string).collect();
            let why = format!(
                "the provided IP ({asked}) is not in the valid range. The range of valid IPs is {}",
                all.join(",")
            );
            return Err(fail(&why));
        }
        if addresses::is_taken(taking.store, address) {
            return Err(fail("provided IP is already allocated"));
        }
        Ok(address)
    }

    fn node_ports(&self, taking: &mut Taking<'_>, service: &mut Value, errors: &mut Vec<Error>) {
        let service_kind = kind(service).to_owned();
        let path = Path::new("spec");
        if !has_node_ports(&service_kind) {
            for port in items_mut(child(service, "spec"), "ports") {
                remove(port, "nodePort");
            }
        }
        let no_ports = service.pointer("/spec/allocateLoadBalancerNodePorts") == Some(&Value::Bool(false));
        let allocate = has_node_ports(&service_kind) && !(service_kind == "LoadBalancer" && no_ports);
        let mut taken: Vec<u16> = Vec::new();
        let ports_path = path.child("ports");
        for (index, port) in items_mut(child(service, "spec"), "ports").enumerate() {
            let asked = number(port, "nodePort");
            if asked == 0 && !allocate {
                continue;
            }
            let item = ports_path.index(index);
            if let Some(chosen) = self.port(taking, asked, &mut taken, &item.child("nodePort"), errors) {
                put(port, "nodePort", chosen);
            }
        }
        if wants_health_check_port(service) {
            let spec = child(service, "spec");
            let asked = number(spec, "healthCheckNodePort");
            let field = path.child("healthCheckNodePort");
            if let Some(chosen) = self.port(taking, asked, &mut taken, &field, errors) {
                put(spec, "healthCheckNodePort", chosen);
            }
        } else {
            remove(child(service, "spec"), "healthCheckNodePort");
        }
    }

    /// One port, chosen or checked; two ports of a Service may share one.
    fn port(
        &self,
        taking: &mut Taking<'_>,
        asked: i64,
        taken: &mut Vec<u16>,
        path: &Path<'_>,
        errors: &mut Vec<Error>,
    ) -> Option<u16> {
        let chosen = if asked == 0 {
            let free = ports::pick(taking.store, &self.node_ports, taken, taking.seed);
            if free.is_none() {
                errors.push(Error::internal(path, "failed to allocate a nodePort: range is full"));
            }
            free?
        } else {
            match u16::try_from(asked) {
                Ok(port) if self.node_ports.contains(&port) => port,
                _ => {
                    let (start, end) = (self.node_ports.start(), self.node_ports.end());
                    let detail =
                        format!("provided port is not in the valid range. The range of valid ports is {start}-{end}");
                    errors.push(Error::invalid(path, asked, detail));
                    return None;
                }
            }
        };
        if taken.contains(&chosen) || taking.before.ports.contains(&chosen) {
            taken.push(chosen);
            return Some(chosen);
        }
        if ports::is_taken(taking.store, chosen) {
            errors.push(Error::invalid(path, asked, "provided port is already allocated"));
            return None;
        }
        taken.push(chosen);
        taking.ops.push(ports::take(chosen, taking.namespace, taking.name));
        Some(chosen)
    }
}

fn set_families(spec: &mut Value, policy: &str, families: Value) {
    windlass_machinery::tree::set(spec, "ipFamilyPolicy", policy);
    if items(spec, "ipFamilies").next().is_none() {
        put(spec, "ipFamilies", families);
    }
}
