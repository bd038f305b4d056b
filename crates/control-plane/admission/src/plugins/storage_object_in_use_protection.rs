//! StorageObjectInUseProtection: claims, volumes and volume attributes classes are held by a finalizer until nobody uses them.

use async_trait::async_trait;
use serde_json::json;
use windlass_api::Status;
use windlass_api::well_known::finalizer;
use windlass_machinery::tree::{child, items, set};

use super::created;
use crate::chain::Plugin;
use crate::review::{Cluster, Review};

pub(super) struct StorageObjectInUseProtection;

#[async_trait]
impl Plugin for StorageObjectInUseProtection {
    fn name(&self) -> &'static str {
        "StorageObjectInUseProtection"
    }

    async fn admit(&self, review: &mut Review<'_>, _cluster: &dyn Cluster) -> Result<(), Status> {
        for (group, resource, name) in [
            ("", "persistentvolumeclaims", finalizer::PVC_PROTECTION),
            ("", "persistentvolumes", finalizer::PV_PROTECTION),
            ("storage.k8s.io", "volumeattributesclasses", finalizer::VAC_PROTECTION),
        ] {
            let Some(object) = created(review, group, resource) else { continue };
            let metadata = child(object, "metadata");
            if !items(metadata, "finalizers").any(|finalizer| finalizer == name) {
                set(metadata, "finalizers", json!([]));
                if let Some(finalizers) = metadata["finalizers"].as_array_mut() {
                    finalizers.push(json!(name));
                }
            }
        }
        Ok(())
    }
}
