//! ConfigMaps, Secrets, the downward API, tokens and trust bundles as files.

use std::time::Duration;

use serde_json::json;
use windlass_api::time::Clock;
use windlass_volumes::Credentials;
use windlass_volumes::plan::CertificateSource;

use crate::support::{Kubelet, is_tmpfs, look, path_of, pod, pod_with, read};

#[tokio::test]
async fn a_config_map_follows_its_object() {
    let kubelet = Kubelet::new();
    kubelet.api.config_map("settings", &[("a", "1"), ("b", "2")]);
    let pod = pod(json!({"configMap": {"name": "settings", "defaultMode": 0o440}}));
    let path = kubelet.path(&pod).await;
    assert!(path.ends_with("volumes/kubernetes.io~configmap/v"));
    assert_eq!((read(&path.join("a")), read(&path.join("b"))), ("1".into(), "2".into()));
    assert_eq!(look(&path.join("..data/a")).0, 0o440);
    assert!(kubelet.mounts().is_empty(), "on disk");
    let published = || std::fs::read_link(path.join("..data")).unwrap();
    let before = published();
    kubelet.path(&pod).await;
    assert_eq!(published(), before);
    kubelet.api.config_map("settings", &[("a", "1!"), ("c", "3")]);
    kubelet.path(&pod).await;
    assert!(published() != before);
    assert_eq!((read(&path.join("a")), read(&path.join("c"))), ("1!".into(), "3".into()));
    assert!(!path.join("b").exists());
}

#[tokio::test]
async fn what_is_missing_and_what_may_be() {
    let kubelet = Kubelet::new();
    let config = |source| pod(json!({"configMap": source}));
    assert_eq!(kubelet.failure(&config(json!({"name": "none"}))).await, "configmap \"none\" not found");
    assert!(!kubelet.volumes.layout().volumes("11-22").exists(), "nothing was made");
    let path = kubelet.path(&config(json!({"name": "none", "optional": true}))).await;
    assert!(path.join("..data").exists());
    kubelet.api.config_map("settings", &[("a", "1")]);
    let items = json!([{"key": "x", "path": "p"}]);
    let failure = kubelet.failure(&config(json!({"name": "settings", "items": items.clone()}))).await;
    assert_eq!(failure, "configmap references non-existent config key: x");
    let failure = kubelet.failure(&pod(json!({"secret": {"secretName": "none"}}))).await;
    assert_eq!(failure, "secret \"none\" not found");
    let bad = json!({"name": "settings", "items": [{"key": "a", "path": "../../escape"}]});
    let failure = kubelet.failure(&config(bad)).await;
    assert_eq!(failure, "invalid path: must not contain '..': ../../escape");
    // A pod that runs keeps its files when the object goes away.
    let running = config(json!({"name": "settings"}));
    let path = kubelet.path(&running).await;
    kubelet.api.config_maps.lock().clear();
    kubelet.failure(&running).await;
    assert_eq!(read(&path.join("a")), "1");
}

#[tokio::test]
async fn secrets_are_in_memory() {
    let kubelet = Kubelet::new();
    kubelet.api.secret("keys", &[("tls.key", "k"), ("tls.crt", "c")]);
    let source = json!({"secret": {"secretName": "keys", "defaultMode": 0o400,
        "items": [{"key": "tls.key", "path": "private/key", "mode": 0o600}, {"key": "tls.crt", "path": "crt"}]}});
    let path = kubelet.path(&pod(source)).await;
    assert!(is_tmpfs(&path));
    assert_eq!(read(&path.join("private/key")), "k");
    assert_eq!((look(&path.join("..data/private/key")).0, look(&path.join("..data/crt")).0), (0o600, 0o400));
}

#[tokio::test]
async fn the_files_of_a_group() {
    let kubelet = Kubelet::new();
    kubelet.api.secret("keys", &[("a", "1")]);
    let spec = json!({"securityContext": {"fsGroup": 555}});
    let path =
        kubelet.path(&pod_with(json!({"secret": {"secretName": "keys", "defaultMode": 0o600}}), spec, json!({}))).await;
    assert_eq!(look(&path.join("..data/a")), (0o640, 0, 555));
    let data = std::fs::canonicalize(path.join("..data")).unwrap();
    assert_eq!(look(&data), (0o2755, 0, 555));
    assert_eq!(look(&path).2, 555);
    assert_eq!(look(&path.join("a")).2, 555, "the link too");
}

#[tokio::test]
async fn the_volume_that_every_pod_has() {
    let kubelet = Kubelet::new();
    kubelet.api.config_map("kube-root-ca.crt", &[("ca.crt", "CA")]);
    let projected = json!({"projected": {"defaultMode": 0o644, "sources": [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]}});
    let bare = pod(projected.clone());
    let done = kubelet.set_up(&bare).await;
    let path = path_of(&done.volumes["v"]);
    assert!(is_tmpfs(&path));
    assert_eq!((read(&path.join("token")), read(&path.join("ca.crt"))), ("token-1".into(), "CA".into()));
    assert_eq!(read(&path.join("namespace")), "shop");
    assert_eq!(look(&path.join("..data/token")).0, 0o644);
    let due = done.refresh_at.unwrap().duration_since(Clock::system().now());
    let expected = Duration::from_secs(3607 * 4 / 5);
    assert!((due.unsigned_abs().as_secs_f64() - expected.as_secs_f64()).abs() < 60.0, "{due:?}");
    kubelet.path(&bare).await;
    let asked = kubelet.api.tokens.lock().clone();
    assert_eq!(asked.len(), 1, "the token is kept");
    assert_eq!((asked[0].service_account.as_str(), asked[0].pod_uid.as_str()), ("robot", "11-22"));
    kubelet.volumes.tear_down("11-22").await.unwrap();

    let user = json!({"securityContext": {"runAsUser": 1000}});
    let path = kubelet.path(&pod_with(projected, user, json!({}))).await;
    assert_eq!(look(&path.join("..data/token")), (0o600, 1000, 0));
    assert_eq!(look(&path.join("..data/ca.crt")), (0o644, 0, 0));
    assert_eq!(kubelet.api.tokens.lock().len(), 2, "a pod that is gone leaves no token behind");
}

#[tokio::test]
async fn every_failing_source_is_told() {
    let kubelet = Kubelet::new();
    let projected = json!({"projected": {"sources": [
        {"secret": {"name": "one"}},
        {"configMap": {"name": "two", "optional": true}},
        {"configMap": {"name": "three"}},
        {"clusterTrustBundle": {"path": "t", "signerName": "example.com/x"}},
        {"clusterTrustBundle": {"path": "t", "name": "four"}},
        {"downwardAPI": {"items": [{"path": "p", "fieldRef": {"fieldPath": "spec.nodeName"}}]}},
    ]}});
    let failure = kubelet.failure(&pod(projected)).await;
    assert_eq!(
        failure,
        "[secret \"one\" not found, configmap \"three\" not found, combination of signerName and labelSelector matched \
         zero ClusterTrustBundles, while getting ClusterTrustBundle: clustertrustbundle.certificates.k8s.io \"four\" not \
         found, unsupported fieldPath: \
         spec.nodeName]"
    );
}

#[tokio::test]
async fn trust_bundles() {
    let kubelet = Kubelet::new();
    kubelet.api.bundles.lock().insert("roots".into(), b"PEM".to_vec());
    let source = json!({"projected": {"sources": [
        {"clusterTrustBundle": {"path": "a.pem", "name": "roots"}},
        {"clusterTrustBundle": {"path": "b.pem", "signerName": "none", "optional": true}},
    ]}});
    let path = kubelet.path(&pod(source)).await;
    assert_eq!((read(&path.join("a.pem")), read(&path.join("b.pem"))), ("PEM".into(), String::new()));
}

#[tokio::test]
async fn a_key_and_its_certificates() {
    let kubelet = Kubelet::new();
    let source = |volume: &str, index| CertificateSource { volume: volume.into(), index };
    let credentials = |text: &str| Credentials { key: format!("KEY {text}\n"), chain: format!("CHAIN {text}\n") };
    let certificate = |paths: serde_json::Value| {
        let mut certificate = json!({"signerName": "example.com/s", "keyType": "ED25519"});
        certificate.as_object_mut().unwrap().extend(paths.as_object().unwrap().clone());
        json!({"podCertificate": certificate})
    };
    let projected = json!({"projected": {"defaultMode": 0o644, "sources": [
        certificate(json!({"credentialBundlePath": "one/bundle.pem"})),
        certificate(json!({"keyPath": "two/key.pem", "certificateChainPath": "two/chain.pem"})),
    ]}});
    let spec = json!({"securityContext": {"runAsUser": 1000}});
    let pod = pod_with(projected, spec, json!({}));
    kubelet.api.credentials.lock().insert(source("v", 0), credentials("one"));
    assert_eq!(kubelet.failure(&pod).await, "credential bundle is not issued yet", "one of them is not there");

    kubelet.api.credentials.lock().insert(source("v", 1), credentials("two"));
    let path = kubelet.path(&pod).await;
    assert!(is_tmpfs(&path));
    assert_eq!(read(&path.join("one/bundle.pem")), "KEY one\nCHAIN one\n");
    assert_eq!(
        (read(&path.join("two/key.pem")), read(&path.join("two/chain.pem"))),
        ("KEY two\n".into(), "CHAIN two\n".into())
    );
    assert_eq!(look(&path.join("..data/two/key.pem")), (0o600, 1000, 0));

    kubelet.api.credentials.lock().insert(source("v", 1), credentials("three"));
    kubelet.path(&pod).await;
    assert_eq!(read(&path.join("two/key.pem")), "KEY three\n", "renewed");
}

#[tokio::test]
async fn what_a_pod_knows_about_itself() {
    let kubelet = Kubelet::new();
    let source = json!({"downwardAPI": {"items": [
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
        {"path": "limits/cpu", "resourceFieldRef": {"containerName": "c", "resource": "limits.cpu", "divisor": "1m"}, "mode": 0o600},
        {"path": "limits/memory", "resourceFieldRef": {"containerName": "c", "resource": "limits.memory"}},
    ]}});
    let container = json!({"resources": {"limits": {"cpu": "250m"}}});
    let path = kubelet.path(&pod_with(source, json!({}), container)).await;
    assert_eq!(read(&path.join("labels")), "app=\"web\"");
    assert_eq!(
        (read(&path.join("limits/cpu")), read(&path.join("limits/memory"))),
        ("250".into(), "1073741824".into())
    );
    assert_eq!(look(&path.join("..data/limits/cpu")).0, 0o600);
}

#[tokio::test]
async fn other_volumes_are_mounted_inside() {
    let kubelet = Kubelet::new();
    kubelet.api.config_map("settings", &[("a", "1")]);
    let mounts = json!({"volumeMounts": [
        {"name": "v", "mountPath": "/etc/app"},
        {"name": "w", "mountPath": "/etc/app/conf.d/more"},
    ]});
    let volumes = json!({"volumes": [{"name": "v", "configMap": {"name": "settings"}}, {"name": "w", "emptyDir": {}}]});
    let mounted = kubelet.mounted(&pod_with(json!({}), volumes, mounts)).await;
    let path = path_of(&mounted["v"]);
    assert!(path.join("conf.d/more").is_dir());
    assert_eq!(read(&path.join("a")), "1");
}
