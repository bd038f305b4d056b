//! The controllers and the scheduler, as clients within the process.

use std::sync::Arc;

use ipnet::Ipv4Net;
use tokio::task::JoinHandle;
use windlass_api::time::Clock;
use windlass_api::well_known::namespace;
use windlass_apiserver::Server;
use windlass_apiserver::direct::Direct;
use windlass_auth::User;
use windlass_auth::authentication::Bound;
use windlass_client::{Client, Informers};
use windlass_controllers::{Context, Options, SignToken};
use windlass_pki::Ca;

const NAME: &str = "kube-controller-manager";

/// A client of the API server in this process.
pub(crate) fn client(server: &Arc<Server>, user: User, component: &str) -> Client {
    Client::new(Arc::new(Direct::new(server.clone(), user, component)))
}

/// Starts the scheduler. Like the controllers it is the only one.
pub(crate) fn start_scheduler(server: &Arc<Server>, clock: Clock, node_name: &str) -> JoinHandle<()> {
    let client = client(server, User::new("system:kube-scheduler", &[]), "kube-scheduler");
    let options = windlass_scheduler::Options { host_name: node_name.to_owned(), ..Default::default() };
    let informers = Arc::new(Informers::new(client.clone()));
    let metrics = server.metrics().clone();
    tokio::spawn(windlass_scheduler::run(options, client, informers, clock, metrics, std::future::pending()))
}

/// Starts all controllers. There is one API server on this store, and so one set of controllers: they need not elect a leader.
pub(crate) fn start(server: &Arc<Server>, clock: Clock, ca: &Arc<Ca>, cluster_cidr: Ipv4Net) -> JoinHandle<()> {
    let signer = server.clone();
    let sign_token: SignToken = Arc::new(move |token| {
        let account = Bound { name: token.account.clone(), uid: token.account_uid.clone() };
        signer.secret_token(&token.namespace, account, &token.secret)
    });
    let options = Options { root_ca_pem: ca.certificate().to_pem(), ca: ca.clone(), sign_token, cluster_cidr };
    let manager = User::new("system:kube-controller-manager", &[]);
    let manager = client(server, manager, NAME);
    let informers = Arc::new(Informers::new(manager.clone()));
    let server = server.clone();
    let client_of = Arc::new(move |account: &'static str| {
        client(&server, User::service_account(namespace::KUBE_SYSTEM, account), NAME)
    });
    tokio::spawn(windlass_controllers::run(options, Context { informers, client_of, manager, clock }))
}
