//! What a Service takes: a cluster address, node ports, a port for health checks.
//!
//! Source: upstream `pkg/registry/core/service/storage/alloc.go`.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use serde_json::{Value, json};
use windlass_api::field::{Error, Errors, Path};
use windlass_machinery::tree::{child, items, items_mut, number, put, remove, set, text};

use crate::allocation::{Allocation, Exchange, Holding, Stock};

pub(super) struct ServiceAllocation;

impl Allocation for ServiceAllocation {
    fn allocate(&self, stock: &dyn Stock, old: Option<&Value>, new: &mut Value) -> Result<Exchange, Errors> {
        let before = old.map(|old| self.holdings(old)).unwrap_or_default();
        if let Some(old) = old {
            carry_over(old, new);
        }
        let mut allocating = Allocating { stock, before: &before, taken: Vec::new(), errors: Errors::new() };
        allocating.address(new);
        allocating.node_ports(new);
        let Allocating { taken, errors, .. } = allocating;
        if !errors.is_empty() {
            return Err(errors);
        }
        let after = self.holdings(new);
        let given_back = before.into_iter().filter(|holding| !after.contains(holding)).collect();
        Ok(Exchange { taken, given_back })
    }

    fn holdings(&self, service: &Value) -> Vec<Holding> {
        let spec = &service["spec"];
        let addresses = items(spec, "clusterIPs").filter_map(Value::as_str).filter_map(|ip| ip.parse().ok());
        let mut held: Vec<Holding> = addresses.map(Holding::Address).collect();
        let ports = items(spec, "ports").map(|port| number(port, "nodePort"));
        for port in ports.chain([number(spec, "healthCheckNodePort")]) {
            if let Some(port) = u16::try_from(port).ok().filter(|port| *port != 0)
                && !held.contains(&Holding::NodePort(port))
            {
                held.push(Holding::NodePort(port));
            }
        }
        held
    }
}

/// One Service while it gets what it needs.
struct Allocating<'a> {
    stock: &'a dyn Stock,
    before: &'a [Holding],
    taken: Vec<Holding>,
    errors: Errors,
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
    let taken: HashSet<i64> = items(&new["spec"], "ports").map(|port| number(port, "nodePort")).collect();
    let mut had: HashMap<(i64, &str), i64> = HashMap::new();
    for port in items(old_spec, "ports") {
        had.entry((number(port, "port"), text(port, "protocol"))).or_insert_with(|| number(port, "nodePort"));
    }
    for port in items_mut(child(new, "spec"), "ports") {
        if number(port, "nodePort") != 0 {
            continue;
        }
        let before = had.get(&(number(port, "port"), text(port, "protocol"))).copied().unwrap_or(0);
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

impl Allocating<'_> {
    fn address(&mut self, service: &mut Value) {
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
        if asked == "None" && !has_selector {
            // Nobody knows the families of endpoints that come from elsewhere.
            set(spec, "ipFamilyPolicy", "RequireDualStack");
            set_families(spec, &["IPv4", "IPv6"]);
        } else if !self.families(spec) {
            return;
        }
        if asked == "None" {
            put(spec, "clusterIP", "None");
            put(spec, "clusterIPs", json!(["None"]));
            return;
        }
        if let Some(address) = self.choose_address(&asked) {
            put(spec, "clusterIP", address.to_string());
            put(spec, "clusterIPs", json!([address.to_string()]));
        }
    }

    /// Completes the policy and the families; whether the cluster has what is asked for.
    fn families(&mut self, spec: &mut Value) -> bool {
        let of_cluster = self.stock.families();
        let asked_for_two = items(spec, "ipFamilies").count() > 1 || items(spec, "clusterIPs").count() > 1;
        set(spec, "ipFamilyPolicy", if asked_for_two { "RequireDualStack" } else { "SingleStack" });
        let path = Path::new("spec");
        let mut errors = Errors::new();
        let policy = text(spec, "ipFamilyPolicy");
        if policy == "RequireDualStack" && of_cluster.len() < 2 {
            let detail = "this cluster is not configured for dual-stack services";
            errors.push(Error::invalid(&path.child("ipFamilyPolicy"), policy, detail));
        }
        let families = path.child("ipFamilies");
        for (index, family) in items(spec, "ipFamilies").enumerate() {
            if family.as_str().is_none_or(|family| !of_cluster.contains(&family)) {
                errors.push(Error::invalid(&families.index(index), family.clone(), "not configured on this cluster"));
            }
        }
        let is_fine = errors.is_empty();
        self.errors.extend(errors);
        set_families(spec, &of_cluster[..1]);
        is_fine
    }

    fn choose_address(&mut self, asked: &str) -> Option<IpAddr> {
        let chosen = if asked.is_empty() {
            self.stock.pick_address().ok_or_else(|| "failed to allocate a serviceIP: range is full".to_owned())
        } else {
            let parsed = asked.parse().map_err(|_| "not a valid IP address".to_owned());
            let checked = parsed.and_then(|address| match self.before.contains(&Holding::Address(address)) {
                true => Ok(address),
                false => self.stock.check_address(address).map(|()| address),
            });
            checked.map_err(|why| format!("failed to allocate IP {asked}: {why}"))
        };
        match chosen {
            Ok(address) => {
                let holding = Holding::Address(address);
                if !self.before.contains(&holding) {
                    self.taken.push(holding);
                }
                Some(address)
            }
            Err(why) => {
                let path = Path::new("spec");
                let given: Vec<&str> = if asked.is_empty() { Vec::new() } else { vec![asked] };
                self.errors.push(Error::invalid(&path.child("clusterIPs"), given, why));
                None
            }
        }
    }

    fn node_ports(&mut self, service: &mut Value) {
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
            if let Some(chosen) = self.port(asked, &mut taken, &item.child("nodePort")) {
                put(port, "nodePort", chosen);
            }
        }
        if wants_health_check_port(service) {
            let spec = child(service, "spec");
            let asked = number(spec, "healthCheckNodePort");
            let field = path.child("healthCheckNodePort");
            if let Some(chosen) = self.port(asked, &mut taken, &field) {
                put(spec, "healthCheckNodePort", chosen);
            }
        } else {
            remove(child(service, "spec"), "healthCheckNodePort");
        }
    }

    /// One port, chosen or checked; two ports of a Service may share one.
    fn port(&mut self, asked: i64, taken: &mut Vec<u16>, path: &Path<'_>) -> Option<u16> {
        let chosen = if asked == 0 {
            let free = self.stock.pick_port(taken);
            if free.is_none() {
                self.errors.push(Error::internal(path, "failed to allocate a nodePort: range is full"));
            }
            free?
        } else {
            let range = self.stock.ports();
            match u16::try_from(asked) {
                Ok(port) if range.contains(&port) => port,
                _ => {
                    let (start, end) = (range.start(), range.end());
                    let detail =
                        format!("provided port is not in the valid range. The range of valid ports is {start}-{end}");
                    self.errors.push(Error::invalid(path, asked, detail));
                    return None;
                }
            }
        };
        let holding = Holding::NodePort(chosen);
        if taken.contains(&chosen) || self.before.contains(&holding) {
            taken.push(chosen);
            return Some(chosen);
        }
        if self.stock.is_port_taken(chosen) {
            self.errors.push(Error::invalid(path, asked, "provided port is already allocated"));
            return None;
        }
        taken.push(chosen);
        self.taken.push(holding);
        Some(chosen)
    }
}

fn set_families(spec: &mut Value, families: &[&str]) {
    if items(spec, "ipFamilies").next().is_none() {
        put(spec, "ipFamilies", json!(families));
    }
}
