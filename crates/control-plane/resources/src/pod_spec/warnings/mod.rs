//! What the writer of a pod, or of a template of pods, should know although it is valid. The words are upstream's.
//!
//! Source: upstream `pkg/api/pod/warnings.go`.

mod found;
mod node_labels;
mod paths;
mod volumes;

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};
use windlass_api::well_known::annotation::{APP_ARMOR_PREFIX, SECCOMP_CONTAINER_PREFIX, SECCOMP_POD};
use windlass_machinery::tree::{items, number, text};

use self::found::Found;
use self::node_labels::of_node_selector_term;
pub(crate) use self::node_labels::old_label;
use self::volumes::{fraction, of_pod_volume};
pub(crate) use self::volumes::{of_claim, of_volume};
use super::preparation::app_armor_profile;
use crate::address;

const OLD_ANNOTATIONS: [(&str, &str); 3] = [
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    ("security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    ("security.alpha.kubernetes.io/unsafe-sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
];

/// Of a Pod.
pub(crate) fn of_pod(pod: &Value) -> Vec<String> {
    Warnings::of(pod, "")
}

/// Of the template at a path (`spec.template`) of an object, when it has just come or may have changed.
pub(crate) fn of_template(object: &Value, old: Option<&Value>, path: &str) -> Vec<String> {
    let generation = |object: &Value| number(&object["metadata"], "generation");
    if old.is_some_and(|old| generation(old) == generation(object)) {
        return Vec::new();
    }
    let pointer = format!("/{}", path.replace('.', "/"));
    object.pointer(&pointer).map(|template| Warnings::of(template, path)).unwrap_or_default()
}

/// Each port and each file is compared with so many before it. With all of them, a pod could keep a core busy.
const COMPARED_MAX: usize = 1000;

/// What stands at a place and is not null.
fn set<'a>(object: &'a Value, pointer: &str) -> Option<&'a Value> {
    object.pointer(pointer).filter(|value| !value.is_null())
}

/// A pod, or a template of one, and what is said of it so far.
struct Warnings<'a> {
    pod: &'a Value,
    spec: &'a Value,
    /// `spec.template.`, nothing for a pod.
    prefix: String,
    found: Found,
}

impl<'a> Warnings<'a> {
    fn of(pod: &'a Value, path: &str) -> Vec<String> {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
        let mut warnings = Self { pod, spec: &pod["spec"], prefix, found: Found::default() };
        warnings.labels();
        warnings.annotations();
        warnings.volumes();
        warnings.lists();
        warnings.containers();
        warnings.ports();
        warnings.grace_period();
        warnings.affinity();
        warnings.addresses();
        warnings.found.0
    }

    fn say(&mut self, path: &str, what: impl std::fmt::Display) {
        if !self.found.is_full() {
            self.found.say(format!("{}{path}: {what}", self.prefix));
        }
    }

    fn annotation(&self, key: &str) -> Option<&'a str> {
        self.pod["metadata"]["annotations"].get(key).map(|value| value.as_str().unwrap_or_default())
    }

    /// Labels of nodes by which pods are placed.
    fn labels(&mut self) {
        let spec = self.spec;
        for key in spec["nodeSelector"].as_object().into_iter().flat_map(Map::keys) {
            if let Some(what) = old_label(key) {
                self.say(&format!("spec.nodeSelector[{key}]"), what);
            }
        }
        let affinity = &spec["affinity"]["nodeAffinity"];
        let path = format!("{}spec.affinity.nodeAffinity", self.prefix);
        let required = &affinity["requiredDuringSchedulingIgnoredDuringExecution"];
        for (index, term) in items(required, "nodeSelectorTerms").enumerate() {
            let path = format!("{path}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[{index}]");
            of_node_selector_term(&mut self.found, term, &path, false);
        }
        for (index, term) in items(affinity, "preferredDuringSchedulingIgnoredDuringExecution").enumerate() {
            let path = format!("{path}.preferredDuringSchedulingIgnoredDuringExecution[{index}].preference");
            of_node_selector_term(&mut self.found, &term["preference"], &path, true);
        }
        for (index, constraint) in items(spec, "topologySpreadConstraints").enumerate() {
            let path = format!("spec.topologySpreadConstraints[{index}]");
            let key = text(constraint, "topologyKey");
            if let Some(what) = old_label(key) {
                self.say(&format!("{path}.topologyKey"), format_args!("{key} is {what}"));
            }
            self.selector(constraint, &path);
        }
    }

    /// A selector that is not there selects nothing.
    fn selector(&mut self, of: &Value, path: &str) {
        if of.get("labelSelector").is_none_or(Value::is_null) {
            self.say(&format!("{path}.labelSelector"), "a null labelSelector results in matching no pod");
        }
    }

    fn annotations(&mut self) {
        for (key, what) in OLD_ANNOTATIONS {
            if self.annotation(key).is_some() {
                self.say(&format!("metadata.annotations[{key}]"), what);
            }
        }
    }

    fn volumes(&mut self) {
        for (index, volume) in items(self.spec, "volumes").enumerate() {
            of_pod_volume(&mut self.found, volume, &format!("{}spec.volumes[{index}]", self.prefix));
        }
        for volume in items(self.spec, "volumes") {
            paths::overlaps(&mut self.found, volume);
        }
    }

    /// Entries that stand twice, or say nothing.
    fn lists(&mut self) {
        for (list, field, what) in [("hostAliases", "ip", "ip"), ("imagePullSecrets", "name", "name")] {
            let mut known = HashSet::new();
            for (index, item) in items(self.spec, list).enumerate() {
                let value = text(item, field);
                if !known.insert(value) {
                    self.say(&format!("spec.{list}[{index}].{field}"), format_args!("duplicate {what} {value:?}"));
                }
            }
        }
        for (index, secret) in items(self.spec, "imagePullSecrets").enumerate() {
            if text(secret, "name").is_empty() {
                self.say(&format!("spec.imagePullSecrets[{index}].name"), "invalid empty name \"\"");
            }
        }
        for resource in ["memory", "ephemeral-storage"] {
            let path = format!("{}spec.overhead", self.prefix);
            fraction(&mut self.found, &self.spec["overhead"], resource, &path);
        }
    }

    /// All containers with their paths, in upstream's order.
    fn all_containers(&self) -> Vec<(&'a Value, String)> {
        ["initContainers", "containers", "ephemeralContainers"]
            .into_iter()
            .flat_map(|list| {
                items(self.spec, list).enumerate().map(move |(index, it)| (it, format!("spec.{list}[{index}]")))
            })
            .collect()
    }

    fn containers(&mut self) {
        let seccomp = "non-functional in v1.27+; use the \"seccompProfile\" field instead";
        if set(self.spec, "/securityContext/seccompProfile").is_none() && self.annotation(SECCOMP_POD).is_some() {
            self.say(&format!("metadata.annotations[{SECCOMP_POD}]"), seccomp);
        }
        for (container, path) in self.all_containers() {
            let name = text(container, "name");
            let key = format!("{SECCOMP_CONTAINER_PREFIX}{name}");
            if set(container, "/securityContext/seccompProfile").is_none() && self.annotation(&key).is_some() {
                self.say(&format!("metadata.annotations[{key}]"), seccomp);
            }
            self.app_armor(container, name);
            for resource in ["memory", "ephemeral-storage"] {
                for list in ["limits", "requests"] {
                    let path = format!("{}{path}.resources.{list}", self.prefix);
                    fraction(&mut self.found, &container["resources"][list], resource, &path);
                }
            }
            self.environment(container, &path);
        }
    }

    /// An annotation that says something else than the fields. What a pod's says becomes a field when the pod is made.
    fn app_armor(&mut self, container: &Value, name: &str) {
        let key = format!("{APP_ARMOR_PREFIX}{name}");
        let Some(said) = self.annotation(&key).filter(|_| !self.prefix.is_empty()) else { return };
        if set(container, "/securityContext/appArmorProfile").is_some() {
            return;
        }
        let of_pod = set(self.spec, "/securityContext/appArmorProfile");
        if of_pod.is_none() || of_pod != app_armor_profile(said).as_ref() {
            let what = "deprecated since v1.30; use the \"appArmorProfile\" field instead";
            self.say(&format!("metadata.annotations[{key}]"), what);
        }
    }

    /// Variables that hide one before them without making use of it.
    fn environment(&mut self, container: &Value, path: &str) {
        let mut known = HashSet::new();
        for (index, variable) in items(container, "env").enumerate() {
            let name = text(variable, "name");
            let (value, reference) = (text(variable, "value"), format!("$({name})"));
            let makes_use = value != reference && value.contains(&reference);
            let is_from = variable.get("valueFrom").is_some_and(Value::is_object);
            if !known.insert(name) && (is_from || !makes_use) {
                let what = format!("hides previous definition of {name:?}, which may be dropped when using apply");
                self.say(&format!("{path}.env[{index}]"), what);
            }
        }
    }

    fn ports(&mut self) {
        let mut known: HashMap<(i64, &str), Vec<(String, &Value)>> = HashMap::new();
        let mut names: HashMap<&str, String> = HashMap::new();
        let mut of_names = Vec::new();
        for (container, path) in self.all_containers() {
            for (index, port) in items(container, "ports").enumerate() {
                let path = format!("{path}.ports[{index}]");
                let (host, address) = (number(port, "hostPort"), text(port, "hostIP"));
                if !address.is_empty() && host == 0 {
                    self.say(&path, format_args!("hostIP set without hostPort: {}", port_in_go(port)));
                }
                let others = known.entry((number(port, "containerPort"), text(port, "protocol"))).or_default();
                for (other_path, other) in others.iter().rev().take(COMPARED_MAX).rev() {
                    let (other_host, other_address) = (number(other, "hostPort"), text(other, "hostIP"));
                    let what = if (host, address) == (other_host, other_address) {
                        "duplicate"
                    } else if host == 0 || other_host == 0 {
                        "overlapping"
                    } else if host == other_host && address.is_empty() != other_address.is_empty() {
                        "dangerously ambiguous"
                    } else {
                        continue;
                    };
                    let other = format!("{}{other_path}", self.prefix);
                    self.say(&path, format_args!("{what} port definition with {other}"));
                    if self.found.is_full() {
                        break;
                    }
                }
                others.push((path.clone(), port));
                let name = text(port, "name");
                match names.get(name) {
                    _ if name.is_empty() => {}
                    None => drop(names.insert(name, path)),
                    Some(other) => of_names.push((path, name, format!("{}{other}", self.prefix))),
                }
            }
        }
        for (path, name, other) in of_names {
            let used = format!("services and probes that select ports by name will use {other}");
            self.say(&path, format_args!("duplicate port name {name:?} with {other}, {used}"));
        }
    }

    fn grace_period(&mut self) {
        if number(self.spec, "terminationGracePeriodSeconds") < 0 {
            let what = "must be >= 0; negative values are invalid and will be treated as 1";
            self.say("spec.terminationGracePeriodSeconds", what);
        }
    }

    fn affinity(&mut self) {
        for kind in ["podAffinity", "podAntiAffinity"] {
            let (affinity, path) = (&self.spec["affinity"][kind], format!("spec.affinity.{kind}"));
            for (index, term) in items(affinity, "requiredDuringSchedulingIgnoredDuringExecution").enumerate() {
                self.selector(term, &format!("{path}.requiredDuringSchedulingIgnoredDuringExecution[{index}]"));
            }
            for (index, term) in items(affinity, "preferredDuringSchedulingIgnoredDuringExecution").enumerate() {
                let path = format!("{path}.preferredDuringSchedulingIgnoredDuringExecution[{index}].podAffinityTerm");
                self.selector(&term["podAffinityTerm"], &path);
            }
        }
    }

    fn addresses(&mut self) {
        let servers = items(&self.spec["dnsConfig"], "nameservers").filter_map(Value::as_str).enumerate();
        for (index, server) in servers {
            self.found.extend(address::warning(&format!("{}spec.dnsConfig.nameservers[{index}]", self.prefix), server));
        }
        for (index, alias) in items(self.spec, "hostAliases").enumerate() {
            self.found
                .extend(address::warning(&format!("{}spec.hostAliases[{index}].ip", self.prefix), text(alias, "ip")));
        }
    }
}

/// A port as Go prints the structure.
fn port_in_go(port: &Value) -> String {
    format!(
        "{{Name:{} HostPort:{} ContainerPort:{} Protocol:{} HostIP:{}}}",
        text(port, "name"),
        number(port, "hostPort"),
        number(port, "containerPort"),
        text(port, "protocol"),
        text(port, "hostIP")
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::WARNINGS_MAX;

    #[test]
    fn of_pods() {
        let container = |rest: Value| {
            let mut container = json!({"name": "c"});
            container.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            json!({"spec": {"containers": [container]}})
        };
        let volume = |volume: Value| json!({"spec": {"volumes": [volume]}});
        let cases = [
            (json!({"spec": {"containers": [{"name": "c"}]}}), None),
            (
                json!({"spec": {"nodeSelector": {"beta.kubernetes.io/os": "linux"}}}),
                Some(
                    "spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead",
                ),
            ),
            (
                container(json!({"resources": {"limits": {"memory": "100m", "cpu": "100m"}}})),
                Some(
                    "spec.containers[0].resources.limits[memory]: fractional byte value \"100m\" is invalid, must be an integer",
                ),
            ),
            (
                container(
                    json!({"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}, {"name": "A", "value": "$(A)3"}]}),
                ),
                Some(
                    "spec.containers[0].env[1]: hides previous definition of \"A\", which may be dropped when using apply",
                ),
            ),
            (
                container(
                    json!({"ports": [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 80, "protocol": "TCP", "hostPort": 1}]}),
                ),
                Some("spec.containers[0].ports[1]: overlapping port definition with spec.containers[0].ports[0]"),
            ),
            (
                container(json!({"ports": [{"containerPort": 80, "protocol": "TCP", "hostIP": "1.2.3.4"}]})),
                Some(
                    "spec.containers[0].ports[0]: hostIP set without hostPort: {Name: HostPort:0 ContainerPort:80 Protocol:TCP HostIP:1.2.3.4}",
                ),
            ),
            (
                volume(json!({"name": "v", "gitRepo": {"repository": "r"}})),
                Some("spec.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+"),
            ),
            (
                json!({"spec": {"terminationGracePeriodSeconds": -1}}),
                Some(
                    "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
                ),
            ),
            (
                json!({"spec": {"dnsConfig": {"nameservers": ["1.2.3.4", "FD00::1", "010.0.0.1"]}}}),
                Some(
                    "spec.dnsConfig.nameservers[1]: IPv6 address \"FD00::1\" should be in RFC 5952 canonical format (\"fd00::1\")\n\
                      spec.dnsConfig.nameservers[2]: non-standard IP address \"010.0.0.1\" is invalid: use \"10.0.0.1\"",
                ),
            ),
            (
                json!({"metadata": {"annotations": {SECCOMP_POD: "x"}}, "spec": {}}),
                Some(
                    "metadata.annotations[seccomp.security.alpha.kubernetes.io/pod]: non-functional in v1.27+; use the \"seccompProfile\" field instead",
                ),
            ),
        ];
        for (pod, expected) in cases {
            let said = of_pod(&pod).join("\n");
            assert_eq!(said, expected.unwrap_or_default(), "{pod}");
        }
    }

    /// As many faults as fit into a body neither fill the memory nor keep a core busy.
    #[test]
    fn pods_of_many_faults() {
        let many = |item: Value| Value::Array(vec![item; 100_000]);
        for pod in [
            json!({"spec": {"containers": [{"ports": many(json!({"containerPort": 80}))}]}}),
            json!({"spec": {"containers": [{"env": many(json!({"name": "A"}))}]}}),
            json!({"spec": {"hostAliases": many(json!({"ip": "x"}))}}),
            json!({"spec": {"volumes": [{"name": "v", "configMap": {"items": many(json!({"path": "p"}))}}]}}),
        ] {
            assert_eq!(of_pod(&pod).len(), WARNINGS_MAX);
        }
        let ports: Vec<Value> = (1..50_000).map(|port| json!({"containerPort": 80, "hostPort": port})).collect();
        assert!(of_pod(&json!({"spec": {"containers": [{"ports": ports}]}})).is_empty());
    }

    #[test]
    fn of_templates() {
        let object = |generation: i64| json!({"metadata": {"generation": generation}, "spec": {"template": {"spec": {"imagePullSecrets": [{}]}}}});
        let expected = ["spec.template.spec.imagePullSecrets[0].name: invalid empty name \"\""];
        assert_eq!(of_template(&object(1), None, "spec.template"), expected);
        assert_eq!(of_template(&object(2), Some(&object(1)), "spec.template"), expected);
        assert!(of_template(&object(1), Some(&object(1)), "spec.template").is_empty());
    }
}
