//! What a pod gets that its author did not say. Source: upstream `pkg/apis/core/v1/defaults.go`.

use serde_json::{Value, json};
use windlass_api::image_name::{is_path_component, split_registry};
use windlass_machinery::tree::{child, items_mut, number, put, set, set_text, text};

use crate::quantities::{round_up, round_up_resources};

const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// Defaults of a specification wherever it stands.
fn set_pod_spec_defaults(spec: &mut Value) {
    let account = [text(spec, "serviceAccountName"), text(spec, "serviceAccount")];
    let account = account.into_iter().find(|name| !name.is_empty()).map(str::to_owned);
    if let Some(account) = account {
        put(spec, "serviceAccountName", account.as_str());
        put(spec, "serviceAccount", account);
    }
    set_text(spec, "dnsPolicy", "ClusterFirst");
    set_text(spec, "restartPolicy", "Always");
    set_text(spec, "schedulerName", "default-scheduler");
    set(spec, "securityContext", json!({}));
    set(spec, "terminationGracePeriodSeconds", 30);
    for list in CONTAINERS {
        for container in items_mut(spec, list) {
            set_container_defaults(container);
        }
    }
    for volume in items_mut(spec, "volumes") {
        set_volume_defaults(volume);
    }
    round_up(spec.get_mut("overhead"));
    round_up_resources(spec);
}

/// Defaults of a template: only those that a specification has everywhere, so that a new default does not change what
/// workloads look like, and with it the hash of their templates.
pub(crate) fn set_template_defaults(template: &mut Value) {
    set_pod_spec_defaults(child(template, "spec"));
}

/// Defaults that only a Pod gets, and no template.
pub(crate) fn set_pod_defaults(pod: &mut Value) {
    let spec = child(pod, "spec");
    set_pod_spec_defaults(spec);
    if number(spec, "terminationGracePeriodSeconds") < 0 {
        put(spec, "terminationGracePeriodSeconds", 1);
    }
    set(spec, "enableServiceLinks", true);
    let host_network = spec.get("hostNetwork") == Some(&Value::Bool(true));
    for list in ["containers", "initContainers"] {
        for container in items_mut(spec, list) {
            requests_follow_limits(child(container, "resources"));
            if host_network {
                use_host_ports(container);
            }
        }
    }
    let status = child(pod, "status");
    let first = status.pointer("/podIPs/0/ip").and_then(Value::as_str).unwrap_or_default().to_owned();
    match text(status, "podIP") {
        "" if !first.is_empty() => put(status, "podIP", first),
        // The singular field wins, as older kubelets know no other.
        one if !one.is_empty() && one != first => put(status, "podIPs", json!([{ "ip": one }])),
        _ => {}
    }
}

/// In the node's network a container's port is the node's.
fn use_host_ports(container: &mut Value) {
    for port in items_mut(container, "ports") {
        if number(port, "hostPort") == 0 {
            put(port, "hostPort", number(port, "containerPort"));
        }
    }
}

/// What has a limit and no request asks for its limit.
fn requests_follow_limits(resources: &mut Value) {
    let Some(Value::Object(limits)) = resources.get("limits").cloned() else { return };
    for (name, limit) in limits {
        set(child(resources, "requests"), &name, limit);
    }
}

fn set_container_defaults(container: &mut Value) {
    round_up_resources(container);
    if text(container, "imagePullPolicy").is_empty() {
        let policy = if tag_is_latest(text(container, "image")) { "Always" } else { "IfNotPresent" };
        put(container, "imagePullPolicy", policy);
    }
    set_text(container, "terminationMessagePath", "/dev/termination-log");
    set_text(container, "terminationMessagePolicy", "File");
    for port in items_mut(container, "ports") {
        set_text(port, "protocol", "TCP");
    }
    for env in items_mut(container, "env") {
        if let Some(field) = env.pointer_mut("/valueFrom/fieldRef") {
            set_text(field, "apiVersion", "v1");
        }
        if let Some(key) = env.pointer_mut("/valueFrom/fileKeyRef") {
            set(key, "optional", false);
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(probe).filter(|probe| probe.is_object()) {
            set_probe_defaults(probe);
        }
    }
    for hook in ["/lifecycle/postStart/httpGet", "/lifecycle/preStop/httpGet"] {
        if let Some(http_get) = container.pointer_mut(hook) {
            set_http_get_defaults(http_get);
        }
    }
}

/// An image without tag and digest means the latest; what is no name of an image means nothing.
fn tag_is_latest(image: &str) -> bool {
    let (name, tag) = match image.rsplit_once('/') {
        _ if image.contains('@') => return false,
        Some((path, last)) => match last.split_once(':') {
            Some((last, tag)) => (format!("{path}/{last}"), tag),
            None => (image.to_owned(), "latest"),
        },
        None => image.split_once(':').map_or((image.to_owned(), "latest"), |(name, tag)| (name.to_owned(), tag)),
    };
    tag == "latest" && is_image_name(&name)
}

/// `registry:5000/path/name`, where the registry may be left out.
fn is_image_name(name: &str) -> bool {
    const BYTES_MAX: usize = 255;
    const DEFAULT_REGISTRY: &str = "docker.io/library/";
    let (registry, path) = split_registry(name);
    let prefix = match (registry, path.contains('/')) {
        (None, false) => DEFAULT_REGISTRY.len(),
        (None, true) => "docker.io/".len(),
        (Some(registry), _) => registry.len() + 1,
    };
    prefix + path.len() <= BYTES_MAX && path.split('/').all(is_path_component)
}

fn set_probe_defaults(probe: &mut Value) {
    for (field, value) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        if number(probe, field) == 0 {
            put(probe, field, value);
        }
    }
    if let Some(http_get) = probe.get_mut("httpGet") {
        set_http_get_defaults(http_get);
    }
    if let Some(grpc) = probe.get_mut("grpc") {
        set(grpc, "service", "");
    }
}

fn set_http_get_defaults(http_get: &mut Value) {
    set_text(http_get, "path", "/");
    set_text(http_get, "scheme", "HTTP");
}

fn set_volume_defaults(volume: &mut Value) {
    let has_source = volume.as_object().is_some_and(|volume| volume.keys().any(|key| key != "name"));
    if !has_source {
        put(volume, "emptyDir", json!({}));
    }
    let Some(volume) = volume.as_object_mut() else { return };
    for (kind, source) in volume.iter_mut().filter(|(kind, _)| *kind != "name") {
        match kind.as_str() {
            "secret" | "configMap" => set(source, "defaultMode", 0o644),
            "downwardAPI" => {
                set(source, "defaultMode", 0o644);
                set_field_versions(source);
            }
            "projected" => {
                set(source, "defaultMode", 0o644);
                for part in items_mut(source, "sources") {
                    if let Some(token) = part.get_mut("serviceAccountToken") {
                        set(token, "expirationSeconds", 3600);
                    }
                    if let Some(downward) = part.get_mut("downwardAPI") {
                        set_field_versions(downward);
                    }
                }
            }
            "image" if text(source, "pullPolicy").is_empty() => {
                let policy = if tag_is_latest(text(source, "reference")) { "Always" } else { "IfNotPresent" };
                put(source, "pullPolicy", policy);
            }
            "ephemeral" => {
                if let Some(spec) = source.pointer_mut("/volumeClaimTemplate/spec") {
                    set_claim_spec_defaults(spec);
                }
            }
            kind => set_source_defaults(kind, source),
        }
    }
}

/// Defaults of the sources that volumes of pods and PersistentVolumes share.
pub(crate) fn set_source_defaults(kind: &str, source: &mut Value) {
    match kind {
        "hostPath" => set(source, "type", ""),
        "iscsi" => set_text(source, "iscsiInterface", "default"),
        "rbd" => {
            set_text(source, "pool", "rbd");
            set_text(source, "user", "admin");
            set_text(source, "keyring", "/etc/ceph/keyring");
        }
        "azureDisk" => {
            for (field, value) in [("cachingMode", "ReadWrite"), ("kind", "Shared"), ("fsType", "ext4")] {
                set(source, field, value);
            }
            set(source, "readOnly", false);
        }
        "scaleIO" => {
            set_text(source, "storageMode", "ThinProvisioned");
            set_text(source, "fsType", "xfs");
        }
        _ => {}
    }
}

/// Defaults of a PersistentVolumeClaim's specification, in a claim as in every template of one.
pub(crate) fn set_claim_spec_defaults(spec: &mut Value) {
    set(spec, "volumeMode", "Filesystem");
    round_up_resources(spec);
}

/// The downward API's references name the version that their paths are of.
fn set_field_versions(source: &mut Value) {
    for item in items_mut(source, "items") {
        if let Some(field) = item.get_mut("fieldRef") {
            set_text(field, "apiVersion", "v1");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_pod() {
        let mut pod = json!({"spec": {"containers": [{"name": "c", "image": "nginx", "ports": [{"containerPort": 80}],
            "resources": {"limits": {"cpu": "1"}}, "livenessProbe": {"httpGet": {"port": 80}}}], "volumes": [{"name": "v"}]}});
        set_pod_defaults(&mut pod);
        assert_eq!(
            pod["spec"],
            json!({
                "containers": [{"name": "c", "image": "nginx", "imagePullPolicy": "Always",
                    "ports": [{"containerPort": 80, "protocol": "TCP"}],
                    "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}},
                    "livenessProbe": {"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "timeoutSeconds": 1,
                        "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3},
                    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}],
                "volumes": [{"name": "v", "emptyDir": {}}],
                "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler",
                "securityContext": {}, "terminationGracePeriodSeconds": 30, "enableServiceLinks": true,
            })
        );
    }

    #[test]
    fn pull_policies() {
        for (image, latest) in [
            ("nginx", true),
            ("nginx:latest", true),
            ("nginx:1.27", false),
            ("localhost:5000/nginx", true),
            ("localhost:5000/nginx:1", false),
            ("nginx@sha256:abc", false),
            ("nginx:latest@sha256:abc", false),
            ("", false),
            ("Nginx", false),
            ("a/b", true),
        ] {
            assert_eq!(tag_is_latest(image), latest, "{image}");
        }
    }
}
