//! The controllers and the scheduler, as components of a [`Cluster`].

use std::sync::Arc;

use tokio::task::JoinHandle;
use windlass_api::Status;
use windlass_api::well_known::namespace::KUBE_SYSTEM;
use windlass_auth::User;
use windlass_auth::authentication::Bound;
use windlass_client::{Client, Informers, Transport};
use windlass_controllers::{Context, Options, SecretToken, SignToken};

use crate::cluster::Cluster;

/// How a component reaches the API as one of its users.
pub type Way = Arc<dyn Fn(User, &str) -> Arc<dyn Transport> + Send + Sync>;

/// A component that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Running(JoinHandle<()>);

impl Running {
    pub fn start(component: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(component))
    }

    /// Ends the component wherever it is, and waits until it has gone.
    pub async fn stop(mut self) {
        self.0.abort();
        let _ = (&mut self.0).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Cluster {
    /// The way without obstacles.
    pub fn way(&self) -> Way {
        let cluster = self.clone();
        Arc::new(move |user, component| cluster.transport(user, component))
    }

    /// Starts all controllers.
    pub fn start_controllers(&self) -> Running {
        Running::start(self.controllers(&self.way()).1)
    }

    /// Starts the scheduler.
    pub fn start_scheduler(&self) -> Running {
        Running::start(self.scheduler(&self.way(), windlass_scheduler::Options::default()).1)
    }

    /// All controllers, and the informers that they share.
    pub fn controllers(&self, way: &Way) -> (Arc<Informers>, impl Future<Output = ()> + Send + 'static + use<>) {
        let signer = self.server.clone();
        let sign_token: SignToken = Arc::new(move |token: &SecretToken| -> Result<String, Status> {
            let account = Bound { name: token.account.clone(), uid: token.account_uid.clone() };
            signer.secret_token(&token.namespace, account, &token.secret)
        });
        let options = Options {
            root_ca_pem: self.ca.certificate().to_pem(),
            ca: self.ca.clone(),
            sign_token,
            cluster_cidr: "10.244.0.0/16".parse().unwrap(),
        };
        let manager = Client::new(way(User::new("system:kube-controller-manager", &[]), "controllers"));
        let informers = Arc::new(Informers::new(manager.clone()));
        let way = way.clone();
        let client_of = Arc::new(move |account: &'static str| {
            Client::new(way(User::service_account(KUBE_SYSTEM, account), account))
        });
        let context = Context { informers: informers.clone(), client_of, manager, clock: self.clock };
        (informers, windlass_controllers::run(options, context))
    }

    /// The scheduler, and its informers.
    pub fn scheduler(
        &self,
        way: &Way,
        options: windlass_scheduler::Options,
    ) -> (Arc<Informers>, impl Future<Output = ()> + Send + 'static + use<>) {
        let client = Client::new(way(User::new("system:kube-scheduler", &[]), "kube-scheduler"));
        let informers = Arc::new(Informers::new(client.clone()));
        let metrics = self.server.metrics().clone();
        let run =
            windlass_scheduler::run(options, client, informers.clone(), self.clock, metrics, std::future::pending());
        (informers, run)
    }
}
