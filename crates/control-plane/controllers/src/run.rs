//! Runs the controllers.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use ipnet::Ipv4Net;
use windlass_pki::Ca;

use crate::context::Context;
use crate::service_account_tokens::SignToken;

/// A controller that ended, which it never should, is started again after this time.
const RESTART: Duration = Duration::from_secs(1);

/// What controllers need to know about the cluster.
#[derive(Clone)]
pub struct Options {
    /// The certificate of the authority that signed the API server's, in PEM.
    pub root_ca_pem: String,
    /// Signs what clients and kubelets ask for.
    pub ca: Arc<Ca>,
    /// Makes the tokens of Secrets.
    pub sign_token: SignToken,
    /// Where pods get their addresses from.
    pub cluster_cidr: Ipv4Net,
}

/// Runs all controllers until the future is dropped. One that fails is started again; the others go on.
pub async fn run(options: Options, context: Context) {
    let Options { root_ca_pem, ca, sign_token, cluster_cidr } = options;
    let (root_ca, trust_bundle) = (root_ca_pem.clone(), root_ca_pem.clone());
    let all: Vec<BoxFuture<'static, ()>> = vec![
        forever("certificatesigningrequest", context.clone(), move |context| {
            crate::certificates::run(context, ca.clone())
        }),
        forever("cronjob", context.clone(), crate::cron_job::run),
        forever("daemonset", context.clone(), crate::daemon_set::run),
        forever("clusterrole-aggregation", context.clone(), crate::cluster_role_aggregation::run),
        forever("deployment", context.clone(), crate::deployment::run),
        forever("disruption", context.clone(), crate::disruption::run),
        forever("endpoint", context.clone(), crate::endpoints::endpoints::run),
        forever("endpointslice", context.clone(), crate::endpoints::endpoint_slice::run),
        forever("endpointslicemirroring", context.clone(), crate::endpoints::mirroring::run),
        forever("garbage-collector", context.clone(), crate::garbage_collector::run),
        forever("job", context.clone(), crate::job::run),
        forever("kube-apiserver-serving-clustertrustbundle-publisher", context.clone(), move |context| {
            crate::certificates::trust_bundle::run(context, trust_bundle.clone())
        }),
        forever("namespace", context.clone(), crate::namespace::run),
        forever("node-ipam", context.clone(), move |context| crate::node::ipam::run(context, cluster_cidr)),
        forever("node-lifecycle", context.clone(), crate::node::lifecycle::run),
        forever("persistentvolume-binder", context.clone(), crate::volume::binder::run),
        forever("persistentvolume-protection", context.clone(), crate::volume::protection::run_volumes),
        forever("persistentvolumeclaim-protection", context.clone(), crate::volume::protection::run_claims),
        forever("volumeattributesclass-protection", context.clone(), crate::volume::protection::run_attributes_classes),
        forever("podcertificaterequest-cleaner", context.clone(), crate::certificates::pod_certificate_requests::run),
        forever("pod-garbage-collector", context.clone(), crate::pod_gc::run),
        forever("replicaset", context.clone(), crate::replica_set::run_replica_sets),
        forever("replicationcontroller", context.clone(), crate::replica_set::run_replication_controllers),
        forever("resourcequota", context.clone(), crate::resource_quota::run),
        forever("root-ca-certificate-publisher", context.clone(), move |context| {
            crate::root_ca::run(context, root_ca.clone())
        }),
        forever("serviceaccount", context.clone(), crate::service_account::run),
        forever("serviceaccount-token", context.clone(), move |context| {
            crate::service_account_tokens::run(context, root_ca_pem.clone(), sign_token.clone())
        }),
        forever("statefulset", context.clone(), crate::stateful_set::run),
        forever("storage-version-migrator", context.clone(), crate::storage_version_migrator::run),
        forever("taint-eviction", context.clone(), crate::node::taint_eviction::run),
        forever("ttl", context.clone(), crate::node::ttl::run),
        forever("ttl-after-finished", context.clone(), crate::ttl_after_finished::run),
        forever("validatingadmissionpolicy-status", context, crate::validating_admission_policy_status::run),
    ];
    let mut tasks: tokio::task::JoinSet<()> = all.into_iter().collect();
    while tasks.join_next().await.is_some() {}
}

fn forever<F: Future<Output = ()> + Send + 'static>(
    name: &'static str,
    context: Context,
    start: impl Fn(Context) -> F + Send + Sync + 'static,
) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        loop {
            let running = AssertUnwindSafe(async { start(context.clone()).await });
            if running.catch_unwind().await.is_err() {
                tracing::error!(controller = name, "a controller panicked and is started again");
            }
            tokio::time::sleep(RESTART).await;
        }
    })
}
