//! The pod among the node's namespaces and names: host ports, DNS, host names, aliases.

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_machinery::tree::{items, number, text};

use super::{Subject, for_each_container};
use crate::rules::{at, complain, ip, is_true, object_at, texts};

const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_BYTES_MAX: usize = 2048;
const HOSTNAME_BYTES_MAX: usize = 64;

/// In the node's network a container's port is the node's.
pub(super) fn validate_host_ports(errors: &mut Errors, spec: &Value, path: &Path<'_>, subject: Subject<'_>) {
    if !is_true(spec, "hostNetwork") {
        return;
    }
    let containers = path.child("containers");
    for (index, container) in items(spec, "containers").enumerate() {
        let container_path = containers.index(index);
        let ports = container_path.child("ports");
        for (index, port) in items(container, "ports").enumerate() {
            let (host, own) = (number(port, "hostPort"), number(port, "containerPort"));
            if (subject.pod.is_some() || host != 0) && host != own {
                let detail = "must match `containerPort` when `hostNetwork` is true";
                errors.push(Error::invalid(&ports.index(index).child("hostPort"), host, detail));
            }
        }
    }
}

pub(super) fn validate_process_namespace(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    if is_true(spec, "shareProcessNamespace") && is_true(spec, "hostPID") {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.push(Error::invalid(&path.child("shareProcessNamespace"), true, detail));
    }
}

/// A pod whose users are not the node's may not share what is.
pub(super) fn validate_host_users(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    const DETAIL: &str = "when `hostUsers` is false";
    if spec.get("hostUsers") != Some(&Value::Bool(false)) {
        return;
    }
    for (field, shown) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if is_true(spec, field) {
            errors.push(Error::forbidden(&path.child(shown), DETAIL));
        }
    }
    for_each_container(spec, path, |container, path| {
        if items(container, "volumeDevices").next().is_some() {
            errors.push(Error::forbidden(&path.child("volumeDevices"), DETAIL));
        }
    });
}

pub(super) fn validate_hostname_override(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    let Some(name) = at(spec, "hostnameOverride").and_then(Value::as_str) else { return };
    let path = path.child("hostnameOverride");
    for field in ["setHostnameAsFQDN", "hostNetwork"] {
        if is_true(spec, field) {
            errors.push(Error::forbidden(&path, format!("may not be specified when {field} is true")));
        }
    }
    if name.len() > HOSTNAME_BYTES_MAX {
        errors.push(Error::too_long(&path, HOSTNAME_BYTES_MAX));
    }
    complain(errors, &path, name, names::dns1123_subdomain(name));
}

pub(super) fn validate_dns(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    let config = object_at(spec, "dnsConfig");
    let servers = path.child("nameservers");
    if text(spec, "dnsPolicy") == "None" {
        match config {
            None => {
                return errors.push(Error::required(path, "must provide `dnsConfig` when `dnsPolicy` is None"));
            }
            Some(config) if items(config, "nameservers").next().is_none() => {
                let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
                return errors.push(Error::required(&servers, detail));
            }
            Some(_) => {}
        }
    }
    let Some(config) = config else { return };
    if items(config, "nameservers").count() > NAMESERVERS_MAX {
        let detail = format!("must not have more than {NAMESERVERS_MAX} nameservers");
        errors.push(Error::invalid(&servers, config["nameservers"].clone(), detail));
    }
    for (index, server) in texts(config, "nameservers").enumerate() {
        ip(errors, &servers.index(index), server);
    }
    let (searches, all) = (path.child("searches"), texts(config, "searches").collect::<Vec<_>>());
    if all.len() > SEARCHES_MAX {
        let detail = format!("must not have more than {SEARCHES_MAX} search paths");
        errors.push(Error::invalid(&searches, all.clone(), detail));
    }
    if all.join(" ").len() > SEARCH_BYTES_MAX {
        let detail =
            format!("must not have more than {SEARCH_BYTES_MAX} characters (including spaces) in the search list");
        errors.push(Error::invalid(&searches, all.clone(), detail));
    }
    for (index, search) in all.iter().enumerate().filter(|(_, search)| **search != ".") {
        let search = search.strip_suffix('.').unwrap_or(search);
        complain(errors, &searches.index(index), search, names::dns1123_subdomain_with_underscore(search));
    }
    let options = path.child("options");
    for (index, _) in items(config, "options").enumerate().filter(|(_, option)| text(option, "name").is_empty()) {
        errors.push(Error::required(&options.index(index), "must not be empty"));
    }
}

pub(super) fn validate_host_aliases(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    for (index, alias) in items(spec, "hostAliases").enumerate() {
        let path = path.index(index);
        ip(errors, &path.child("ip"), text(alias, "ip"));
        let names_path = path.child("hostnames");
        for (index, name) in texts(alias, "hostnames").enumerate() {
            complain(errors, &names_path.index(index), name, names::dns1123_subdomain(name));
        }
    }
}
