//! What volumes need of a pod. Pure.

use std::collections::BTreeSet;

use windlass_api::k8s::api::core::v1::{Container, Pod, PodSecurityContext, PodSpec, VolumeDevice, VolumeMount};

pub(crate) fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

pub(crate) fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

pub(crate) fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or("default")
}

pub(crate) fn spec(pod: &Pod) -> Option<&PodSpec> {
    pod.spec.as_ref()
}

pub(crate) fn security(pod: &Pod) -> Option<&PodSecurityContext> {
    spec(pod)?.security_context.as_ref()
}

pub(crate) fn fs_group(pod: &Pod) -> Option<u32> {
    security(pod)?.fs_group.and_then(|group| u32::try_from(group).ok())
}

/// Whether ownership is left as it is when the volume's root looks right.
pub(crate) fn only_on_root_mismatch(pod: &Pod) -> bool {
    security(pod).and_then(|security| security.fs_group_change_policy.as_deref()) == Some("OnRootMismatch")
}

/// Containers and init containers; ephemeral ones come and go while the pod runs.
fn containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    spec(pod).into_iter().flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()))
}

/// Mounts and devices of every container, ephemeral ones included.
fn uses(pod: &Pod) -> impl Iterator<Item = (&[VolumeMount], &[VolumeDevice])> {
    let ephemeral = spec(pod).and_then(|spec| spec.ephemeral_containers.as_ref()).into_iter().flatten();
    let ephemeral = ephemeral.map(|c| (c.volume_mounts.as_deref(), c.volume_devices.as_deref()));
    let regular = containers(pod).map(|c| (c.volume_mounts.as_deref(), c.volume_devices.as_deref()));
    regular.chain(ephemeral).map(|(mounts, devices)| (mounts.unwrap_or_default(), devices.unwrap_or_default()))
}

/// Names of volumes that containers mount, and of those that they use as block devices. Others are not set up.
pub(crate) fn used_volumes(pod: &Pod) -> (BTreeSet<&str>, BTreeSet<&str>) {
    let (mut mounted, mut devices) = (BTreeSet::new(), BTreeSet::new());
    for (mounts, block) in uses(pod) {
        mounted.extend(mounts.iter().map(|mount| mount.name.as_str()));
        devices.extend(block.iter().map(|device| device.name.as_str()));
    }
    (mounted, devices)
}

/// The user whose files tokens become: the one that all containers run as, if that is one.
pub(crate) fn token_user(pod: &Pod) -> Option<u32> {
    let of_pod = security(pod).and_then(|security| security.run_as_user);
    let ephemeral = spec(pod).and_then(|spec| spec.ephemeral_containers.as_ref()).into_iter().flatten();
    let ephemeral = ephemeral.map(|container| container.security_context.as_ref());
    let all = containers(pod).map(|container| container.security_context.as_ref()).chain(ephemeral);
    let mut users = all.map(|security| security.and_then(|security| security.run_as_user).or(of_pod));
    let first = users.next()??;
    users.all(|user| user == Some(first)).then(|| u32::try_from(first).ok()).flatten()
}

/// Directories that other volumes of a container are mounted on below where it mounts `volume`: they must be there before the
/// volume is mounted read-only. Relative to the volume; those below another such directory are left out.
pub(crate) fn nested_mount_points(pod: &Pod, volume: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (mounts, _) in uses(pod) {
        let mut all: Vec<String> = mounts.iter().map(|mount| clean(&mount.mount_path)).collect();
        all.sort();
        for own in mounts.iter().filter(|mount| mount.name == volume).map(|mount| clean(&mount.mount_path) + "/") {
            let mut outer: Vec<String> = Vec::new();
            for path in &all {
                let Some(below) = path.strip_prefix(&own) else { continue };
                if !outer.iter().any(|known| path.starts_with(known)) {
                    outer.push(format!("{path}/"));
                    found.insert(below.to_owned());
                }
            }
        }
    }
    found
}

/// An absolute path without superfluous parts.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(spec: Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap()
    }

    #[test]
    fn volumes_in_use() {
        let pod = pod(json!({
            "containers": [{"name": "c", "volumeMounts": [{"name": "a", "mountPath": "/a"}],
                            "volumeDevices": [{"name": "d", "devicePath": "/dev/x"}]}],
            "initContainers": [{"name": "i", "volumeMounts": [{"name": "b", "mountPath": "/b"}]}],
            "ephemeralContainers": [{"name": "e", "volumeMounts": [{"name": "f", "mountPath": "/f"}]}],
        }));
        let (mounted, devices) = used_volumes(&pod);
        assert_eq!(mounted.into_iter().collect::<Vec<_>>(), ["a", "b", "f"]);
        assert_eq!(devices.into_iter().collect::<Vec<_>>(), ["d"]);
    }

    #[test]
    fn the_user_of_tokens() {
        let user = |of_pod: Value, of_containers: &[Value]| {
            let containers: Vec<Value> =
                of_containers.iter().map(|user| json!({"name": "c", "securityContext": {"runAsUser": user}})).collect();
            token_user(&pod(json!({"securityContext": {"runAsUser": of_pod}, "containers": containers})))
        };
        let none = Value::Null;
        assert_eq!(user(none.clone(), std::slice::from_ref(&none)), None);
        assert_eq!(user(json!(5), std::slice::from_ref(&none)), Some(5));
        assert_eq!(user(json!(5), &[none.clone(), json!(6)]), None);
        assert_eq!(user(none.clone(), &[json!(6), json!(6)]), Some(6));
        assert_eq!(user(none.clone(), &[json!(6), none]), None);
    }

    #[test]
    fn mounts_below_mounts() {
        let mounts = |list: &[(&str, &str)]| {
            let list: Vec<Value> = list.iter().map(|(name, path)| json!({"name": name, "mountPath": path})).collect();
            let pod = pod(json!({"containers": [{"name": "c", "volumeMounts": list}]}));
            nested_mount_points(&pod, "v").into_iter().collect::<Vec<_>>()
        };
        assert_eq!(mounts(&[("v", "/dir"), ("a", "/dir/nested"), ("b", "/dir/nested/other")]), ["nested"]);
        assert_eq!(
            mounts(&[
                ("v", "/dir"),
                ("a", "/dir/nested"),
                ("b", "/dir/nested-vol"),
                ("c", "/dir/nested/x"),
                ("d", "/dir2")
            ]),
            ["nested", "nested-vol"]
        );
        assert_eq!(mounts(&[("v", "/dir/"), ("a", "/dir/../dir/x/y")]), ["x/y"]);
        assert!(mounts(&[("v", "/dir"), ("a", "/other")]).is_empty());
    }
}
