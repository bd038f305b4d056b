//! What a pod may take of the node: disk, processes.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use futures::FutureExt;
use serde_json::{Value, json};
use windlass_api::Quantity;
use windlass_cri::{ContainerFilter, RuntimeService};
use windlass_kubelet::{Signal, Threshold, ThresholdValue};

use crate::cluster::{condition, container, on_cluster, shell, text, until};

fn files(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

#[test]
fn logs_are_rotated() {
    on_cluster(|cluster| {
        async move {
            cluster.stop().await;
            cluster.options.container_log_max_size = Quantity::from_bytes(256 << 10);
            cluster.options.container_log_max_files = 3;
            cluster.start().await;
            // Not so much that files go before they could be compressed.
            let script =
                "while [ ! -e /go/on ]; do yes 0123456789 | head -n 5000; sleep 0.1; done; echo end; sleep 1000";
            let mut main = shell("c", script);
            main["volumeMounts"] = json!([{"name": "go", "mountPath": "/go"}]);
            let spec = json!({"containers": [main], "volumes": [{"name": "go", "emptyDir": {}}]});
            cluster.create_pod("talker", spec).await;
            let pod = cluster.ready("talker").await;
            let directory = cluster.logs(&pod).join("c");
            until("an old log is compressed", || async {
                files(&directory).iter().any(|name| name.starts_with("0.log.") && name.ends_with(".gz")).then_some(())
            })
            .await;
            let uid = pod["metadata"]["uid"].as_str().unwrap();
            let volume = cluster.options.root.join("pods").join(uid).join("volumes/kubernetes.io~empty-dir/go");
            std::fs::write(volume.join("on"), "").unwrap();
            until("the last line", || async { cluster.log(&pod, "c", 0).ends_with("end\n").then_some(()) }).await;
            until("the last rotation is done", || async {
                let names = files(&directory);
                let plain = names.iter().filter(|name| !name.ends_with(".gz")).count();
                (names.len() <= 3 && plain <= 2).then_some(())
            })
            .await;
            cluster.delete("talker", Some(0)).await;
            cluster.gone("talker").await;
            until("the logs are gone", || async { (!cluster.logs(&pod).exists()).then_some(()) }).await;
        }
        .boxed()
    });
}

/// Each takes more of the disk than it may, in another way.
#[test]
fn pods_beyond_their_limits_are_evicted() {
    on_cluster(|cluster| {
        async move {
            cluster.stop().await;
            cluster.options.eviction.monitoring_interval = Duration::from_millis(200);
            cluster.start().await;
            let fill = |path: &str| shell("c", &format!("head -c 3000000 /dev/zero > {path}; sleep 1000"));
            let with_volume = |mut container: Value, source: Value| {
                container["volumeMounts"] = json!([{"name": "v", "mountPath": "/v"}]);
                json!({"containers": [container], "volumes": [{"name": "v", "emptyDir": source}]})
            };
            let limited = |mut container: Value| {
                container["resources"] = json!({"limits": {"ephemeral-storage": "2Mi"}});
                container
            };
            let talk = shell("c", "yes 0123456789 | head -n 200000; sleep 1000");
            let both = with_volume(limited(fill("/v/file")), json!({}));
            let mut neighbour = limited(shell("d", "sleep 1000"));
            neighbour["resources"]["limits"]["ephemeral-storage"] = json!("8Mi");
            let mut of_one = json!({"containers": [limited(fill("/file")), neighbour.clone()]});
            let of_logs = json!({"containers": [limited(talk), neighbour]});
            let memory = with_volume(fill("/v/file"), json!({"sizeLimit": "8Mi", "medium": "Memory"}));
            // What the node lends to containers is written to as well, and what has ended leaves what it wrote.
            let lent = |path: &str| json!({"containers": [limited(fill(path))]});
            let mut ended = limited(shell("i", "head -c 3000000 /dev/zero > /file"));
            ended["resources"]["limits"]["ephemeral-storage"] = json!("1Mi");
            let ended = json!({"initContainers": [ended], "containers": [limited(shell("c", "sleep 1000"))]});
            let of_pod = "Pod ephemeral local storage usage exceeds the total limit of containers 2Mi. ";
            of_one["containers"][0]["name"] = json!("c");
            for (name, spec, message) in [
                (
                    "volume",
                    with_volume(fill("/v/file"), json!({"sizeLimit": "1Mi"})),
                    "Usage of EmptyDir volume \"v\" exceeds the limit \"1Mi\". ",
                ),
                ("pod", both, "Pod ephemeral local storage usage exceeds the total limit of containers 2Mi. "),
                ("layer", of_one, "Container c exceeded its local ephemeral storage limit \"2Mi\". "),
                ("logs", of_logs, "Container c exceeded its local ephemeral storage limit \"2Mi\". "),
                ("message", lent("/dev/termination-log"), of_pod),
                ("hosts", lent("/etc/hosts"), of_pod),
                ("hostname", lent("/etc/hostname"), of_pod),
                ("resolver", lent("/etc/resolv.conf"), of_pod),
                ("ended", ended, of_pod),
                ("fits", with_volume(fill("/v/file"), json!({"sizeLimit": "8Mi"})), ""),
                ("memory", memory, ""),
            ] {
                cluster.create_pod(name, spec).await;
                if message.is_empty() {
                    cluster.ready(name).await;
                    continue;
                }
                let pod = cluster.phase(name, "Failed").await;
                assert_eq!((&pod["status"]["reason"], &pod["status"]["message"]), (&json!("Evicted"), &json!(message)));
                assert_eq!(condition(&pod, "DisruptionTarget"), "", "the pod is to blame, not the node");
                cluster.event(name, &format!("Evicted: {message}")).await;
                let uid = text(&pod["metadata"]["uid"]);
                until("nothing of it is left on the disk", || async {
                    let label = BTreeMap::from([("io.kubernetes.pod.uid".to_owned(), uid.clone())]);
                    let filter = ContainerFilter { labels: label, ..ContainerFilter::default() };
                    let containers = cluster.runtime().list_containers(filter).await.unwrap();
                    (containers.is_empty() && !cluster.logs(&pod).exists()).then_some(())
                })
                .await;
            }
            for name in ["fits", "memory"] {
                assert_eq!(cluster.pod(name).await["status"]["phase"], "Running", "{name}");
            }
        }
        .boxed()
    });
}

#[test]
fn who_fills_the_disk_goes_first() {
    on_cluster(|cluster| {
        async move {
            let with_volume = |script: &str| {
                let mut main = shell("c", script);
                main["volumeMounts"] = json!([{"name": "v", "mountPath": "/v"}]);
                json!({"containers": [main], "volumes": [{"name": "v", "emptyDir": {}}]})
            };
            let layer = json!({"containers": [shell("c", "head -c 2000000 /dev/zero > /file; sleep 1000")]});
            cluster.create_pod("innocent", layer).await;
            let mut ended = json!({"containers": [shell("c", "head -c 1000000 /dev/zero > /file")]});
            ended["restartPolicy"] = json!("Never");
            cluster.create_pod("ended", ended).await;
            let ended = cluster.phase("ended", "Succeeded").await;
            assert!(cluster.logs(&ended).join("c/0.log").exists());
            cluster
                .create_pod("greedy", with_volume("head -c 9000000 /dev/zero > /v/file; touch /v/done; sleep 1000"))
                .await;
            let greedy = cluster.ready("greedy").await;
            cluster.ready("innocent").await;
            let volume = cluster.options.root.join("pods").join(text(&greedy["metadata"]["uid"]));
            let done = volume.join("volumes/kubernetes.io~empty-dir/v/done");
            until("the disk is filled", || async { done.exists().then_some(()) }).await;
            cluster.stop().await;
            // There is always less than all of the disk left. Nobody else is asked while the first one goes.
            let threshold = Threshold { signal: Signal::NodeFsAvailable, value: ThresholdValue::Fraction(1.0) };
            cluster.options.eviction.hard = vec![threshold];
            cluster.start().await;
            let evicted = cluster.phase("greedy", "Failed").await;
            let message = text(&evicted["status"]["message"]);
            assert!(
                message.starts_with("The node was low on resource: ephemeral-storage. Threshold quantity: "),
                "{message}"
            );
            assert_eq!(condition(&evicted, "DisruptionTarget"), "True");
            assert_eq!(cluster.pod("innocent").await["status"]["phase"], "Running");
            // The kubelet has just started: it may have looked before it knew of the dead.
            until("the dead give too", || async { (!cluster.logs(&ended).exists()).then_some(()) }).await;
            assert_eq!(cluster.pod("ended").await["status"]["phase"], "Succeeded");
        }
        .boxed()
    });
}

#[test]
fn a_fork_bomb_stays_in_its_pod() {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let has_pids =
        mounts.contains("cgroup rw,pids") || std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").is_ok();
    if !has_pids {
        println!("this machine has no pids cgroups: only the plan is tested");
        return;
    }
    on_cluster(|cluster| {
        async move {
            cluster.stop().await;
            cluster.options.pod_pids_limit = 16;
            cluster.start().await;
            let bomb = shell("bomb", "for i in $(seq 100); do sleep 1000 & done; echo all; sleep 1000");
            let spec = json!({"restartPolicy": "Never", "containers": [bomb, shell("other", "sleep 1000")]});
            cluster.create_pod("bomb", spec).await;
            let pod = cluster.pod_when("bomb", "no more", |pod| {
                let ended = &container(pod, "bomb")["state"]["terminated"];
                ended["exitCode"].as_i64().is_some_and(|code| code != 0)
            });
            let log = cluster.log(&pod.await, "bomb", 0);
            assert!(log.contains("can't fork") && !log.contains("all"), "{log}");
        }
        .boxed()
    });
}
