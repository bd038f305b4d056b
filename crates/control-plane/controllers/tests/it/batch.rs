//! Jobs and CronJobs.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use windlass_api::resource::{CRON_JOBS, JOBS, PODS, RESOURCE_QUOTAS};
use windlass_testing::knob;

use crate::scene::{Scene, Told, condition, name, until_events};

fn job(more: Value, seconds: &str, exit_code: &str) -> Value {
    let mut spec = json!({"template": {
        "metadata": {"annotations": {knob::RUN_SECONDS: seconds, knob::EXIT_CODE: exit_code}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]},
    }});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

#[tokio::test(start_paused = true)]
async fn a_job_runs_to_its_end() {
    let scene = Scene::with_nodes(1).await;
    scene.create(&JOBS, "j", job(json!({"completions": 5, "parallelism": 2}), "10", "0")).await;
    let job = scene.until(&JOBS, "j", "its end", |job| condition(job, "Complete") == "True").await;
    assert_eq!((&job["status"]["succeeded"], job["status"].get("failed")), (&json!(5), None));
    assert!(job["status"]["completionTime"].is_string());
    let pods = scene.cluster.list(&PODS, "default").await;
    assert_eq!(pods.len(), 5);
    assert!(pods.iter().all(|pod| pod["metadata"]["finalizers"].is_null()), "counted pods are let go");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_fails_too_often_gives_up() {
    let scene = Scene::with_nodes(1).await;
    scene.create(&JOBS, "j", job(json!({"backoffLimit": 2}), "1", "3")).await;
    let job = scene.until(&JOBS, "j", "its failure", |job| condition(job, "Failed") == "True").await;
    assert_eq!(job["status"]["failed"], 3);
    let conditions = job["status"]["conditions"].as_array().unwrap();
    assert!(conditions.iter().any(|condition| condition["reason"] == "BackoffLimitExceeded"));
}

#[tokio::test(start_paused = true)]
async fn a_job_with_indexes_gives_each_to_one_pod() {
    let scene = Scene::with_nodes(1).await;
    let more = json!({"completions": 4, "parallelism": 3, "completionMode": "Indexed"});
    scene.create(&JOBS, "j", job(more, "5", "0")).await;
    let job = scene.until(&JOBS, "j", "its end", |job| condition(job, "Complete") == "True").await;
    assert_eq!(job["status"]["completedIndexes"], "0-3");
    let indexes = scene.cluster.list(&PODS, "default").await.into_iter();
    let mut indexes: Vec<String> = indexes
        .map(|pod| {
            pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"].as_str().unwrap().to_owned()
        })
        .collect();
    indexes.sort();
    assert_eq!(indexes, ["0", "1", "2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn a_job_is_suspended_ends_in_time_and_is_cleared_away() {
    let scene = Scene::with_nodes(1).await;
    let more = json!({"activeDeadlineSeconds": 30, "ttlSecondsAfterFinished": 100});
    scene.create(&JOBS, "j", job(more, "1000", "0")).await;
    scene.until_pods("a pod", |pods| pods.len() == 1).await;
    scene.patch(&JOBS, "j", json!({"spec": {"suspend": true}})).await;
    scene.cluster.until_all(&PODS, "default", "no pod", <[Value]>::is_empty).await;
    assert_eq!(condition(&scene.get(&JOBS, "j").await, "Suspended"), "True");
    scene.patch(&JOBS, "j", json!({"spec": {"suspend": false}})).await;
    let job = scene.until(&JOBS, "j", "its failure", |job| condition(job, "Failed") == "True").await;
    let conditions = job["status"]["conditions"].as_array().unwrap();
    assert!(conditions.iter().any(|condition| condition["reason"] == "DeadlineExceeded"));
    scene.until_gone(&JOBS, "j").await;
    scene.cluster.until_all(&PODS, "default", "no pod", <[Value]>::is_empty).await;
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_pods_are_refused_is_tried_again_more_and_more_slowly() {
    let scene = Scene::with_nodes(1).await;
    let mut spec = job(json!({}), "1", "0");
    spec["template"]["spec"]["serviceAccountName"] = json!("missing");
    scene.create(&JOBS, "j", spec).await;
    let begun = Instant::now();
    // After 0, 1, 3, 7 and 15 seconds.
    for (failures, seconds) in [(4, 7), (5, 15)] {
        let count = |told: &[Told]| -> u64 {
            told.iter().filter(|(reason, ..)| reason == "FailedCreate").map(|(.., count)| count).sum()
        };
        until_events(&scene, "Job", "j", "another failure", |told| count(told) >= failures).await;
        assert_eq!(begun.elapsed().as_secs(), seconds, "failure {failures}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_may_have_a_deadline_that_no_clock_can_count() {
    let scene = Scene::with_nodes(1).await;
    let more = json!({"activeDeadlineSeconds": i64::MAX, "ttlSecondsAfterFinished": i32::MAX});
    scene.create(&JOBS, "long", job(more, "10", "0")).await;
    scene.create(&JOBS, "other", job(json!({}), "10", "0")).await;
    for name in ["long", "other"] {
        scene.until(&JOBS, name, "its end", |job| condition(job, "Complete") == "True").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_wants_more_than_there_can_be_starts_some_at_a_time() {
    let scene = Scene::with_nodes(0).await;
    let huge = json!({"completions": i32::MAX, "parallelism": i32::MAX});
    let quota = json!({"metadata": {"name": "few"}, "spec": {"hard": {"pods": "3"}}});
    scene.cluster.create(&RESOURCE_QUOTAS, "default", quota).await;
    let used = |quota: &Value| quota["status"]["used"]["pods"] == "0";
    scene.until(&RESOURCE_QUOTAS, "few", "the first count", used).await;
    scene.create(&JOBS, "j", job(huge, "1", "0")).await;
    scene.until_pods("as many as the quota allows", |pods| pods.len() == 3).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(scene.cluster.list(&PODS, "default").await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_cron_job_starts_jobs_in_time_and_keeps_few() {
    let scene = Scene::with_nodes(1).await;
    let spec = json!({"schedule": "*/5 * * * *", "successfulJobsHistoryLimit": 2,
        "jobTemplate": {"spec": job(json!({}), "10", "0")}});
    scene.create(&CRON_JOBS, "c", spec).await;
    let complete = |jobs: &[Value]| jobs.iter().filter(|job| condition(job, "Complete") == "True").count();
    scene.cluster.until_all(&JOBS, "default", "a job", |jobs| complete(jobs) == 1).await;
    tokio::time::sleep(Duration::from_secs(1800)).await;
    let jobs = scene.cluster.until_all(&JOBS, "default", "two jobs", |jobs| jobs.len() == 2).await;
    assert!(jobs.iter().all(|job| name(job).starts_with("c-")));
    let cron_job = scene.get(&CRON_JOBS, "c").await;
    assert!(cron_job["status"]["lastSuccessfulTime"].is_string());
}

#[tokio::test(start_paused = true)]
async fn a_cron_job_that_forbids_waits_for_the_one_before() {
    let scene = Scene::with_nodes(1).await;
    let spec = json!({"schedule": "* * * * *", "concurrencyPolicy": "Forbid",
        "jobTemplate": {"spec": job(json!({}), "150", "0")}});
    scene.create(&CRON_JOBS, "c", spec).await;
    scene.cluster.until_all(&JOBS, "default", "a job", |jobs| jobs.len() == 1).await;
    let jobs = scene.cluster.until_all(&JOBS, "default", "a second", |jobs| jobs.len() == 2).await;
    assert_eq!(jobs.iter().filter(|job| condition(job, "Complete") == "True").count(), 1);
}
