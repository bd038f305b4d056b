//! The built-in resources that components work with.

use crate::gvk::GroupVersionResource;

const fn core(resource: &'static str) -> GroupVersionResource {
    GroupVersionResource::of("", "v1", resource)
}

const fn of(group: &'static str, resource: &'static str) -> GroupVersionResource {
    GroupVersionResource::of(group, "v1", resource)
}

pub const CONFIG_MAPS: GroupVersionResource = core("configmaps");
pub const ENDPOINTS: GroupVersionResource = core("endpoints");
pub const EVENTS: GroupVersionResource = core("events");
pub const NAMESPACES: GroupVersionResource = core("namespaces");
pub const NODES: GroupVersionResource = core("nodes");
pub const PERSISTENT_VOLUMES: GroupVersionResource = core("persistentvolumes");
pub const PERSISTENT_VOLUME_CLAIMS: GroupVersionResource = core("persistentvolumeclaims");
pub const PODS: GroupVersionResource = core("pods");
pub const REPLICATION_CONTROLLERS: GroupVersionResource = core("replicationcontrollers");
pub const RESOURCE_QUOTAS: GroupVersionResource = core("resourcequotas");
pub const SECRETS: GroupVersionResource = core("secrets");
pub const SERVICES: GroupVersionResource = core("services");
pub const SERVICE_ACCOUNTS: GroupVersionResource = core("serviceaccounts");

pub const CONTROLLER_REVISIONS: GroupVersionResource = of("apps", "controllerrevisions");
pub const DAEMON_SETS: GroupVersionResource = of("apps", "daemonsets");
pub const DEPLOYMENTS: GroupVersionResource = of("apps", "deployments");
pub const REPLICA_SETS: GroupVersionResource = of("apps", "replicasets");
pub const STATEFUL_SETS: GroupVersionResource = of("apps", "statefulsets");

pub const CRON_JOBS: GroupVersionResource = of("batch", "cronjobs");
pub const JOBS: GroupVersionResource = of("batch", "jobs");

pub const VALIDATING_ADMISSION_POLICIES: GroupVersionResource =
    of("admissionregistration.k8s.io", "validatingadmissionpolicies");
pub const CUSTOM_RESOURCE_DEFINITIONS: GroupVersionResource = of("apiextensions.k8s.io", "customresourcedefinitions");
pub const CERTIFICATE_SIGNING_REQUESTS: GroupVersionResource = of("certificates.k8s.io", "certificatesigningrequests");
pub const CLUSTER_TRUST_BUNDLES: GroupVersionResource = of("certificates.k8s.io", "clustertrustbundles");
pub const POD_CERTIFICATE_REQUESTS: GroupVersionResource = of("certificates.k8s.io", "podcertificaterequests");
pub const CLUSTER_ROLES: GroupVersionResource = of("rbac.authorization.k8s.io", "clusterroles");
pub const ENDPOINT_SLICES: GroupVersionResource = of("discovery.k8s.io", "endpointslices");
pub const LEASES: GroupVersionResource = of("coordination.k8s.io", "leases");
pub const POD_DISRUPTION_BUDGETS: GroupVersionResource = of("policy", "poddisruptionbudgets");
pub const PRIORITY_CLASSES: GroupVersionResource = of("scheduling.k8s.io", "priorityclasses");
pub const RUNTIME_CLASSES: GroupVersionResource = of("node.k8s.io", "runtimeclasses");
pub const SERVICE_CIDRS: GroupVersionResource = of("networking.k8s.io", "servicecidrs");
pub const STORAGE_VERSION_MIGRATIONS: GroupVersionResource = of("storagemigration.k8s.io", "storageversionmigrations");

pub const VOLUME_ATTRIBUTES_CLASSES: GroupVersionResource = of("storage.k8s.io", "volumeattributesclasses");
