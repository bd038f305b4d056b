//! The proxy: changes come in, the kernel follows.
//!
//! # States
//!
//! - *waiting*: changes are taken in, nothing is programmed. What is in the kernel from before a restart keeps working. Ends
//!   with [`ServiceProxy::initialized`], when all Services and EndpointSlices have been seen once.
//! - *running*: each [`ServiceProxy::sync`] takes the changes since the last and programs them. Its cost follows the number of
//!   changes; only the first reads the kernel's table.
//!
//! A sync that fails loses nothing: what could not be programmed goes with the next. Level-based: of several changes of one
//! object only the last counts, so what waits is bounded by the number of objects.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use windlass_api::time::Clock;
use windlass_dataplane::nftables::{Family, Nftables};
use windlass_dataplane::{Netns, sysctl};

use crate::endpoints::Slice;
use crate::health::{ProxyHealth, ServiceHealth, Wanted};
use crate::metrics::Metrics;
use crate::object::{EndpointSlice, Node, Service};
use crate::options::Options;
use crate::plan::{self, NodeView};
use crate::program::{Program, TABLE, UdpTargets};
use crate::service::ServiceInfo;
use crate::{flows, service_route};
use windlass_api::ObjectKey;

/// The kernel's table is read and mended this often even if nothing seems to have changed it. Upstream does the same.
const RESYNC_PERIOD: Duration = Duration::from_secs(3600);
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot program services")]
    Program(#[source] windlass_dataplane::Error),
    #[error("cannot set the route of the service range")]
    Route(#[source] windlass_dataplane::Error),
    #[error("cannot set kernel parameter {name}")]
    Parameter { name: &'static str, source: std::io::Error },
    #[error("cannot forget stale UDP flows")]
    Flows(#[source] windlass_dataplane::Error),
    #[error("the task that programs services was cancelled")]
    Cancelled,
}

/// What a sync did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncReport {
    /// Services whose plan was made anew.
    pub services: usize,
    pub elements_added: usize,
    pub elements_removed: usize,
    /// UDP flows that the kernel was made to forget.
    pub flows_forgotten: usize,
    /// The kernel's table was read.
    pub resynced: bool,
}

/// A handle; all clones are the same proxy.
#[derive(Clone, Debug)]
pub struct ServiceProxy {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    node_name: String,
    clock: Clock,
    pending: Mutex<Pending>,
    changed: Notify,
    state: Mutex<State>,
    service_health: ServiceHealth,
    health: Arc<ProxyHealth>,
    metrics: Metrics,
}

/// What came in since the last sync.
#[derive(Debug, Default)]
struct Pending {
    services: HashMap<ObjectKey, Option<ServiceInfo>>,
    /// By the slice's own name, with the Service that it belongs to.
    slices: HashMap<ObjectKey, Option<(ObjectKey, Slice)>>,
    options: Option<Options>,
    resync: bool,
    initialized: bool,
}

/// Everything that is known, and what is programmed.
#[derive(Debug)]
struct State {
    netns: Arc<Netns>,
    options: Options,
    services: HashMap<ObjectKey, Known>,
    /// Which Service each slice belongs to.
    slice_services: HashMap<ObjectKey, ObjectKey>,
    programs: Vec<Program>,
    nftables: Option<Nftables>,
    /// Parameters and routes are as they should be.
    node_prepared: bool,
    /// Flows that a failed sync did not get to look at.
    udp_targets: Vec<UdpTargets>,
    health: HashMap<ObjectKey, Wanted>,
}

#[derive(Debug, Default)]
struct Known {
    service: Option<ServiceInfo>,
    slices: BTreeMap<String, Slice>,
}

impl ServiceProxy {
    /// Programs Services into `netns`. Needs CAP_NET_ADMIN there.
    pub fn new(options: Options, netns: Arc<Netns>, clock: Clock, metrics: &windlass_telemetry::Metrics) -> Self {
        let health = Arc::new(ProxyHealth::new(clock));
        let node_name = options.node_name.clone();
        let state = State {
            netns: Arc::clone(&netns),
            programs: options.families().into_iter().map(|family| Program::new(family, &options)).collect(),
            options,
            services: HashMap::new(),
            slice_services: HashMap::new(),
            nftables: None,
            node_prepared: false,
            udp_targets: Vec::new(),
            health: HashMap::new(),
        };
        let shared = Shared {
            node_name,
            clock,
            pending: Mutex::default(),
            changed: Notify::new(),
            state: Mutex::new(state),
            service_health: ServiceHealth::new(netns, Arc::clone(&health)),
            health,
            metrics: Metrics::new(metrics),
        };
        Self { shared: Arc::new(shared) }
    }

    /// A Service appeared, changed, or (`None`) went.
    pub fn service_changed(&self, key: ObjectKey, service: Option<&Service>) {
        let info = service.and_then(ServiceInfo::new);
        self.shared.metrics.service_changes.inc();
        self.change(|pending| drop(pending.services.insert(key, info)));
    }

    /// An EndpointSlice appeared, changed, or (`None`) went. `key` is the slice's own.
    pub fn endpoint_slice_changed(&self, key: ObjectKey, slice: Option<&EndpointSlice>) {
        let reduced = slice.and_then(|slice| {
            let service = slice.metadata.labels.service_name.as_ref().filter(|name| !name.is_empty())?;
            let reduced = Slice::new(slice, &self.shared.node_name)?;
            Some((ObjectKey::new(&key.namespace, service), reduced))
        });
        self.shared.metrics.endpoint_changes.inc();
        self.change(|pending| drop(pending.slices.insert(key, reduced)));
    }

    /// The proxy's own node appeared, changed, or (`None`) went.
    pub fn node_changed(&self, node: Option<&Node>) {
        self.shared.health.set_node_eligible(node.is_some_and(Node::is_eligible));
    }

    /// All Services and EndpointSlices that there were at the start have been handed in.
    pub fn initialized(&self) {
        self.change(|pending| pending.initialized = true);
    }

    /// Changes zone, node addresses, ranges of Services and the like. The node's name must stay.
    pub fn reconfigure(&self, options: Options) {
        self.change(|pending| pending.options = Some(options));
    }

    /// Makes the next sync read the kernel's table and mend what others changed.
    pub fn resync(&self) {
        self.change(|pending| pending.resync = true);
    }

    pub fn health(&self) -> &Arc<ProxyHealth> {
        &self.shared.health
    }

    /// Programs what changed since the last sync. Before [`ServiceProxy::initialized`] it does nothing.
    pub async fn sync(&self) -> Result<SyncReport, Error> {
        let start = Instant::now();
        let Some(pending) = self.take_pending() else { return Ok(SyncReport::default()) };
        let shared = Arc::clone(&self.shared);
        let work = tokio::task::spawn_blocking(move || {
            let mut state = shared.state.lock();
            let result = state.sync(pending, &shared.metrics);
            (result, state.health.clone())
        });
        let (result, health) = work.await.map_err(|_| Error::Cancelled)?;
        let metrics = &self.shared.metrics;
        match &result {
            Ok(report) => {
                self.shared.service_health.sync(&health);
                self.shared.health.updated();
                metrics.sync_last_timestamp.set(self.shared.clock.now().as_second());
                let by_kind =
                    if report.resynced { &metrics.sync_full_duration } else { &metrics.sync_partial_duration };
                by_kind.observe(start.elapsed().as_secs_f64());
                tracing::debug!(?report, elapsed = ?start.elapsed(), "services programmed");
            }
            Err(_) => metrics.sync_failures.inc(),
        }
        metrics.sync_duration.observe(start.elapsed().as_secs_f64());
        result
    }

    /// Syncs whenever something changed, until `shutdown`. What is programmed stays in the kernel afterwards.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) {
        tokio::pin!(shutdown);
        let mut retry: Option<Duration> = None;
        let mut next_resync = Instant::now() + RESYNC_PERIOD;
        loop {
            let wake = retry.map_or(next_resync, |delay| Instant::now() + delay);
            tokio::select! {
                () = &mut shutdown => return,
                () = self.shared.changed.notified() => {}
                () = tokio::time::sleep_until(wake) => {}
            }
            if Instant::now() >= next_resync {
                self.resync();
                next_resync = Instant::now() + RESYNC_PERIOD;
            }
            match self.sync().await {
                Ok(_) => retry = None,
                Err(error) => {
                    let delay = retry.map_or(RETRY_FIRST, |delay| (delay * 2).min(RETRY_MAX));
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::error!(%error, cause, retry_in = ?delay, "services not programmed");
                    retry = Some(delay);
                }
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut Pending)) {
        let mut pending = self.shared.pending.lock();
        change(&mut pending);
        self.shared.count_pending(&pending);
        if pending.initialized {
            self.shared.health.queued();
            self.shared.changed.notify_one();
        }
    }

    fn take_pending(&self) -> Option<Pending> {
        let mut pending = self.shared.pending.lock();
        if !pending.initialized {
            return None;
        }
        let taken = std::mem::replace(&mut *pending, Pending { initialized: true, ..Pending::default() });
        self.shared.count_pending(&pending);
        Some(taken)
    }
}

impl Shared {
    fn count_pending(&self, pending: &Pending) {
        self.metrics.service_changes_pending.set(pending.services.len() as i64);
        self.metrics.endpoint_changes_pending.set(pending.slices.len() as i64);
        self.metrics.sync_last_queued_timestamp.set(self.clock.now().as_second());
    }
}

impl State {
    fn sync(&mut self, pending: Pending, metrics: &Metrics) -> Result<SyncReport, Error> {
        if pending.resync {
            self.programs.iter_mut().for_each(Program::forget);
            self.node_prepared = false;
        }
        let mut dirty = self.take_in(pending.services, pending.slices);
        if let Some(options) = pending.options {
            dirty.extend(self.reconfigure(options));
        }
        let mut report = SyncReport { services: dirty.len(), ..SyncReport::default() };
        dirty.iter().for_each(|service| self.plan(service));
        // Rules first: with a route alone, packets to Services would go nowhere instead of being refused.
        self.program(&mut report)?;
        self.prepare_node()?;
        let start = Instant::now();
        if !self.udp_targets.is_empty() {
            report.flows_forgotten = flows::forget_stale(&self.netns, &self.udp_targets).map_err(Error::Flows)?;
            self.udp_targets.clear();
            metrics.conntrack_deleted_entries.inc_by(report.flows_forgotten as u64);
            metrics.conntrack_duration.observe(start.elapsed().as_secs_f64());
        }
        Ok(report)
    }

    /// Takes changes in and returns the Services that they concern.
    fn take_in(
        &mut self,
        services: HashMap<ObjectKey, Option<ServiceInfo>>,
        slices: HashMap<ObjectKey, Option<(ObjectKey, Slice)>>,
    ) -> HashSet<ObjectKey> {
        let mut dirty = HashSet::new();
        for (key, slice) in slices {
            let before = match &slice {
                Some((service, _)) => self.slice_services.insert(key.clone(), service.clone()),
                None => self.slice_services.remove(&key),
            };
            if let Some(before) = before.filter(|before| slice.as_ref().is_none_or(|(service, _)| service != before)) {
                if let Some(known) = self.services.get_mut(&before) {
                    known.slices.remove(&key.name);
                }
                dirty.insert(before);
            }
            if let Some((service, slice)) = slice {
                self.services.entry(service.clone()).or_default().slices.insert(key.name, slice);
                dirty.insert(service);
            }
        }
        for (key, service) in services {
            self.services.entry(key.clone()).or_default().service = service;
            dirty.insert(key);
        }
        dirty
    }

    fn reconfigure(&mut self, options: Options) -> Vec<ObjectKey> {
        // The zone matters to plans only; everything else may be in rules.
        let same_rules = options == Options { zone: options.zone.clone(), ..self.options.clone() };
        self.options = options;
        if !same_rules {
            // New tables are read from the kernel and changed in place, so connections do not notice.
            let families = self.options.families().into_iter();
            self.programs = families.map(|family| Program::new(family, &self.options)).collect();
            self.node_prepared = false;
        }
        self.services.keys().cloned().collect()
    }

    fn plan(&mut self, key: &ObjectKey) {
        let view = NodeView { zone: self.options.zone.clone(), node_ips: self.options.node_ips.clone() };
        let known = self.services.get(key);
        let service = known.and_then(|known| known.service.as_ref());
        let slices: Vec<&Slice> = known.map(|known| known.slices.values().collect()).unwrap_or_default();
        for program in &mut self.programs {
            let plans = service.map(|service| plan::plan(service, &slices, program.family(), &view));
            self.udp_targets.extend(program.change(key, plans.unwrap_or_default()));
        }
        match service.and_then(|service| Some((service, service.health_check_node_port?))) {
            Some((service, port)) => {
                let wanted = Wanted { port, local_endpoints: plan::local_ready_count(service, &slices) };
                self.health.insert(key.clone(), wanted);
            }
            None => drop(self.health.remove(key)),
        }
        if known.is_some_and(|known| known.service.is_none() && known.slices.is_empty()) {
            self.services.remove(key);
        }
    }

    fn prepare_node(&mut self) -> Result<(), Error> {
        if self.node_prepared {
            return Ok(());
        }
        if self.options.localhost_node_ports {
            let name = "net/ipv4/conf/all/route_localnet";
            let set = self.netns.run(|| sysctl::set(name, "1")).and_then(|set| set);
            set.map_err(|source| Error::Parameter { name, source })?;
        }
        service_route::sync(&self.netns, &self.options).map_err(Error::Route)?;
        self.node_prepared = true;
        Ok(())
    }

    fn program(&mut self, report: &mut SyncReport) -> Result<(), Error> {
        if !self.programs.iter().any(Program::has_changes) {
            return Ok(());
        }
        let mut nftables = match self.nftables.take() {
            Some(nftables) => nftables,
            None => Nftables::open(&self.netns).map_err(Error::Program)?,
        };
        for program in &mut self.programs {
            let applied = program.apply(&mut nftables).map_err(Error::Program)?;
            report.elements_added += applied.elements_added;
            report.elements_removed += applied.elements_removed;
            report.resynced |= applied.resynced;
        }
        // Kept only after success: a socket that failed is not to be trusted.
        self.nftables = Some(nftables);
        Ok(())
    }
}

/// Removes everything that proxies of this process and of earlier ones put into the kernel.
pub async fn remove(netns: Arc<Netns>) -> Result<(), Error> {
    let work = tokio::task::spawn_blocking(move || {
        let mut nftables = Nftables::open(&netns).map_err(Error::Program)?;
        for family in [Family::Ipv4, Family::Ipv6] {
            nftables.delete_table(family, TABLE).map_err(Error::Program)?;
        }
        service_route::remove(&netns).map_err(Error::Route)
    });
    work.await.map_err(|_| Error::Cancelled)?
}
