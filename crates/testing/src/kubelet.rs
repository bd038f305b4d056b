//! A kubelet that runs pods on paper: it registers its node, renews its Lease, and takes its pods through their phases.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use windlass_api::condition::{self, FALSE, TRUE};
use windlass_api::fields::FieldSelector;
use windlass_api::pod::has_ended;
use windlass_api::resource::{LEASES, NODES, PODS};
use windlass_api::time::{Clock, rfc3339};
use windlass_api::well_known::{group, label, namespace};
use windlass_api::{ObjectKey, Status, Timestamp};
use windlass_auth::User;
use windlass_client::{
    Client, DeleteOptions, Informer, Informers, OBJECT, Options, Outcome, PatchType, STATUS, Transport, WorkQueue,
};

use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::machine::{Machine, Machines, Process, knob};

const LEASE_SECONDS: u64 = 40;
const HEARTBEAT: Duration = Duration::from_secs(10);
const REPORT: Duration = Duration::from_secs(300);
const WORKERS: usize = 4;

/// How much a node has.
#[derive(Clone, Debug)]
pub struct NodeShape {
    pub cpu: &'static str,
    pub memory: &'static str,
    pub pods: &'static str,
    pub labels: Value,
}

impl Default for NodeShape {
    fn default() -> Self {
        Self { cpu: "16", memory: "64Gi", pods: "110", labels: json!({}) }
    }
}

/// A kubelet that runs; its node falls silent when it is dropped.
#[derive(Debug)]
pub struct Kubelet {
    pub machine: Machine,
    task: JoinHandle<()>,
}

impl Kubelet {
    /// Starts a kubelet on a machine of its own.
    pub fn start(cluster: &Cluster, name: &str) -> Self {
        Self::start_on(cluster, Machines::default().machine(name), NodeShape::default())
    }

    /// Starts the kubelet of a machine.
    pub fn start_on(cluster: &Cluster, machine: Machine, shape: NodeShape) -> Self {
        let transport = cluster.transport(Self::user(&machine.name), "kubelet");
        let task = tokio::spawn(Self::run(transport, cluster.clock, machine.clone(), shape, Dice::new(0)));
        Self { machine, task }
    }

    /// Who a node's kubelet is.
    pub fn user(node: &str) -> User {
        User::new(format!("system:node:{node}"), &[group::NODES])
    }

    /// Runs a kubelet until the future is dropped; what runs on the machine goes on then.
    pub async fn run(transport: Arc<dyn Transport>, clock: Clock, machine: Machine, shape: NodeShape, dice: Dice) {
        let client = Client::new(transport);
        let informers = Informers::new(client.clone());
        let select =
            |field: &str| Options { fields: FieldSelector::equal(field, machine.name.clone()), ..Options::default() };
        let runner = Runner {
            pods: informers.selected(&PODS, "", select("spec.nodeName")),
            node: informers.selected(&NODES, "", select("metadata.name")),
            client,
            clock,
            machine,
            shape,
            dice,
        };
        let queue = WorkQueue::new();
        let changed = queue.clone();
        runner.pods.subscribe(move |change| changed.add(change.object().key.clone()));
        let work = async {
            runner.pods.synced().await;
            queue.run("kubelet", WORKERS, async |key| runner.sync(key).await).await;
        };
        futures::future::join(runner.keep_node(), work).await;
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Runner {
    client: Client,
    clock: Clock,
    machine: Machine,
    shape: NodeShape,
    pods: Arc<Informer>,
    node: Arc<Informer>,
    dice: Dice,
}

impl Runner {
    fn key(&self) -> ObjectKey {
        ObjectKey::new("", self.machine.name.clone())
    }

    /// Keeps the Node and its Lease for ever.
    async fn keep_node(&self) {
        self.node.synced().await;
        let mut reported: Option<Instant> = None;
        loop {
            let due = reported.is_none_or(|at| at.elapsed() >= REPORT) || !self.is_shown_ready();
            let result = if due { self.report().await } else { Ok(()) };
            match result {
                Ok(()) if due => reported = Some(Instant::now()),
                Ok(()) => {}
                Err(status) => tracing::debug!(node = self.machine.name, error = %status, "the node is not reported"),
            }
            if let Err(status) = self.renew().await {
                tracing::debug!(node = self.machine.name, error = %status, "the lease is not renewed");
            }
            tokio::time::sleep(HEARTBEAT).await;
        }
    }

    fn is_shown_ready(&self) -> bool {
        let node: Value = self.node.read(&self.key()).unwrap_or_default();
        condition::is_true(condition::list(&node["status"]), "Ready")
    }

    async fn report(&self) -> Result<(), Status> {
        let name = &self.machine.name;
        if self.node.get(&self.key()).is_none() {
            let mut labels = json!({label::HOSTNAME: name, label::OS: "linux"});
            let more = self.shape.labels.as_object().cloned().unwrap_or_default();
            labels.as_object_mut().into_iter().for_each(|labels| labels.extend(more.clone()));
            match self.client.create(&NODES, "", &json!({"metadata": {"name": name, "labels": labels}})).await {
                Err(status) if !status.is_already_exists() => return Err(status),
                _ => {}
            }
        }
        let now = self.clock.now_rfc3339();
        let amounts = json!({"cpu": self.shape.cpu, "memory": self.shape.memory, "pods": self.shape.pods});
        let conditions =
            [("Ready", "True"), ("MemoryPressure", "False"), ("DiskPressure", "False"), ("PIDPressure", "False")];
        let conditions = conditions.map(|(kind, status)| {
            json!({"type": kind, "status": status, "reason": "OnPaper", "message": "",
                "lastHeartbeatTime": now, "lastTransitionTime": now})
        });
        let status = json!({"status": {"capacity": amounts, "allocatable": amounts, "conditions": conditions}});
        self.client.patch_as(PatchType::Strategic, &NODES, &self.key(), STATUS, &status).await.map(drop)
    }

    async fn renew(&self) -> Result<(), Status> {
        let name = &self.machine.name;
        let spec = json!({"holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": self.clock.now_rfc3339_micro()});
        let mut metadata = json!({"name": name, "namespace": namespace::KUBE_NODE_LEASE});
        if let Some(node) = self.node.read::<Value>(&self.key()) {
            metadata["ownerReferences"] =
                json!([{"apiVersion": "v1", "kind": "Node", "name": name, "uid": node["metadata"]["uid"]}]);
        }
        let lease = json!({"metadata": metadata, "spec": spec});
        let key = ObjectKey::new(namespace::KUBE_NODE_LEASE, name.clone());
        match self.client.patch(&LEASES, &key, OBJECT, &lease).await {
            Err(status) if status.is_not_found() => {
                self.client.create(&LEASES, namespace::KUBE_NODE_LEASE, &lease).await.map(drop)
            }
            result => result.map(drop),
        }
    }

    async fn sync(&self, key: ObjectKey) -> Result<Outcome, Status> {
        let pod: Option<Value> = self.pods.read(&key);
        let uid = pod.as_ref().map_or("", |pod| text(&pod["metadata"]["uid"])).to_owned();
        self.machine.remove_others(&key, &uid);
        let Some(pod) = pod else { return Ok(Outcome::Done) };
        let process = self.machine.process(&uid);
        let has_ended = has_ended(text(&pod["status"]["phase"]));
        if pod["metadata"]["deletionTimestamp"].is_string() {
            return self.end(&key, &uid, &pod, process.filter(|_| !has_ended)).await;
        }
        if has_ended {
            self.machine.remove(&uid);
            return Ok(Outcome::Done);
        }
        match process {
            Some(process) => self.run_on(&key, &uid, &pod, &process).await,
            // The machine has lost what ran, and may not run it again.
            None if text(&pod["status"]["phase"]) == "Running" && text(&pod["spec"]["restartPolicy"]) == "Never" => {
                self.write(&key, &uid, ended(&pod, 137, self.clock.now())).await?;
                Ok(Outcome::Done)
            }
            None => {
                let process = self.make(&key, &uid);
                self.run_on(&key, &uid, &pod, &process).await
            }
        }
    }

    fn make(&self, key: &ObjectKey, uid: &str) -> Process {
        let millis = |low, high| Duration::from_millis(self.dice.between(low, high));
        let (starting, getting_ready) = (millis(50, 2000), millis(0, 1500));
        self.machine.make(key, uid, starting, getting_ready)
    }

    /// A pod that should run.
    async fn run_on(&self, key: &ObjectKey, uid: &str, pod: &Value, process: &Process) -> Result<Outcome, Status> {
        let now = Instant::now();
        if now < process.runs {
            return Ok(Outcome::Again(process.runs - now));
        }
        self.machine.has_run(uid);
        let annotation = |name: &str| text(&pod["metadata"]["annotations"][name]);
        let restarts = text(&pod["spec"]["restartPolicy"]) == "Always";
        let seconds = annotation(knob::RUN_SECONDS).parse().ok().or((!restarts).then_some(1));
        let ends = seconds.map(|seconds| process.runs + Duration::from_secs(seconds)).filter(|_| !restarts);
        if ends.is_some_and(|ends| now >= ends) {
            let code = annotation(knob::EXIT_CODE).parse().unwrap_or(0);
            let code = if text(&pod["spec"]["restartPolicy"]) == "Never" { code } else { 0 };
            self.write(key, uid, ended(pod, code, self.clock.now())).await?;
            self.machine.remove(uid);
            return Ok(Outcome::Done);
        }
        let ready = now >= process.ready && annotation(knob::READY) != "false";
        let wanted = if ready { TRUE } else { FALSE };
        let shown = condition::status_of(condition::list(&pod["status"]), "Ready") == Some(wanted);
        if text(&pod["status"]["phase"]) != "Running" || !shown || pod["status"]["podIP"] != process.address.as_str() {
            self.write(key, uid, running(pod, ready, &process.address, self.clock.now())).await?;
        }
        let next = [(now < process.ready).then_some(process.ready), ends].into_iter().flatten().min();
        Ok(next.map_or(Outcome::Done, |at| Outcome::Again(at - now)))
    }

    /// A pod that is to go: its process ends, its status says so, and only then is it deleted.
    async fn end(&self, key: &ObjectKey, uid: &str, pod: &Value, process: Option<Process>) -> Result<Outcome, Status> {
        if let Some(process) = process {
            let grace = pod["metadata"]["deletionGracePeriodSeconds"].as_u64().unwrap_or(30) * 1000;
            let wanted = text(&pod["metadata"]["annotations"][knob::STOP_MILLIS]).parse().unwrap_or(300);
            let stops = self.machine.stop(uid, Duration::from_millis(wanted.min(grace)));
            let now = Instant::now();
            if let Some(stops) = stops.filter(|stops| process.has_run && now < *stops) {
                return Ok(Outcome::Again(stops - now));
            }
            if process.has_run {
                match self.write(key, uid, ended(pod, 143, self.clock.now())).await {
                    Err(status) if !status.is_not_found() => return Err(status),
                    _ => {}
                }
            }
        }
        self.machine.remove(uid);
        match self.client.delete(&PODS, key, &DeleteOptions::of_uid(uid).grace_seconds(0)).await {
            Err(status) if !status.says_gone() => Err(status),
            Err(_) => Ok(Outcome::Done),
            // Finalizers can keep it; it is looked at again when they have gone.
            Ok(_) => Ok(Outcome::Done),
        }
    }

    async fn write(&self, key: &ObjectKey, uid: &str, status: Value) -> Result<(), Status> {
        let patch = json!({"metadata": {"uid": uid}, "status": status});
        let written = self.client.patch_as(PatchType::Strategic, &PODS, key, STATUS, &patch).await?;
        self.pods.reached(written.revision).await;
        Ok(())
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn containers(pod: &Value, ready: bool, state: &Value) -> Vec<Value> {
    let all = pod["spec"]["containers"].as_array().into_iter().flatten();
    let status = |container: &Value| {
        json!({"name": container["name"], "image": container["image"], "imageID": "", "ready": ready, "started": ready,
            "restartCount": 0, "state": state})
    };
    all.map(status).collect()
}

fn conditions(pod: &Value, ready: bool, now: Timestamp) -> Vec<Value> {
    let word = if ready { TRUE } else { FALSE };
    [("Initialized", TRUE), ("ContainersReady", word), ("Ready", word)]
        .map(|(kind, status)| {
            let mut wanted = json!({"type": kind, "status": status});
            condition::stamp(&mut wanted, condition::find(condition::list(&pod["status"]), kind), now);
            wanted
        })
        .to_vec()
}

fn running(pod: &Value, ready: bool, address: &str, now: Timestamp) -> Value {
    let addresses = json!([{"ip": address}, {"$patch": "replace"}]);
    json!({"phase": "Running", "podIP": address, "podIPs": addresses, "startTime": rfc3339(now),
        "conditions": conditions(pod, ready, now),
        "containerStatuses": containers(pod, ready, &json!({"running": {"startedAt": rfc3339(now)}}))})
}

fn ended(pod: &Value, code: i64, now: Timestamp) -> Value {
    let at = rfc3339(now);
    let state = json!({"terminated": {"exitCode": code, "finishedAt": at, "startedAt": at,
        "reason": if code == 0 { "Completed" } else { "Error" }}});
    json!({"phase": if code == 0 { "Succeeded" } else { "Failed" },
        "conditions": conditions(pod, false, now), "containerStatuses": containers(pod, false, &state)})
}
