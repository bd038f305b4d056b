//! TaintNodesByCondition: a new node gets no pods before it has been seen to be ready.

use async_trait::async_trait;
use serde_json::json;
use windlass_api::Status;
use windlass_api::well_known::taint;
use windlass_machinery::tree::{child, items, set, text};

use super::created;
use crate::chain::Plugin;
use crate::review::{Cluster, Review};

pub(super) struct TaintNodesByCondition;

#[async_trait]
impl Plugin for TaintNodesByCondition {
    fn name(&self) -> &'static str {
        "TaintNodesByCondition"
    }

    async fn admit(&self, review: &mut Review<'_>, _cluster: &dyn Cluster) -> Result<(), Status> {
        let Some(node) = created(review, "", "nodes") else { return Ok(()) };
        let spec = child(node, "spec");
        let tainted =
            items(spec, "taints").any(|t| text(t, "key") == taint::NOT_READY && text(t, "effect") == "NoSchedule");
        if !tainted {
            set(spec, "taints", json!([]));
            if let Some(taints) = spec["taints"].as_array_mut() {
                taints.push(json!({"key": taint::NOT_READY, "effect": "NoSchedule"}));
            }
        }
        Ok(())
    }
}
