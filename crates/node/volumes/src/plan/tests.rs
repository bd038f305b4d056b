use serde_json::{Value, json};

use super::*;

fn pod_with(volume: Value, container: Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "shop", "uid": "u"},
        "spec": {"containers": [container], "volumes": [volume]},
    }))
    .unwrap()
}

fn node() -> NodeFacts {
    NodeFacts { allocatable: [("memory".to_owned(), "1Gi".parse().unwrap())].into() }
}

fn planned(source: Value) -> Result<Plan, PlanError> {
    planned_for(source, json!({"name": "c"}), None)
}

fn planned_for(source: Value, container: Value, bound: Option<Value>) -> Result<Plan, PlanError> {
    let mut volume = json!({"name": "v"});
    volume.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
    let pod = pod_with(volume, container);
    let bound: Option<PersistentVolume> = bound.map(|bound| serde_json::from_value(bound).unwrap());
    let volume = &pod.spec.as_ref().unwrap().volumes.as_ref().unwrap()[0];
    plan(&pod, volume, bound.as_ref(), &node())
}

fn limited(limit: &str) -> Value {
    json!({"name": "c", "resources": {"limits": {"memory": limit}, "requests": {"hugepages-2Mi": "4Mi"}}})
}

#[test]
fn empty_directories() {
    let medium = |source: Value, container: Value| match planned_for(json!({"emptyDir": source}), container, None) {
        Ok(Plan::EmptyDir(medium)) => Ok(medium),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.to_string()),
    };
    let bare = || json!({"name": "c"});
    assert_eq!(medium(json!({}), bare()), Ok(Medium::Disk));
    let memory = |size_bytes| Ok(Medium::Memory { size_bytes });
    assert_eq!(medium(json!({"medium": "Memory"}), bare()), memory(1 << 30));
    assert_eq!(medium(json!({"medium": "Memory"}), limited("64Mi")), memory(64 << 20));
    assert_eq!(medium(json!({"medium": "Memory"}), limited("2Gi")), memory(1 << 30));
    assert_eq!(medium(json!({"medium": "Memory", "sizeLimit": "10Mi"}), limited("64Mi")), memory(10 << 20));
    assert_eq!(medium(json!({"medium": "Memory", "sizeLimit": "90Mi"}), limited("64Mi")), memory(64 << 20));
    assert_eq!(medium(json!({"medium": "Memory", "sizeLimit": "0"}), bare()), memory(1 << 30));

    let huge = |page_bytes| Ok(Medium::HugePages { page_bytes });
    assert_eq!(medium(json!({"medium": "HugePages"}), limited("1")), huge(2 << 20));
    assert_eq!(medium(json!({"medium": "HugePages-2Mi"}), limited("1")), huge(2 << 20));
    let error = medium(json!({"medium": "HugePages-1Gi"}), limited("1")).unwrap_err();
    assert_eq!(
        error,
        "medium HugePages-1Gi: hugePages storage requested, but there is no resource request for huge pages"
    );
    let two = json!({"name": "c", "resources": {"requests": {"hugepages-2Mi": "4Mi", "hugepages-1Gi": "1Gi"}}});
    let error = medium(json!({"medium": "HugePages"}), two.clone()).unwrap_err();
    assert_eq!(error, "medium: HugePages can't be used if container requests multiple huge page sizes");
    assert_eq!(medium(json!({"medium": "HugePages-1Gi"}), two), huge(1 << 30));
    assert_eq!(medium(json!({"medium": "Paper"}), bare()).unwrap_err(), "unknown storage medium \"Paper\"");
    assert!(medium(json!({"medium": "HugePagesX"}), bare()).is_err());
}

#[test]
fn host_paths() {
    let kinds = ["", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice"];
    for kind in kinds {
        assert!(
            matches!(planned(json!({"hostPath": {"path": "/x", "type": kind}})), Ok(Plan::HostPath { .. })),
            "{kind}"
        );
    }
    let error = |source: Value| planned(json!({"hostPath": source})).unwrap_err().to_string();
    assert_eq!(error(json!({"path": "/a/../b"})), "invalid HostPath `/a/../b`: must not contain '..'");
    assert_eq!(error(json!({"path": "/a", "type": "Cloud"})), "Cloud is an invalid volume type");
}

#[test]
fn files_from_the_api() {
    let Ok(Plan::Files(config)) = planned(json!({"configMap": {"name": "c", "defaultMode": 0o400, "optional": true,
        "items": [{"key": "k", "path": "a/b", "mode": 0o600}]}}))
    else {
        panic!()
    };
    assert_eq!((config.plugin, config.default_mode, config.memory_bytes), (Plugin::ConfigMap, 0o400, None));
    let items = vec![Item { key: "k".into(), path: "a/b".into(), mode: Some(0o600) }];
    assert_eq!(config.sources, [Projection::ConfigMap { name: "c".into(), items, optional: true }]);

    let Ok(Plan::Files(secret)) = planned(json!({"secret": {"secretName": "s"}})) else { panic!() };
    assert_eq!((secret.plugin, secret.default_mode, secret.memory_bytes), (Plugin::Secret, 0o644, Some(1 << 30)));

    let Ok(Plan::Files(projected)) = planned(json!({"projected": {"sources": [
        {"serviceAccountToken": {"path": "token", "audience": ""}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
        {"secret": {"name": "s"}},
        {"clusterTrustBundle": {"path": "t", "signerName": "example.com/x", "optional": true}},
    ]}})) else {
        panic!()
    };
    assert_eq!(projected.sources.len(), 5);
    let token = Projection::Token { audience: None, expiration_seconds: 3600, path: "token".into() };
    assert_eq!(projected.sources[0], token);
    let error = |source: Value| planned(json!({"projected": {"sources": [source]}})).unwrap_err().to_string();
    assert_eq!(
        error(json!({"clusterTrustBundle": {"path": "t"}})),
        "ClusterTrustBundle projection requires either name or signerName to be set"
    );
    assert!(error(json!({})).contains("projected (an empty projection)"));
}

#[test]
fn persistent_volumes() {
    let mounting = json!({"name": "c", "volumeMounts": [{"name": "v", "mountPath": "/v"}]});
    let bound = |spec: Value| Some(json!({"metadata": {"name": "pv1"}, "spec": spec}));
    let claim = || json!({"persistentVolumeClaim": {"claimName": "data", "readOnly": true}});
    let plan = |spec: Value| planned_for(claim(), mounting.clone(), bound(spec));
    let local = plan(json!({"local": {"path": "/mnt/x", "fsType": "xfs"}, "mountOptions": ["noatime"]})).unwrap();
    let expected = Local {
        name: "pv1".into(),
        source: "/mnt/x".into(),
        fs_type: "xfs".into(),
        mount_options: vec!["noatime".into()],
        read_only: true,
    };
    assert_eq!(local, Plan::Local(expected));
    let path = plan(json!({"hostPath": {"path": "/data"}})).unwrap();
    assert_eq!(path, Plan::HostPath { path: "/data".into(), kind: HostPathKind::Unset, read_only: true });
    let error = plan(json!({"local": {"path": "/dev/x"}, "volumeMode": "Block"})).unwrap_err();
    assert_eq!(error.to_string(), "volume v has volumeMode Block, but is specified in volumeMounts");
    let device = json!({"name": "c", "volumeDevices": [{"name": "v", "devicePath": "/dev/y"}]});
    let block =
        planned_for(claim(), device, bound(json!({"local": {"path": "/dev/x"}, "volumeMode": "Block"}))).unwrap();
    assert_eq!(block, Plan::BlockDevice { path: "/dev/x".into(), read_only: true });
    assert!(plan(json!({"csi": {"driver": "d", "volumeHandle": "h"}})).unwrap_err().to_string().ends_with("csi"));
    assert_eq!(plan(json!({"local": {"path": ""}})).unwrap_err(), PlanError::LocalPath);
    assert_eq!(planned(claim()).unwrap_err(), PlanError::Claim("v".into()));
}

#[test]
fn names_of_claims() {
    let named = |source: Value| {
        let mut volume = json!({"name": "v"});
        volume.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
        let pod = pod_with(volume, json!({"name": "c"}));
        claim(&pod, &pod.spec.as_ref().unwrap().volumes.as_ref().unwrap()[0])
    };
    assert_eq!(named(json!({"persistentVolumeClaim": {"claimName": "data"}})), Some(("data".into(), false)));
    assert_eq!(named(json!({"ephemeral": {"volumeClaimTemplate": {"spec": {}}}})), Some(("web-v".into(), false)));
    assert_eq!(named(json!({"emptyDir": {}})), None);
}

#[test]
fn others() {
    assert_eq!(planned(json!({"image": {"reference": "r"}})), Ok(Plan::Image { reference: "r".into() }));
    let error = planned(json!({"nfs": {"server": "s", "path": "/"}})).unwrap_err().to_string();
    assert_eq!(error, "volume \"v\" is of a type that this node has no plugin for: nfs");
    let pod = pod_with(json!({"name": "../x", "emptyDir": {}}), json!({"name": "c"}));
    let volume = &pod.spec.as_ref().unwrap().volumes.as_ref().unwrap()[0];
    assert!(matches!(plan(&pod, volume, None, &node()), Err(PlanError::Name(_))));
}
