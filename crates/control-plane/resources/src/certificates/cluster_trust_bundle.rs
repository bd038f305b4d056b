//! ClusterTrustBundle: certificates to be trusted, for pods to mount.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::names;

use crate::columns::{self, or_none, word};
use crate::{Resource, Strategy};

pub(crate) fn resource() -> Resource {
    Resource::cluster("certificates.k8s.io", "v1", "ClusterTrustBundle", "clustertrustbundles")
        .name_rule(names::path_segment)
        .selectable(&[("spec.signerName", "/spec/signerName")])
        .columns(columns::list(&["Name", "SignerName"]))
        .updates_need_version()
        .strategy(ClusterTrustBundle)
}

struct ClusterTrustBundle;

impl Strategy for ClusterTrustBundle {
    fn cells(&self, object: &Value, _now: Timestamp) -> Vec<Value> {
        vec![columns::name(object), or_none(Some(word(object, "/spec/signerName")))]
    }
}
