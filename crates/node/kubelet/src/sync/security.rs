//! Security contexts: the pod's and the container's become one. Pure.

use std::path::Path;

use windlass_api::k8s::api::core::v1::{Container, Pod, SeccompProfile};
use windlass_cri::{Image, Namespaces, SecurityContext, SecurityProfile, SupplementalGroupsPolicy};

use crate::pod::{PodView, apparmor};
use crate::shared::Shared;

/// Paths that hide the node from containers, unless `procMount` is Unmasked.
const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SecurityError {
    #[error("container's runAsUser breaks non-root policy (pod: {pod:?}, container: {container})")]
    RootByUser { pod: String, container: String },
    #[error("container has runAsNonRoot and image will run as root (pod: {pod:?}, container: {container})")]
    RootByImage { pod: String, container: String },
    #[error(
        "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root (pod: {pod:?}, \
         container: {container})"
    )]
    UserByName { user: String, pod: String, container: String },
}

/// A profile for the runtime; relative paths of profiles are below `root`.
pub(super) fn seccomp(profile: Option<&SeccompProfile>, by_default: bool, root: &Path) -> SecurityProfile {
    match profile.map(|profile| (profile.type_.as_str(), profile.localhost_profile.as_deref())) {
        Some(("RuntimeDefault", _)) => SecurityProfile::RuntimeDefault,
        Some(("Localhost", Some(path))) => SecurityProfile::Localhost(root.join(path).display().to_string()),
        None if by_default => SecurityProfile::RuntimeDefault,
        _ => SecurityProfile::Unconfined,
    }
}

/// The user that a container runs as: its own, the pod's, or the image's.
fn user(pod: &Pod, container: &Container, image: &Image) -> Option<i64> {
    let own = container.security_context.as_ref().and_then(|security| security.run_as_user);
    own.or_else(|| pod.pod_spec().security_context.as_ref().and_then(|security| security.run_as_user)).or(image.uid)
}

/// Whether a container that must not run as root would.
pub(super) fn verify_non_root(pod: &Pod, container: &Container, image: &Image) -> Result<(), SecurityError> {
    let own = container.security_context.as_ref();
    let of_pod = pod.pod_spec().security_context.as_ref();
    let must = own.and_then(|it| it.run_as_non_root).or_else(|| of_pod.and_then(|it| it.run_as_non_root));
    if must != Some(true) {
        return Ok(());
    }
    let (pod_name, name) = (Shared::shown(pod), container.name.clone());
    let asked = own.and_then(|it| it.run_as_user).or_else(|| of_pod.and_then(|it| it.run_as_user));
    match (asked, image.uid, image.username.as_str()) {
        (Some(0), _, _) => Err(SecurityError::RootByUser { pod: pod_name, container: name }),
        (Some(_), _, _) => Ok(()),
        (None, Some(0), _) => Err(SecurityError::RootByImage { pod: pod_name, container: name }),
        (None, Some(_), _) => Ok(()),
        (None, None, "") => Err(SecurityError::RootByImage { pod: pod_name, container: name }),
        (None, None, user) => Err(SecurityError::UserByName { user: user.to_owned(), pod: pod_name, container: name }),
    }
}

pub(super) fn context(
    pod: &Pod,
    container: &Container,
    image: &Image,
    namespaces: Namespaces,
    seccomp_default: bool,
    seccomp_root: &Path,
) -> SecurityContext {
    let own = container.security_context.clone().unwrap_or_default();
    let of_pod = pod.pod_spec().security_context.clone().unwrap_or_default();
    let privileged = own.privileged == Some(true);
    let uid = user(pod, container, image);
    let mut supplemental_groups = of_pod.supplemental_groups.unwrap_or_default();
    supplemental_groups.extend(of_pod.fs_group);
    let unmasked = privileged || own.proc_mount.as_deref() == Some("Unmasked");
    let paths = |list: &[&str]| if unmasked { Vec::new() } else { list.iter().map(|it| (*it).to_owned()).collect() };
    let capabilities = own.capabilities.unwrap_or_default();
    let plain = |list: Option<Vec<String>>| -> Vec<String> {
        let strip = |name: String| name.strip_prefix("CAP_").map(str::to_owned).unwrap_or(name);
        list.unwrap_or_default().into_iter().map(strip).collect()
    };
    let profile = own.seccomp_profile.as_ref().or(of_pod.seccomp_profile.as_ref());
    SecurityContext {
        add_capabilities: plain(capabilities.add),
        drop_capabilities: plain(capabilities.drop),
        privileged,
        namespaces,
        run_as_user: uid,
        run_as_group: own.run_as_group.or(of_pod.run_as_group),
        run_as_username: if uid.is_none() { image.username.clone() } else { String::new() },
        readonly_rootfs: own.read_only_root_filesystem == Some(true),
        supplemental_groups,
        supplemental_groups_policy: match of_pod.supplemental_groups_policy.as_deref() {
            Some("Strict") => SupplementalGroupsPolicy::Strict,
            _ => SupplementalGroupsPolicy::Merge,
        },
        no_new_privs: own.allow_privilege_escalation == Some(false),
        masked_paths: paths(&MASKED),
        readonly_paths: paths(&READ_ONLY),
        seccomp: if privileged { SecurityProfile::Unconfined } else { seccomp(profile, seccomp_default, seccomp_root) },
        apparmor: apparmor::profile(pod, container),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn non_root() {
        let image = |uid: Option<i64>, name: &str| Image { uid, username: name.to_owned(), ..Image::default() };
        let cases = [
            (json!({}), json!({}), image(None, ""), true),
            (json!({"runAsNonRoot": true}), json!({}), image(Some(1000), ""), true),
            (json!({"runAsNonRoot": true}), json!({}), image(Some(0), ""), false),
            (json!({"runAsNonRoot": true}), json!({}), image(None, ""), false),
            (json!({"runAsNonRoot": true}), json!({}), image(None, "nobody"), false),
            (json!({"runAsNonRoot": true, "runAsUser": 0}), json!({}), image(Some(5), ""), false),
            (json!({"runAsNonRoot": true, "runAsUser": 0}), json!({"runAsUser": 7}), image(Some(0), ""), true),
            (json!({"runAsNonRoot": true}), json!({"runAsNonRoot": false}), image(Some(0), ""), true),
        ];
        for (of_pod, own, image, fine) in cases {
            let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": {
                "securityContext": of_pod, "containers": [{"name": "c", "securityContext": own}]}}))
            .unwrap();
            let result = verify_non_root(&pod, &pod.app_containers()[0], &image);
            assert_eq!(result.is_ok(), fine, "{of_pod} {own} {image:?} {result:?}");
        }
    }
}
