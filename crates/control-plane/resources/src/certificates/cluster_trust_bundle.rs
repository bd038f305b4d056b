//! ClusterTrustBundle: certificates to be trusted, for pods to mount.

use crate::Resource;

pub(crate) fn resource() -> Resource {
    Resource::cluster("certificates.k8s.io", "v1", "ClusterTrustBundle", "clustertrustbundles")
}
