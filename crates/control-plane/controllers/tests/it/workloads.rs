//! Deployments, ReplicaSets, StatefulSets and DaemonSets.

use serde_json::{Value, json};
use windlass_api::resource::{
    CONTROLLER_REVISIONS, DAEMON_SETS, DEPLOYMENTS, NODES, PODS, REPLICA_SETS, RESOURCE_QUOTAS, STATEFUL_SETS,
};
use windlass_api::{GroupVersionResource, ObjectKey};
use windlass_client::{DeleteOptions, OBJECT, Propagation};
use windlass_testing::knob;

use crate::scene::{Scene, image, image_of, is_ready, name, template, until_events, workload};

async fn available(scene: &Scene, deployment: &str, count: usize) -> Value {
    let is = |object: &Value| {
        let status = &object["status"];
        status["availableReplicas"].as_u64().unwrap_or(0) as usize == count
            && status["updatedReplicas"].as_u64().unwrap_or(0) as usize == count
            && status["replicas"].as_u64().unwrap_or(0) as usize == count
            && status["observedGeneration"] == object["metadata"]["generation"]
    };
    scene.until(&DEPLOYMENTS, deployment, "a complete rollout", is).await
}

#[tokio::test(start_paused = true)]
async fn a_replica_set_adopts_releases_and_replaces() {
    let scene = Scene::with_nodes(1).await;
    let loose = json!({"metadata": {"name": "loose", "labels": {"app": "web"}}, "spec": template("web")["spec"]});
    scene.until_account().await;
    scene.cluster.create(&PODS, "default", loose).await;
    scene.create(&REPLICA_SETS, "web", workload("web", 2)).await;
    let pods = scene.until_pods("two pods", |pods| pods.len() == 2 && pods.iter().all(|pod| is_ready(pod))).await;
    assert!(pods.iter().any(|pod| name(pod) == "loose" && pod["metadata"]["ownerReferences"][0]["name"] == "web"));
    // A pod that no longer matches is let go, and another takes its place.
    scene.patch(&PODS, "loose", json!({"metadata": {"labels": {"app": "other"}}})).await;
    scene.until_pods("a third pod", |pods| pods.len() == 3).await;
    assert!(scene.get(&PODS, "loose").await["metadata"]["ownerReferences"].is_null());
    scene.delete(&REPLICA_SETS, "web", Propagation::Background).await;
    scene.until_pods("the loose pod alone", |pods| pods.len() == 1 && name(pods[0]) == "loose").await;
}

#[tokio::test(start_paused = true)]
async fn a_deployment_rolls_out_pauses_and_rolls_back() {
    let scene = Scene::with_nodes(2).await;
    let mut spec = workload("web", 4);
    spec["strategy"] = json!({"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
    scene.create(&DEPLOYMENTS, "web", spec).await;
    let made = available(&scene, "web", 4).await;
    // The controller writes nothing but the status: neither a generation nor an owner of fields comes with the revision.
    assert_eq!(made["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "1");
    assert_eq!(made["metadata"]["generation"], 1);
    let fields = made["metadata"]["managedFields"].as_array().unwrap();
    assert!(fields[1..].iter().all(|entry| entry["subresource"] == "status"), "{fields:#?}");
    // Paused, it does not follow its template, but its size.
    scene.patch(&DEPLOYMENTS, "web", json!({"spec": {"paused": true, "replicas": 3}})).await;
    scene.patch(&DEPLOYMENTS, "web", image("two")).await;
    scene.until_pods("three pods", |pods| pods.len() == 3).await;
    assert_eq!(scene.cluster.list(&REPLICA_SETS, "default").await.len(), 1);
    scene.patch(&DEPLOYMENTS, "web", json!({"spec": {"paused": false}})).await;
    let rolled = available(&scene, "web", 3).await;
    assert_eq!(rolled["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "2");
    scene.until_pods("new pods", |pods| pods.len() == 3 && pods.iter().all(|pod| image_of(pod) == "two")).await;
    // Going back to the first template takes up its ReplicaSet as a new revision.
    scene.patch(&DEPLOYMENTS, "web", image("one")).await;
    let third = |object: &Value| object["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3";
    let back = scene.until(&DEPLOYMENTS, "web", "the third revision", third).await;
    assert_eq!(back["metadata"]["generation"], 5, "as often as it was changed by others");
    scene
        .until_pods("old pods", |pods| {
            pods.len() == 3 && pods.iter().all(|pod| image_of(pod) == "one" && is_ready(pod))
        })
        .await;
    assert_eq!(scene.cluster.list(&REPLICA_SETS, "default").await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_recreates_has_never_two_kinds_of_pods() {
    let scene = Scene::with_nodes(1).await;
    let mut spec = workload("web", 2);
    spec["strategy"] = json!({"type": "Recreate"});
    spec["template"]["metadata"]["annotations"] = json!({knob::STOP_MILLIS: "9000"});
    scene.create(&DEPLOYMENTS, "web", spec).await;
    available(&scene, "web", 2).await;
    scene.patch(&DEPLOYMENTS, "web", image("two")).await;
    // Even those that are ending count here.
    let pods = scene
        .cluster
        .until_all(&PODS, "default", "a new pod", |pods| pods.iter().any(|pod| image_of(pod) == "two"))
        .await;
    assert!(pods.iter().all(|pod| image_of(pod) == "two"), "{pods:#?}");
    available(&scene, "web", 2).await;
}

/// Seed 95: they were a rollout's that was stopped half way by the Deployment's end.
#[tokio::test(start_paused = true)]
async fn a_deployment_that_recreates_ends_all_that_it_adopts() {
    let scene = Scene::with_nodes(1).await;
    for image in ["one", "two"] {
        let mut spec = workload("web", 1);
        spec["template"]["spec"]["containers"][0]["image"] = json!(image);
        let annotations = json!({"deployment.kubernetes.io/desired-replicas": "2"});
        let metadata = json!({"name": format!("web-{image}"), "labels": {"app": "web"}, "annotations": annotations});
        scene.cluster.create(&REPLICA_SETS, "default", json!({"metadata": metadata, "spec": spec})).await;
    }
    scene.until_pods("a pod of each", |pods| pods.len() == 2).await;
    let mut spec = workload("web", 3);
    spec["strategy"] = json!({"type": "Recreate"});
    spec["template"]["spec"]["containers"][0]["image"] = json!("three");
    scene.create(&DEPLOYMENTS, "web", spec).await;
    available(&scene, "web", 3).await;
    scene.until_pods("new pods", |pods| pods.len() == 3 && pods.iter().all(|pod| image_of(pod) == "three")).await;
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_gets_nowhere_says_so() {
    let scene = Scene::with_nodes(1).await;
    let mut spec = workload("web", 1);
    spec["progressDeadlineSeconds"] = json!(60);
    spec["template"]["metadata"]["annotations"] = json!({knob::READY: "false"});
    scene.create(&DEPLOYMENTS, "web", spec).await;
    let stuck = |object: &Value| crate::scene::condition(object, "Progressing") == "False";
    let deployment = scene.until(&DEPLOYMENTS, "web", "a missed deadline", stuck).await;
    let conditions = deployment["status"]["conditions"].as_array().unwrap();
    assert!(conditions.iter().any(|condition| condition["reason"] == "ProgressDeadlineExceeded"));
}

fn ordinals(pods: &[&Value]) -> Vec<String> {
    pods.iter().map(|pod| name(pod).to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_stateful_set_goes_one_by_one() {
    let scene = Scene::with_nodes(1).await;
    let mut spec = workload("db", 3);
    spec["template"]["metadata"]["annotations"] = json!({knob::READY: "false"});
    scene.create(&STATEFUL_SETS, "db", spec).await;
    scene
        .until_pods("the first pod", |pods| ordinals(pods) == ["db-0"] && pods[0]["status"]["phase"] == "Running")
        .await;
    // It waits for the first to be ready.
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    assert_eq!(scene.cluster.list(&PODS, "default").await.len(), 1);
    for n in 0..3 {
        let pod = format!("db-{n}");
        scene.until(&PODS, &pod, "its place", |pod| !pod.is_null()).await;
        scene.patch(&PODS, &pod, json!({"metadata": {"annotations": {knob::READY: "true"}}})).await;
        scene.until(&PODS, &pod, "readiness", is_ready).await;
    }
    scene.patch(&STATEFUL_SETS, "db", json!({"spec": {"replicas": 1}})).await;
    scene
        .cluster
        .until_all(&PODS, "default", "the first alone", |pods| pods.len() == 1 && name(&pods[0]) == "db-0")
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_deployment_whose_pods_are_refused_says_that_they_are_unavailable() {
    let scene = Scene::with_nodes(0).await;
    let mut spec = workload("web", 1);
    spec["template"]["spec"]["serviceAccountName"] = json!("missing");
    scene.create(&DEPLOYMENTS, "web", spec).await;
    scene.until(&DEPLOYMENTS, "web", "what it lacks", |object| object["status"]["unavailableReplicas"] == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_set_that_wants_more_than_there_can_be_gets_some_at_a_time() {
    let scene = Scene::with_nodes(0).await;
    let quota = json!({"hard": {"pods": "6"}});
    scene.create(&RESOURCE_QUOTAS, "few", quota).await;
    let used = |count: &'static str| move |quota: &Value| quota["status"]["used"]["pods"] == count;
    scene.until(&RESOURCE_QUOTAS, "few", "the first count", used("0")).await;
    let mut spec = workload("db", 1);
    spec["replicas"] = json!(i32::MAX);
    spec["podManagementPolicy"] = json!("Parallel");
    spec["ordinals"] = json!({"start": i32::MAX});
    scene.create(&STATEFUL_SETS, "db", spec).await;
    scene.until(&RESOURCE_QUOTAS, "few", "a full quota", used("6")).await;
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    let pods = scene.until_pods("as many as the quota allows", |pods| pods.len() == 6).await;
    assert_eq!(name(&pods[0]), "db-2147483647");
    let set = scene.get(&STATEFUL_SETS, "db").await;
    assert_eq!(set["status"]["replicas"], 6);
    scene.patch(&STATEFUL_SETS, "db", json!({"spec": {"replicas": 0}})).await;
    scene.until_pods("none", |pods| pods.is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn a_stateful_set_creates_more_than_a_step_allows() {
    let scene = Scene::with_nodes(0).await;
    let mut spec = workload("db", 510);
    spec["podManagementPolicy"] = json!("Parallel");
    scene.create(&STATEFUL_SETS, "db", spec).await;
    scene.until_pods("all of them", |pods| pods.len() == 510).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_stateful_set_says_and_writes() {
    let scene = Scene::with_nodes(1).await;
    let mut spec = workload("db", 1);
    spec["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]);
    scene.create(&STATEFUL_SETS, "db", spec).await;
    let pods = scene.until_pods("a pod", |pods| pods.len() == 1).await;
    assert_eq!(pods[0]["metadata"]["generateName"], "db-");
    scene.patch(&STATEFUL_SETS, "db", json!({"spec": {"replicas": 0}})).await;
    scene.until_pods("none", |pods| pods.is_empty()).await;
    let mut told = until_events(&scene, "StatefulSet", "db", "all three", |told| told.len() >= 3).await;
    told.sort();
    let messages: Vec<&str> = told.iter().map(|(_, message, _)| message.as_str()).collect();
    let expected = [
        "Create Claim data-db-0 Pod db-0 in StatefulSet db success",
        "Create Pod db-0 in StatefulSet db successful",
        "Delete Pod db-0 in StatefulSet db successful",
    ];
    assert_eq!(messages, expected);
    let revisions = scene.cluster.list(&CONTROLLER_REVISIONS, "default").await;
    let labels = revisions[0]["metadata"]["labels"].as_object().unwrap();
    let hash = labels["controller.kubernetes.io/hash"].as_str().unwrap();
    assert_eq!((labels.len(), name(&revisions[0])), (2, format!("db-{hash}").as_str()));
}

#[tokio::test(start_paused = true)]
async fn a_revision_with_the_label_of_an_older_version_is_taken_up() {
    let scene = Scene::with_nodes(1).await;
    scene.create(&STATEFUL_SETS, "db", workload("db", 1)).await;
    scene.until_pods("a pod", |pods| pods.len() == 1 && is_ready(pods[0])).await;
    let revision = scene.cluster.list(&CONTROLLER_REVISIONS, "default").await.remove(0);
    let labels = json!({"controller.kubernetes.io/hash": null, "controller-revision-hash": "x"});
    scene.patch(&CONTROLLER_REVISIONS, name(&revision), json!({"metadata": {"labels": labels}})).await;
    scene.patch(&STATEFUL_SETS, "db", json!({"spec": {"replicas": 2}})).await;
    scene.until_pods("two pods", |pods| pods.len() == 2).await;
    assert_eq!(scene.cluster.list(&CONTROLLER_REVISIONS, "default").await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stateful_set_updates_from_its_last_pod() {
    let scene = Scene::with_nodes(1).await;
    let mut spec = workload("db", 3);
    spec["updateStrategy"] = json!({"rollingUpdate": {"partition": 1}});
    scene.create(&STATEFUL_SETS, "db", spec).await;
    scene.until_pods("three pods", |pods| pods.len() == 3 && pods.iter().all(|pod| is_ready(pod))).await;
    scene.patch(&STATEFUL_SETS, "db", image("two")).await;
    let images = |pods: &[&Value]| pods.iter().map(|pod| image_of(pod).to_owned()).collect::<Vec<_>>();
    let updated = |pods: &[&Value]| pods.iter().all(|pod| is_ready(pod)) && images(pods) == ["one", "two", "two"];
    scene.until_pods("those above the partition", updated).await;
    scene.patch(&STATEFUL_SETS, "db", json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}})).await;
    let complete = |set: &Value| {
        set["status"]["currentRevision"] == set["status"]["updateRevision"] && set["status"]["updatedReplicas"] == 3
    };
    scene.until(&STATEFUL_SETS, "db", "the new revision", complete).await;
}

#[tokio::test(start_paused = true)]
async fn a_daemon_set_is_on_every_node_that_takes_it() {
    let mut scene = Scene::with_nodes(2).await;
    let spec = json!({"selector": {"matchLabels": {"app": "agent"}}, "template": template("agent")});
    scene.create(&DAEMON_SETS, "agent", spec).await;
    let nodes = |pods: &[&Value]| {
        let mut nodes: Vec<String> =
            pods.iter().filter_map(|pod| pod["spec"]["nodeName"].as_str()).map(str::to_owned).collect();
        nodes.sort();
        nodes
    };
    scene.until_pods("a pod on each node", |pods| nodes(pods) == ["n0", "n1"]).await;
    scene.kubelets.push(windlass_testing::Kubelet::start(&scene.cluster, "n2"));
    scene.until_pods("a pod on the new node", |pods| nodes(pods) == ["n0", "n1", "n2"]).await;
    let taint = json!({"spec": {"taints": [{"key": "mine", "effect": "NoExecute"}]}});
    scene.cluster.patch(&NODES, &ObjectKey::new("", "n1"), OBJECT, taint).await;
    scene.until_pods("no pod on the tainted node", |pods| nodes(pods) == ["n0", "n2"]).await;
    scene.patch(&DAEMON_SETS, "agent", image("two")).await;
    let updated = |pods: &[&Value]| pods.len() == 2 && pods.iter().all(|pod| image_of(pod) == "two" && is_ready(pod));
    scene.until_pods("new pods", updated).await;
}

/// What controls pods replaces one that is deleted, and goes with all of them.
async fn replaces_and_goes(resource: &GroupVersionResource, spec: Value) {
    let scene = Scene::with_nodes(1).await;
    scene.create(resource, "it", spec).await;
    let pods = scene.until_pods("a pod", |pods| pods.len() == 1 && is_ready(pods[0])).await;
    let uid = pods[0]["metadata"]["uid"].clone();
    scene.cluster.admin.delete(&PODS, &crate::scene::key(name(&pods[0])), &DeleteOptions::default()).await.unwrap();
    scene.until_pods("another", |pods| pods.len() == 1 && pods[0]["metadata"]["uid"] != uid && is_ready(pods[0])).await;
    scene.delete(resource, "it", Propagation::Foreground).await;
    scene.until_gone(resource, "it").await;
    assert!(scene.cluster.list(&PODS, "default").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn every_workload_replaces_a_pod_and_goes_with_its_pods() {
    for resource in [DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS] {
        replaces_and_goes(&resource, workload("it", 1)).await;
    }
    let spec = json!({"selector": {"matchLabels": {"app": "it"}}, "template": template("it")});
    replaces_and_goes(&DAEMON_SETS, spec).await;
    let spec = json!({"replicas": 1, "selector": {"app": "it"}, "template": template("it")});
    replaces_and_goes(&windlass_api::resource::REPLICATION_CONTROLLERS, spec).await;
}
