//! Whether aggregated servers can be asked: the condition Available of their APIServices, and the metrics about it.
//!
//! A server is looked at when its APIService, its Service or an endpoint changes, and every half minute, for a network tells nobody
//! when it breaks.
//! Source: kube-aggregator `controllers/status`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use serde_json::json;
use windlass_api::condition::{self, Condition, FALSE, TRUE};
use windlass_api::well_known::{group, label};
use windlass_api::{GroupVersionResource, Meta, ObjectKey, Status};
use windlass_auth::User;
use windlass_client::{Client, Outcome, STATUS, WorkQueue};
use windlass_http::dial;
use windlass_store::{Item, Range};
use windlass_telemetry::{CounterFamily, GaugeFamily};

use super::ask::{AskError, Question};
use super::behind_service::problem;
use super::following::follow;
use crate::aggregation::api_service::{AVAILABLE, ApiService, ServiceReference};
use crate::aggregation::routes::Remote;
use crate::aggregation::server::Aggregation;
use crate::endpoints::{Service, Slice, named_slices};
use crate::server::Server;

const RESOURCE: GroupVersionResource = GroupVersionResource::of("apiregistration.k8s.io", "v1", "apiservices");
const WORKERS: usize = 5;
/// A server whose endpoints come and go is asked so often at once; one answer is enough.
const ATTEMPTS: usize = 5;
const WITHIN: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// What a server may say of a group version.
const ANSWER_BYTES_MAX: usize = 4 << 20;

pub(super) struct Availability {
    server: Arc<Server>,
    client: Client,
    queue: WorkQueue<String>,
    user: User,
    /// How often each has failed since it was available.
    failures: Mutex<HashMap<String, u32>>,
    gauge: GaugeFamily,
    counter: CounterFamily,
}

impl Availability {
    pub(super) fn new(server: &Arc<Server>, client: Client) -> Self {
        let metrics = server.metrics();
        Self {
            client,
            queue: WorkQueue::new(),
            user: User {
                groups: vec![group::MASTERS.to_owned()],
                name: "system:kube-aggregator".to_owned(),
                ..User::default()
            },
            failures: Mutex::default(),
            gauge: metrics.gauges(
                "aggregator_unavailable_apiservice",
                "Gauge of APIServices which are marked as unavailable broken down by APIService name.",
                &["name"],
            ),
            counter: metrics.counters(
                "aggregator_unavailable_apiservice_total",
                "Counter of APIServices which are marked as unavailable broken down by APIService name and reason.",
                &["name", "reason"],
            ),
            server: server.clone(),
        }
    }

    fn aggregation(&self) -> &Arc<Aggregation> {
        &self.server.aggregation
    }

    /// Looks after the conditions, for ever.
    pub(super) async fn keep(&self) {
        let queue = &self.queue;
        let store = self.server.store();
        let api_services = follow(self.aggregation().table(), || {}, |change| queue.add(change.key.to_string()));
        let services = store.table("services");
        let services = follow(&services, || {}, |service| self.wake(service.namespace(), service.name()));
        let slices = store.table("endpointslices.discovery.k8s.io");
        let slices = follow(&slices, || {}, |slice| self.wake_by_slice(slice));
        let work = queue.run("apiservice_availability", WORKERS, async |name| self.sync(name).await);
        futures::join!(api_services, services, slices, work);
    }

    /// Has those looked at that stand behind a Service.
    fn wake(&self, namespace: &str, name: &str) {
        let routes = self.aggregation().routes();
        let behind = |remote: &&Arc<Remote>| remote.service.namespace == namespace && remote.service.name == name;
        routes.remotes().filter(behind).for_each(|remote| self.queue.add(remote.name.clone()));
    }

    fn wake_by_slice(&self, slice: &Item) {
        #[derive(Default, serde::Deserialize)]
        #[serde(default)]
        struct Labelled {
            metadata: Meta,
        }
        // Most clusters have nobody behind a Service, and slices change all the time.
        if self.aggregation().routes().is_local() {
            return;
        }
        let labels = serde_json::from_slice::<Labelled>(&slice.value).unwrap_or_default().metadata.labels;
        if let Some(service) = labels.get(label::SERVICE_NAME) {
            self.wake(slice.namespace(), service);
        }
    }

    async fn sync(&self, name: String) -> Result<Outcome, Status> {
        let Some(item) = self.aggregation().table().get(&name) else {
            self.failures.lock().remove(&name);
            // One that was never counted is none the less gone.
            let _ = self.gauge.remove_label_values(&[&name]);
            return Ok(Outcome::Done);
        };
        let object: ApiService = serde_json::from_slice(&item.value).map_err(Status::internal)?;
        let remote = self.aggregation().routes().remote(&name).cloned();
        let found = match &remote {
            None => Condition::new(AVAILABLE, TRUE, "Local", "Local APIServices are always available"),
            Some(remote) => self.look_at(remote).await,
        };
        let is_failed = found.reason == FAILED_CHECK;
        self.report(&name, &object, found).await?;
        Ok(match remote {
            None => Outcome::Done,
            Some(_) => Outcome::Again(self.pause(name, is_failed)),
        })
    }

    /// How long to wait until the next look: the longer, the more often the server has failed.
    fn pause(&self, name: String, is_failed: bool) -> Duration {
        let mut failures = self.failures.lock();
        if !is_failed {
            failures.remove(&name);
            return LOOK_AGAIN;
        }
        let count = failures.entry(name).or_default();
        let pause = FIRST_PAUSE.saturating_mul(1 << (*count).min(20)).min(LOOK_AGAIN);
        *count += 1;
        pause
    }

    async fn look_at(&self, remote: &Remote) -> Condition {
        let storage = &self.aggregation().storage;
        let ServiceReference { namespace, name, .. } = &remote.service;
        let service: Option<Service> = storage
            .store
            .table("services")
            .get(&format!("{namespace}/{name}"))
            .and_then(|item| serde_json::from_slice(&item.value).ok());
        let state = storage.store.table("endpointslices.discovery.k8s.io").state();
        let prefix = format!("{namespace}/");
        let range = Range { prefix: &prefix, ..Range::default() };
        let slices: Vec<Slice> = named_slices(state.iter(&range), name).collect();
        if let Some(problem) = problem(&remote.service, service.as_ref(), &slices) {
            return problem;
        }
        match self.probe(remote).await {
            Ok(()) => Condition::new(AVAILABLE, TRUE, "Passed", "all checks passed"),
            Err(why) => Condition::new(AVAILABLE, FALSE, FAILED_CHECK, why),
        }
    }

    /// Asks the server whether it is there, several times at once; the last failure is the reason.
    async fn probe(&self, remote: &Remote) -> Result<(), String> {
        let mut attempts: FuturesUnordered<_> = (0..ATTEMPTS).map(|_| self.attempt(remote)).collect();
        let mut last = Ok(());
        while let Some(answer) = attempts.next().await {
            if answer.is_ok() {
                return answer;
            }
            last = answer;
        }
        last
    }

    async fn attempt(&self, remote: &Remote) -> Result<(), String> {
        let aggregation = self.aggregation();
        let (host, port) = aggregation.endpoint(&remote.service).map_err(|status| status.message)?;
        let address = dial::join(&host, port);
        let path = match remote.group.as_str() {
            "" => format!("/api/{}", remote.version),
            group => format!("/apis/{group}/{}", remote.version),
        };
        let url = format!("https://{address}{path}");
        let (user, within, bytes_max) = (&self.user, WITHIN, ANSWER_BYTES_MAX);
        let question = Question { path: &path, accept: "*/*", etag: "", user, within, bytes_max };
        let why = match aggregation.ask_at(remote, &address, &question).await {
            Ok(answer) if answer.code.is_success() => return Ok(()),
            Ok(answer) => format!("bad status from {url}: {}", answer.code.as_u16()),
            // Its head has come, and that is what counts.
            Err(AskError::TooLong(_)) => return Ok(()),
            Err(error) => error.to_string(),
        };
        Err(format!("failing or missing response from {url}: {why}"))
    }

    /// Writes the condition if it says something new.
    async fn report(&self, name: &str, object: &ApiService, found: Condition) -> Result<(), Status> {
        let is_available = found.is_true();
        self.gauge.with_label_values(&[name]).set(i64::from(!is_available));
        let mut conditions = object.status.conditions.clone();
        let reason = found.reason.clone();
        if !condition::set(&mut conditions, found, self.server.clock().now()) {
            return Ok(());
        }
        let metadata = json!({"uid": object.metadata.uid, "resourceVersion": object.metadata.resource_version});
        let patch = json!({"metadata": metadata, "status": {"conditions": conditions}});
        match self.client.patch(&RESOURCE, &ObjectKey::new("", name), STATUS, &patch).await {
            // It has changed or gone meanwhile, which comes back as an event.
            Err(status) if status.says_gone() || status.is_conflict() => return Ok(()),
            written => drop(written?),
        }
        if object.is_available() && !is_available {
            self.counter.with_label_values(&[name, &reason]).inc();
        }
        Ok(())
    }
}

const FAILED_CHECK: &str = "FailedDiscoveryCheck";
