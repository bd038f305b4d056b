//! A cluster without kubelets: an API server, nodes that are only objects, and a scheduler.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use windlass_api::resource::{NODES, PODS};
use windlass_api::time::Clock;
use windlass_api::{Chance, GroupVersionResource, ObjectKey};
use windlass_apiserver::direct::Direct;
use windlass_apiserver::{Bootstrap, Options, Server, Tokens};
use windlass_auth::User;
use windlass_client::{Client, Informers, OBJECT, STATUS};
use windlass_pki::{PrivateKey, TokenSigner};
use windlass_store::Store;
use windlass_telemetry::Metrics;

pub(crate) struct Cluster {
    server: Arc<Server>,
    /// As an administrator.
    pub(crate) client: Client,
    pub(crate) metrics: Metrics,
    _directory: TempDir,
}

/// A scheduler that runs; it ends when it is dropped or stopped.
pub(crate) struct Running {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        (&mut self.task).await.unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(windlass_store::Options {
            directory: directory.path().join("store"),
            clock: Clock::system(),
            key: None,
            secret_tables: Vec::new(),
        })
        .unwrap();
        let server = Server::new(Options {
            store,
            clock: Clock::system(),
            chance: Chance::system(),
            resources: windlass_resources::all(),
            admission: windlass_admission::plugins::default_chain(Chance::system()),
            tokens: Tokens::new(TokenSigner::new(PrivateKey::generate().unwrap()), Vec::new(), "https://issuer"),
            metrics: Metrics::default(),
            service_cidr: "10.96.0.0/16".parse().unwrap(),
            node_ports: 30000..=32767,
            advertised_address: "192.0.2.1:6443".to_owned(),
            kubelets: None,
        });
        let bootstrap = Bootstrap {
            address: "192.0.2.1".parse().unwrap(),
            port: 6443,
            client_ca_pem: String::new(),
            front_proxy_ca_pem: String::new(),
        };
        windlass_apiserver::bootstrap(&server, &bootstrap).await.unwrap();
        let admin = User::new("admin", &["system:masters"]);
        let client = Client::new(Arc::new(Direct::new(server.clone(), admin, "test")));
        let cluster = Self { server, client, metrics: Metrics::default(), _directory: directory };
        let account = json!({"metadata": {"name": "default", "namespace": "default"}});
        cluster.create(&windlass_api::resource::SERVICE_ACCOUNTS, "default", account).await;
        cluster
    }

    /// Starts a scheduler with the rights that a scheduler has.
    pub(crate) fn schedule(&self) -> Running {
        let user = User::new("system:kube-scheduler", &[]);
        let client = Client::new(Arc::new(Direct::new(self.server.clone(), user, "kube-scheduler")));
        let informers = Arc::new(Informers::new(client.clone()));
        let (stop, stopped) = oneshot::channel::<()>();
        let options = windlass_scheduler::Options { host_name: "host".to_owned(), ..Default::default() };
        let metrics = self.metrics.clone();
        let task = tokio::spawn(async move {
            let shutdown = async { drop(stopped.await) };
            windlass_scheduler::run(options, client, informers, Clock::system(), metrics, shutdown).await;
        });
        Running { stop: Some(stop), task }
    }

    pub(crate) async fn create(&self, resource: &GroupVersionResource, namespace: &str, object: Value) -> Value {
        let created = self.client.create(resource, namespace, &object).await;
        created.unwrap_or_else(|status| panic!("{status}: {object}")).decode().unwrap()
    }

    /// A node with some CPUs, 8 GiB and room for 110 pods.
    pub(crate) async fn node(&self, name: &str, cpus: &str, labels: Value) {
        let mut all = json!({"kubernetes.io/hostname": name});
        all.as_object_mut().unwrap().extend(labels.as_object().unwrap().clone());
        self.create(&NODES, "", json!({"metadata": {"name": name, "labels": all}})).await;
        let amounts = json!({"cpu": cpus, "memory": "8Gi", "pods": "110"});
        let status = json!({"status": {"capacity": amounts, "allocatable": amounts}});
        let key = ObjectKey::new("", name);
        self.client.patch(&NODES, &key, STATUS, &status).await.unwrap();
        // Admission taints new nodes until a controller sees them ready.
        self.client.patch(&NODES, &key, OBJECT, &json!({"spec": {"taints": null}})).await.unwrap();
    }

    /// A pod that requests some CPU; `spec` is laid over its spec.
    pub(crate) async fn pod(&self, name: &str, cpu: &str, spec: Value) -> Value {
        self.labelled_pod(name, cpu, json!({}), spec).await
    }

    pub(crate) async fn labelled_pod(&self, name: &str, cpu: &str, labels: Value, spec: Value) -> Value {
        let mut pod = json!({
            "metadata": {"name": name, "namespace": "default", "labels": labels},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}],
            },
        });
        pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        self.create(&PODS, "default", pod).await
    }

    pub(crate) async fn get(&self, name: &str) -> Value {
        self.client.get(&PODS, &ObjectKey::new("default", name)).await.unwrap().decode().unwrap()
    }

    /// Waits until a pod is as it should be; the bound is only there to end a test that has failed.
    pub(crate) async fn until(&self, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..4000 {
            let pod = self.get(name).await;
            if is(&pod) {
                return pod;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{what} never came true of {:#}", self.get(name).await);
    }

    /// The node that a pod gets.
    pub(crate) async fn node_of(&self, name: &str) -> String {
        let pod = self.until(name, "a node", |pod| pod["spec"]["nodeName"].is_string()).await;
        pod["spec"]["nodeName"].as_str().unwrap().to_owned()
    }

    /// Waits until the pod's condition PodScheduled has this message.
    pub(crate) async fn waits_because(&self, name: &str, message: &str) -> Value {
        self.until(name, message, |pod| scheduled(pod)["message"] == message).await
    }
}

/// The condition PodScheduled.
pub(crate) fn scheduled(pod: &Value) -> Value {
    let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.into_iter().find(|condition| condition["type"] == "PodScheduled").unwrap_or(Value::Null)
}
