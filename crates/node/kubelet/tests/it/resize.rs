//! Pods that change while they run.

use futures::FutureExt;
use serde_json::{Value, json};
use windlass_api::ObjectKey;
use windlass_api::resource::PODS;
use windlass_client::PatchType;

use crate::cluster::{Cluster, condition, container, on_cluster, shell, text, until};

async fn resize(cluster: &Cluster, pod: &str, resources: Value) {
    let patch = json!({"spec": {"containers": [{"name": "c", "resources": resources}]}});
    let key = ObjectKey::new("default", pod);
    cluster.admin.patch_as(PatchType::Strategic, &PODS, &key, "resize", &patch).await.unwrap();
}

#[test]
fn limits_change_in_place() {
    on_cluster(|cluster| {
        async move {
            let mut main = shell("c", "sleep 1000");
            main["resources"] =
                json!({"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "200m", "memory": "64Mi"}});
            main["resizePolicy"] = json!([
                {"resourceName": "cpu", "restartPolicy": "NotRequired"},
                {"resourceName": "memory", "restartPolicy": "RestartContainer"}]);
            cluster.create_pod("sized", json!({"containers": [main]})).await;
            let pod = cluster.ready("sized").await;
            assert_eq!(container(&pod, "c")["resources"]["limits"]["cpu"], "200m");
            resize(cluster, "sized", json!({"requests": {"cpu": "150m"}, "limits": {"cpu": "300m"}})).await;
            let pod = cluster
                .pod_when("sized", "resized", |pod| {
                    container(pod, "c")["resources"]["limits"]["cpu"] == "300m"
                        && condition(pod, "PodResizeInProgress").is_empty()
                })
                .await;
            assert_eq!(container(&pod, "c")["allocatedResources"]["cpu"], "150m");
            assert_eq!(container(&pod, "c")["restartCount"], 0);
            resize(cluster, "sized", json!({"requests": {"memory": "32Mi"}, "limits": {"memory": "96Mi"}})).await;
            let pod = cluster
                .pod_when("sized", "restarted", |pod| {
                    container(pod, "c")["resources"]["limits"]["memory"] == "96Mi"
                        && container(pod, "c")["restartCount"] == 1
                })
                .await;
            assert_eq!(container(&pod, "c")["allocatedResources"]["memory"], "32Mi");
            resize(cluster, "sized", json!({"requests": {"cpu": "5000"}, "limits": {"cpu": "5000"}})).await;
            let pod = cluster.pod_when("sized", "refused", |pod| condition(pod, "PodResizePending") == "True").await;
            let list = pod["status"]["conditions"].as_array().unwrap();
            let pending = list.iter().find(|it| it["type"] == "PodResizePending").unwrap();
            assert_eq!(pending["reason"], "Infeasible");
        }
        .boxed()
    });
}

#[test]
fn ephemeral_containers_join() {
    on_cluster(|cluster| {
        async move {
            cluster.create_pod("debugged", json!({"containers": [shell("c", "sleep 1000")]})).await;
            let pod = cluster.ready("debugged").await;
            let mut debugger = shell("debug", "ps; echo done");
            debugger["image"] = json!(crate::cluster::IMAGE);
            debugger["targetContainerName"] = json!("c");
            let patch = json!({"spec": {"ephemeralContainers": [debugger]}});
            let key = ObjectKey::new("default", "debugged");
            cluster.admin.patch_as(PatchType::Strategic, &PODS, &key, "ephemeralcontainers", &patch).await.unwrap();
            until("the debugger has run", || async { cluster.log(&pod, "debug", 0).contains("done").then_some(()) })
                .await;
            assert!(cluster.log(&pod, "debug", 0).contains("sleep 1000"), "{}", cluster.log(&pod, "debug", 0));
            let ended = |pod: &Value| text(&container(pod, "debug")["state"]["terminated"]["reason"]) == "Completed";
            cluster.pod_when("debugged", "ended", ended).await;
        }
        .boxed()
    });
}
