//! What the API's documentation says of types and fields, from k8s-openapi.

use std::collections::HashMap;
use std::sync::OnceLock;

use schemars::generate::SchemaSettings;
use serde_json::Value;
use windlass_api::k8s::api;
use windlass_api::k8s::apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions;
use windlass_api::k8s::kube_aggregator::pkg::apis::apiregistration::v1 as apiregistration;

/// Descriptions of a type and of its fields.
#[derive(Debug, Default)]
pub(super) struct Description {
    pub text: String,
    pub fields: HashMap<String, String>,
}

/// By the type's OpenAPI name. Read at the first use, in some tens of milliseconds.
pub(super) fn descriptions() -> &'static HashMap<String, Description> {
    static ALL: OnceLock<HashMap<String, Description>> = OnceLock::new();
    ALL.get_or_init(read)
}

#[expect(clippy::too_many_lines, reason = "it is a list")]
fn read() -> HashMap<String, Description> {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    macro_rules! add {
        ($($kind:ty),+ $(,)?) => {$( generator.subschema_for::<$kind>(); )+};
    }
    add!(
        api::admissionregistration::v1::MutatingAdmissionPolicy,
        api::admissionregistration::v1::MutatingAdmissionPolicyBinding,
        api::admissionregistration::v1::MutatingWebhookConfiguration,
        api::admissionregistration::v1::ValidatingAdmissionPolicy,
        api::admissionregistration::v1::ValidatingAdmissionPolicyBinding,
        api::admissionregistration::v1::ValidatingWebhookConfiguration,
        api::apps::v1::ControllerRevision,
        api::apps::v1::DaemonSet,
        api::apps::v1::Deployment,
        api::apps::v1::ReplicaSet,
        api::apps::v1::StatefulSet,
        api::authentication::v1::SelfSubjectReview,
        api::authentication::v1::TokenRequest,
        api::authentication::v1::TokenReview,
        api::authorization::v1::LocalSubjectAccessReview,
        api::authorization::v1::SelfSubjectAccessReview,
        api::authorization::v1::SelfSubjectRulesReview,
        api::authorization::v1::SubjectAccessReview,
        api::autoscaling::v1::HorizontalPodAutoscaler,
        api::autoscaling::v1::Scale,
        api::autoscaling::v2::HorizontalPodAutoscaler,
        api::batch::v1::CronJob,
        api::batch::v1::Job,
        api::certificates::v1::CertificateSigningRequest,
        api::certificates::v1::ClusterTrustBundle,
        api::certificates::v1::PodCertificateRequest,
        api::coordination::v1::Lease,
        api::core::v1::Binding,
        api::core::v1::ComponentStatus,
        api::core::v1::ConfigMap,
        api::core::v1::Endpoints,
        api::core::v1::Event,
        api::core::v1::LimitRange,
        api::core::v1::Namespace,
        api::core::v1::Node,
        api::core::v1::PersistentVolume,
        api::core::v1::PersistentVolumeClaim,
        api::core::v1::Pod,
        api::core::v1::PodTemplate,
        api::core::v1::ReplicationController,
        api::core::v1::ResourceQuota,
        api::core::v1::Secret,
        api::core::v1::Service,
        api::core::v1::ServiceAccount,
        api::discovery::v1::EndpointSlice,
        api::events::v1::Event,
        api::flowcontrol::v1::FlowSchema,
        api::flowcontrol::v1::PriorityLevelConfiguration,
        api::networking::v1::IPAddress,
        api::networking::v1::Ingress,
        api::networking::v1::IngressClass,
        api::networking::v1::NetworkPolicy,
        api::networking::v1::ServiceCIDR,
        api::node::v1::RuntimeClass,
        api::policy::v1::Eviction,
        api::policy::v1::PodDisruptionBudget,
        api::rbac::v1::ClusterRole,
        api::rbac::v1::ClusterRoleBinding,
        api::rbac::v1::Role,
        api::rbac::v1::RoleBinding,
        api::resource::v1::DeviceClass,
        api::resource::v1::ResourceClaim,
        api::resource::v1::ResourceClaimTemplate,
        api::resource::v1::ResourceSlice,
        api::scheduling::v1::PriorityClass,
        api::storage::v1::CSIDriver,
        api::storage::v1::CSINode,
        api::storage::v1::CSIStorageCapacity,
        api::storage::v1::StorageClass,
        api::storage::v1::VolumeAttachment,
        api::storage::v1::VolumeAttributesClass,
        apiextensions::CustomResourceDefinition,
        apiregistration::APIService,
        windlass_api::k8s::apimachinery::pkg::apis::meta::v1::DeleteOptions,
        windlass_api::k8s::apimachinery::pkg::apis::meta::v1::ListMeta,
        windlass_api::k8s::apimachinery::pkg::apis::meta::v1::Status,
    );
    generator.take_definitions(true).into_iter().map(|(name, schema)| (name, describe(&schema))).collect()
}

fn describe(schema: &Value) -> Description {
    let text = |value: &Value| value.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
    let properties = schema.get("properties").and_then(Value::as_object);
    let fields = properties.into_iter().flatten().map(|(name, property)| (name.clone(), text(property))).collect();
    Description { text: text(schema), fields }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaks_of_types_and_fields() {
        let all = descriptions();
        let spec = &all["io.k8s.api.core.v1.PodSpec"];
        assert!(!spec.text.is_empty() && spec.fields["containers"].contains("containers"));
        assert!(all.len() > 500, "{}", all.len());
    }
}
