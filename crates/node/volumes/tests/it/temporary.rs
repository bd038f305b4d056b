//! emptyDir and hostPath.

use rustix::mount::{UnmountFlags, unmount};
use serde_json::json;

use crate::support::{Kubelet, is_tmpfs, look, path_of, pod, pod_with};

#[tokio::test]
async fn a_directory_on_disk_belongs_to_its_containers() {
    let kubelet = Kubelet::new();
    let pod = pod(json!({"emptyDir": {}}));
    let path = kubelet.path(&pod).await;
    assert!(path.ends_with("kubelet/pods/11-22/volumes/kubernetes.io~empty-dir/v"));
    assert_eq!(look(&path), (0o777, 0, 0));
    assert_eq!(look(&kubelet.volumes.layout().pod("11-22")).0, 0o750);
    // What a container does to it is not undone by the next sync.
    std::fs::write(path.join("file"), "kept").unwrap();
    rustix::fs::chmod(&path, rustix::fs::Mode::from_raw_mode(0o700)).unwrap();
    assert_eq!(kubelet.path(&pod).await, path);
    assert_eq!(look(&path).0, 0o700);
    assert!(path.join("file").exists());
    // Somebody has removed it: it comes back.
    windlass_tree::remove_path(&path).unwrap();
    assert_eq!(look(&kubelet.path(&pod).await), (0o777, 0, 0));
}

#[tokio::test]
async fn a_group_may_use_it() {
    let kubelet = Kubelet::new();
    let path = kubelet
        .path(&pod_with(json!({"emptyDir": {}}), json!({"securityContext": {"fsGroup": 4321}}), json!({})))
        .await;
    assert_eq!(look(&path), (0o2777, 0, 4321));
}

#[tokio::test]
async fn memory_of_limited_size() {
    let kubelet = Kubelet::new();
    let pod = pod(json!({"emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}));
    let path = kubelet.path(&pod).await;
    assert!(is_tmpfs(&path));
    assert_eq!(look(&path).0 & 0o777, 0o777);
    assert!(std::fs::write(path.join("fits"), vec![0; 500_000]).is_ok());
    assert!(std::fs::write(path.join("does not"), vec![0; 2_000_000]).is_err());
    assert_eq!(kubelet.path(&pod).await, path);
    assert_eq!(kubelet.mounts().len(), 1, "mounted once");
    // As after a restart of the machine: the marker is there, the mount is not.
    unmount(&path, UnmountFlags::empty()).unwrap();
    kubelet.path(&pod).await;
    assert!(is_tmpfs(&path) && !path.join("fits").exists());
    assert_eq!(kubelet.mounts().len(), 1);
}

#[tokio::test]
async fn volumes_that_nobody_uses_are_not_made() {
    let kubelet = Kubelet::new();
    let other = json!({"volumes": [{"name": "v", "emptyDir": {}}, {"name": "idle", "emptyDir": {}}]});
    let mounted = kubelet.mounted(&pod_with(json!({}), other, json!({}))).await;
    assert_eq!(mounted.keys().collect::<Vec<_>>(), ["v"]);
}

#[tokio::test]
async fn paths_of_the_node() {
    let kubelet = Kubelet::new();
    let path = kubelet.beside("data/deep");
    let source = |kind: &str| pod(json!({"hostPath": {"path": path, "type": kind}}));
    let failure = kubelet.failure(&source("Directory")).await;
    assert!(failure.starts_with("hostPath type check failed, ") && failure.contains("does not exist"), "{failure}");
    assert_eq!(kubelet.path(&source("DirectoryOrCreate")).await, path);
    assert_eq!(look(&path).0, 0o755);
    let failure = kubelet.failure(&source("File")).await;
    assert_eq!(failure, format!("hostPath type check failed: {} is not a file, it's a Directory", path.display()));
    assert!(kubelet.mounts().is_empty());
}

#[tokio::test]
async fn what_takes_the_disk() {
    let kubelet = Kubelet::new();
    for (source, is_on_disk) in [
        (json!({"emptyDir": {}}), true),
        (json!({"emptyDir": {"medium": "Memory"}}), false),
        (json!({"hostPath": {"path": "/usr"}}), false),
    ] {
        let pod = pod(source.clone());
        let mounted = kubelet.mounted(&pod).await;
        let found = kubelet.volumes.on_disk(&pod);
        assert_eq!(found.get("v"), is_on_disk.then(|| path_of(&mounted["v"])).as_ref(), "{source}");
        kubelet.volumes.tear_down(pod.metadata.uid.as_deref().unwrap()).await.unwrap();
    }
}

#[tokio::test]
async fn names_that_are_paths_are_refused() {
    let kubelet = Kubelet::new();
    let mut pod = (*pod(json!({"emptyDir": {}}))).clone();
    pod.metadata.uid = Some("../../evil".into());
    let done = kubelet.set_up(&std::sync::Arc::new(pod)).await;
    assert_eq!((done.volumes.len(), done.failures.len()), (0, 1));
    assert!(kubelet.volumes.tear_down("..").await.is_err());
}
