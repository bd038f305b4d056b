//! PersistentVolumeClaimResize: a claim grows when it is bound, and its class allows it.

use async_trait::async_trait;
use serde_json::Value;
use windlass_api::{Quantity, Status, storage_class};
use windlass_machinery::tree::text;

use crate::chain::Plugin;
use crate::review::{Cluster, Review};

pub(super) struct PersistentVolumeClaimResize;

#[async_trait]
impl Plugin for PersistentVolumeClaimResize {
    fn name(&self) -> &'static str {
        "PersistentVolumeClaimResize"
    }

    async fn validate(&self, review: &Review<'_>, cluster: &dyn Cluster) -> Result<(), Status> {
        let (true, Some(new), Some(old)) =
            (review.is_of("", "persistentvolumeclaims"), review.object.as_deref(), review.old)
        else {
            return Ok(());
        };
        if size(new) <= size(old) {
            return Ok(());
        }
        if text(&old["status"], "phase") != "Bound" {
            return Err(review.forbidden("Only bound persistent volume claims can be expanded"));
        }
        let class_of = |claim| storage_class::of_tree(claim).unwrap_or_default();
        let class = class_of(new);
        let allows = |class: &Value| class["allowVolumeExpansion"] == true;
        if class.is_empty()
            || class != class_of(old)
            || !cluster.object("storageclasses.storage.k8s.io", "", class).is_some_and(|class| allows(&class))
        {
            let why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must \
                       support resize";
            return Err(review.forbidden(why));
        }
        Ok(())
    }
}

fn size(claim: &Value) -> Quantity {
    text(&claim["spec"]["resources"]["requests"], "storage").parse().unwrap_or_default()
}
