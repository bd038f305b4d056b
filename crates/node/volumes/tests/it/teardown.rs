//! The end of pods, also of those that nobody remembers.

use std::collections::HashSet;

use rustix::mount::{MountFlags, mount};
use serde_json::json;

use crate::support::{Kubelet, path_of, pod, pod_with};

#[tokio::test]
async fn nothing_is_left() {
    let kubelet = Kubelet::new();
    kubelet.api.secret("keys", &[("a", "1")]);
    let disk = kubelet.beside("disk");
    std::fs::create_dir(&disk).unwrap();
    kubelet
        .api
        .claims
        .lock()
        .insert("data".into(), json!({"metadata": {"name": "pv-1"}, "spec": {"local": {"path": disk}}}));
    let names = ["disk", "memory", "files", "claim"];
    let volumes = json!({"volumes": [
        {"name": "disk", "emptyDir": {}},
        {"name": "memory", "emptyDir": {"medium": "Memory"}},
        {"name": "files", "secret": {"secretName": "keys"}},
        {"name": "claim", "persistentVolumeClaim": {"claimName": "data"}},
    ]});
    let mounts: Vec<_> =
        names.iter().map(|name| json!({"name": name, "mountPath": format!("/{name}"), "subPath": ""})).collect();
    let part = json!({"name": "disk", "mountPath": "/part", "subPath": "part"});
    let all: Vec<_> = mounts.into_iter().chain([part]).collect();
    let pod = pod_with(json!({}), volumes, json!({"volumeMounts": all}));
    let mounted = kubelet.mounted(&pod).await;
    let container = &pod.spec.as_ref().unwrap().containers[0];
    kubelet.volumes.container_mounts(&pod, container, &mounted, &Default::default(), false).await.unwrap();
    assert_eq!(kubelet.mounts().len(), 4);
    std::fs::write(disk.join("kept"), "").unwrap();
    kubelet.volumes.tear_down("11-22").await.unwrap();
    kubelet.volumes.tear_down("11-22").await.unwrap();
    kubelet.volumes.tear_down("never-there").await.unwrap();
    assert!(kubelet.mounts().is_empty());
    let pod_directory = kubelet.volumes.layout().pod("11-22");
    assert_eq!(std::fs::read_dir(pod_directory).unwrap().count(), 0);
    assert!(disk.join("kept").exists());
}

#[tokio::test]
async fn what_containers_left_in_a_volume() {
    let kubelet = Kubelet::new();
    let path = kubelet.path(&pod(json!({"emptyDir": {}}))).await;
    // A tree deeper than any path, links to elsewhere, and a file system that a container mounted (Bidirectional).
    let mut at = std::fs::File::open(&path).map(std::os::fd::OwnedFd::from).unwrap();
    for _ in 0..2200 {
        rustix::fs::mkdirat(&at, "d", rustix::fs::Mode::RWXU).unwrap();
        at = rustix::fs::openat(&at, "d", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()).unwrap();
    }
    drop(at);
    let outside = kubelet.beside("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("kept"), "").unwrap();
    std::os::unix::fs::symlink(&outside, path.join("link")).unwrap();
    std::fs::create_dir(path.join("mounted")).unwrap();
    mount("tmpfs", path.join("mounted"), "tmpfs", MountFlags::empty(), c"").unwrap();
    std::fs::write(path.join("mounted/x"), "").unwrap();
    kubelet.volumes.tear_down("11-22").await.unwrap();
    assert!(!path.exists() && kubelet.mounts().is_empty());
    assert!(outside.join("kept").exists());
}

#[tokio::test]
async fn a_local_volume_that_is_not_mounted_is_never_emptied() {
    let kubelet = Kubelet::new();
    let path = kubelet.volumes.layout().volume("11-22", windlass_volumes::Plugin::Local, "pv-1");
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join("data"), "somebody's").unwrap();
    let error = kubelet.volumes.tear_down("11-22").await.unwrap_err().to_string();
    assert!(error.contains("remove it by hand"), "{error}");
    assert!(path.join("data").exists());
}

#[tokio::test]
async fn pods_that_ended_while_we_were_away() {
    let kubelet = Kubelet::new();
    let memory = pod(json!({"emptyDir": {"medium": "Memory"}}));
    kubelet.path(&memory).await;
    let mut other = (*memory).clone();
    other.metadata.uid = Some("33-44".into());
    let kept = kubelet.path(&std::sync::Arc::new(other)).await;
    std::fs::write(kubelet.volumes.layout().pod("11-22").join("etc-hosts"), "").unwrap();
    let failures = kubelet.volumes.remove_orphans(&HashSet::from(["33-44".to_owned()])).await;
    assert!(failures.is_empty(), "{failures:?}");
    assert!(!kubelet.volumes.layout().pod("11-22").exists());
    assert_eq!(kubelet.mounts(), [kept]);
}

#[tokio::test]
async fn setting_up_and_tearing_down_wait_for_each_other() {
    let kubelet = Kubelet::new();
    kubelet.api.secret("keys", &[("a", "1")]);
    let pod = pod(json!({"secret": {"secretName": "keys"}}));
    for _ in 0..10 {
        let (done, torn, again) =
            tokio::join!(kubelet.set_up(&pod), kubelet.volumes.tear_down("11-22"), kubelet.set_up(&pod));
        assert!(done.failures.is_empty() && again.failures.is_empty());
        torn.unwrap();
        let path = path_of(&again.volumes["v"]);
        assert_eq!(std::fs::read_to_string(path.join("a")).unwrap(), "1");
    }
    assert_eq!(kubelet.mounts().len(), 1);
}
