//! The downward API: what a pod may know about itself, in files and in environment variables. Pure.
//!
//! Files know the metadata only; environment variables also the node, the service account and the addresses, and take a limit
//! that is not set from the pod's own limits where those are. Sources: upstream's fieldpath.go, the kubelet's
//! kubelet_pods.go and kubelet_resources.go, and api/v1/resource/helpers.go.

use std::collections::BTreeMap;
use std::net::IpAddr;

use windlass_api::k8s::api::core::v1::{Container, Pod, ResourceFieldSelector};
use windlass_api::k8s::apimachinery::pkg::api::resource::Quantity as Text;
use windlass_api::text::quoted;
use windlass_api::{Quantity, names};

/// Resources that a container has by default as much of as its pod or the node gives.
const DEFAULTED: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
const HUGE_PAGES_PREFIX: &str = "hugepages-";

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DownwardError {
    #[error("unsupported pod version: {0}")]
    Version(String),
    #[error("field label not supported: {0}")]
    Label(String),
    #[error("field label does not support subscript: {0}")]
    LabelSubscript(String),
    #[error("unsupported fieldPath: {0}")]
    Field(String),
    #[error("fieldPath {0:?} does not support subscript")]
    Subscript(String),
    #[error("invalid key subscript in {path}: {problems}")]
    Key { path: String, problems: String },
    #[error("no address of the node is known yet")]
    NoHostAddress,
    #[error("container {0} not found")]
    Container(String),
    #[error("unsupported container resource : {0}")]
    Resource(String),
    #[error("{0:?} is not a quantity")]
    Quantity(String),
}

/// Amounts by resource name, parsed.
pub type Amounts = BTreeMap<String, Quantity>;

/// What a pod can ask that is not in its object.
#[derive(Clone, Copy, Debug, Default)]
pub struct Addresses<'a> {
    /// The pod's, the primary one first.
    pub pod: &'a [IpAddr],
    /// The node's, the primary one first.
    pub host: &'a [IpAddr],
}

/// A `fieldRef` of a volume: metadata only.
pub fn field_for_file(pod: &Pod, path: &str) -> Result<String, DownwardError> {
    let metadata = &pod.metadata;
    let empty = BTreeMap::new();
    let (labels, annotations) =
        (metadata.labels.as_ref().unwrap_or(&empty), metadata.annotations.as_ref().unwrap_or(&empty));
    if let Some((base, key)) = subscript(path) {
        let (map, checked) = match base {
            "metadata.annotations" => (annotations, key.to_lowercase()),
            "metadata.labels" => (labels, key.to_owned()),
            _ => return Err(DownwardError::Subscript(path.to_owned())),
        };
        let problems = names::qualified_name(&checked);
        if !problems.is_empty() {
            return Err(DownwardError::Key { path: path.to_owned(), problems: problems.join(";") });
        }
        return Ok(map.get(key).cloned().unwrap_or_default());
    }
    let text = |field: &Option<String>| Ok(field.clone().unwrap_or_default());
    match path {
        "metadata.annotations" => Ok(format_map(annotations)),
        "metadata.labels" => Ok(format_map(labels)),
        "metadata.name" => text(&metadata.name),
        "metadata.namespace" => text(&metadata.namespace),
        "metadata.uid" => text(&metadata.uid),
        _ => Err(DownwardError::Field(path.to_owned())),
    }
}

/// A `fieldRef` of an environment variable. An `api_version` that is empty is `v1`, as the API server defaults it.
pub fn field_for_env(
    pod: &Pod,
    api_version: &str,
    path: &str,
    addresses: Addresses<'_>,
) -> Result<String, DownwardError> {
    if !matches!(api_version, "" | "v1") {
        return Err(DownwardError::Version(api_version.to_owned()));
    }
    let path = known_label(path)?;
    let spec = |field: fn(&windlass_api::k8s::api::core::v1::PodSpec) -> &Option<String>| {
        Ok(pod.spec.as_ref().and_then(|spec| field(spec).clone()).unwrap_or_default())
    };
    let list = |addresses: &[IpAddr]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    match path {
        "spec.nodeName" => spec(|spec| &spec.node_name),
        "spec.serviceAccountName" => spec(|spec| &spec.service_account_name),
        "status.hostIP" => Ok(addresses.host.first().ok_or(DownwardError::NoHostAddress)?.to_string()),
        "status.hostIPs" if addresses.host.is_empty() => Err(DownwardError::NoHostAddress),
        "status.hostIPs" => Ok(list(addresses.host)),
        "status.podIP" => Ok(addresses.pod.first().map(ToString::to_string).unwrap_or_default()),
        "status.podIPs" => Ok(list(addresses.pod)),
        other => field_for_file(pod, other),
    }
}

/// The labels that upstream converts; old clients write `spec.host`.
fn known_label(label: &str) -> Result<&str, DownwardError> {
    if let Some((base, _)) = subscript(label) {
        return match base {
            "metadata.annotations" | "metadata.labels" => Ok(label),
            _ => Err(DownwardError::LabelSubscript(label.to_owned())),
        };
    }
    match label {
        "metadata.annotations"
        | "metadata.labels"
        | "metadata.name"
        | "metadata.namespace"
        | "metadata.uid"
        | "spec.nodeName"
        | "spec.restartPolicy"
        | "spec.serviceAccountName"
        | "spec.schedulerName"
        | "status.phase"
        | "status.hostIP"
        | "status.hostIPs"
        | "status.podIP"
        | "status.podIPs" => Ok(label),
        "spec.host" => Ok("spec.nodeName"),
        _ => Err(DownwardError::Label(label.to_owned())),
    }
}

/// A `resourceFieldRef` of a volume: the container is named, missing limits are the node's allocatable amounts.
pub fn resource_for_file(
    pod: &Pod,
    selector: &ResourceFieldSelector,
    allocatable: &Amounts,
) -> Result<String, DownwardError> {
    let container = find_container(pod, selector.container_name.as_deref().unwrap_or_default())?;
    value(selector, container, allocatable)
}

/// A `resourceFieldRef` of an environment variable: of `container` unless another is named. A missing limit is the
/// pod's own, then the node's; init containers that are named get no default, as upstream has it.
pub fn resource_for_env(
    pod: &Pod,
    container: &Container,
    selector: &ResourceFieldSelector,
    allocatable: &Amounts,
) -> Result<String, DownwardError> {
    let defaults = pod_defaults(pod, allocatable)?;
    match selector.container_name.as_deref().filter(|name| !name.is_empty()) {
        None => value(selector, container, &defaults),
        Some(name) => {
            let found = find_container(pod, name)?;
            let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
            let has_defaults = containers.into_iter().any(|regular| std::ptr::eq(regular, found));
            value(selector, found, if has_defaults { &defaults } else { const { &BTreeMap::new() } })
        }
    }
}

/// The node's amounts, with the pod's own limits for those that can be set for a whole pod.
fn pod_defaults(pod: &Pod, allocatable: &Amounts) -> Result<Amounts, DownwardError> {
    let mut defaults = allocatable.clone();
    let limits = pod.spec.as_ref().and_then(|spec| spec.resources.as_ref()).and_then(|own| own.limits.as_ref());
    for name in ["cpu", "memory"] {
        if let Some(text) = limits.and_then(|limits| limits.get(name)) {
            let limit = parse(text)?;
            if let Some(amount) = defaults.get_mut(name)
                && !limit.is_zero()
            {
                *amount = limit;
            }
        }
    }
    Ok(defaults)
}

fn find_container<'a>(pod: &'a Pod, name: &str) -> Result<&'a Container, DownwardError> {
    let spec = pod.spec.iter();
    let all = spec.flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()));
    all.into_iter().find(|container| container.name == name).ok_or_else(|| DownwardError::Container(name.to_owned()))
}

/// The amount in multiples of the divisor, rounded up.
fn value(selector: &ResourceFieldSelector, container: &Container, defaults: &Amounts) -> Result<String, DownwardError> {
    let unsupported = || DownwardError::Resource(selector.resource.clone());
    let (kind, name) = selector.resource.split_once('.').ok_or_else(unsupported)?;
    if !DEFAULTED.contains(&name) && !name.starts_with(HUGE_PAGES_PREFIX) {
        return Err(unsupported());
    }
    let resources = container.resources.as_ref();
    let declared = match kind {
        "limits" => resources.and_then(|resources| resources.limits.as_ref()),
        "requests" => resources.and_then(|resources| resources.requests.as_ref()),
        _ => return Err(unsupported()),
    };
    let mut amount = declared.and_then(|list| list.get(name)).map(parse).transpose()?.unwrap_or_default();
    if kind == "limits"
        && amount.is_zero()
        && DEFAULTED.contains(&name)
        && let Some(default) = defaults.get(name)
    {
        amount = *default;
    }
    let divisor = selector.divisor.as_ref().map(parse).transpose()?.filter(|divisor| !divisor.is_zero());
    let divisor = divisor.unwrap_or(Quantity::from_units(1));
    // CPU is counted in thousandths, everything else in units, before it is divided.
    let (amount, divisor) =
        if name == "cpu" { (amount.milli(), divisor.milli()) } else { (amount.units(), divisor.units()) };
    let (amount, divisor) = (i128::from(amount), i128::from(divisor));
    Ok((amount.div_euclid(divisor) + i128::from(amount.rem_euclid(divisor) != 0)).to_string())
}

fn parse(text: &Text) -> Result<Quantity, DownwardError> {
    text.0.parse().map_err(|_| DownwardError::Quantity(text.0.clone()))
}

/// `metadata.labels['key']` as path and key.
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (base, key) = path.strip_suffix("']")?.split_once("['")?;
    (!base.is_empty()).then_some((base, key))
}

/// Lines of `key="value"`, sorted by key.
fn format_map(map: &BTreeMap<String, String>) -> String {
    let lines: Vec<String> = map.iter().map(|(key, value)| format!("{key}={}", quoted(value))).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod() -> Pod {
        serde_json::from_value(json!({
            "metadata": {
                "name": "web", "namespace": "shop", "uid": "1-2",
                "labels": {"app": "web", "zone": "a\"b"},
                "annotations": {"Example.com/Note": "two\nlines", "plain": "x", "b": "é\t\u{1}"},
            },
            "spec": {
                "nodeName": "n1", "serviceAccountName": "sa",
                "containers": [
                    {"name": "main", "resources": {
                        "limits": {"cpu": "1500m", "memory": "64Mi", "hugepages-2Mi": "4Mi"},
                        "requests": {"cpu": "250m", "ephemeral-storage": "1G", "hugepages-2Mi": "4Mi"},
                    }},
                    {"name": "bare"},
                ],
                "initContainers": [{"name": "init", "resources": {"limits": {"memory": "1Gi"}}}],
            },
        }))
        .unwrap()
    }

    fn amounts(list: &[(&str, &str)]) -> Amounts {
        list.iter().map(|(name, text)| ((*name).to_owned(), text.parse().unwrap())).collect()
    }

    #[test]
    fn fields_of_files() {
        let ok = [
            ("metadata.name", "web"),
            ("metadata.namespace", "shop"),
            ("metadata.uid", "1-2"),
            ("metadata.labels", "app=\"web\"\nzone=\"a\\\"b\""),
            ("metadata.annotations", "Example.com/Note=\"two\\nlines\"\nb=\"é\\t\\x01\"\nplain=\"x\""),
            ("metadata.labels['app']", "web"),
            ("metadata.labels['none']", ""),
            ("metadata.annotations['plain']", "x"),
            ("metadata.annotations['Example.com/Note']", "two\nlines"),
        ];
        for (path, expected) in ok {
            assert_eq!(field_for_file(&pod(), path).as_deref(), Ok(expected), "{path}");
        }
        let bad = [
            ("spec.nodeName", "unsupported fieldPath: spec.nodeName"),
            ("metadata.name['x']", "fieldPath \"metadata.name['x']\" does not support subscript"),
            ("['x']", "unsupported fieldPath: ['x']"),
            ("", "unsupported fieldPath: "),
        ];
        for (path, expected) in bad {
            assert_eq!(field_for_file(&pod(), path).unwrap_err().to_string(), expected);
        }
        let error = field_for_file(&pod(), "metadata.labels['-']").unwrap_err().to_string();
        assert!(
            error.starts_with("invalid key subscript in metadata.labels['-']: name part must consist of"),
            "{error}"
        );
        assert!(field_for_file(&pod(), "metadata.labels['']").is_err());
        assert_eq!(field_for_file(&Pod::default(), "metadata.labels").unwrap(), "");
    }

    #[test]
    fn fields_of_variables() {
        let addresses = Addresses {
            pod: &["10.0.0.5".parse().unwrap(), "fd00::5".parse().unwrap()],
            host: &["192.168.0.1".parse().unwrap(), "fd01::1".parse().unwrap()],
        };
        let ok = [
            ("spec.nodeName", "n1"),
            ("spec.host", "n1"),
            ("spec.serviceAccountName", "sa"),
            ("status.hostIP", "192.168.0.1"),
            ("status.hostIPs", "192.168.0.1,fd01::1"),
            ("status.podIP", "10.0.0.5"),
            ("status.podIPs", "10.0.0.5,fd00::5"),
            ("metadata.name", "web"),
            ("metadata.labels['app']", "web"),
        ];
        for (path, expected) in ok {
            assert_eq!(field_for_env(&pod(), "v1", path, addresses).as_deref(), Ok(expected), "{path}");
        }
        let error = |version, path| field_for_env(&pod(), version, path, Addresses::default()).unwrap_err().to_string();
        assert_eq!(error("v2", "metadata.name"), "unsupported pod version: v2");
        assert_eq!(error("v1", "spec.volumes"), "field label not supported: spec.volumes");
        assert_eq!(error("v1", "spec.nodeName['a']"), "field label does not support subscript: spec.nodeName['a']");
        assert_eq!(error("v1", "status.phase"), "unsupported fieldPath: status.phase");
        assert_eq!(error("v1", "status.hostIP"), "no address of the node is known yet");
        assert_eq!(field_for_env(&pod(), "", "status.podIP", Addresses::default()).unwrap(), "");
    }

    #[test]
    fn resources_of_files() {
        let allocatable = amounts(&[("cpu", "3920m"), ("memory", "7Gi"), ("ephemeral-storage", "90G")]);
        let get = |container: &str, resource: &str, divisor: &str| {
            let divisor = (!divisor.is_empty()).then(|| Text(divisor.into()));
            let selector =
                ResourceFieldSelector { container_name: Some(container.into()), divisor, resource: resource.into() };
            resource_for_file(&pod(), &selector, &allocatable).map_err(|error| error.to_string())
        };
        let ok = [
            ("main", "limits.cpu", "", "2"),
            ("main", "limits.cpu", "1m", "1500"),
            ("main", "limits.cpu", "0", "2"),
            ("main", "requests.cpu", "", "1"),
            ("main", "requests.cpu", "1m", "250"),
            ("main", "limits.memory", "", "67108864"),
            ("main", "limits.memory", "1Mi", "64"),
            ("main", "limits.memory", "1G", "1"),
            ("main", "requests.memory", "", "0"),
            ("main", "requests.ephemeral-storage", "1Mi", "954"),
            ("main", "limits.ephemeral-storage", "1G", "90"),
            ("main", "limits.hugepages-2Mi", "1Mi", "4"),
            ("main", "requests.hugepages-1Gi", "1Mi", "0"),
            ("bare", "limits.cpu", "", "4"),
            ("bare", "limits.memory", "1Gi", "7"),
            ("bare", "limits.hugepages-2Mi", "1", "0"),
            ("init", "limits.memory", "1Mi", "1024"),
            ("init", "limits.cpu", "1m", "3920"),
        ];
        for (container, resource, divisor, expected) in ok {
            assert_eq!(get(container, resource, divisor).as_deref(), Ok(expected), "{container} {resource} {divisor}");
        }
        assert_eq!(get("none", "limits.cpu", "").unwrap_err(), "container none not found");
        for resource in ["limits.pods", "cpu", "max.cpu", "limits.", ""] {
            assert_eq!(get("main", resource, "").unwrap_err(), format!("unsupported container resource : {resource}"));
        }
        assert!(get("main", "limits.cpu", "x").is_err());
    }

    #[test]
    fn resources_of_variables() {
        let allocatable = amounts(&[("cpu", "4"), ("memory", "8Gi"), ("ephemeral-storage", "90G")]);
        let mut pod = pod();
        let get = |pod: &Pod, own: usize, container: Option<&str>, resource: &str| {
            let selector = ResourceFieldSelector {
                container_name: container.map(str::to_owned),
                divisor: None,
                resource: resource.into(),
            };
            let own = &pod.spec.as_ref().unwrap().containers[own];
            resource_for_env(pod, own, &selector, &allocatable).unwrap()
        };
        assert_eq!(get(&pod, 1, None, "limits.cpu"), "4");
        assert_eq!(get(&pod, 1, Some("main"), "limits.cpu"), "2");
        assert_eq!(get(&pod, 0, Some("bare"), "limits.memory"), "8589934592");
        assert_eq!(get(&pod, 0, Some("init"), "limits.cpu"), "0", "no default for a named init container");
        let limits =
            BTreeMap::from([("cpu".to_owned(), Text("2500m".into())), ("memory".to_owned(), Text("0".into()))]);
        pod.spec.as_mut().unwrap().resources =
            Some(windlass_api::k8s::api::core::v1::ResourceRequirements { limits: Some(limits), ..Default::default() });
        assert_eq!(get(&pod, 1, None, "limits.cpu"), "3", "the pod's own limit");
        assert_eq!(get(&pod, 1, None, "limits.memory"), "8589934592");
        assert_eq!(get(&pod, 0, None, "limits.cpu"), "2");
    }
}
