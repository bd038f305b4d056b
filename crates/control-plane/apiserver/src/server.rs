//! The server: everything that a request needs, and the way that it takes.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use arc_swap::ArcSwap;
use ipnet::Ipv4Net;
use windlass_admission::Chain;
use windlass_api::time::Clock;
use windlass_api::{Chance, Status};
use windlass_client::{Request, Verb};
use windlass_resources::{Resource, Subresource, Verbs};
use windlass_store::Store;
use windlass_telemetry::Metrics;

use crate::allocation::{Allocator, ServiceAllocator};
use crate::authorization::Authorizer;
use crate::connector::Connector;
use crate::context::Context;
use crate::outcome::Outcome;
use crate::pages::Health;
use crate::registry::{Registry, Served};
use crate::tokens::Tokens;

/// What a server is made of.
pub struct Options {
    pub store: Arc<Store>,
    pub clock: Clock,
    /// Where UIDs, generated names and other dice come from.
    pub chance: Chance,
    pub resources: Vec<Resource>,
    pub admission: Chain,
    pub tokens: Tokens,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// Where Services get their addresses from, until ServiceCIDR objects say otherwise.
    pub service_cidr: Ipv4Net,
    pub node_ports: RangeInclusive<u16>,
    /// `host:port` under which clients reach this server.
    pub advertised_address: String,
    /// How kubelets are spoken to: whom to trust, and who we are. Without it, nothing that goes through a kubelet works.
    pub kubelets: Option<rustls::ClientConfig>,
}

pub struct Server {
    pub store: Arc<Store>,
    pub clock: Clock,
    pub(crate) chance: Chance,
    pub(crate) registry: ArcSwap<Registry>,
    pub(crate) admission: Chain,
    pub(crate) authorizer: Authorizer,
    pub health: Health,
    pub tokens: Tokens,
    pub metrics: Metrics,
    /// By the name of the table.
    pub(crate) allocators: HashMap<&'static str, Arc<dyn Allocator>>,
    pub(crate) service_cidr: Ipv4Net,
    pub(crate) connector: Connector,
    advertised_address: String,
}

impl Server {
    pub fn new(options: Options) -> Arc<Self> {
        let Options {
            store,
            clock,
            chance,
            resources,
            admission,
            tokens,
            metrics,
            service_cidr,
            node_ports,
            advertised_address,
            kubelets,
        } = options;
        let services: Arc<dyn Allocator> =
            Arc::new(ServiceAllocator { range: service_cidr, node_ports, clock, chance: chance.clone() });
        let allocators = HashMap::from([("services", services)]);
        let registry = Registry::new(resources, &store);
        let authorizer = Authorizer::new(&store);
        let health = Health::default();
        health.add("ping", Box::new(|| Ok(())));
        let registry = ArcSwap::from_pointee(registry);
        Arc::new(Self {
            store,
            clock,
            chance,
            registry,
            admission,
            authorizer,
            health,
            tokens,
            metrics,
            allocators,
            service_cidr,
            connector: kubelets.map_or_else(Connector::without_kubelets, Connector::new),
            advertised_address,
        })
    }

    pub(crate) fn advertised_address(&self) -> &str {
        &self.advertised_address
    }

    /// Who hands out what objects of a table take, if somebody does.
    pub(crate) fn allocator(&self, served: &Served) -> Option<&Arc<dyn Allocator>> {
        self.allocators.get(&*served.resource.table)
    }

    pub fn registry(&self) -> Arc<Registry> {
        self.registry.load_full()
    }

    /// Carries out a request of an authenticated user.
    pub async fn call(&self, context: &Context, request: Request) -> Result<Outcome, Status> {
        self.authorizer.authorize(context, &request)?;
        let served = self.registry.load().find(&request.resource).cloned().ok_or_else(Status::no_such_path)?;
        let subresource = check_verb(&served, &request)?;
        if let Some(subresource) = subresource.filter(|subresource| *subresource != Subresource::Status) {
            return Box::pin(self.subresource(context, &served, subresource, request)).await;
        }
        // Boxed: the future of any request is as large as that of the largest, and it is copied before it runs.
        match request.verb {
            Verb::Get => self.get(&served, &request),
            Verb::List => Box::pin(self.list(&served, &request)).await,
            Verb::Watch => Box::pin(self.watch(&served, &request)).await,
            Verb::Create if served.resource.verbs == Verbs::CreateOnly => {
                Box::pin(self.review(context, &served, request)).await
            }
            Verb::Create => Box::pin(self.create(context, &served, request)).await,
            Verb::Update => Box::pin(self.update(context, &served, request)).await,
            Verb::Patch(patch) => Box::pin(self.patch(context, &served, request, patch)).await,
            Verb::Delete => Box::pin(self.delete(context, &served, request)).await,
            Verb::DeleteCollection => Box::pin(self.delete_collection(context, &served, request)).await,
        }
    }
}

/// Refuses what the resource does not offer; returns the subresource that the request is for.
fn check_verb(served: &Served, request: &Request) -> Result<Option<Subresource>, Status> {
    let resource = &served.resource;
    let refuse = || Err(Status::method_not_allowed(&resource.group_resource(), request.verb.name()));
    if !request.subresource.is_empty() {
        let found = resource.subresources.iter().find(|s| s.name() == request.subresource);
        let subresource = found.ok_or_else(Status::no_such_path)?;
        return if subresource.verbs().contains(&request.verb.name()) { Ok(Some(*subresource)) } else { refuse() };
    }
    if resource.is_namespaced() && request.namespace.is_empty() && !request.verb.is_read_only() {
        return refuse();
    }
    match resource.verbs {
        Verbs::All => Ok(None),
        Verbs::CreateOnly if request.verb == Verb::Create => Ok(None),
        Verbs::ReadOnly if request.verb.is_read_only() && request.verb != Verb::Watch => Ok(None),
        _ => refuse(),
    }
}
