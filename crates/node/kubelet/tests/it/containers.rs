//! What containers get, and how they are restarted.

use std::sync::Arc;

use futures::FutureExt;
use parking_lot::Mutex;
use serde_json::{Value, json};
use windlass_api::ObjectKey;
use windlass_api::resource::{CONFIG_MAPS, PODS, SECRETS, SERVICES};
use windlass_client::{Informers, OBJECT, PatchType};

use crate::cluster::{IMAGE, condition, container, on_cluster, shell, text, until};

#[test]
fn init_containers_and_sidecars() {
    on_cluster(|cluster| {
        async move {
            let write = |name: &str, script: &str| {
                let mut container = shell(name, script);
                container["volumeMounts"] = json!([{"name": "data", "mountPath": "/data"}]);
                container
            };
            let mut sidecar = write("side", "echo side >> /data/log; sleep 1000");
            sidecar["restartPolicy"] = json!("Always");
            sidecar["startupProbe"] = json!({"exec": {"command": ["test", "-s", "/data/log"]}, "periodSeconds": 1});
            let spec = json!({
                "restartPolicy": "Never",
                "initContainers": [write("first", "echo first >> /data/log"), sidecar, write("second", "echo second >> /data/log")],
                "containers": [write("main", "cat /data/log")],
                "volumes": [{"name": "data", "emptyDir": {}}],
            });
            cluster.create_pod("init", spec).await;
            let pod = cluster.phase("init", "Succeeded").await;
            assert_eq!(cluster.log(&pod, "main", 0), "first\nside\nsecond\n");
            assert_eq!(container(&pod, "first")["ready"], true);
            assert_eq!(condition(&pod, "Initialized"), "True");
        }
        .boxed()
    });
}

#[test]
fn the_environment() {
    on_cluster(|cluster| {
        async move {
            let create = |resource: windlass_api::GroupVersionResource, object: Value| {
                let admin = cluster.admin.clone();
                async move { admin.create(&resource, "default", &object).await.unwrap() }
            };
            create(CONFIG_MAPS, json!({"metadata": {"name": "map"}, "data": {"key": "from-map", "other": "o"}})).await;
            create(SECRETS, json!({"metadata": {"name": "secret"}, "stringData": {"key": "from-secret"}})).await;
            create(SERVICES, json!({"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}})).await;
            let mut main = shell("c", "env; cat /etc/hosts; cat /etc/resolv.conf; hostname");
            main["resources"] = json!({"limits": {"cpu": "500m", "memory": "64Mi"}});
            main["env"] = json!([
                {"name": "A", "value": "a"},
                {"name": "B", "value": "$(A)-$(NONE)-$$(A)"},
                {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
                {"name": "MAP", "valueFrom": {"configMapKeyRef": {"name": "map", "key": "key"}}},
                {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "secret", "key": "key"}}},
                {"name": "OPTIONAL", "valueFrom": {"secretKeyRef": {"name": "none", "key": "key", "optional": true}}},
            ]);
            main["envFrom"] = json!([{"prefix": "P_", "configMapRef": {"name": "map"}}]);
            let spec = json!({"restartPolicy": "Never", "containers": [main],
                "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["alias"]}]});
            cluster.create_pod("env", spec).await;
            let pod = cluster.phase("env", "Succeeded").await;
            let log = cluster.log(&pod, "c", 0);
            for line in [
                "A=a",
                "B=a-$(NONE)-$(A)",
                "NAME=env",
                "IP=192.0.2.1",
                "CPU=1",
                "MAP=from-map",
                "SECRET=from-secret",
                "P_other=o",
                "1.2.3.4\talias",
                "192.0.2.1\tenv",
                "nameserver 10.96.0.10",
                "search default.svc.cluster.local svc.cluster.local cluster.local",
                "options ndots:5",
            ] {
                assert!(log.lines().any(|found| found.starts_with(line)), "{line} is not in\n{log}");
            }
            assert!(log.contains("WEB_SERVICE_PORT=80") && !log.contains("OPTIONAL"), "{log}");
            assert_eq!(log.lines().last(), Some("env"));
        }
        .boxed()
    });
}

#[test]
fn what_is_missing_is_waited_for() {
    on_cluster(|cluster| {
        async move {
            let mut main = shell("c", "echo $KEY; sleep 1000");
            main["env"] = json!([{"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "late", "key": "key"}}}]);
            cluster.create_pod("waiting", json!({"containers": [main]})).await;
            let reason = |pod: &Value| text(&container(pod, "c")["state"]["waiting"]["reason"]);
            let pod = cluster.pod_when("waiting", "error", |pod| reason(pod) == "CreateContainerConfigError").await;
            assert_eq!(container(&pod, "c")["state"]["waiting"]["message"], "configmap \"late\" not found");
            let map = json!({"metadata": {"name": "late"}, "data": {"key": "value"}});
            cluster.admin.create(&CONFIG_MAPS, "default", &map).await.unwrap();
            cluster.ready("waiting").await;
        }
        .boxed()
    });
}

#[test]
fn volumes_follow_their_sources() {
    on_cluster(|cluster| {
        async move {
            let map = json!({"metadata": {"name": "map"}, "data": {"key": "one"}});
            cluster.admin.create(&CONFIG_MAPS, "default", &map).await.unwrap();
            let mut main = shell("c", "while true; do cat /map/key; echo; sleep 0.05; done");
            main["volumeMounts"] = json!([{"name": "map", "mountPath": "/map"}]);
            let spec = json!({"containers": [main], "volumes": [{"name": "map", "configMap": {"name": "map"}}]});
            cluster.create_pod("volumes", spec).await;
            let pod = cluster.ready("volumes").await;
            until("the first", || async { cluster.log(&pod, "c", 0).contains("one").then_some(()) }).await;
            let key = ObjectKey::new("default", "map");
            cluster.admin.patch(&CONFIG_MAPS, &key, OBJECT, &json!({"data": {"key": "two"}})).await.unwrap();
            until("the second", || async { cluster.log(&pod, "c", 0).contains("two").then_some(()) }).await;
        }
        .boxed()
    });
}

#[test]
fn crashes_and_back_off() {
    on_cluster(|cluster| {
        async move {
            cluster.create_pod("crash", json!({"containers": [shell("c", "exit 7")]})).await;
            let pod = cluster
                .pod_when("crash", "back-off", |pod| {
                    container(pod, "c")["state"]["waiting"]["reason"] == "CrashLoopBackOff"
                })
                .await;
            let status = container(&pod, "c");
            assert_eq!(status["restartCount"], 1);
            assert_eq!(status["lastState"]["terminated"]["exitCode"], 7);
            let message = text(&status["state"]["waiting"]["message"]);
            assert!(message.starts_with("back-off 10s restarting failed container=c pod=crash_default("), "{message}");
            cluster.event("crash", "BackOff: Back-off restarting failed container c in pod crash_default(").await;
        }
        .boxed()
    });
}

#[test]
fn images() {
    on_cluster(|cluster| {
        async move {
            let with = |image: &str, policy: &str| {
                let mut main = shell("c", "sleep 1000");
                main["image"] = json!(image);
                main["imagePullPolicy"] = json!(policy);
                json!({"containers": [main]})
            };
            cluster.create_pod("pulled", with("test.invalid/remote:1", "IfNotPresent")).await;
            cluster.create_pod("never", with("test.invalid/missing:1", "Never")).await;
            cluster.create_pod("missing", with("test.invalid/missing:1", "IfNotPresent")).await;
            cluster.ready("pulled").await;
            cluster.event("pulled", "Pulled: Successfully pulled image \"test.invalid/remote:1\" in ").await;
            let reason = |pod: &Value| text(&container(pod, "c")["state"]["waiting"]["reason"]);
            cluster.pod_when("never", "refused", |pod| reason(pod) == "ErrImageNeverPull").await;
            cluster.pod_when("missing", "failed", |pod| reason(pod) == "ErrImagePull").await;
            cluster.pod_when("missing", "waits", |pod| reason(pod) == "ImagePullBackOff").await;
            cluster.event("missing", "BackOff: Back-off pulling image \"test.invalid/missing:1\"").await;
        }
        .boxed()
    });
}

#[test]
fn probes() {
    on_cluster(|cluster| {
        async move {
            let mut ready = shell("c", "sleep 1; touch /tmp/ready; sleep 1000");
            ready["readinessProbe"] = json!({"exec": {"command": ["test", "-e", "/tmp/ready"]}, "periodSeconds": 1});
            cluster.create_pod("ready", json!({"containers": [ready]})).await;
            let pod = cluster.phase("ready", "Running").await;
            assert_eq!(container(&pod, "c")["ready"], false);
            cluster.ready("ready").await;
            cluster.event("ready", "Unhealthy: Readiness probe failed: ").await;

            let mut alive = shell("c", "sleep 1000");
            alive["livenessProbe"] = json!({"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1});
            cluster.create_pod("dead", json!({"containers": [alive]})).await;
            cluster.pod_when("dead", "restarted", |pod| container(pod, "c")["restartCount"] == 1).await;
            cluster.event("dead", "Killing: Container c failed liveness probe, will be restarted").await;
            // What probes of one instance said is counted on for the next.
            let counted = String::from_utf8(cluster.kubelet().handle().probe_metrics()).unwrap();
            let failed =
                counted.lines().find(|line| line.contains("pod=\"dead\"") && line.contains("result=\"failed\""));
            assert!(failed.is_some_and(|line| line.starts_with("prober_probe_total{container=\"c\"")), "{counted}");

            let mut web = shell("c", "httpd -f -p 127.0.0.1:18099 -h /data");
            web["readinessProbe"] =
                json!({"httpGet": {"host": "127.0.0.1", "port": 18099, "path": "/passwd"}, "periodSeconds": 1});
            web["livenessProbe"] =
                json!({"tcpSocket": {"host": "127.0.0.1", "port": 18099}, "periodSeconds": 1, "failureThreshold": 30});
            web["volumeMounts"] = json!([{"name": "etc", "mountPath": "/data"}]);
            let spec = json!({"hostNetwork": true, "containers": [web],
                "volumes": [{"name": "etc", "hostPath": {"path": "/etc"}}]});
            cluster.create_pod("web", spec).await;
            cluster.ready("web").await;
        }
        .boxed()
    });
}

/// Between a container that is replaced and its successor, nobody is told that the pod is not ready.
#[test]
fn a_new_image_replaces_the_container() {
    on_cluster(|cluster| {
        async move {
            cluster.create_pod("renewed", json!({"containers": [shell("c", "sleep 1000")]})).await;
            let before = cluster.ready("renewed").await;
            let informers = Informers::new(cluster.admin.clone());
            let seen = Arc::new(Mutex::new(Vec::new()));
            let (sink, pods) = (seen.clone(), informers.of(&PODS));
            pods.subscribe(move |change| {
                let pod = change.new.as_ref().and_then(|object| object.decode::<Value>().ok());
                sink.lock().extend(pod.map(|pod| condition(&pod, "Ready").to_owned()));
            });
            pods.synced().await;
            let patch = json!({"spec": {"containers": [{"name": "c", "image": format!("{IMAGE}-slim")}]}});
            let key = ObjectKey::new("default", "renewed");
            cluster.admin.patch_as(PatchType::Strategic, &PODS, &key, OBJECT, &patch).await.unwrap();
            let restarted = |pod: &Value| container(pod, "c")["restartCount"] == 1 && condition(pod, "Ready") == "True";
            let after = cluster.pod_when("renewed", "restarted", restarted).await;
            assert_ne!(container(&after, "c")["containerID"], container(&before, "c")["containerID"]);
            pods.until(|pods| pods.read::<Value>(&key).is_some_and(|pod| restarted(&pod))).await;
            let seen = seen.lock().clone();
            assert!(seen.len() >= 2 && seen.iter().all(|ready| ready == "True"), "{seen:?}");
        }
        .boxed()
    });
}

#[test]
fn hooks() {
    on_cluster(|cluster| {
        async move {
            let mut good = shell("c", "sleep 1000");
            good["lifecycle"] = json!({"postStart": {"exec": {"command": ["/bin/sh", "-c", "echo started > /tmp/x"]}}});
            good["readinessProbe"] = json!({"exec": {"command": ["grep", "started", "/tmp/x"]}, "periodSeconds": 1});
            cluster.create_pod("good", json!({"containers": [good]})).await;
            cluster.ready("good").await;
            let mut bad = shell("c", "sleep 1000");
            bad["lifecycle"] = json!({"postStart": {"exec": {"command": ["false"]}}});
            cluster.create_pod("bad", json!({"containers": [bad]})).await;
            cluster.event("bad", "FailedPostStartHook: PostStartHook failed").await;
        }
        .boxed()
    });
}

#[test]
fn security_contexts() {
    on_cluster(|cluster| {
        async move {
            let spec = json!({"restartPolicy": "Never", "securityContext": {"runAsUser": 1000, "fsGroup": 2000},
                "containers": [shell("c", "id")]});
            cluster.create_pod("user", spec).await;
            let pod = cluster.phase("user", "Succeeded").await;
            assert!(cluster.log(&pod, "c", 0).contains("uid=1000(web)"), "{}", cluster.log(&pod, "c", 0));
            assert_eq!(container(&pod, "c")["user"]["linux"]["uid"], 1000);
            let spec = json!({"securityContext": {"runAsNonRoot": true}, "containers": [shell("c", "id")]});
            cluster.create_pod("root", spec).await;
            let waiting = |pod: &Value| container(pod, "c")["state"]["waiting"].clone();
            let pod =
                cluster.pod_when("root", "refused", |pod| waiting(pod)["reason"] == "CreateContainerConfigError").await;
            let message = text(&waiting(&pod)["message"]);
            assert!(
                message.starts_with("container has runAsNonRoot and image will run as root (pod: \"root_default("),
                "{message}"
            );
        }
        .boxed()
    });
}

#[test]
fn a_service_account_token() {
    on_cluster(|cluster| {
        async move {
            let map = json!({"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": "ca"}});
            let _ = cluster.admin.create(&CONFIG_MAPS, "default", &map).await;
            let spec = json!({"restartPolicy": "Never", "automountServiceAccountToken": true,
                "containers": [shell("c", "cd /var/run/secrets/kubernetes.io/serviceaccount; ls; cat namespace; wc -c token")]});
            cluster.create_pod("token", spec).await;
            let pod = cluster.phase("token", "Succeeded").await;
            let log = cluster.log(&pod, "c", 0);
            assert!(log.starts_with("ca.crt\nnamespace\ntoken\ndefault"), "{log}");
        }
        .boxed()
    });
}
