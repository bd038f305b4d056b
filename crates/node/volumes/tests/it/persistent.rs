//! Claims that are bound to local volumes and paths of the node.

use std::os::unix::fs::symlink;

use serde_json::{Value, json};
use windlass_volumes::Mounted;

use crate::support::{Kubelet, look, path_of, pod, pod_with, read};

const CLAIM: &str = r#"{"persistentVolumeClaim": {"claimName": "data"}}"#;

fn claim() -> Value {
    serde_json::from_str(CLAIM).unwrap()
}

fn bind(kubelet: &Kubelet, spec: Value) {
    kubelet.api.claims.lock().insert("data".into(), json!({"metadata": {"name": "pv-1"}, "spec": spec}));
}

#[tokio::test]
async fn a_directory_is_bound_and_its_contents_outlive_the_pod() {
    let kubelet = Kubelet::new();
    let disk = kubelet.beside("disk");
    std::fs::create_dir(&disk).unwrap();
    std::fs::write(disk.join("file"), "data").unwrap();
    bind(&kubelet, json!({"local": {"path": disk}}));
    let path = kubelet.path(&pod(claim())).await;
    assert!(path.ends_with("volumes/kubernetes.io~local-volume/pv-1"));
    assert_eq!(read(&path.join("file")), "data");
    kubelet.path(&pod(claim())).await;
    assert_eq!(kubelet.mounts(), std::slice::from_ref(&path));
    std::fs::write(path.join("more"), "written").unwrap();
    kubelet.volumes.tear_down("11-22").await.unwrap();
    assert!(kubelet.mounts().is_empty() && !path.exists());
    assert_eq!((read(&disk.join("file")), read(&disk.join("more"))), ("data".into(), "written".into()));
}

#[tokio::test]
async fn read_only_by_claim_and_by_option() {
    let kubelet = Kubelet::new();
    let disk = kubelet.beside("disk");
    std::fs::create_dir(&disk).unwrap();
    bind(&kubelet, json!({"local": {"path": disk}, "mountOptions": ["noexec"]}));
    let read_only = json!({"persistentVolumeClaim": {"claimName": "data", "readOnly": true}});
    let volumes = kubelet.mounted(&pod(read_only)).await;
    let path = path_of(&volumes["v"]);
    assert!(matches!(&volumes["v"], Mounted::Path { read_only: true, name, .. } if name == "pv-1"));
    let error = std::fs::write(path.join("x"), "").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    let options = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let line = options.lines().find(|line| line.contains(path.to_str().unwrap())).unwrap().to_owned();
    assert!(line.contains("ro,noexec"), "{line}");
    assert!(std::fs::write(disk.join("x"), "").is_ok(), "the disk itself is as it was");
}

#[tokio::test]
async fn a_group_gets_everything_on_it() {
    let kubelet = Kubelet::new();
    let disk = kubelet.beside("disk");
    std::fs::create_dir_all(disk.join("a/b")).unwrap();
    std::fs::write(disk.join("a/file"), "").unwrap();
    let outside = kubelet.beside("outside");
    std::fs::write(&outside, "").unwrap();
    symlink(&outside, disk.join("link")).unwrap();
    bind(&kubelet, json!({"local": {"path": disk}}));
    let owned = |group: u32, policy: &str| {
        pod_with(claim(), json!({"securityContext": {"fsGroup": group, "fsGroupChangePolicy": policy}}), json!({}))
    };
    kubelet.path(&owned(700, "Always")).await;
    assert_eq!(look(&disk), (0o2775, 0, 700));
    assert_eq!(look(&disk.join("a/b")), (0o2775, 0, 700));
    assert_eq!(look(&disk.join("a/file")), (0o664, 0, 700));
    assert_eq!(look(&disk.join("link")).2, 700);
    assert_eq!(look(&outside), (0o644, 0, 0), "what a link leads to is not the volume's");

    std::os::unix::fs::chown(disk.join("a/file"), None, Some(0)).unwrap();
    kubelet.path(&owned(700, "OnRootMismatch")).await;
    assert_eq!(look(&disk.join("a/file")).2, 0, "the root looks right, so nothing is changed");
    kubelet.path(&owned(701, "OnRootMismatch")).await;
    assert_eq!((look(&disk).2, look(&disk.join("a/file")).2), (701, 701));
}

#[tokio::test]
async fn claims_that_are_not_ready() {
    let kubelet = Kubelet::new();
    assert_eq!(kubelet.failure(&pod(claim())).await, "error processing PVC shop/data: PVC is not bound");
    bind(&kubelet, json!({"local": {"path": kubelet.beside("none")}}));
    let failure = kubelet.failure(&pod(claim())).await;
    assert_eq!(failure, format!("path {:?} does not exist", kubelet.beside("none")));
    std::fs::write(kubelet.beside("none"), "").unwrap();
    assert_eq!(kubelet.failure(&pod(claim())).await, "only directory and block device are supported");
    bind(&kubelet, json!({"csi": {"driver": "d", "volumeHandle": "h"}}));
    assert!(kubelet.failure(&pod(claim())).await.ends_with("that this node has no plugin for: csi"));
}

#[tokio::test]
async fn paths_and_devices() {
    let kubelet = Kubelet::new();
    bind(&kubelet, json!({"hostPath": {"path": kubelet.beside("made"), "type": "DirectoryOrCreate"}}));
    assert_eq!(kubelet.path(&pod(claim())).await, kubelet.beside("made"));
    bind(&kubelet, json!({"local": {"path": "/dev/null"}, "volumeMode": "Block"}));
    let device = json!({"volumeMounts": [], "volumeDevices": [{"name": "v", "devicePath": "/dev/x"}]});
    let volumes = kubelet.mounted(&pod_with(claim(), json!({}), device)).await;
    assert_eq!(volumes["v"], Mounted::Device { path: "/dev/null".into(), read_only: false });
}

/// A block device over a file, gone at the end.
struct Device {
    path: String,
    _file: tempfile::NamedTempFile,
}

impl Device {
    fn new(formatted: bool) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(8 << 20).unwrap();
        if formatted {
            run("mkfs.ext4", &["-q", "-F", file.path().to_str().unwrap()]);
        }
        let path = run("losetup", &["--find", "--show", file.path().to_str().unwrap()]);
        Self { path: path.trim().to_owned(), _file: file }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = std::process::Command::new("losetup").args(["--detach", &self.path]).status();
    }
}

fn run(program: &str, arguments: &[&str]) -> String {
    let done = std::process::Command::new(program).args(arguments).output();
    let done = done.unwrap_or_else(|error| panic!("{program} (of Debian's util-linux or e2fsprogs): {error}"));
    assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

#[tokio::test]
async fn a_device_is_mounted_once_and_released_by_the_last_pod() {
    let device = Device::new(true);
    let kubelet = Kubelet::new();
    bind(&kubelet, json!({"local": {"path": device.path}}));
    let first = pod(claim());
    let mut other = (*first).clone();
    other.metadata.uid = Some("33-44".into());
    let (one, two) = (kubelet.path(&first).await, kubelet.path(&std::sync::Arc::new(other)).await);
    std::fs::write(one.join("file"), "shared").unwrap();
    assert_eq!(read(&two.join("file")), "shared");
    assert_eq!(kubelet.mounts().len(), 3, "the device and a bind mount for each pod");
    kubelet.volumes.tear_down("11-22").await.unwrap();
    assert_eq!(kubelet.mounts().len(), 2);
    kubelet.volumes.tear_down("33-44").await.unwrap();
    assert!(kubelet.mounts().is_empty(), "{:?}", kubelet.mounts());
    let again = kubelet.path(&first).await;
    assert_eq!(read(&again.join("file")), "shared");
}

#[tokio::test]
async fn a_blank_device_is_not_formatted() {
    let device = Device::new(false);
    let kubelet = Kubelet::new();
    bind(&kubelet, json!({"local": {"path": device.path}}));
    let failure = kubelet.failure(&pod(claim())).await;
    let expected = format!("local: failed to mount device {:?} (fstype: ext4), is it formatted?", device.path);
    assert!(failure.starts_with(&expected), "{failure}");
    assert!(kubelet.mounts().is_empty());
}
