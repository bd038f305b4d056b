//! What must hold at every moment: judged at the end, over the history of every object.
//!
//! Controllers decide by what they have seen, which can be a while ago, so a rule that an object states counts until [`WINDOW`] after it
//! has changed. And a client that was told of a timeout may do again what was done: such pods are allowed for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use windlass_api::ObjectKey;
use windlass_api::resource::{
    CRON_JOBS, DAEMON_SETS, DEPLOYMENTS, JOBS, PODS, REPLICA_SETS, RESOURCE_QUOTAS, STATEFUL_SETS,
};
use windlass_client::EventKind;
use windlass_testing::Record;

use crate::world::World;

/// As long as watches can lag, with some time for tries that failed.
const WINDOW: Duration = Duration::from_secs(120);

pub(crate) fn problems(world: &World) -> Vec<String> {
    let mut problems = world.history.problems();
    problems.extend(world.history.missing(&world.faults.acknowledged()));
    problems.extend(world.history.missing(&world.faults.lost()));
    problems.extend(world.faults.watched().iter().flat_map(|watched| world.history.faults_of(watched)));
    problems.extend(world.machines.conflicts());
    let lost = world.faults.lost().into_iter().filter(|write| write.verb == "create").map(|write| write.key).collect();
    let mut past = Past { lost, ..Past::default() };
    for record in world.history.records() {
        past.step(&record, &mut problems);
    }
    problems
}

/// Everything as it was after some change, and the rules of before.
#[derive(Default)]
struct Past {
    now: BTreeMap<&'static str, BTreeMap<ObjectKey, Value>>,
    /// Earlier specs of objects, by UID, with the time until which they held.
    specs: BTreeMap<String, Vec<(Duration, Value)>>,
    lost: BTreeSet<ObjectKey>,
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

fn controller(object: &Value) -> Option<&Value> {
    object["metadata"]["ownerReferences"].as_array()?.iter().find(|owner| owner["controller"] == true)
}

fn is_of(object: &Value, owner: &Value) -> bool {
    controller(object).is_some_and(|found| found["uid"] == owner["metadata"]["uid"])
}

fn is_active(pod: &Value) -> bool {
    !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed") && !pod["metadata"]["deletionTimestamp"].is_string()
}

/// A number, or a percentage of `of`, rounded up.
fn amount(value: &Value, of: i64) -> i64 {
    match value.as_str().and_then(|text| text.strip_suffix('%')?.parse::<i64>().ok()) {
        Some(percent) => (of * percent + 99) / 100,
        None => value.as_i64().unwrap_or(0),
    }
}

impl Past {
    fn step(&mut self, record: &Record, problems: &mut Vec<String>) {
        let kinds = [
            (PODS, "Pod"),
            (REPLICA_SETS, "ReplicaSet"),
            (DEPLOYMENTS, "Deployment"),
            (STATEFUL_SETS, "StatefulSet"),
            (DAEMON_SETS, "DaemonSet"),
            (JOBS, "Job"),
            (CRON_JOBS, "CronJob"),
            (RESOURCE_QUOTAS, "ResourceQuota"),
        ];
        let Some((_, kind)) = kinds.iter().find(|(resource, _)| *resource == record.resource) else { return };
        let object: Value = serde_json::from_slice(&record.json).unwrap();
        let all = self.now.entry(kind).or_default();
        if record.kind == EventKind::Deleted {
            all.remove(&record.key);
            return;
        }
        let before = all.insert(record.key.clone(), object.clone());
        if let Some(before) = &before
            && before["spec"] != object["spec"]
            && *kind != "Pod"
        {
            self.specs.entry(uid(before).to_owned()).or_default().push((record.at, before["spec"].clone()));
        }
        let problem = match *kind {
            "Pod" if before.is_none() => self.judge_pod(record, &object),
            "ReplicaSet" => self.judge_replica_set(record, before.as_ref(), &object),
            "Job" if before.is_none() => self.judge_job(&object),
            _ => None,
        };
        if let Some(problem) = problem {
            problems.push(format!("at {:.3} s, revision {}: {problem}", record.at.as_secs_f64(), record.revision));
        }
    }

    fn all(&self, kind: &str) -> impl Iterator<Item = (&ObjectKey, &Value)> {
        self.now.get(kind).into_iter().flatten()
    }

    fn owner(&self, object: &Value) -> Option<&Value> {
        let reference = controller(object)?;
        let mut all = self.now.get(reference["kind"].as_str()?)?.values();
        all.find(|owner| owner["metadata"]["uid"] == reference["uid"])
    }

    /// The largest that a limit of an object was lately.
    fn limit(&self, object: &Value, at: Duration, of: impl Fn(&Value) -> i64) -> i64 {
        let earlier = self.specs.get(uid(object)).into_iter().flatten();
        let lately = earlier.filter(|(until, _)| *until + WINDOW >= at).map(|(_, spec)| of(spec));
        lately.chain([of(&object["spec"])]).max().unwrap_or(0)
    }

    fn judge_pod(&self, record: &Record, pod: &Value) -> Option<String> {
        if let Some(problem) = self.judge_quota(record) {
            return Some(problem);
        }
        let owner = self.owner(pod)?;
        let siblings: Vec<(&ObjectKey, &Value)> = self.all("Pod").filter(|(_, other)| is_of(other, owner)).collect();
        let active = siblings.iter().filter(|(_, other)| is_active(other)).count() as i64;
        let again = siblings.iter().filter(|(key, _)| self.lost.contains(*key)).count() as i64;
        let complain = |limit: i64, of: &str| {
            let name = text(owner, "/metadata/name");
            let names: Vec<&String> =
                siblings.iter().filter(|(_, pod)| is_active(pod)).map(|(key, _)| &key.name).collect();
            (active > limit + again).then(|| {
                format!(
                    "pod {} is the {active}th of {name}, whose {of} is {limit}; {again} were made again; {names:?}",
                    record.key
                )
            })
        };
        match text(controller(pod)?, "/kind") {
            "ReplicaSet" => {
                complain(self.limit(owner, record.at, |spec| spec["replicas"].as_i64().unwrap_or(1)), "replicas")
            }
            // Those beyond the replicas go one after the other, and may wait long for those before them.
            "StatefulSet" => {
                let limit = self.limit(owner, record.at, |spec| spec["replicas"].as_i64().unwrap_or(1));
                let ordinal = record.key.name.rsplit_once('-').and_then(|(_, ordinal)| ordinal.parse::<i64>().ok());
                ordinal
                    .is_none_or(|ordinal| ordinal >= limit)
                    .then(|| format!("pod {} is beyond the {limit} replicas of its StatefulSet", record.key))
            }
            "Job" => {
                let index = |pod: &Value| {
                    text(pod, "/metadata/annotations/batch.kubernetes.io~1job-completion-index").to_owned()
                };
                let twin = siblings.iter().find(|(key, other)| {
                    **key != record.key && is_active(other) && !index(pod).is_empty() && index(other) == index(pod)
                });
                if let Some((key, _)) = twin.filter(|_| again == 0) {
                    return Some(format!("pod {} has the index of {key}", record.key));
                }
                complain(self.limit(owner, record.at, |spec| spec["parallelism"].as_i64().unwrap_or(1)), "parallelism")
            }
            "DaemonSet" => {
                let node = |pod: &Value| pod.pointer("/spec/affinity/nodeAffinity").cloned();
                let here =
                    siblings.iter().filter(|(_, other)| is_active(other) && node(other) == node(pod)).count() as i64;
                let surge = self
                    .limit(owner, record.at, |spec| amount(&spec["updateStrategy"]["rollingUpdate"]["maxSurge"], 1));
                (here > 1 + surge + again).then(|| format!("pod {} is the {here}th for its node", record.key))
            }
            _ => None,
        }
    }

    /// A quota is never exceeded: its controller gives nothing back that admission has just charged (upstream's may).
    fn judge_quota(&self, record: &Record) -> Option<String> {
        let in_namespace = |key: &ObjectKey| key.namespace == record.key.namespace;
        let (_, quota) = self.all("ResourceQuota").find(|(key, _)| in_namespace(key))?;
        // One that has not been counted for the first time charges nobody.
        quota.pointer("/status/used/pods")?;
        let hard = |spec: &Value| text(spec, "/hard/pods").parse().unwrap_or(i64::MAX);
        let limit = self.limit(quota, record.at, hard);
        let there = self.all("Pod").filter(|(key, pod)| in_namespace(key) && is_active(pod)).count() as i64;
        (there > limit).then(|| format!("pod {} is the {there}th where a quota allows {limit}", record.key))
    }

    /// A Deployment never makes its ReplicaSets larger than it may have pods.
    fn judge_replica_set(&self, record: &Record, before: Option<&Value>, set: &Value) -> Option<String> {
        let replicas = |set: &Value| set["spec"]["replicas"].as_i64().unwrap_or(0);
        if replicas(set) <= before.map_or(0, replicas) {
            return None;
        }
        let owner = self.owner(set)?;
        let limit = self.limit(owner, record.at, |spec| {
            let wanted = spec["replicas"].as_i64().unwrap_or(1);
            wanted + amount(&spec["strategy"]["rollingUpdate"]["maxSurge"], wanted)
        });
        let sum: i64 =
            self.all("ReplicaSet").filter(|(_, other)| is_of(other, owner)).map(|(_, other)| replicas(other)).sum();
        (sum > limit).then(|| {
            format!("the ReplicaSets of {} want {sum} pods, {limit} are allowed", text(owner, "/metadata/name"))
        })
    }

    fn judge_job(&self, job: &Value) -> Option<String> {
        let owner = self.owner(job)?;
        let ended = |job: &Value| {
            let conditions = job["status"]["conditions"].as_array().into_iter().flatten();
            conditions
                .into_iter()
                .any(|one| one["status"] == "True" && (one["type"] == "Complete" || one["type"] == "Failed"))
        };
        let others =
            self.all("Job").filter(|(_, other)| is_of(other, owner) && !ended(other) && uid(other) != uid(job));
        let others: Vec<&str> = others.map(|(_, other)| text(other, "/metadata/name")).collect();
        let forbids = text(owner, "/spec/concurrencyPolicy") == "Forbid";
        (forbids && !others.is_empty())
            .then(|| format!("job {} begins while {others:?} run", text(job, "/metadata/name")))
    }
}
