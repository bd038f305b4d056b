//! What is valid in a Service. What the API server allocates (addresses, ports) need not be there yet.
//!
//! Source: upstream `pkg/apis/core/validation/validation.go` (validateService and what it calls).

use std::collections::BTreeSet;

use serde_json::{Value, json};
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_machinery::tree::{items, number, text};

use crate::address;
use crate::rules::{
    app_protocol, at, cidr, complain, endpoint_ip, ip, labels, named_port, object_at, port, port_number, required_of,
    supported, texts,
};

const SESSION_SECONDS_MAX: i64 = 86_400;
const RANGES_ANNOTATION: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
const ONLY_BALANCER: &str = "may only be used when `type` is 'LoadBalancer'";

fn is_headless(spec: &Value) -> bool {
    spec.pointer("/clusterIPs/0").and_then(Value::as_str).unwrap_or(text(spec, "clusterIP")) == "None"
}

/// What the writer of a valid Service should know.
pub(super) fn warnings(service: &Value) -> Vec<String> {
    let (mut all, spec) = (Vec::new(), &service["spec"]);
    let (is_headless, is_external) = (is_headless(spec), text(spec, "type") == "ExternalName");
    let has_external_ips = texts(spec, "externalIPs").next().is_some();
    let balancer = text(spec, "loadBalancerIP");
    let addresses = |field: &'static str| {
        let each = texts(spec, field).enumerate();
        each.filter_map(move |(index, it)| address::warning(&format!("spec.{field}[{index}]"), it))
    };
    if service["metadata"]["annotations"].get("service.kubernetes.io/topology-aware-hints").is_some() {
        all.push(
            "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use \
             service.kubernetes.io/topology-mode instead"
                .to_owned(),
        );
    }
    if text(spec, "trafficDistribution") == "PreferClose" {
        all.push(r#"spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone""#.to_owned());
    }
    if !matches!(text(spec, "clusterIP"), "" | "None") {
        all.extend(addresses("clusterIPs"));
    }
    for (holds, field) in [
        (!balancer.is_empty(), "loadBalancerIP"),
        (has_external_ips, "externalIPs"),
        (text(spec, "sessionAffinity") != "None", "SessionAffinity"),
    ] {
        if is_headless && holds {
            all.push(format!("spec.{field} is ignored for headless services"));
        }
    }
    all.extend(addresses("externalIPs"));
    if has_external_ips && !is_headless && !is_external {
        all.push("spec.externalIPs is deprecated and may no longer be implemented in some clusters".to_owned());
    }
    all.extend(address::warning("spec.loadBalancerIP", balancer));
    for (index, range) in texts(spec, "loadBalancerSourceRanges").enumerate() {
        all.extend(address::range_warning(&format!("spec.loadBalancerSourceRanges[{index}]"), range));
    }
    if is_external && has_external_ips {
        all.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".to_owned());
    }
    if !is_external && !text(spec, "externalName").is_empty() {
        all.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".to_owned());
    }
    all
}

pub(super) fn validate(errors: &mut Errors, service: &Value) {
    let (path, spec) = (Path::new("spec"), &service["spec"]);
    let kind = text(spec, "type");
    if items(spec, "ports").next().is_none() && !is_headless(spec) && kind != "ExternalName" {
        errors.push(Error::required(&path.child("ports"), ""));
    }
    validate_type(errors, spec, &path, kind);
    let ports = path.child("ports");
    let several = items(spec, "ports").count() > 1;
    let mut names_seen = BTreeSet::new();
    for (index, item) in items(spec, "ports").enumerate() {
        let path = ports.index(index);
        validate_port(errors, item, &path, several, &mut names_seen);
    }
    labels(errors, &path, spec, "selector");
    validate_session(errors, spec, &path);
    if kind != "ExternalName" {
        validate_families(errors, spec, &path);
    }
    let external = path.child("externalIPs");
    for (index, address) in texts(spec, "externalIPs").enumerate() {
        if ip(errors, &external.index(index), address).is_some() {
            endpoint_ip(errors, &external.index(index), address);
        }
    }
    required_of(errors, &path.child("type"), kind, &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]);
    validate_port_numbers(errors, spec, &ports, kind);
    validate_source_ranges(errors, service, &path, kind);
    if at(spec, "allocateLoadBalancerNodePorts").is_some() && kind != "LoadBalancer" {
        errors.push(Error::forbidden(&path.child("allocateLoadBalancerNodePorts"), ONLY_BALANCER));
    }
    validate_class(errors, spec, &path, kind);
    validate_traffic(errors, spec, &path, kind);
}

fn validate_type(errors: &mut Errors, spec: &Value, path: &Path<'_>, kind: &str) {
    let addresses = path.child("clusterIPs");
    match kind {
        "LoadBalancer" | "NodePort" if is_headless(spec) => {
            let detail = format!("may not be set to 'None' for {kind} services");
            errors.push(Error::invalid(&addresses.index(0), "None", detail));
        }
        "ExternalName" => {
            const DETAIL: &str = "may not be set for ExternalName services";
            let has_address = !text(spec, "clusterIP").is_empty() || items(spec, "clusterIPs").next().is_some();
            for (field, is_set) in [
                ("clusterIPs", has_address),
                ("ipFamilies", items(spec, "ipFamilies").next().is_some()),
                ("ipFamilyPolicy", at(spec, "ipFamilyPolicy").is_some()),
            ] {
                if is_set {
                    errors.push(Error::forbidden(&path.child(field), DETAIL));
                }
            }
            let name = text(spec, "externalName");
            match name.strip_suffix('.').unwrap_or(name) {
                "" => errors.push(Error::required(&path.child("externalName"), "")),
                name => complain(errors, &path.child("externalName"), name, names::dns1123_subdomain(name)),
            }
        }
        _ => {}
    }
}

fn validate_port<'a>(
    errors: &mut Errors,
    item: &'a Value,
    path: &Path<'_>,
    several: bool,
    names_seen: &mut BTreeSet<&'a str>,
) {
    let name = text(item, "name");
    // The complaint about a name that comes twice stands right after those about the name itself.
    let mut rest = Errors::new();
    named_port(&mut rest, item, path, several, names::dns1123_label);
    let of_name = path.child("name").to_string();
    let (about_name, rest): (Errors, Errors) = rest.into_iter().partition(|error| error.field == of_name);
    errors.extend(about_name);
    if !name.is_empty() && !names_seen.insert(name) {
        errors.push(Error::duplicate(&path.child("name"), name));
    }
    errors.extend(rest);
    port(errors, &path.child("targetPort"), item.get("targetPort"));
    app_protocol(errors, item, path);
}

fn validate_session(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    let affinity = text(spec, "sessionAffinity");
    required_of(errors, &path.child("sessionAffinity"), affinity, &["ClientIP", "None"]);
    let config = path.child("sessionAffinityConfig");
    let client = config.child("clientIP");
    let timeout = client.child("timeoutSeconds");
    const MISSING: &str = "when session affinity type is ClientIP";
    match (affinity, object_at(spec, "sessionAffinityConfig")) {
        ("ClientIP", None) => errors.push(Error::required(&config, MISSING)),
        ("ClientIP", Some(given)) => match object_at(given, "clientIP") {
            None => errors.push(Error::required(&client, MISSING)),
            Some(given) => match given.get("timeoutSeconds").and_then(Value::as_i64) {
                None => errors.push(Error::required(&timeout, MISSING)),
                Some(seconds) if !(1..=SESSION_SECONDS_MAX).contains(&seconds) => {
                    let detail = format!("must be greater than 0 and less than {SESSION_SECONDS_MAX}");
                    errors.push(Error::invalid(&timeout, seconds, detail));
                }
                Some(_) => {}
            },
        },
        ("None", Some(_)) => {
            errors.push(Error::forbidden(&config, "must not be set when session affinity is None"));
        }
        _ => {}
    }
}

/// Addresses and families agree with each other.
fn validate_families(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    let (addresses_path, families_path) = (path.child("clusterIPs"), path.child("ipFamilies"));
    let addresses: Vec<&str> = texts(spec, "clusterIPs").collect();
    let first = text(spec, "clusterIP");
    match addresses.first() {
        Some(other) if !first.is_empty() && *other != first => {
            errors.push(Error::invalid(&addresses_path, addresses.clone(), "first value must match `clusterIP`"));
        }
        Some(_) if first.is_empty() => {
            let detail = "must be empty when `clusterIP` is not specified";
            errors.push(Error::invalid(&addresses_path, addresses.clone(), detail));
        }
        _ => {}
    }
    let mut seen = BTreeSet::new();
    for (index, family) in texts(spec, "ipFamilies").enumerate() {
        supported(errors, &families_path.index(index), family, &["IPv4", "IPv6"]);
        if !seen.insert(family) {
            errors.push(Error::duplicate(&families_path.index(index), family));
        }
    }
    if let Some(policy) = at(spec, "ipFamilyPolicy").and_then(Value::as_str) {
        let policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];
        supported(errors, &path.child("ipFamilyPolicy"), policy, &policies);
    }
    let mut all_valid = true;
    let given = if addresses.is_empty() && !first.is_empty() { vec![first] } else { addresses.clone() };
    for (index, address) in given.iter().enumerate() {
        if index == 0 && *address == "None" {
            if given.len() > 1 {
                all_valid = false;
                let detail = "'None' must be the first and only value";
                errors.push(Error::invalid(&addresses_path, given.clone(), detail));
            }
        } else {
            all_valid &= ip(errors, &addresses_path.index(index), address).is_some();
        }
    }
    if given.len() > 2 {
        errors.push(Error::invalid(&addresses_path, given.clone(), "may only hold up to 2 values"));
    }
    if !all_valid || is_headless(spec) {
        return;
    }
    let is_v6 = |address: &str| address.contains(':');
    if given.len() > 1 && given.iter().all(|address| is_v6(address) == is_v6(given[0])) {
        let detail = "may specify no more than one IP for each IP family";
        errors.push(Error::invalid(&addresses_path, given.clone(), detail));
    }
    for (index, (address, family)) in given.iter().zip(texts(spec, "ipFamilies")).enumerate() {
        if (family == "IPv4" && is_v6(address)) || (family == "IPv6" && !is_v6(address)) {
            let detail = format!("expected an {family} value as indicated by `ipFamilies[{index}]`");
            errors.push(Error::invalid(&addresses_path.index(index), *address, detail));
        }
    }
}

/// Ports that exclude each other.
fn validate_port_numbers(errors: &mut Errors, spec: &Value, ports: &Path<'_>, kind: &str) {
    if kind == "ClusterIP" {
        for (index, _) in items(spec, "ports").enumerate().filter(|(_, item)| number(item, "nodePort") != 0) {
            let detail = "may not be used when `type` is 'ClusterIP'";
            errors.push(Error::forbidden(&ports.index(index).child("nodePort"), detail));
        }
    }
    let (mut node_ports, mut own) = (BTreeSet::new(), BTreeSet::new());
    for (index, item) in items(spec, "ports").enumerate() {
        let node_port = number(item, "nodePort");
        if node_port != 0 && !node_ports.insert((text(item, "protocol"), node_port)) {
            errors.push(Error::duplicate(&ports.index(index).child("nodePort"), node_port));
        }
    }
    for (index, item) in items(spec, "ports").enumerate() {
        let (protocol, number) = (text(item, "protocol"), number(item, "port"));
        if !own.insert((protocol, number)) {
            let shown = json!({"Name": "", "Protocol": protocol, "AppProtocol": null, "Port": number,
                "TargetPort": 0, "NodePort": 0});
            errors.push(Error::duplicate(&ports.index(index), shown));
        }
    }
}

fn validate_source_ranges(errors: &mut Errors, service: &Value, path: &Path<'_>, kind: &str) {
    let spec = &service["spec"];
    if items(spec, "loadBalancerSourceRanges").next().is_some() {
        let field = path.child("LoadBalancerSourceRanges");
        if kind != "LoadBalancer" {
            errors.push(Error::forbidden(&field, ONLY_BALANCER));
        }
        for (index, range) in texts(spec, "loadBalancerSourceRanges").enumerate() {
            cidr(errors, &field.index(index), range.trim());
        }
    } else if let Some(ranges) = service.pointer("/metadata/annotations").and_then(|a| a.get(RANGES_ANNOTATION)) {
        let metadata = Path::new("metadata");
        let annotations = metadata.child("annotations");
        let field = annotations.key(RANGES_ANNOTATION);
        if kind != "LoadBalancer" {
            errors.push(Error::forbidden(&field, ONLY_BALANCER));
        }
        for range in ranges.as_str().unwrap_or_default().split(',').map(str::trim).filter(|range| !range.is_empty()) {
            cidr(errors, &field, range);
        }
    }
}

fn validate_class(errors: &mut Errors, spec: &Value, path: &Path<'_>, kind: &str) {
    let path = path.child("loadBalancerClass");
    match at(spec, "loadBalancerClass").and_then(Value::as_str) {
        Some(class) if kind == "LoadBalancer" => complain(errors, &path, class, names::qualified_name(class)),
        Some(_) => errors.push(Error::forbidden(&path, ONLY_BALANCER)),
        None => {}
    }
}

fn needs_health_check(spec: &Value) -> bool {
    text(spec, "type") == "LoadBalancer" && text(spec, "externalTrafficPolicy") == "Local"
}

fn validate_traffic(errors: &mut Errors, spec: &Value, path: &Path<'_>, kind: &str) {
    let (external, policy) = (path.child("externalTrafficPolicy"), text(spec, "externalTrafficPolicy"));
    if is_external(spec) {
        required_of(errors, &external, policy, &["Cluster", "Local"]);
    } else if !policy.is_empty() {
        errors.push(Error::invalid(&external, policy, "may only be set for externally-accessible services"));
    }
    let (check, check_port) = (path.child("healthCheckNodePort"), number(spec, "healthCheckNodePort"));
    match check_port {
        0 => {}
        port if needs_health_check(spec) => port_number(errors, &check, port),
        port => {
            let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            errors.push(Error::invalid(&check, port, detail));
        }
    }
    let internal = path.child("internalTrafficPolicy");
    match at(spec, "internalTrafficPolicy").and_then(Value::as_str) {
        Some(policy) => supported(errors, &internal, policy, &["Cluster", "Local"]),
        None if matches!(kind, "ClusterIP" | "NodePort" | "LoadBalancer") => {
            errors.push(Error::required(&internal, ""));
        }
        None => {}
    }
    if let Some(wish) = at(spec, "trafficDistribution").and_then(Value::as_str) {
        let known = ["PreferClose", "PreferSameZone", "PreferSameNode"];
        supported(errors, &path.child("trafficDistribution"), wish, &known);
    }
}

pub(super) fn validate_update(errors: &mut Errors, service: &Value, old: &Value) {
    let path = Path::new("spec");
    let (spec, old_spec) = (&service["spec"], &old["spec"]);
    let (kind, old_kind) = (text(spec, "type"), text(old_spec, "type"));
    let addresses: Vec<&str> = texts(spec, "clusterIPs").collect();
    let before: Vec<&str> = texts(old_spec, "clusterIPs").collect();
    let both_headless = is_headless(spec) && is_headless(old_spec);
    let may_compare = kind != "ExternalName" && old_kind != "ExternalName" && !both_headless;
    // A client that leaves them out keeps them: the API server carries them over. Those that contradict each other are complained of.
    if may_compare && addresses.first() == Some(&text(spec, "clusterIP")) {
        let field = path.child("clusterIPs");
        for (index, (new, old)) in addresses.iter().zip(&before).enumerate() {
            if new != old && (index == 0 || addresses.len() == before.len()) {
                errors.push(Error::invalid(&field.index(index), addresses.clone(), "may not change once set"));
            }
        }
    }
    if kind == "LoadBalancer"
        && old_kind == "LoadBalancer"
        && at(spec, "loadBalancerClass") != at(old_spec, "loadBalancerClass")
    {
        let class = spec.get("loadBalancerClass").cloned().unwrap_or_default();
        errors.push(Error::invalid(&path.child("loadBalancerClass"), class, "may not change once set"));
    }
    let check = |spec: &Value| number(spec, "healthCheckNodePort");
    let both_check = needs_health_check(spec) && needs_health_check(old_spec);
    if both_check && check(spec) != 0 && check(spec) != check(old_spec) {
        errors.push(Error::forbidden(&path.child("healthCheckNodePort"), "field is immutable"));
    }
    validate(errors, service);
}

pub(super) fn validate_status(errors: &mut Errors, service: &Value) {
    let status = Path::new("status");
    let balancer = status.child("loadBalancer");
    let path = balancer.child("ingress");
    let given = service.pointer("/status/loadBalancer").unwrap_or(&Value::Null);
    if text(&service["spec"], "type") != "LoadBalancer" {
        if items(given, "ingress").next().is_some() {
            errors.push(Error::forbidden(&path, "may only be used when `spec.type` is 'LoadBalancer'"));
        }
        return;
    }
    for (index, ingress) in items(given, "ingress").enumerate() {
        let path = path.index(index);
        let address = text(ingress, "ip");
        if !address.is_empty() {
            ip(errors, &path.child("ip"), address);
        }
        match (at(ingress, "ipMode").and_then(Value::as_str), address.is_empty()) {
            (None, false) => {
                errors.push(Error::required(&path.child("ipMode"), "must be specified when `ip` is set"));
            }
            (Some(_), true) => {
                errors.push(Error::forbidden(&path.child("ipMode"), "may not be specified when `ip` is not set"));
            }
            (Some(mode), false) => supported(errors, &path.child("ipMode"), mode, &["Proxy", "VIP"]),
            (None, true) => {}
        }
        balancer_hostname(errors, ingress, &path);
    }
}

/// The name of a load balancer, of a Service or an Ingress.
pub(crate) fn balancer_hostname(errors: &mut Errors, ingress: &Value, path: &Path<'_>) {
    let name = text(ingress, "hostname");
    if !name.is_empty() {
        complain(errors, &path.child("hostname"), name, names::dns1123_subdomain(name));
        if name.parse::<std::net::IpAddr>().is_ok() {
            let detail = "must be a DNS name, not an IP address";
            errors.push(Error::invalid(&path.child("hostname"), name, detail));
        }
    }
}

/// Whether traffic can come from outside of the cluster.
pub(super) fn is_external(spec: &Value) -> bool {
    match text(spec, "type") {
        "LoadBalancer" | "NodePort" => true,
        "ClusterIP" => items(spec, "externalIPs").next().is_some(),
        _ => false,
    }
}
