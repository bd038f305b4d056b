//! How everything must be once it is at rest.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use windlass_api::resource::{
    CONFIG_MAPS, CRON_JOBS, CUSTOM_RESOURCE_DEFINITIONS, DAEMON_SETS, DEPLOYMENTS, ENDPOINT_SLICES, ENDPOINTS, JOBS,
    NAMESPACES, NODES, PODS, REPLICA_SETS, RESOURCE_QUOTAS, SERVICE_ACCOUNTS, SERVICES, STATEFUL_SETS,
};
use windlass_client::Options;

use crate::custom::{self, COUNTED, WIDGETS};
use crate::world::{RESOURCES, World, key_of};

/// All objects, by resource.
struct Now(BTreeMap<String, Vec<Value>>);

impl Now {
    fn all(&self, resource: &windlass_api::GroupVersionResource) -> &[Value] {
        self.0.get(&resource.to_string()).map_or(&[], Vec::as_slice)
    }

    /// Those that an object controls.
    fn controlled<'a>(
        &'a self,
        resource: &windlass_api::GroupVersionResource,
        owner: &'a Value,
    ) -> impl Iterator<Item = &'a Value> {
        let uid = &owner["metadata"]["uid"];
        self.all(resource).iter().filter(move |object| controller(object).is_some_and(|found| found["uid"] == *uid))
    }
}

pub(crate) async fn problems(world: &World) -> Vec<String> {
    let mut all = BTreeMap::new();
    for resource in RESOURCES {
        all.insert(resource.to_string(), world.cluster.list(&resource, "").await);
    }
    all.insert(WIDGETS.to_string(), custom::widgets(world).await);
    let mut problems = custom::problems(world, &all).await;
    let now = Now(all);
    let checks = [
        deployments,
        replica_sets,
        stateful_sets,
        daemon_sets,
        jobs,
        services,
        quotas,
        namespaces,
        nodes,
        pods,
        orphans,
    ];
    checks.iter().for_each(|check| check(&now, &mut problems));
    views(world, &mut problems).await;
    problems
}

fn expect(problems: &mut Vec<String>, object: &Value, what: &str, is: &Value, should: impl Into<Value>) {
    let should = should.into();
    let is = if is.is_null() && should == 0 { &should } else { is };
    if *is != should {
        problems.push(format!("{} {}: {what} is {is} and should be {should}", kind(object), key_of(object)));
    }
}

fn kind(object: &Value) -> &str {
    object["kind"].as_str().unwrap_or("object")
}

fn controller(object: &Value) -> Option<&Value> {
    object["metadata"]["ownerReferences"].as_array()?.iter().find(|owner| owner["controller"] == true)
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn is_going(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

fn has_ended(pod: &Value) -> bool {
    pod["status"]["phase"] == "Succeeded" || pod["status"]["phase"] == "Failed"
}

fn deployments(now: &Now, problems: &mut Vec<String>) {
    for deployment in now.all(&DEPLOYMENTS) {
        let (spec, status) = (&deployment["spec"], &deployment["status"]);
        let wanted = spec["replicas"].clone();
        expect(
            problems,
            deployment,
            "observedGeneration",
            &status["observedGeneration"],
            deployment["metadata"]["generation"].clone(),
        );
        for field in ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"] {
            expect(problems, deployment, field, &status[field], wanted.clone());
        }
        let sets: Vec<&Value> = now.controlled(&REPLICA_SETS, deployment).collect();
        let with_pods: Vec<&&Value> = sets.iter().filter(|set| set["spec"]["replicas"] != 0).collect();
        if with_pods.len() != usize::from(wanted != 0) {
            problems.push(format!("deployment {}: {} ReplicaSets have pods", key_of(deployment), with_pods.len()));
        }
        let template = &spec["template"]["metadata"]["annotations"]["version"];
        for set in with_pods {
            expect(
                problems,
                set,
                "the template's version",
                &set["spec"]["template"]["metadata"]["annotations"]["version"],
                template.clone(),
            );
        }
        let limit = spec["revisionHistoryLimit"].as_u64().unwrap_or(10) as usize;
        if sets.len() > limit + 1 {
            problems.push(format!(
                "deployment {}: {} ReplicaSets and a limit of {limit}",
                key_of(deployment),
                sets.len()
            ));
        }
    }
}

fn replica_sets(now: &Now, problems: &mut Vec<String>) {
    for set in now.all(&REPLICA_SETS) {
        let pods: Vec<&Value> = now.controlled(&PODS, set).filter(|pod| !has_ended(pod)).collect();
        expect(problems, set, "the number of its pods", &pods.len().into(), set["spec"]["replicas"].clone());
        let ready = pods.iter().filter(|pod| is_ready(pod)).count();
        expect(problems, set, "readyReplicas", &set["status"]["readyReplicas"], ready);
        expect(problems, set, "replicas", &set["status"]["replicas"], pods.len());
    }
}

fn stateful_sets(now: &Now, problems: &mut Vec<String>) {
    for set in now.all(&STATEFUL_SETS) {
        let (spec, status) = (&set["spec"], &set["status"]);
        let wanted = spec["replicas"].as_u64().unwrap_or(1);
        let names: BTreeSet<String> =
            (0..wanted).map(|n| format!("{}-{n}", set["metadata"]["name"].as_str().unwrap())).collect();
        let pods: Vec<&Value> = now.controlled(&PODS, set).collect();
        let found: BTreeSet<String> =
            pods.iter().map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect();
        if names != found {
            problems.push(format!("StatefulSet {}: its pods are {found:?}", key_of(set)));
        }
        for field in ["replicas", "readyReplicas", "currentReplicas", "updatedReplicas"] {
            // With no pods at all, nothing says which revision is current.
            expect(problems, set, field, &status[field], wanted);
        }
        expect(problems, set, "currentRevision", &status["currentRevision"], status["updateRevision"].clone());
        for pod in pods {
            expect(
                problems,
                pod,
                "its revision",
                &pod["metadata"]["labels"]["controller-revision-hash"],
                status["updateRevision"].clone(),
            );
        }
    }
}

fn daemon_sets(now: &Now, problems: &mut Vec<String>) {
    let nodes: BTreeSet<&str> = now.all(&NODES).iter().filter_map(|node| node["metadata"]["name"].as_str()).collect();
    for set in now.all(&DAEMON_SETS) {
        let mut at: Vec<&str> = now.controlled(&PODS, set).filter_map(|pod| pod["spec"]["nodeName"].as_str()).collect();
        at.sort_unstable();
        if !at.iter().eq(nodes.iter()) {
            problems.push(format!("DaemonSet {}: its pods are on {at:?}, the nodes are {nodes:?}", key_of(set)));
        }
        let status = &set["status"];
        for field in [
            "desiredNumberScheduled",
            "currentNumberScheduled",
            "updatedNumberScheduled",
            "numberReady",
            "numberAvailable",
        ] {
            expect(problems, set, field, &status[field], nodes.len());
        }
        let version = &set["spec"]["template"]["metadata"]["annotations"]["version"];
        for pod in now.controlled(&PODS, set) {
            expect(problems, pod, "its version", &pod["metadata"]["annotations"]["version"], version.clone());
        }
    }
}

fn jobs(now: &Now, problems: &mut Vec<String>) {
    for job in now.all(&JOBS) {
        let (spec, status) = (&job["spec"], &job["status"]);
        let conditions: Vec<&str> = status["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|condition| condition["status"] == "True")
            .filter_map(|condition| condition["type"].as_str())
            .collect();
        let complete = conditions.contains(&"Complete");
        if complete == conditions.contains(&"Failed") {
            problems.push(format!("job {}: it has ended as {conditions:?}", key_of(job)));
        }
        if complete {
            expect(problems, job, "succeeded", &status["succeeded"], spec["completions"].clone());
        }
        expect(problems, job, "active", &status["active"], 0);
        let uncounted = &status["uncountedTerminatedPods"];
        if uncounted
            .as_object()
            .is_some_and(|lists| lists.values().any(|list| !list.as_array().is_none_or(Vec::is_empty)))
        {
            problems.push(format!("job {}: pods are not counted yet: {uncounted}", key_of(job)));
        }
        for pod in now.controlled(&PODS, job) {
            if !has_ended(pod) {
                problems.push(format!("job {}: its pod {} goes on", key_of(job), key_of(pod)));
            }
            if pod["metadata"]["finalizers"].is_array() {
                problems.push(format!("job {}: its pod {} is still held", key_of(job), key_of(pod)));
            }
        }
    }
    for cron_job in now.all(&CRON_JOBS) {
        let mine: Vec<&Value> = now.controlled(&JOBS, cron_job).collect();
        let of = |kind: &str| {
            let has = |job: &&&Value| {
                let conditions = job["status"]["conditions"].as_array().into_iter().flatten();
                conditions.into_iter().any(|condition| condition["type"] == kind && condition["status"] == "True")
            };
            mine.iter().filter(has).count() as u64
        };
        for (kind, limit) in [("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")] {
            let limit = cron_job["spec"][limit].as_u64().unwrap();
            if of(kind) > limit {
                problems.push(format!(
                    "CronJob {}: {} jobs are {kind}, and {limit} may be kept",
                    key_of(cron_job),
                    of(kind)
                ));
            }
        }
        if cron_job["status"]["active"].as_array().is_some_and(|active| !active.is_empty()) {
            problems.push(format!("CronJob {}: it says that jobs are active", key_of(cron_job)));
        }
    }
}

fn services(now: &Now, problems: &mut Vec<String>) {
    for service in now.all(&SERVICES) {
        let Some(selector) = service["spec"]["selector"].as_object() else { continue };
        let (namespace, name) = (&service["metadata"]["namespace"], &service["metadata"]["name"]);
        let selected = |pod: &&Value| {
            pod["metadata"]["namespace"] == *namespace
                && selector.iter().all(|(key, value)| pod["metadata"]["labels"][key] == *value)
                && !has_ended(pod)
        };
        let wanted: BTreeSet<&str> =
            now.all(&PODS).iter().filter(selected).filter_map(|pod| pod["status"]["podIP"].as_str()).collect();
        let slices = now.all(&ENDPOINT_SLICES).iter().filter(|slice| {
            slice["metadata"]["namespace"] == *namespace
                && slice["metadata"]["labels"]["kubernetes.io/service-name"] == *name
                && slice["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"]
                    == "endpointslice-controller.k8s.io"
        });
        let endpoints: Vec<&Value> = slices.filter_map(|slice| slice["endpoints"].as_array()).flatten().collect();
        let found: BTreeSet<&str> = endpoints.iter().filter_map(|endpoint| endpoint["addresses"][0].as_str()).collect();
        if found != wanted || endpoints.len() != found.len() {
            problems.push(format!("service {}: its slices lead to {found:?} instead of {wanted:?}", key_of(service)));
        }
        if let Some(endpoint) = endpoints.iter().find(|endpoint| endpoint["conditions"]["ready"] != true) {
            problems.push(format!("service {}: {endpoint} is not ready", key_of(service)));
        }
        let old = now.all(&ENDPOINTS).iter().find(|object| key_of(object) == key_of(service));
        let subsets = old.and_then(|object| object["subsets"].as_array()).into_iter().flatten();
        let found: BTreeSet<&str> = subsets
            .filter_map(|subset| subset["addresses"].as_array())
            .flatten()
            .filter_map(|address| address["ip"].as_str())
            .collect();
        if found != wanted {
            problems.push(format!("service {}: its Endpoints are {found:?} instead of {wanted:?}", key_of(service)));
        }
    }
}

fn quotas(now: &Now, problems: &mut Vec<String>) {
    for quota in now.all(&RESOURCE_QUOTAS) {
        expect(problems, quota, "hard", &quota["status"]["hard"], quota["spec"]["hard"].clone());
        let namespace = &quota["metadata"]["namespace"];
        let here = |object: &&Value| object["metadata"]["namespace"] == *namespace;
        let pods = now.all(&PODS).iter().filter(here).filter(|pod| !has_ended(pod)).count();
        let deployments = now.all(&DEPLOYMENTS).iter().filter(here).count();
        expect(problems, quota, "used pods", &quota["status"]["used"]["pods"], pods.to_string());
        let used = &quota["status"]["used"]["count/deployments.apps"];
        expect(problems, quota, "used deployments", used, deployments.to_string());
        // Nobody counts what is not defined.
        if !now.all(&CUSTOM_RESOURCE_DEFINITIONS).is_empty() {
            let widgets = now.all(&WIDGETS).iter().filter(here).count();
            expect(problems, quota, "used widgets", &quota["status"]["used"][COUNTED], widgets.to_string());
        }
    }
}

fn namespaces(now: &Now, problems: &mut Vec<String>) {
    let names: BTreeSet<&str> =
        now.all(&NAMESPACES).iter().filter_map(|one| one["metadata"]["name"].as_str()).collect();
    for namespace in now.all(&NAMESPACES) {
        if is_going(namespace) {
            problems.push(format!("namespace {} does not go: {}", key_of(namespace), namespace["status"]));
        }
        let has = |resource, name: &str| {
            let mut all = now.all(resource).iter();
            all.any(|object| {
                object["metadata"]["namespace"] == namespace["metadata"]["name"] && object["metadata"]["name"] == name
            })
        };
        for (resource, name) in [(&SERVICE_ACCOUNTS, "default"), (&CONFIG_MAPS, "kube-root-ca.crt")] {
            if !has(resource, name) {
                problems.push(format!("namespace {} has no {} {name}", key_of(namespace), resource.resource));
            }
        }
    }
    for object in now.0.values().flatten() {
        if let Some(namespace) = object["metadata"]["namespace"].as_str().filter(|namespace| !names.contains(namespace))
        {
            problems.push(format!("{} is in {namespace}, which is not there", key_of(object)));
        }
    }
}

fn nodes(now: &Now, problems: &mut Vec<String>) {
    for node in now.all(&NODES) {
        if !is_ready(node) {
            problems.push(format!("node {} is not ready", key_of(node)));
        }
        if node["spec"]["taints"].as_array().is_some_and(|taints| !taints.is_empty()) {
            problems.push(format!("node {} has taints: {}", key_of(node), node["spec"]["taints"]));
        }
    }
}

fn pods(now: &Now, problems: &mut Vec<String>) {
    let nodes: BTreeSet<&str> = now.all(&NODES).iter().filter_map(|node| node["metadata"]["name"].as_str()).collect();
    for pod in now.all(&PODS) {
        if is_going(pod) {
            problems.push(format!("pod {} does not go", key_of(pod)));
        } else if !has_ended(pod) && !is_ready(pod) {
            problems.push(format!("pod {} is not ready: {}", key_of(pod), pod["status"]));
        }
        if pod["spec"]["nodeName"].as_str().is_some_and(|node| !nodes.contains(node)) {
            problems.push(format!("pod {} is on {}, which is not there", key_of(pod), pod["spec"]["nodeName"]));
        }
    }
}

/// Whose owners have all gone must go as well.
fn orphans(now: &Now, problems: &mut Vec<String>) {
    let uids: BTreeSet<&str> =
        now.0.values().flatten().filter_map(|object| object["metadata"]["uid"].as_str()).collect();
    for object in now.0.values().flatten() {
        let owners = object["metadata"]["ownerReferences"].as_array().map_or(&[][..], Vec::as_slice);
        // Of a kind that is not defined, nobody can say whether it has gone: who was away when it did lets its dependents be, as upstream.
        let is_unknown = |owner: &Value| owner["kind"] == "Widget" && now.all(&CUSTOM_RESOURCE_DEFINITIONS).is_empty();
        let is_there = |owner: &Value| is_unknown(owner) || owner["uid"].as_str().is_some_and(|uid| uids.contains(uid));
        if !owners.is_empty() && !owners.iter().any(is_there) {
            problems.push(format!("{} is an orphan of {} {}", key_of(object), owners[0]["kind"], owners[0]["name"]));
        }
        if is_going(object) && object["metadata"]["finalizers"].is_array() {
            problems.push(format!("{} is held by {}", key_of(object), object["metadata"]["finalizers"]));
        }
    }
}

/// The components see what is there.
async fn views(world: &World, problems: &mut Vec<String>) {
    let views: Vec<_> = world.views.lock().iter().filter_map(|(name, view)| Some((*name, view.upgrade()?))).collect();
    for (name, informers) in views {
        for resource in [PODS, NODES, REPLICA_SETS] {
            let informer = informers.of(&resource);
            informer.synced().await;
            let seen: BTreeMap<_, _> =
                informer.list("").into_iter().map(|object| (object.key, object.revision)).collect();
            let list = world.cluster.admin.list(&resource, "", Options::default()).await.unwrap();
            let there: BTreeMap<_, _> = list.items.into_iter().map(|object| (object.key, object.revision)).collect();
            if seen != there {
                problems
                    .push(format!("the cache of {name} shows {seen:?} of {}, there is {there:?}", resource.resource));
            }
        }
    }
}
