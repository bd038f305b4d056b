//! ValidatingAdmissionWebhook: webhooks that may only refuse, asked all at once.

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::join_all;
use tokio::time::Instant;
use windlass_api::Status;

use super::call::call;
use super::configured::{Configurations, Webhook, configurations};
use super::denial::{Denial, failed_closed};
use super::figures::{Asked, Figures};
use crate::chain::Plugin;
use crate::expressions::Versioned;
use crate::matching::is_exempt;
use crate::review::{Cluster, Review};

const STEP: &str = "validating";
/// The audit annotation that says that a webhook could not be asked.
const FAILED_OPEN: &str = "failed-open.validating.webhook.admission.k8s.io/";

pub(crate) struct ValidatingAdmissionWebhook {
    configurations: Configurations,
    figures: Arc<Figures>,
}

impl ValidatingAdmissionWebhook {
    pub(crate) fn new(figures: Arc<Figures>) -> Self {
        Self { configurations: configurations("validatingwebhookconfigurations.admissionregistration.k8s.io"), figures }
    }

    async fn ask(
        &self,
        webhook: &Webhook,
        index: usize,
        review: &Review<'_>,
        versioned: &Versioned<'_>,
        cluster: &dyn Cluster,
    ) -> Result<(), Status> {
        let begun = Instant::now();
        let denial = call(webhook, review, versioned, cluster, false).await.err();
        let asked = Asked { webhook: &webhook.name, step: STEP, operation: review.operation, elapsed: begun.elapsed() };
        self.figures.asked(&asked, denial.as_ref(), webhook.fails_open);
        match denial {
            None => Ok(()),
            Some(Denial::Rejected(status) | Denial::Unusable(status)) => Err(status),
            Some(Denial::Uncalled { why, .. }) if webhook.fails_open => {
                tracing::warn!(webhook = webhook.name, why, "a webhook could not be called, and the write goes on");
                self.figures.failed_open(&webhook.name, STEP);
                if let Some(audit) = review.warnings.audit() {
                    audit.annotate(&format!("{FAILED_OPEN}round_0_index_{index}"), webhook.name.clone());
                }
                Ok(())
            }
            Some(Denial::Uncalled { why, .. }) => Err(failed_closed(&webhook.name, &why)),
        }
    }
}

#[async_trait]
impl Plugin for ValidatingAdmissionWebhook {
    fn name(&self) -> &'static str {
        "ValidatingAdmissionWebhook"
    }

    async fn validate(&self, review: &Review<'_>, cluster: &dyn Cluster) -> Result<(), Status> {
        let configurations = self.configurations.all(cluster);
        if configurations.is_empty() || is_exempt(review) {
            return Ok(());
        }
        let mut relevant: Vec<(&Webhook, Versioned<'_>)> = Vec::new();
        for webhook in configurations.iter().flat_map(|(_, webhooks)| webhooks.iter()) {
            let Some(matched) = webhook.matches(review, cluster)? else { continue };
            let versioned = Versioned::of(review, matched, cluster).await?;
            if webhook.holds(review, &versioned, cluster)? {
                relevant.push((webhook, versioned));
            } else {
                self.figures.excluded(&webhook.name, STEP, review.operation);
            }
        }
        let asked = relevant.iter().enumerate();
        let asked = asked.map(|(index, (webhook, versioned))| self.ask(webhook, index, review, versioned, cluster));
        // All are waited for, as upstream, so that what they do beside comes to an end.
        join_all(asked).await.into_iter().collect()
    }
}
