//! A store in memory and an API server over it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use windlass_api::resource::SERVICE_ACCOUNTS;
use windlass_api::time::{Clock, parse_rfc3339};
use windlass_api::well_known::{group, namespace};
use windlass_api::{Chance, GroupVersionResource, ObjectKey, Timestamp};
use windlass_apiserver::direct::Direct;
use windlass_apiserver::{
    ApiServer, Authentication, Authorization, Definitions, FirstObjects, Options, Server, Tokens,
};
use windlass_audit::Auditor;
use windlass_auth::User;
use windlass_client::{Client, DeleteOptions, Object, Subresource, Transport};
use windlass_pki::{Ca, ClientCert, Issue, PrivateKey, Rotating, TokenSigner};
use windlass_store::Store;
use windlass_telemetry::Metrics;

use crate::dice::Dice;

/// When the story of every paused cluster begins.
const ORIGIN: &str = "2026-11-21T06:00:00Z";

/// How long certificates of a test are valid.
const HOUR: Duration = Duration::from_secs(3600);

/// Where it says that it is; nobody listens there.
const ADDRESS: &str = "192.0.2.1:6443";

/// An API server with its first objects, and ways to it.
#[derive(Clone)]
pub struct Cluster {
    pub server: Arc<Server>,
    pub clock: Clock,
    /// A client that may do everything.
    pub admin: Client,
    pub ca: Arc<Ca>,
    pub(crate) is_paused: bool,
    /// When its first objects were there.
    begun: Timestamp,
}

/// Who may come in, and what they may do, as a test configures it; and what is measured of that.
pub struct Access {
    pub authentication: Authentication,
    pub authorization: Authorization,
    pub metrics: Metrics,
}

/// What of a server is not the cluster's own.
#[derive(Default)]
struct Outside {
    front_proxy: Option<Arc<Rotating>>,
    access: Access,
    auditor: Option<Arc<Auditor>>,
}

/// Who issues the tokens of service accounts.
pub const ISSUER: &str = "https://issuer";

impl Default for Access {
    fn default() -> Self {
        let metrics = Metrics::default();
        let authentication = Authentication::new(ISSUER, &metrics, Clock::system());
        Self { authentication, authorization: Authorization::default(), metrics }
    }
}

impl Cluster {
    /// Starts a cluster with its first objects on tokio's paused time: for tests with `#[tokio::test(start_paused = true)]`.
    pub async fn start() -> Self {
        let clock = Clock::paused(origin());
        let store = Store::in_memory(clock);
        let mut cluster = Self::over(store, clock, Chance::seeded(0), new_ca(clock), ADDRESS, Outside::default());
        cluster.is_paused = true;
        cluster.begin().await;
        cluster.begun = clock.now();
        cluster
    }

    /// Makes the objects that every cluster has from its first moment, as of a server at the address of paused clusters.
    pub async fn begin(&self) {
        let ca_pem = self.ca.certificate().to_pem();
        let address: SocketAddr = ADDRESS.parse().unwrap();
        let facts = ApiServer {
            address: address.ip(),
            port: address.port(),
            client_ca_pem: ca_pem.clone(),
            front_proxy_ca_pem: ca_pem,
        };
        FirstObjects::new(&self.server, &facts).provide().await.unwrap();
    }

    /// A server without any object, on real time: for tests with sockets. Clients reach it at `address`.
    pub fn on_real_time(store: Arc<Store>, address: &str) -> Self {
        Self::with_access(store, address, Access::default())
    }

    /// The same, with authentication and authorization of its own.
    pub fn with_access(store: Arc<Store>, address: &str, access: Access) -> Self {
        let clock = Clock::system();
        let ca = new_ca(clock);
        let proxy = ClientCert { common_name: "front-proxy-client".to_owned(), ttl: HOUR, ..ClientCert::default() };
        let proxy = Rotating::new(&ca.issue(&Issue::Client(proxy), clock.now()).unwrap()).unwrap();
        let outside = Outside { front_proxy: Some(proxy), access, auditor: None };
        Self::over(store, clock, Chance::system(), ca, address, outside)
    }

    /// The same, whose requests an auditor records.
    pub fn audited(store: Arc<Store>, address: &str, auditor: Arc<Auditor>) -> Self {
        let clock = Clock::system();
        let outside = Outside { auditor: Some(auditor), ..Outside::default() };
        Self::over(store, clock, Chance::system(), new_ca(clock), address, outside)
    }

    /// Another cluster on paused time that begins as this one is now: cheaper than a start from nothing. It may belong to another
    /// runtime. `dice` decides the names and UIDs that it makes.
    pub fn fork(&self, dice: &Dice) -> Self {
        // Not the present of this cluster's clock, which follows another runtime.
        let clock = Clock::paused(self.begun);
        let store = self.server.store().fork_in_memory(clock);
        let mut fork = Self::over(store, clock, dice.chance(), self.ca.clone(), ADDRESS, Outside::default());
        fork.is_paused = true;
        fork
    }

    fn over(
        store: Arc<Store>,
        clock: Clock,
        chance: Chance,
        ca: Arc<Ca>,
        address: &str,
        Outside { front_proxy, access, auditor }: Outside,
    ) -> Self {
        let server = Server::new(Options {
            store,
            clock,
            chance: chance.clone(),
            resources: windlass_resources::all(),
            admission: windlass_admission::plugins::default_chain(chance, Default::default()),
            tokens: Tokens::new(TokenSigner::new(PrivateKey::generate().unwrap()), Vec::new(), ISSUER),
            authentication: access.authentication,
            authorization: access.authorization,
            auditor,
            metrics: access.metrics,
            service_cidr: "10.96.0.0/16".parse().unwrap(),
            node_ports: 30000..=32767,
            advertised_address: address.to_owned(),
            kubelets: None,
            front_proxy,
            outgoing_max: 1000,
        });
        tokio::spawn(Definitions::new(&server).keep());
        let admin = Client::new(Arc::new(Direct::new(server.clone(), admin(), "test")));
        Self { server, clock, admin, ca, is_paused: false, begun: clock.now() }
    }

    /// A user's way to the server.
    pub fn transport(&self, user: User, component: &str) -> Arc<dyn Transport> {
        Arc::new(Direct::new(self.server.clone(), user, component))
    }

    pub fn client(&self, user: User, component: &str) -> Client {
        Client::new(self.transport(user, component))
    }

    /// Makes the service account `default` of the namespace `default`, which pods need and a controller makes elsewhere.
    pub async fn with_default_account(self) -> Self {
        let account = json!({"metadata": {"name": "default", "namespace": namespace::DEFAULT}});
        self.create(&SERVICE_ACCOUNTS, namespace::DEFAULT, account).await;
        self
    }

    /// Creates an object as administrator; the test fails when that is refused.
    pub async fn create(&self, resource: &GroupVersionResource, namespace: &str, object: Value) -> Value {
        let created = self.admin.create(resource, namespace, &object).await;
        decoded(&created.unwrap_or_else(|status| panic!("{status}: {object}")))
    }

    /// The object as it is; it must be there.
    pub async fn get(&self, resource: &GroupVersionResource, key: &ObjectKey) -> Value {
        let found = self.admin.get(resource, key).await;
        decoded(&found.unwrap_or_else(|status| panic!("{status}")))
    }

    /// Whether there is no such object.
    pub async fn lacks(&self, resource: &GroupVersionResource, key: &ObjectKey) -> bool {
        self.admin.get(resource, key).await.is_err_and(|status| status.is_not_found())
    }

    /// The objects of a namespace, or with an empty one all.
    pub async fn list(&self, resource: &GroupVersionResource, namespace: &str) -> Vec<Value> {
        let list = self.admin.list(resource, namespace, windlass_client::Options::default()).await.unwrap();
        list.items.iter().map(decoded).collect()
    }

    /// Changes an object by a merge patch, as administrator.
    pub async fn patch(
        &self,
        resource: &GroupVersionResource,
        key: &ObjectKey,
        subresource: Subresource,
        patch: Value,
    ) -> Value {
        let patched = self.admin.patch(resource, key, subresource, &patch).await;
        decoded(&patched.unwrap_or_else(|status| panic!("{status}: {patch}")))
    }

    /// Deletes an object as administrator, with the defaults of its kind.
    pub async fn delete(&self, resource: &GroupVersionResource, key: &ObjectKey) {
        self.admin.delete(resource, key, &DeleteOptions::default()).await.unwrap();
    }
}

/// A user who may do everything.
pub fn admin() -> User {
    User::new("admin", &[group::MASTERS])
}

fn new_ca(clock: Clock) -> Arc<Ca> {
    Arc::new(Ca::create("kubernetes", clock.now()).unwrap())
}

fn origin() -> Timestamp {
    parse_rfc3339(ORIGIN).unwrap()
}

fn decoded(object: &Object) -> Value {
    object.decode().unwrap()
}
