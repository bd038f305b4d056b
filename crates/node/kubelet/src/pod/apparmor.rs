//! AppArmor profiles that a pod's containers ask for, and whether the node can enforce them. Pure but for [`is_enabled`].
//!
//! Source: kubernetes `pkg/security/apparmor`.

use windlass_api::k8s::api::core::v1::{AppArmorProfile, Container, Pod};
use windlass_api::well_known::annotation::APP_ARMOR_PREFIX;
use windlass_cri::SecurityProfile;

use super::{ContainerKind, PodView};

const UNCONFINED: &str = "Unconfined";

/// Whether this node's kernel has AppArmor, and uses it.
pub(crate) fn is_enabled() -> bool {
    std::fs::read_to_string("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with('Y'))
}

/// Why the pod's profiles cannot be enforced here.
pub(crate) fn problem(pod: &Pod, enabled: bool) -> Option<String> {
    if !is_required(pod) {
        return None;
    }
    if !enabled {
        return Some("AppArmor is not enabled on the host".to_owned());
    }
    let nameless =
        |profile: &SecurityProfile| matches!(profile, SecurityProfile::Localhost(name) if name.trim().is_empty());
    let mut profiles = containers(pod).filter_map(|container| profile(pod, &container));
    profiles.any(|profile| nameless(&profile)).then(|| "invalid empty AppArmor profile name".to_owned())
}

/// The profile that a container asks for, by itself or by way of its pod.
pub(crate) fn profile(pod: &Pod, container: &Container) -> Option<SecurityProfile> {
    let own = container.security_context.as_ref().and_then(|security| security.app_armor_profile.as_ref());
    let of_pod = pod.pod_spec().security_context.as_ref().and_then(|security| security.app_armor_profile.as_ref());
    let annotated = || {
        let text = pod.annotation(&format!("{APP_ARMOR_PREFIX}{}", container.name))?;
        match text {
            "runtime/default" => Some(SecurityProfile::RuntimeDefault),
            "unconfined" => Some(SecurityProfile::Unconfined),
            _ => text.strip_prefix("localhost/").map(|name| SecurityProfile::Localhost(name.to_owned())),
        }
    };
    own.map(named).or_else(annotated).or_else(|| of_pod.map(named))
}

fn named(profile: &AppArmorProfile) -> SecurityProfile {
    match profile.type_.as_str() {
        "RuntimeDefault" => SecurityProfile::RuntimeDefault,
        "Localhost" => SecurityProfile::Localhost(profile.localhost_profile.clone().unwrap_or_default()),
        _ => SecurityProfile::Unconfined,
    }
}

/// Whether anything in the pod asks for a profile, even if every container overrides it.
fn is_required(pod: &Pod) -> bool {
    let confines = |profile: &AppArmorProfile| profile.type_ != UNCONFINED;
    let of_pod = pod.pod_spec().security_context.as_ref().and_then(|security| security.app_armor_profile.as_ref());
    let of_container = |container: Container| {
        container.security_context.and_then(|security| security.app_armor_profile).is_some_and(|own| confines(&own))
    };
    let annotations = pod.metadata.annotations.iter().flatten();
    of_pod.is_some_and(confines)
        || containers(pod).any(of_container)
        || annotations.into_iter().any(|(name, value)| name.starts_with(APP_ARMOR_PREFIX) && value != "unconfined")
}

fn containers(pod: &Pod) -> impl Iterator<Item = Container> {
    [ContainerKind::Init, ContainerKind::App, ContainerKind::Ephemeral]
        .into_iter()
        .flat_map(|kind| pod.containers(kind).into_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(spec: Value, annotations: Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"annotations": annotations}, "spec": spec})).unwrap()
    }

    fn asks(kind: &str, name: Option<&str>) -> Value {
        json!({"appArmorProfile": {"type": kind, "localhostProfile": name}})
    }

    #[test]
    fn who_needs_apparmor() {
        let of_container = |context: Value| json!({"containers": [{"name": "c", "securityContext": context}]});
        let cases = [
            (json!({"containers": [{"name": "c"}]}), json!({}), false),
            (of_container(asks("Unconfined", None)), json!({}), false),
            (of_container(asks("RuntimeDefault", None)), json!({}), true),
            (of_container(asks("Localhost", Some("x"))), json!({}), true),
            (json!({"containers": [], "securityContext": asks("RuntimeDefault", None)}), json!({}), true),
            (
                json!({"containers": [], "initContainers": [{"name": "i", "securityContext": asks("RuntimeDefault", None)}]}),
                json!({}),
                true,
            ),
            (
                json!({"containers": [], "ephemeralContainers": [{"name": "e", "securityContext": asks("RuntimeDefault", None)}]}),
                json!({}),
                true,
            ),
            (
                json!({"containers": [{"name": "c"}]}),
                json!({"container.apparmor.security.beta.kubernetes.io/c": "localhost/x"}),
                true,
            ),
            (
                json!({"containers": [{"name": "c"}]}),
                json!({"container.apparmor.security.beta.kubernetes.io/c": "unconfined"}),
                false,
            ),
        ];
        for (spec, annotations, required) in cases {
            let found = problem(&pod(spec.clone(), annotations.clone()), false);
            let expected = required.then(|| "AppArmor is not enabled on the host".to_owned());
            assert_eq!(found, expected, "{spec} {annotations}");
            assert_eq!(problem(&pod(spec, annotations), true), None);
        }
        let nameless = pod(of_container(asks("Localhost", Some(" "))), json!({}));
        assert_eq!(problem(&nameless, true).as_deref(), Some("invalid empty AppArmor profile name"));
    }

    #[test]
    fn the_nearest_profile_counts() {
        let annotation = json!({"container.apparmor.security.beta.kubernetes.io/b": "localhost/y"});
        let pod = pod(
            json!({"securityContext": asks("RuntimeDefault", None), "containers": [
                {"name": "a", "securityContext": asks("Localhost", Some("x"))}, {"name": "b"}, {"name": "c"}]}),
            annotation,
        );
        let of = |index: usize| profile(&pod, &pod.app_containers()[index]);
        assert_eq!(of(0), Some(SecurityProfile::Localhost("x".to_owned())));
        assert_eq!(of(1), Some(SecurityProfile::Localhost("y".to_owned())));
        assert_eq!(of(2), Some(SecurityProfile::RuntimeDefault));
    }
}
