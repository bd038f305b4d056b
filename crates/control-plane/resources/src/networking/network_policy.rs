//! NetworkPolicy: which traffic pods may have.

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_api::field::{Error, Errors, Path};
use windlass_machinery::tree::{child, items, items_mut, put, set, text};

use crate::columns;
use crate::rules::{self, at, label_selector, object_at, port_number, supported, texts};
use crate::{Resource, Strategy};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
        .short_names(&["netpol"])
        .counts_generations()
        .columns(columns::list(&["Name", "Pod-Selector", "Age"]))
        .strategy(NetworkPolicy)
}

struct NetworkPolicy;

impl Strategy for NetworkPolicy {
    fn set_defaults(&self, object: &mut Value) {
        let spec = child(object, "spec");
        for direction in ["ingress", "egress"] {
            for rule in items_mut(spec, direction) {
                for port in items_mut(rule, "ports") {
                    set(port, "protocol", "TCP");
                }
            }
        }
        // A policy that does not say so is about incoming traffic, and about outgoing traffic if it has rules for that.
        if items(spec, "policyTypes").next().is_none() {
            let both = items(spec, "egress").next().is_some();
            put(spec, "policyTypes", if both { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) });
        }
    }

    fn validate(&self, object: &Value) -> Errors {
        let (mut errors, path) = (Errors::new(), Path::new("spec"));
        let spec = object.get("spec").unwrap_or(&Value::Null);
        label_selector(&mut errors, &path.child("podSelector"), spec.get("podSelector"));
        for (direction, peers) in DIRECTIONS {
            let path = path.child(direction);
            for (index, rule) in items(spec, direction).enumerate() {
                let path = path.index(index);
                let ports_path = path.child("ports");
                for (index, port) in items(rule, "ports").enumerate() {
                    validate_port(&mut errors, port, &ports_path.index(index));
                }
                let peers_path = path.child(peers);
                for (index, peer) in items(rule, peers).enumerate() {
                    validate_peer(&mut errors, peer, &peers_path.index(index));
                }
            }
        }
        let types = path.child("policyTypes");
        if texts(spec, "policyTypes").count() > 2 {
            let detail = "may not specify more than two policyTypes";
            errors.push(Error::invalid(&types, spec["policyTypes"].clone(), detail));
        } else {
            for (index, kind) in texts(spec, "policyTypes").enumerate() {
                supported(&mut errors, &types.index(index), kind, &["Ingress", "Egress"]);
            }
        }
        for (direction, peers) in DIRECTIONS {
            let path = path.child(direction);
            for (index, rule) in items(spec, direction).enumerate() {
                let (path, at_rule) = (path.index(index), rule);
                let path = path.child(peers);
                for (index, peer) in items(at_rule, peers).enumerate() {
                    if let Some(block) = object_at(peer, "ipBlock") {
                        let peer_path = path.index(index);
                        rules::required(&mut errors, block, &peer_path.child("ipBlock"), "cidr");
                    }
                }
            }
        }
        errors
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![columns::name(object), columns::selector(object.pointer("/spec/podSelector")), columns::age(object, now)]
    }
}

const DIRECTIONS: [(&str, &str); 2] = [("ingress", "from"), ("egress", "to")];

fn validate_port(errors: &mut Errors, port: &Value, path: &Path<'_>) {
    if let Some(protocol) = at(port, "protocol").and_then(Value::as_str) {
        supported(errors, &path.child("protocol"), protocol, &["TCP", "UDP", "SCTP"]);
    }
    let (end, end_path) = (at(port, "endPort").and_then(Value::as_i64), path.child("endPort"));
    let mut forbid_end = |detail: &str| {
        if let Some(end) = end {
            errors.push(Error::invalid(&end_path, end, detail));
        }
    };
    match at(port, "port") {
        None => forbid_end("may not be specified when `port` is not specified"),
        Some(Value::String(_)) => {
            forbid_end("may not be specified when `port` is non-numeric");
            rules::port(errors, &path.child("port"), port.get("port"));
        }
        Some(number) => {
            rules::port(errors, &path.child("port"), Some(number));
            if let Some(end) = end {
                if end < number.as_i64().unwrap_or(0) {
                    errors.push(Error::invalid(&end_path, end, "must be greater than or equal to `port`"));
                }
                port_number(errors, &end_path, end);
            }
        }
    }
}

fn validate_peer(errors: &mut Errors, peer: &Value, path: &Path<'_>) {
    let mut selectors = 0;
    for field in ["podSelector", "namespaceSelector"] {
        let selector = object_at(peer, field);
        selectors += usize::from(selector.is_some());
        label_selector(errors, &path.child(field), selector);
    }
    let block = object_at(peer, "ipBlock");
    if let Some(block) = block {
        validate_block(errors, block, &path.child("ipBlock"));
    }
    match (selectors, block) {
        (0, None) => errors.push(Error::required(path, "must specify a peer")),
        (1.., Some(_)) => errors.push(Error::forbidden(path, "may not specify both ipBlock and another peer")),
        _ => {}
    }
}

fn validate_block(errors: &mut Errors, block: &Value, path: &Path<'_>) {
    let range = text(block, "cidr");
    if range.is_empty() {
        return;
    }
    let Some(range) = rules::cidr(errors, &path.child("cidr"), range).or_else(|| range.parse().ok()) else { return };
    let path = path.child("except");
    for (index, except) in texts(block, "except").enumerate() {
        let path = path.index(index);
        let net: Option<ipnet::IpNet> = rules::cidr(errors, &path, except).or_else(|| except.parse().ok());
        if net.is_some_and(|net| !range.contains(&net.addr()) || range.prefix_len() >= net.prefix_len()) {
            errors.push(Error::invalid(&path, except, "must be a strict subset of `cidr`"));
        }
    }
}
