//! DefaultIngressClass: an Ingress that names no class gets the default one.

use async_trait::async_trait;
use windlass_api::Status;
use windlass_machinery::tree::{child, put, text};

use super::created;
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
        let classes = cluster.objects("ingressclasses.networking.k8s.io", "");
        let mut defaults = classes
            .iter()
            .filter(|c| text(&c["metadata"]["annotations"], "ingressclass.kubernetes.io/is-default-class") == "true");
        match (defaults.next(), defaults.count()) {
            (None, _) => Ok(()),
            (Some(class), 0) => {
                put(child(ingress, "spec"), "ingressClassName", text(&class["metadata"], "name"));
                Ok(())
            }
            (Some(_), more) => {
                let why = format!("{} default IngressClasses were found, only 1 allowed", more + 1);
                Err(review.forbidden(why))
            }
        }
    }
}
