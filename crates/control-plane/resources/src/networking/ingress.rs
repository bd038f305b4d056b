//! Ingress: HTTP routes from outside to Services.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_machinery::tree::{items, number, text};

use crate::columns::{self, length, or_none, word};
use crate::core::service::balancer_addresses;
use crate::core::service_validation::balancer_hostname;
use crate::rules::{at, complain, object_at, port_number, required, supported, texts};
use crate::{Resource, Strategy, Subresource, rules};

const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
const HOSTS_SHOWN_MAX: usize = 3;

pub(crate) fn resource() -> Resource {
    Resource::namespaced("networking.k8s.io", "v1", "Ingress", "ingresses")
        .short_names(&["ing"])
        .subresources(&[Subresource::Status])
        .counts_generations()
        .columns(columns::list(&["Name", "Class", "Hosts", "Address", "Ports", "Age"]))
        .strategy(Ingress)
}

struct Ingress;

impl Strategy for Ingress {
    fn validate(&self, object: &Value) -> Errors {
        let mut errors = validate_spec(&object["spec"]);
        let annotation = object.pointer("/metadata/annotations").and_then(|a| at(a, CLASS_ANNOTATION));
        let class = object.pointer("/spec/ingressClassName").and_then(Value::as_str);
        if let (Some(annotation), Some(class)) = (annotation.and_then(Value::as_str), class)
            && annotation != class
        {
            let detail = "must match `ingressClassName` when both are specified";
            errors.push(Error::invalid(&Path::new("annotations").child(CLASS_ANNOTATION), annotation, detail));
        }
        errors
    }

    fn validate_update(&self, object: &Value, _old: &Value) -> Errors {
        validate_spec(&object["spec"])
    }

    fn validate_status(&self, object: &Value, _old: &Value) -> Errors {
        let (mut errors, status) = (Errors::new(), Path::new("status"));
        let balancer = status.child("loadBalancer");
        let path = balancer.child("ingress");
        for (index, ingress) in items(&object["status"]["loadBalancer"], "ingress").enumerate() {
            let path = path.index(index);
            let ip = text(ingress, "ip");
            if !ip.is_empty() {
                rules::ip(&mut errors, &path.child("ip"), ip);
            }
            balancer_hostname(&mut errors, ingress, &path);
        }
        errors
    }

    fn warnings(&self, object: &Value, old: Option<&Value>) -> Vec<String> {
        let annotated =
            old.is_none() && object.pointer("/metadata/annotations").is_some_and(|a| a.get(CLASS_ANNOTATION).is_some());
        let named = object.pointer("/spec/ingressClassName").is_some_and(Value::is_string);
        match annotated && !named {
            true => vec![format!(
                "annotation {CLASS_ANNOTATION:?} is deprecated, please use 'spec.ingressClassName' instead"
            )],
            false => Vec::new(),
        }
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let addresses: Vec<&str> = balancer_addresses(object).into_iter().collect();
        let ports = if length(object, "/spec/tls") == 0 { "80" } else { "80, 443" };
        vec![
            columns::name(object),
            or_none(object.pointer("/spec/ingressClassName").map(|_| word(object, "/spec/ingressClassName"))),
            Value::from(hosts(&object["spec"])),
            Value::from(addresses.join(",")),
            Value::from(ports),
            columns::age(object, now),
        ]
    }
}

/// The hosts of the first rules; rules without a host count as seen only by how many they are.
fn hosts(spec: &Value) -> String {
    let rules = items(spec, "rules").count();
    let hosts: Vec<&str> =
        items(spec, "rules").map(|rule| text(rule, "host")).filter(|host| !host.is_empty()).collect();
    match hosts.len() {
        0 => "*".to_owned(),
        many if many >= HOSTS_SHOWN_MAX && third_host_has_successor(spec) => {
            format!("{} + {} more...", hosts[..HOSTS_SHOWN_MAX].join(","), rules - HOSTS_SHOWN_MAX)
        }
        _ => hosts.join(","),
    }
}

fn third_host_has_successor(spec: &Value) -> bool {
    let mut seen = 0;
    for rule in items(spec, "rules") {
        if seen == HOSTS_SHOWN_MAX {
            return true;
        }
        seen += usize::from(!text(rule, "host").is_empty());
    }
    false
}

fn validate_spec(spec: &Value) -> Errors {
    let (mut errors, path) = (Errors::new(), Path::new("spec"));
    let backend = object_at(spec, "defaultBackend");
    if backend.is_none() && items(spec, "rules").next().is_none() {
        let rules = spec.get("rules").cloned().unwrap_or_default();
        errors.push(Error::invalid(&path, rules, "either `defaultBackend` or `rules` must be specified"));
    }
    if let Some(backend) = backend {
        validate_backend(&mut errors, backend, &path.child("defaultBackend"));
    }
    let rules = path.child("rules");
    for (index, rule) in items(spec, "rules").enumerate() {
        validate_rule(&mut errors, rule, &rules.index(index));
    }
    let tls = path.child("tls");
    for (index, entry) in items(spec, "tls").enumerate() {
        let path = tls.index(index);
        let hosts = path.child("hosts");
        for (index, host) in texts(entry, "hosts").enumerate() {
            validate_host(&mut errors, &hosts.index(index), host);
        }
        let secret = text(entry, "secretName");
        if !secret.is_empty() {
            complain(&mut errors, &path.child("secretName"), secret, names::dns1123_subdomain(secret));
        }
    }
    rules::optional(&mut errors, spec, &path, "ingressClassName", names::dns1123_subdomain);
    errors
}

/// A host by name, or all below a domain.
fn validate_host(errors: &mut Errors, path: &Path<'_>, host: &str) {
    let problems = match host.contains('*') {
        true => names::wildcard_dns1123_subdomain(host),
        false => names::dns1123_subdomain(host),
    };
    complain(errors, path, host, problems);
}

fn validate_rule(errors: &mut Errors, rule: &Value, path: &Path<'_>) {
    let host = text(rule, "host");
    if !host.is_empty() {
        if host.parse::<std::net::IpAddr>().is_ok() {
            errors.push(Error::invalid(&path.child("host"), host, "must be a DNS name, not an IP address"));
        }
        validate_host(errors, &path.child("host"), host);
    }
    let Some(http) = object_at(rule, "http") else { return };
    let http_path = path.child("http");
    let paths = http_path.child("paths");
    if items(http, "paths").next().is_none() {
        errors.push(Error::required(&paths, ""));
    }
    for (index, entry) in items(http, "paths").enumerate() {
        validate_path(errors, entry, &paths.index(index));
    }
}

fn validate_path(errors: &mut Errors, entry: &Value, owner: &Path<'_>) {
    const SEQUENCES: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];
    const ENDS: [&str; 2] = ["/..", "/."];
    let Some(kind) = at(entry, "pathType").and_then(Value::as_str) else {
        errors.push(Error::required(&owner.child("pathType"), "pathType must be specified"));
        return;
    };
    let (value, path) = (text(entry, "path"), owner.child("path"));
    let is_plain = kind == "Exact" || kind == "Prefix";
    if is_plain || kind == "ImplementationSpecific" {
        if !value.starts_with('/') && (is_plain || !value.is_empty()) {
            errors.push(Error::invalid(&path, value, "must be an absolute path"));
        }
    } else {
        supported(errors, &owner.child("pathType"), kind, &["Exact", "ImplementationSpecific", "Prefix"]);
    }
    if is_plain {
        for sequence in SEQUENCES.into_iter().filter(|sequence| value.contains(sequence)) {
            errors.push(Error::invalid(&path, value, format!("must not contain '{sequence}'")));
        }
        for end in ENDS.into_iter().filter(|end| value.ends_with(end)) {
            errors.push(Error::invalid(&path, value, format!("cannot end with '{end}'")));
        }
    }
    validate_backend(errors, entry.get("backend").unwrap_or(&Value::Null), &owner.child("backend"));
}

fn validate_backend(errors: &mut Errors, backend: &Value, path: &Path<'_>) {
    let service = match (object_at(backend, "resource"), object_at(backend, "service")) {
        (Some(_), Some(_)) => {
            errors.push(Error::invalid(path, "", "cannot set both resource and service backends"));
            return;
        }
        (Some(resource), None) => {
            let path = path.child("resource");
            rules::optional(errors, resource, &path, "apiGroup", names::dns1123_subdomain);
            rules::path_segment(errors, resource, &path, "kind");
            rules::path_segment(errors, resource, &path, "name");
            return;
        }
        (None, None) => {
            errors.push(Error::invalid(path, "", "resource or service backend is required"));
            return;
        }
        (None, Some(service)) => service,
    };
    let service_path = path.child("service");
    if required(errors, service, &service_path, "name") {
        let name = text(service, "name");
        complain(errors, &service_path.child("name"), name, names::dns1123_label(name));
    }
    let port = service.get("port").unwrap_or(&Value::Null);
    let port_path = service_path.child("port");
    match (text(port, "name"), number(port, "number")) {
        ("", 0) => errors.push(Error::required(path, "port name or number is required")),
        ("", port) => port_number(errors, &port_path.child("number"), port),
        (name, 0) => complain(errors, &port_path.child("name"), name, names::port_name(name)),
        _ => errors.push(Error::invalid(path, "", "cannot set both port name & port number")),
    }
}
