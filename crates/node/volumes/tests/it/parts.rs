//! subPath: parts of volumes, and links that lead out of them.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use windlass_api::k8s::api::core::v1::Pod;
use windlass_cri::Mount;
use windlass_volumes::MountError;

use crate::support::{Kubelet, look, path_of, pod_with, read};

struct Case {
    kubelet: Kubelet,
    pod: Arc<Pod>,
    volume: PathBuf,
}

impl Case {
    async fn new(mount: Value) -> Self {
        let kubelet = Kubelet::new();
        let mut full = json!({"name": "v", "mountPath": "/v"});
        full.as_object_mut().unwrap().extend(mount.as_object().unwrap().clone());
        let pod = pod_with(json!({"emptyDir": {}}), json!({}), json!({"volumeMounts": [full]}));
        let volume = path_of(&kubelet.mounted(&pod).await["v"]);
        Self { kubelet, pod, volume }
    }

    async fn mounts(&self) -> Result<Vec<Mount>, MountError> {
        let volumes = self.kubelet.mounted(&self.pod).await;
        let container = &self.pod.spec.as_ref().unwrap().containers[0];
        let variables = BTreeMap::from([("POD".to_owned(), "web-0".to_owned())]);
        self.kubelet.volumes.container_mounts(&self.pod, container, &volumes, &variables, false).await
    }

    async fn ready(&self) -> PathBuf {
        PathBuf::from(&self.mounts().await.unwrap()[0].host_path)
    }
}

fn same_file(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (a, b) = (std::fs::metadata(a).unwrap(), std::fs::metadata(b).unwrap());
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[tokio::test]
async fn whole_volumes_are_not_touched() {
    let case = Case::new(json!({"readOnly": true})).await;
    let mounts = case.mounts().await.unwrap();
    assert_eq!((Path::new(&mounts[0].host_path), mounts[0].readonly), (case.volume.as_path(), true));
    assert!(case.kubelet.mounts().is_empty());
}

#[tokio::test]
async fn missing_directories_are_made_like_the_volume() {
    let case = Case::new(json!({"subPathExpr": "logs/$(POD)"})).await;
    let ready = case.ready().await;
    assert!(ready.ends_with("pods/11-22/volume-subpaths/v/c/0"));
    assert_eq!(look(&case.volume.join("logs/web-0")).0, 0o777);
    assert!(same_file(&ready, &case.volume.join("logs/web-0")));
    std::fs::write(ready.join("x"), "written by the container").unwrap();
    assert_eq!(case.ready().await, ready);
    assert_eq!(case.kubelet.mounts().len(), 1, "the next start finds it ready");
}

#[tokio::test]
async fn single_files() {
    let case = Case::new(json!({"subPath": "conf/app.ini"})).await;
    std::fs::create_dir(case.volume.join("conf")).unwrap();
    std::fs::write(case.volume.join("conf/app.ini"), "one").unwrap();
    let ready = case.ready().await;
    assert_eq!(read(&ready), "one");
    // The file is replaced by another of the same name: the next start gets the new one.
    std::fs::write(case.volume.join("conf/new"), "two").unwrap();
    std::fs::rename(case.volume.join("conf/new"), case.volume.join("conf/app.ini")).unwrap();
    assert_eq!(read(&ready), "one", "a running container keeps its file");
    assert_eq!(read(&case.ready().await), "two");
    assert_eq!(case.kubelet.mounts().len(), 1);
    // And a directory in its place.
    std::fs::remove_file(case.volume.join("conf/app.ini")).unwrap();
    std::fs::create_dir(case.volume.join("conf/app.ini")).unwrap();
    assert!(case.ready().await.is_dir());
}

#[tokio::test]
async fn links_may_lead_around_inside_and_nowhere_else() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "x").unwrap();
    let up = "../".repeat(20);
    let escape = format!("{up}{}", outside.path().strip_prefix("/").unwrap().display());
    let cases: [(&str, Option<&str>); 6] = [
        ("real", Some("real")),
        ("inside", Some("real")),
        ("absolute", None),
        ("relative", None),
        ("relative/secret", None),
        ("dangling/new", None),
    ];
    for (sub_path, expected) in cases {
        let case = Case::new(json!({"subPath": sub_path})).await;
        std::fs::create_dir(case.volume.join("real")).unwrap();
        symlink("real", case.volume.join("inside")).unwrap();
        symlink(outside.path(), case.volume.join("absolute")).unwrap();
        symlink(&escape, case.volume.join("relative")).unwrap();
        symlink(outside.path().join("made"), case.volume.join("dangling")).unwrap();
        match expected {
            Some(target) => assert!(same_file(&case.ready().await, &case.volume.join(target)), "{sub_path}"),
            None => {
                let error = case.mounts().await.unwrap_err().to_string();
                assert_eq!(error, "failed to prepare subPath for volumeMount \"v\" of container \"c\"", "{sub_path}");
                assert!(case.kubelet.mounts().is_empty(), "{sub_path}");
            }
        }
    }
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1, "nothing was made outside");
}

#[tokio::test]
async fn a_link_that_appears_meanwhile_changes_nothing() {
    let case = Case::new(json!({"subPath": "data"})).await;
    let ready = case.ready().await;
    std::fs::write(ready.join("mine"), "1").unwrap();
    std::fs::rename(case.volume.join("data"), case.volume.join("moved")).unwrap();
    symlink("/etc", case.volume.join("data")).unwrap();
    assert!(ready.join("mine").exists() && !ready.join("passwd").exists());
    assert!(case.mounts().await.is_err(), "the next start is refused");
}

#[tokio::test]
async fn a_part_of_files_from_the_api() {
    let kubelet = Kubelet::new();
    kubelet.api.config_map("settings", &[("app.ini", "1")]);
    let mount = json!({"volumeMounts": [{"name": "v", "mountPath": "/etc/app.ini", "subPath": "app.ini"}]});
    let pod = pod_with(json!({"configMap": {"name": "settings"}}), json!({}), mount);
    let volumes = kubelet.mounted(&pod).await;
    let container = &pod.spec.as_ref().unwrap().containers[0];
    let mounts = kubelet.volumes.container_mounts(&pod, container, &volumes, &BTreeMap::new(), false).await.unwrap();
    assert_eq!(read(Path::new(&mounts[0].host_path)), "1");
    assert!(mounts[0].readonly);
}
