//! DefaultStorageClass: a claim that names no class gets the default one.

use async_trait::async_trait;
use serde_json::Value;
use windlass_api::{Status, storage_class};
use windlass_machinery::tree::{child, put, text};

use super::{created, newest};
use crate::chain::Plugin;
use crate::review::{Cluster, Review};

const MARKS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

pub(super) struct DefaultStorageClass;

#[async_trait]
impl Plugin for DefaultStorageClass {
    fn name(&self) -> &'static str {
        "DefaultStorageClass"
    }

    async fn admit(&self, review: &mut Review<'_>, cluster: &dyn Cluster) -> Result<(), Status> {
        let Some(claim) = created(review, "", "persistentvolumeclaims") else { return Ok(()) };
        if storage_class::of_tree(claim).is_some() {
            return Ok(());
        }
        let classes = cluster.objects("storageclasses.storage.k8s.io", "").into_iter();
        if let Some(class) = newest(classes.filter(|class| is_default(class))) {
            put(child(claim, "spec"), "storageClassName", text(&class["metadata"], "name"));
        }
        Ok(())
    }
}

fn is_default(class: &Value) -> bool {
    MARKS.iter().any(|mark| text(&class["metadata"]["annotations"], mark) == "true")
}
