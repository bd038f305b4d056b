//! Labels, annotations, taints and finalizers that carry meaning between components.
//!
//! Source: <https://kubernetes.io/docs/reference/labels-annotations-taints/>.

pub mod label {
    pub const HOSTNAME: &str = "kubernetes.io/hostname";
    pub const OS: &str = "kubernetes.io/os";
    pub const ARCH: &str = "kubernetes.io/arch";
    pub const BETA_OS: &str = "beta.kubernetes.io/os";
    pub const BETA_ARCH: &str = "beta.kubernetes.io/arch";
    pub const ZONE: &str = "topology.kubernetes.io/zone";
    pub const REGION: &str = "topology.kubernetes.io/region";
    pub const METADATA_NAME: &str = "kubernetes.io/metadata.name";
    pub const SERVICE_NAME: &str = "kubernetes.io/service-name";
    pub const SERVICE_PROXY_NAME: &str = "service.kubernetes.io/service-proxy-name";
    pub const HEADLESS: &str = "service.kubernetes.io/headless";
    pub const ENDPOINTSLICE_MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
    pub const SKIP_MIRROR: &str = "endpointslice.kubernetes.io/skip-mirror";
    pub const POD_TEMPLATE_HASH: &str = "pod-template-hash";
    pub const CONTROLLER_REVISION_HASH: &str = "controller-revision-hash";
    pub const RBAC_BOOTSTRAPPING: &str = "kubernetes.io/bootstrapping";
}

pub mod annotation {
    pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
    pub const DEPLOYMENT_REVISION: &str = "deployment.kubernetes.io/revision";
    pub const DEPLOYMENT_REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
    pub const DEPLOYMENT_DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
    pub const DEPLOYMENT_MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";
    pub const POD_DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
    pub const ENDPOINTS_LAST_CHANGE: &str = "endpoints.kubernetes.io/last-change-trigger-time";
    pub const ENDPOINTS_OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
    pub const SERVICE_ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
    pub const SERVICE_ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";
    pub const CONFIG_SOURCE: &str = "kubernetes.io/config.source";
    pub const CONFIG_HASH: &str = "kubernetes.io/config.hash";
    pub const CONFIG_MIRROR: &str = "kubernetes.io/config.mirror";
    pub const VOLUMES_ATTACH_DETACH: &str = "volumes.kubernetes.io/controller-managed-attach-detach";
    /// The class of a volume or a claim, before it was a field.
    pub const STORAGE_CLASS: &str = "volume.beta.kubernetes.io/storage-class";
    /// The mount options of a volume, before they were a field.
    pub const MOUNT_OPTIONS: &str = "volume.beta.kubernetes.io/mount-options";
    /// The AppArmor profile of the container whose name follows, before it was a field.
    pub const APP_ARMOR_PREFIX: &str = "container.apparmor.security.beta.kubernetes.io/";
    /// The seccomp profile of the pod, and of the container whose name follows, before they were fields.
    pub const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
    pub const SECCOMP_CONTAINER_PREFIX: &str = "container.seccomp.security.alpha.kubernetes.io/";
    pub const RBAC_AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";
}

pub mod taint {
    pub const NOT_READY: &str = "node.kubernetes.io/not-ready";
    pub const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
    pub const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
    pub const MEMORY_PRESSURE: &str = "node.kubernetes.io/memory-pressure";
    pub const DISK_PRESSURE: &str = "node.kubernetes.io/disk-pressure";
    pub const PID_PRESSURE: &str = "node.kubernetes.io/pid-pressure";
    pub const NETWORK_UNAVAILABLE: &str = "node.kubernetes.io/network-unavailable";
    /// The cluster autoscaler is about to delete the node.
    pub const TO_BE_DELETED: &str = "ToBeDeletedByClusterAutoscaler";
}

pub mod finalizer {
    /// Dependents are orphaned before the owner goes.
    pub const ORPHAN: &str = "orphan";
    /// Dependents that block are deleted before the owner goes.
    pub const FOREGROUND: &str = "foregroundDeletion";
    /// On namespaces, in `spec.finalizers`.
    pub const KUBERNETES: &str = "kubernetes";
    pub const PVC_PROTECTION: &str = "kubernetes.io/pvc-protection";
    pub const PV_PROTECTION: &str = "kubernetes.io/pv-protection";
    /// On definitions of custom resources, until their objects have gone.
    pub const CUSTOM_RESOURCE_CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";
    /// On volume attributes classes.
    pub const VAC_PROTECTION: &str = "kubernetes.io/vac-protection";
}

pub mod namespace {
    pub const DEFAULT: &str = "default";
    pub const KUBE_SYSTEM: &str = "kube-system";
    pub const KUBE_PUBLIC: &str = "kube-public";
    pub const KUBE_NODE_LEASE: &str = "kube-node-lease";
}

pub mod user {
    pub const ANONYMOUS: &str = "system:anonymous";
    /// A kubelet is this and the name of its node ([`of_node`]).
    pub const NODE_PREFIX: &str = "system:node:";

    /// The user that a node's kubelet is.
    pub fn of_node(node: &str) -> String {
        format!("{NODE_PREFIX}{node}")
    }
}

/// Extra fields of users.
pub mod extra {
    pub const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";
    pub const NODE_NAME: &str = "authentication.kubernetes.io/node-name";
}

pub mod group {
    pub const MASTERS: &str = "system:masters";
    pub const AUTHENTICATED: &str = "system:authenticated";
    pub const UNAUTHENTICATED: &str = "system:unauthenticated";
    pub const NODES: &str = "system:nodes";
    pub const SERVICE_ACCOUNTS: &str = "system:serviceaccounts";
}
