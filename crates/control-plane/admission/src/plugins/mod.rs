//! The built-in plugins that upstream enables by default, and DenyServiceExternalIPs; one file or folder each. Those that ask users' servers
//! and policies come last.

mod certificate_approval;
mod certificate_signing;
mod certificate_subject_restriction;
mod cluster_trust_bundle_attest;
mod default_ingress_class;
mod default_storage_class;
mod default_toleration_seconds;
mod deny_service_external_ips;
mod limit_ranger;
mod mutating_admission_policy;
mod namespace_lifecycle;
mod node_restriction;
mod persistent_volume_claim_resize;
pub(crate) mod pod_security;
mod priority;
mod runtime_class;
mod service_account;
mod storage_object_in_use_protection;
mod taint_nodes_by_condition;
mod validating_admission_policy;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use windlass_api::Chance;
use windlass_machinery::tree::text;
use windlass_pki::CertificateRequest;
use windlass_telemetry::Metrics;

use self::mutating_admission_policy::MutatingAdmissionPolicy;
pub use self::pod_security::Configuration as PodSecurityConfiguration;
pub use self::pod_security::PodSecurity;
use self::validating_admission_policy::ValidatingAdmissionPolicy;
use crate::chain::{Chain, Plugin};
use crate::quota::ResourceQuota;
use crate::review::{Operation, Review};
use crate::webhooks;

/// What an administrator decides about the plugins.
#[derive(Clone, Default)]
pub struct Options {
    /// Services may take over addresses of the outside (`spec.externalIPs`).
    pub allow_service_external_ips: bool,
    pub pod_security: PodSecurityConfiguration,
    pub metrics: Metrics,
}

/// The plugins of a server, in upstream's order.
pub fn default_chain(chance: Chance, options: Options) -> Chain {
    let mut plugins: Vec<Arc<dyn Plugin>> = vec![
        Arc::new(namespace_lifecycle::NamespaceLifecycle),
        Arc::new(limit_ranger::LimitRanger),
        Arc::new(service_account::ServiceAccount { chance }),
        Arc::new(node_restriction::NodeRestriction),
        Arc::new(taint_nodes_by_condition::TaintNodesByCondition),
        Arc::new(PodSecurity::new(options.pod_security, &options.metrics)),
        Arc::new(priority::Priority),
        Arc::new(default_toleration_seconds::DefaultTolerationSeconds),
        Arc::new(default_storage_class::DefaultStorageClass),
        Arc::new(storage_object_in_use_protection::StorageObjectInUseProtection),
        Arc::new(persistent_volume_claim_resize::PersistentVolumeClaimResize),
        Arc::new(runtime_class::RuntimeClass),
        Arc::new(certificate_approval::CertificateApproval),
        Arc::new(certificate_signing::CertificateSigning),
        Arc::new(cluster_trust_bundle_attest::ClusterTrustBundleAttest),
        Arc::new(certificate_subject_restriction::CertificateSubjectRestriction),
        Arc::new(default_ingress_class::DefaultIngressClass),
    ];
    if !options.allow_service_external_ips {
        plugins.push(Arc::new(deny_service_external_ips::DenyServiceExternalIPs));
    }
    plugins.push(Arc::new(MutatingAdmissionPolicy::new(&options.metrics)));
    let figures = Arc::new(webhooks::Figures::new(&options.metrics));
    plugins.push(Arc::new(webhooks::MutatingAdmissionWebhook::new(figures.clone())));
    plugins.push(Arc::new(ValidatingAdmissionPolicy::new(&options.metrics)));
    plugins.push(Arc::new(webhooks::ValidatingAdmissionWebhook::new(figures)));
    Chain::new(plugins, ResourceQuota::default())
}

/// Which of the default classes counts: the newest; of equally old ones, the first by name.
fn newest(classes: impl Iterator<Item = Arc<Value>>) -> Option<Arc<Value>> {
    let made = |class: &Value| text(&class["metadata"], "creationTimestamp").to_owned();
    let name = |class: &Value| text(&class["metadata"], "name").to_owned();
    classes.min_by(|a, b| made(b).cmp(&made(a)).then_with(|| name(a).cmp(&name(b))))
}

/// The object of a creation of `resource` in `group`; `None` for every other write.
fn created<'a>(review: &'a mut Review<'_>, group: &str, resource: &str) -> Option<&'a mut Value> {
    if review.operation == Operation::Create && review.is_of(group, resource) {
        review.object.as_deref_mut()
    } else {
        None
    }
}

/// The signer of the request for a certificate whose subresource is written.
fn of_signer<'a>(review: &'a Review<'_>, subresource: &str) -> Option<&'a str> {
    let is_request = review.resource.group == "certificates.k8s.io"
        && review.resource.resource == "certificatesigningrequests"
        && review.subresource == subresource
        && review.operation == Operation::Update;
    review.old.filter(|_| is_request)?.pointer("/spec/signerName")?.as_str()
}

/// What a CertificateSigningRequest asks for; `None` when that cannot be read.
fn requested_certificate(request: &Value) -> Option<CertificateRequest> {
    let pem = STANDARD.decode(request["spec"]["request"].as_str()?).ok()?;
    CertificateRequest::from_pem(&pem).ok()
}
