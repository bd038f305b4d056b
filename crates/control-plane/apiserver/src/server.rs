//! The server: what requests need, and the way that each takes.
//!
//! - [`Storage`]: the stored objects and the registry of what is served.
//! - [`Gate`]: who may do what.
//! - [`Pages`]: what is served beside resources.

use std::ops::RangeInclusive;
use std::sync::Arc;

use ipnet::Ipv4Net;
use windlass_admission::Chain;
use windlass_api::time::Clock;
use windlass_api::{Chance, Status};
use windlass_audit::Auditor;
use windlass_auth::authentication::Bound;
use windlass_client::{Request, Verb};
use windlass_pki::Rotating;
use windlass_resources::{Resource, Subresource, Verbs};
use windlass_store::Store;
use windlass_telemetry::Metrics;

use crate::aggregation::Aggregation;
use crate::authentication::Authentication;
use crate::authorization::Authorization;
use crate::call::Call;
use crate::components::Components;
use crate::connector::Connector;
use crate::context::Context;
use crate::fairness::Fairness;
use crate::gate::Gate;
use crate::outcome::Outcome;
use crate::outgoing::Outgoing;
use crate::pages::{Flags, Health, Pages};
use crate::registry::{Registry, Served};
use crate::reviews;
use crate::storage::Storage;
use crate::subresources;
use crate::tokens::Tokens;
use crate::verbs::{create, delete, delete_collection, get, list, patch, update, watch};

/// What a server is made of.
pub struct Options {
    pub store: Arc<Store>,
    pub clock: Clock,
    pub chance: Chance,
    pub resources: Vec<Resource>,
    pub admission: Chain,
    pub tokens: Tokens,
    /// Who may come in beside service accounts and whom certificates name.
    pub authentication: Authentication,
    /// Which authorizers are asked.
    pub authorization: Authorization,
    /// Who records requests; without one, none is.
    pub auditor: Option<Arc<Auditor>>,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// Where Services get their addresses from, until ServiceCIDR objects say otherwise.
    pub service_cidr: Ipv4Net,
    pub node_ports: RangeInclusive<u16>,
    /// `host:port` under which clients reach this server.
    pub advertised_address: String,
    /// How kubelets are spoken to: whom to trust, and who we are. Without it, nothing that goes through a kubelet works.
    pub kubelets: Option<rustls::ClientConfig>,
    /// Who this server is to those that it aggregates.
    pub front_proxy: Option<Arc<Rotating>>,
    /// Connections to kubelets, pods and Services at once, and requests to aggregated servers.
    pub outgoing_max: usize,
}

pub struct Server {
    pub(crate) storage: Arc<Storage>,
    pub(crate) gate: Gate,
    pub(crate) pages: Pages,
    components: Components,
    pub(crate) connector: Connector,
    pub(crate) outgoing: Arc<Outgoing>,
    pub(crate) aggregation: Arc<Aggregation>,
    pub(crate) auditor: Option<Arc<Auditor>>,
    pub(crate) fairness: Arc<Fairness>,
}

impl Server {
    pub fn new(options: Options) -> Arc<Self> {
        let Options { store, clock, chance, resources, service_cidr, node_ports, .. } = options;
        let flags = Flags::default();
        if let Some((address, port)) = options.advertised_address.rsplit_once(':') {
            flags.set("advertise-address", address);
            flags.set("secure-port", port);
        }
        flags.set("service-cluster-ip-range", service_cidr);
        flags.set("service-node-port-range", format!("{}-{}", node_ports.start(), node_ports.end()));
        let registry = Registry::new(resources, &store);
        let checked = store.clone();
        let storage = Arc::new(Storage::new(store, clock, chance, registry, service_cidr, node_ports));
        let aggregation = Aggregation::new(storage.clone(), options.front_proxy, options.outgoing_max);
        let fairness = Arc::new(Fairness::new(&storage.store, &options.metrics));
        let pages = Pages::new(clock, flags, options.metrics, options.advertised_address, (&aggregation, &fairness));
        // The name that operators know: what keeps the objects.
        let of_store = || {
            let store = checked.clone();
            Box::new(move || store.health().map_err(|failure| failure.to_string()))
        };
        pages.health.add("etcd", of_store());
        pages.health.add_to_readiness("etcd-readiness", of_store());
        let components = Components::default();
        components.add("etcd-0", of_store());
        Arc::new(Self {
            gate: Gate::new(
                storage.clone(),
                options.admission,
                options.tokens,
                options.authentication,
                options.authorization,
            ),
            pages,
            components,
            connector: options.kubelets.map_or_else(Connector::without_kubelets, Connector::new),
            outgoing: Outgoing::new(options.outgoing_max),
            aggregation,
            auditor: options.auditor,
            fairness,
            storage,
        })
    }

    pub fn store(&self) -> &Arc<Store> {
        &self.storage.store
    }

    pub fn clock(&self) -> Clock {
        self.storage.clock
    }

    pub fn metrics(&self) -> &Metrics {
        &self.pages.metrics
    }

    /// The checks behind `/healthz` and its kin.
    pub fn health(&self) -> &Health {
        &self.pages.health
    }

    /// What ComponentStatus objects are about.
    pub fn components(&self) -> &Components {
        &self.components
    }

    /// What `/flagz` shows.
    pub fn flags(&self) -> &Flags {
        &self.pages.flags
    }

    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.storage.registry())
    }

    /// Takes in the file of `--authentication-config` as it is now; `None` when it cannot be read. Its text may be the same as before.
    pub async fn reload_authentication(&self, text: Option<String>) {
        self.gate.authentication.reload(text).await;
    }

    /// The same for the file of `--authorization-config`.
    pub fn reload_authorization(&self, text: Option<String>) {
        self.gate.authorizer.reload(text);
    }

    /// A token without end of a service account, for the Secret that is to hold it.
    pub fn secret_token(&self, namespace: &str, account: Bound, secret: &str) -> Result<String, Status> {
        self.gate.tokens.sign_for_secret(namespace, account, secret)
    }

    /// Carries out a request of an authenticated user.
    pub async fn call(&self, context: &Context, request: Request) -> Result<Outcome, Status> {
        self.gate.authorize_request(context, &request).await?;
        self.carry_out(context, request).await
    }

    /// Carries out a request that its user may make, which the caller has asked the gate: [`Self::call`] for what runs in this process,
    /// `http` for what comes from outside (there, before the body is read).
    pub(crate) async fn carry_out(&self, context: &Context, request: Request) -> Result<Outcome, Status> {
        let served = self.storage.find(&request.resource)?;
        let subresource = check_verb(&served, &request)?;
        let (storage, gate) = (&self.storage, &self.gate);
        let (served, request) = (&served, &request);
        let call = &Call { storage, gate, context, served, subresource, asks: None, request, is_admitted: false };
        // Boxed: the future of any request is as large as that of the largest, and it is copied before it runs.
        match (request.verb, subresource) {
            (_, Some(part)) if part != Subresource::Status => Box::pin(subresources::subresource(call, part)).await,
            (Verb::Get, _) if served.resource.verbs == Verbs::ReadOnly => self.components.get(call),
            (Verb::List, _) if served.resource.verbs == Verbs::ReadOnly => {
                self.components.list(call).map(Outcome::List)
            }
            (Verb::Get, _) => get::get(call).await,
            (Verb::List, _) => Box::pin(list::list(call)).await.map(Outcome::List),
            (Verb::Watch, _) => Box::pin(watch::watch(call)).await.map(|watcher| Outcome::Watch(Box::new(watcher))),
            (Verb::Create, _) => match served.resource.verbs.question() {
                Some(question) => Box::pin(reviews::answer(call, question)).await,
                None => Box::pin(create::create(call)).await,
            },
            (Verb::Update, _) => Box::pin(update::update(call)).await,
            (Verb::Patch(patch_type), _) => Box::pin(patch::patch(call, patch_type)).await,
            (Verb::Delete, _) => Box::pin(delete::delete(call)).await,
            (Verb::DeleteCollection, _) => Box::pin(delete_collection::delete_collection(call)).await,
        }
    }
}

/// Refuses a namespace in front of what is in none. A right in a namespace is a right to what is in it: whoever may write
/// ClusterRoleBindings "in" a namespace may not write one for the cluster.
pub(crate) fn check_scope(resource: &Resource, namespace: &str) -> Result<(), Status> {
    if resource.is_namespaced() || namespace.is_empty() { Ok(()) } else { Err(Status::no_such_path()) }
}

/// Refuses what the resource does not offer; returns the subresource that the request is for.
pub(crate) fn check_verb(served: &Served, request: &Request) -> Result<Option<Subresource>, Status> {
    let resource = &served.resource;
    check_scope(resource, &request.namespace)?;
    if !request.subresource.is_empty() {
        let found = resource.subresources.iter().find(|s| s.name() == request.subresource);
        let subresource = found.ok_or_else(|| match resource.is_custom() {
            true => Status::not_found(&resource.group_resource(), &request.name),
            false => Status::no_such_path(),
        })?;
        let offers = !request.name.is_empty() && subresource.verbs().contains(&request.verb.name());
        return if offers { Ok(Some(*subresource)) } else { Err(Status::method_not_allowed()) };
    }
    let is_of_collection = match request.verb {
        Verb::List | Verb::Create | Verb::DeleteCollection => true,
        Verb::Watch => request.name.is_empty(),
        Verb::Get | Verb::Update | Verb::Patch(_) | Verb::Delete => false,
    };
    // Over all namespaces, one can only look.
    let is_somewhere = !resource.is_namespaced() || !request.namespace.is_empty();
    let has_path = is_of_collection == request.name.is_empty()
        && (is_somewhere || matches!(request.verb, Verb::List | Verb::Watch));
    // Who lists what cannot be watched is on the way that watchers take.
    if has_path && request.verb == Verb::Watch && resource.verbs == Verbs::ReadOnly {
        return Err(Status::method_not_supported(&resource.group_resource(), "watch"));
    }
    let offers = has_path && resource.verbs.has(request.verb.name());
    if offers { Ok(None) } else { Err(Status::method_not_allowed()) }
}
