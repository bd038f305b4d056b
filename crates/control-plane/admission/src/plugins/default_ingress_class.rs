//! DefaultIngressClass: an Ingress that names no class gets the default one.

use async_trait::async_trait;
use serde_json::Value;
use windlass_api::Status;
use windlass_machinery::tree::{child, put, text};

use super::{created, newest};
use crate::chain::Plugin;
use crate::review::{Cluster, Review};

pub(super) struct DefaultIngressClass;

#[async_trait]
impl Plugin for DefaultIngressClass {
    fn name(&self) -> &'static str {
        "DefaultIngressClass"
    }

    async fn admit(&self, review: &mut Review<'_>, cluster: &dyn Cluster) -> Result<(), Status> {
        let Some(ingress) = created(review, "networking.k8s.io", "ingresses") else { return Ok(()) };
        let annotated = ingress["metadata"]["annotations"].get("kubernetes.io/ingress.class").is_some();
        if annotated || ingress["spec"].get("ingressClassName").is_some() {
            return Ok(());
        }
        let classes = cluster.objects("ingressclasses.networking.k8s.io", "").into_iter();
        let is_default = |class: &Value| {
            text(&class["metadata"]["annotations"], "ingressclass.kubernetes.io/is-default-class") == "true"
        };
        if let Some(class) = newest(classes.filter(|class| is_default(class))) {
            put(child(ingress, "spec"), "ingressClassName", text(&class["metadata"], "name"));
        }
        Ok(())
    }
}
