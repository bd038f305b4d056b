//! The built-in kinds: one file for each, in a folder for each API group.
//!
//! A kind is a value of [`Resource`]; where it differs from others, its file implements [`Strategy`]: defaults, what a client
//! may not set, validation in upstream's words, the row of `kubectl get`. The request path in the API server treats them all
//! alike. To add a kind: write its file, and add one line to [`all`].

mod address;
mod admissionregistration;
pub mod allocation;
mod apiextensions;
mod apiregistration;
mod apps;
mod authentication;
mod authorization;
mod autoscaling;
mod batch;
mod certificates;
pub mod columns;
mod conditions;
mod coordination;
mod core;
pub mod custom;
pub mod definition;
mod discovery;
mod events;
mod expression_validation;
pub mod first;
pub mod flowcontrol;
mod go_form;
pub mod life;
mod metadata;
mod networking;
mod node;
mod pod_spec;
mod policy;
mod quantities;
mod rbac;
mod scheduling;
mod storage;
mod storagemigration;

mod devices;
mod resource;
mod rules;
mod webhook_client;

pub use admissionregistration::VIRTUAL_RESOURCES;
pub use resource::{
    Grants, Moment, Question, Reads, Resource, ScalePaths, SchemaRef, Scope, SelectableField, StatusMetadata, Strategy,
    Subresource, Verbs, WARNINGS_MAX, not_a_known_field,
};
pub use rules::requirement_values;

/// Every built-in resource, in the order in which discovery lists the groups.
pub fn all() -> Vec<Resource> {
    vec![
        core::binding::resource(),
        core::component_status::resource(),
        core::config_map::resource(),
        core::endpoints::resource(),
        core::event::resource(),
        core::limit_range::resource(),
        core::namespace::resource(),
        core::node::resource(),
        core::persistent_volume::resource(),
        core::persistent_volume_claim::resource(),
        core::pod::resource(),
        core::pod_template::resource(),
        core::replication_controller::resource(),
        core::resource_quota::resource(),
        core::secret::resource(),
        core::service::resource(),
        core::service_account::resource(),
        admissionregistration::mutating_admission_policy::resource(),
        admissionregistration::mutating_admission_policy_binding::resource(),
        admissionregistration::mutating_webhook_configuration::resource(),
        admissionregistration::validating_admission_policy::resource(),
        admissionregistration::validating_admission_policy_binding::resource(),
        admissionregistration::validating_webhook_configuration::resource(),
        apiextensions::custom_resource_definition::resource(),
        apiregistration::api_service::resource(),
        apps::controller_revision::resource(),
        apps::daemon_set::resource(),
        apps::deployment::resource(),
        apps::replica_set::resource(),
        apps::stateful_set::resource(),
        authentication::self_subject_review::resource(),
        authentication::token_review::resource(),
        authorization::local_subject_access_review::resource(),
        authorization::self_subject_access_review::resource(),
        authorization::self_subject_rules_review::resource(),
        authorization::subject_access_review::resource(),
        autoscaling::horizontal_pod_autoscaler::resource(),
        autoscaling::horizontal_pod_autoscaler_v1::resource(),
        batch::cron_job::resource(),
        batch::job::resource(),
        certificates::certificate_signing_request::resource(),
        certificates::cluster_trust_bundle::resource(),
        certificates::pod_certificate_request::resource(),
        coordination::lease::resource(),
        discovery::endpoint_slice::resource(),
        events::event::resource(),
        flowcontrol::flow_schema::resource(),
        flowcontrol::priority_level_configuration::resource(),
        networking::ingress::resource(),
        networking::ingress_class::resource(),
        networking::ip_address::resource(),
        networking::network_policy::resource(),
        networking::service_cidr::resource(),
        node::runtime_class::resource(),
        policy::pod_disruption_budget::resource(),
        rbac::cluster_role::resource(),
        rbac::cluster_role_binding::resource(),
        rbac::role::resource(),
        rbac::role_binding::resource(),
        devices::device_class::resource(),
        devices::device_taint_rule::resource(),
        devices::resource_claim::resource(),
        devices::resource_claim_template::resource(),
        devices::resource_slice::resource(),
        scheduling::priority_class::resource(),
        storage::csi_driver::resource(),
        storage::csi_node::resource(),
        storage::csi_storage_capacity::resource(),
        storage::storage_class::resource(),
        storage::volume_attachment::resource(),
        storage::volume_attributes_class::resource(),
        storagemigration::storage_version_migration::resource(),
    ]
}
