//! From creation to the end of pods.

use std::time::Instant;

use futures::FutureExt;
use serde_json::json;

use crate::cluster::{condition, container, on_cluster, shell, text, until};

#[test]
fn a_pod_runs_and_is_deleted() {
    on_cluster(|cluster| {
        async move {
            let began = Instant::now();
            cluster.create_pod("one", json!({"containers": [shell("c", "echo hello; sleep 1000")]})).await;
            let pod = cluster.ready("one").await;
            println!("create to Ready: {:?}", began.elapsed());
            let status = &pod["status"];
            assert_eq!(status["phase"], "Running");
            assert_eq!(status["podIP"], "192.0.2.1");
            assert_eq!(status["hostIP"], "192.0.2.10");
            assert_eq!(status["qosClass"], "BestEffort");
            assert!(text(&container(&pod, "c")["containerID"]).starts_with("windlass://"));
            for kind in ["PodReadyToStartContainers", "Initialized", "ContainersReady", "PodScheduled"] {
                assert_eq!(condition(&pod, kind), "True", "{kind}");
            }
            cluster.pod_when("one", "log", |pod| cluster.log(pod, "c", 0) == "hello\n").await;
            cluster.event("one", "Started: Container started").await;
            cluster.event("one", "Created: Container created").await;
            let handle = cluster.kubelet().handle();
            assert_eq!(handle.pods().len(), 1);
            assert_eq!(handle.containers(&text(&pod["metadata"]["uid"]), "c").len(), 1);
            let began = Instant::now();
            cluster.delete("one", None).await;
            cluster.gone("one").await;
            println!("delete to gone: {:?}", began.elapsed());
        }
        .boxed()
    });
}

#[test]
fn thirty_pods() {
    on_cluster(|cluster| {
        async move {
            let began = Instant::now();
            for number in 0..30 {
                let spec = json!({"containers": [shell("c", "sleep 1000")]});
                cluster.create_pod(&format!("pod-{number}"), spec).await;
            }
            for number in 0..30 {
                cluster.ready(&format!("pod-{number}")).await;
            }
            println!("30 pods, create to Ready: {:?}", began.elapsed());
        }
        .boxed()
    });
}

#[test]
fn pods_that_end() {
    on_cluster(|cluster| {
        async move {
            for (name, code) in [("good", 0), ("bad", 3)] {
                let spec = json!({"restartPolicy": "Never", "containers": [
                    shell("c", &format!("echo said > /dev/termination-log; exit {code}"))]});
                cluster.create_pod(name, spec).await;
            }
            let good = cluster.phase("good", "Succeeded").await;
            let ended = &container(&good, "c")["state"]["terminated"];
            assert_eq!((&ended["exitCode"], &ended["reason"]), (&json!(0), &json!("Completed")));
            assert_eq!(ended["message"], "said\n");
            assert_eq!(condition(&good, "Ready"), "False");
            let bad = cluster.phase("bad", "Failed").await;
            let ended = &container(&bad, "c")["state"]["terminated"];
            assert_eq!((&ended["exitCode"], &ended["reason"]), (&json!(3), &json!("Error")));
            cluster.delete("good", None).await;
            cluster.gone("good").await;
        }
        .boxed()
    });
}

#[test]
fn a_grace_period_and_pre_stop() {
    on_cluster(|cluster| {
        async move {
            let mut main = shell("c", "trap 'echo term; exit 0' TERM; while true; do sleep 0.1; done");
            main["lifecycle"] = json!({"preStop": {"exec": {"command": ["/bin/sh", "-c", "echo pre > /data/pre"]}}});
            main["volumeMounts"] = json!([{"name": "data", "mountPath": "/data"}]);
            let shared = cluster.directory.join("shared");
            std::fs::create_dir_all(&shared).unwrap();
            let spec = json!({
                "terminationGracePeriodSeconds": 30, "containers": [main],
                "volumes": [{"name": "data", "hostPath": {"path": shared}}],
            });
            cluster.create_pod("graceful", spec).await;
            cluster.ready("graceful").await;
            cluster.delete("graceful", None).await;
            cluster.gone("graceful").await;
            assert_eq!(std::fs::read_to_string(shared.join("pre")).unwrap(), "pre\n");
            cluster.event("graceful", "Killing: Stopping container c").await;
        }
        .boxed()
    });
}

#[test]
fn a_deadline() {
    on_cluster(|cluster| {
        async move {
            let spec = json!({"activeDeadlineSeconds": 1, "containers": [shell("c", "sleep 1000")]});
            cluster.create_pod("slow", spec).await;
            let pod = cluster.phase("slow", "Failed").await;
            assert_eq!(pod["status"]["reason"], "DeadlineExceeded");
        }
        .boxed()
    });
}

#[test]
fn a_pod_that_does_not_fit_is_rejected() {
    on_cluster(|cluster| {
        async move {
            let mut greedy = shell("c", "sleep 1000");
            greedy["resources"] = json!({"requests": {"cpu": "1000"}});
            cluster.create_pod("greedy", json!({"containers": [greedy]})).await;
            let pod = cluster.phase("greedy", "Failed").await;
            assert_eq!(pod["status"]["reason"], "OutOfcpu");
            let message = text(&pod["status"]["message"]);
            assert!(
                message.starts_with("Pod was rejected: Node didn't have enough resource: cpu, requested: 1000000"),
                "{message}"
            );
        }
        .boxed()
    });
}

#[test]
fn a_static_pod_and_its_mirror() {
    on_cluster(|cluster| {
        async move {
            let manifests = cluster.directory.join("manifests");
            std::fs::create_dir_all(&manifests).unwrap();
            let manifest = |text: &str| {
                let container =
                    json!({"name": "c", "image": crate::cluster::IMAGE, "command": ["/bin/sh", "-c", text]});
                json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "static"},
                    "spec": {"containers": [container], "terminationGracePeriodSeconds": 0}})
            };
            let path = manifests.join("static.json");
            std::fs::write(&path, manifest("sleep 1000").to_string()).unwrap();
            let mirror = cluster.ready("static-node-1").await;
            assert_eq!(mirror["metadata"]["annotations"]["kubernetes.io/config.source"], "file");
            let id = text(&container(&mirror, "c")["containerID"]);
            // A mirror that somebody deletes comes back, and nothing has happened to the pod.
            cluster.delete("static-node-1", Some(0)).await;
            let again = cluster.ready("static-node-1").await;
            assert_ne!(again["metadata"]["uid"], mirror["metadata"]["uid"]);
            assert_eq!(text(&container(&again, "c")["containerID"]), id);
            std::fs::write(&path, manifest("sleep 1001").to_string()).unwrap();
            cluster
                .pod_when("static-node-1", "replaced", |pod| {
                    let now = text(&container(pod, "c")["containerID"]);
                    condition(pod, "Ready") == "True" && !now.is_empty() && now != id
                })
                .await;
            // The directory may go as a whole, and come back.
            std::fs::rename(&manifests, cluster.directory.join("aside")).unwrap();
            cluster.gone("static-node-1").await;
            assert_eq!(cluster.kubelet().handle().health(), Ok(()));
            until("the directory is made anew", async || manifests.is_dir().then_some(())).await;
            std::fs::write(&path, manifest("sleep 1002").to_string()).unwrap();
            cluster.ready("static-node-1").await;
            std::fs::remove_file(&path).unwrap();
            cluster.gone("static-node-1").await;
        }
        .boxed()
    });
}
