//! MutatingAdmissionWebhook: webhooks that may change what is written, asked one after the other.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::time::Instant;
use windlass_api::Status;

use super::call::call;
use super::configured::{Configurations, Webhook, configurations};
use super::denial::{Denial, failed_closed};
use super::figures::{Asked, Figures};
use super::patch::patched;
use crate::chain::Plugin;
use crate::expressions::Versioned;
use crate::matching::is_exempt;
use crate::review::{AuditAnnotations, Cluster, Review};

const NAME: &str = "MutatingAdmissionWebhook";
const STEP: &str = "admit";
/// Audit annotations that say whether a webhook has changed the object, how, and that it could not be asked.
const MUTATION: &str = "mutation.webhook.admission.k8s.io/";
const PATCH: &str = "patch.webhook.admission.k8s.io/";
const FAILED_OPEN: &str = "failed-open.mutation.webhook.admission.k8s.io/";

pub(crate) struct MutatingAdmissionWebhook {
    configurations: Configurations,
    figures: Arc<Figures>,
}

impl MutatingAdmissionWebhook {
    pub(crate) fn new(figures: Arc<Figures>) -> Self {
        Self { configurations: configurations("mutatingwebhookconfigurations.admissionregistration.k8s.io"), figures }
    }

    /// Asks a webhook that matches, if its conditions hold and it has its turn in this round.
    async fn ask(
        &self,
        webhook: &Webhook,
        index: usize,
        review: &mut Review<'_>,
        cluster: &dyn Cluster,
    ) -> Result<(), Status> {
        let Some(matched) = webhook.matches(review, cluster)? else { return Ok(()) };
        let is_again = review.reinvocation.is_again();
        let has_turn = !is_again || review.reinvocation.of(NAME).has_to_run(&webhook.id);
        let versioned = Versioned::of(review, matched, cluster).await?;
        if !webhook.holds(review, &versioned, cluster)? {
            self.figures.excluded(&webhook.name, STEP, review.operation);
            return Ok(());
        }
        if !has_turn {
            return Ok(());
        }
        let begun = Instant::now();
        let key = format!("round_{}_index_{index}", u8::from(is_again));
        let changed = change(webhook, review, &versioned, cluster, &key).await;
        let asked = Asked { webhook: &webhook.name, step: STEP, operation: review.operation, elapsed: begun.elapsed() };
        self.figures.asked(&asked, changed.as_ref().err(), webhook.fails_open);
        annotate_mutation(webhook, review, &key, matches!(changed, Ok(Some(_))));
        let outcome = match changed {
            Ok(None) => Ok(()),
            Ok(Some(new)) => {
                if let Some(object) = review.object.as_deref_mut() {
                    *object = new;
                }
                review.reinvocation.of(NAME).require_again();
                review.reinvocation.want();
                Ok(())
            }
            Err(Denial::Rejected(status) | Denial::Unusable(status)) => Err(status),
            Err(Denial::Uncalled { why, .. }) if webhook.fails_open => {
                tracing::warn!(webhook = webhook.name, why, "a webhook could not be called, and the write goes on");
                self.figures.failed_open(&webhook.name, STEP);
                annotate(review, &format!("{FAILED_OPEN}{key}"), webhook.name.clone());
                Ok(())
            }
            Err(Denial::Uncalled { why, .. }) => Err(failed_closed(&webhook.name, &why)),
        };
        if webhook.is_reinvoked {
            review.reinvocation.of(NAME).note(webhook.id.clone());
        }
        outcome
    }
}

#[async_trait]
impl Plugin for MutatingAdmissionWebhook {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn admit(&self, review: &mut Review<'_>, cluster: &dyn Cluster) -> Result<(), Status> {
        let configurations = self.configurations.all(cluster);
        if configurations.is_empty() || is_exempt(review) {
            return Ok(());
        }
        let is_again = review.reinvocation.is_again();
        let invoked = review.reinvocation.of(NAME);
        if is_again && invoked.is_changed(review.object.as_deref()) {
            invoked.require_again();
        }
        for (index, webhook) in configurations.iter().flat_map(|(_, webhooks)| webhooks.iter()).enumerate() {
            self.ask(webhook, index, review, cluster).await?;
        }
        review.reinvocation.of(NAME).leave(review.object.as_deref());
        Ok(())
    }
}

/// The object as the webhook wants it, in the form of the request; `None` when it changes nothing.
async fn change(
    webhook: &Webhook,
    review: &Review<'_>,
    versioned: &Versioned<'_>,
    cluster: &dyn Cluster,
    key: &str,
) -> Result<Option<Value>, Denial> {
    let response = call(webhook, review, versioned, cluster, true).await?;
    // The code that upstream counts for answers that are none.
    let Some(patch) = response.patch().map_err(|why| Denial::uncalled(503, why))? else { return Ok(None) };
    let Some(object) = versioned.object.as_deref() else {
        let name = &webhook.name;
        return Err(Denial::Unusable(Status::internal(format_args!(
            "admission webhook {name:?} attempted to modify the object, which is not supported for this operation"
        ))));
    };
    let kind = &*versioned.matched.kind;
    let new = patched(object, kind, &patch, cluster).map_err(Denial::Unusable)?;
    annotate_patch(webhook, review, key, &patch);
    if new == *object {
        return Ok(None);
    }
    if kind == review.kind {
        return Ok(Some(new));
    }
    cluster.convert(new, kind, review.kind).await.map(Some).map_err(Denial::Unusable)
}

fn annotate_mutation(webhook: &Webhook, review: &Review<'_>, key: &str, is_mutated: bool) {
    let value = json!({"configuration": webhook.configuration, "webhook": webhook.name, "mutated": is_mutated});
    annotate(review, &format!("{MUTATION}{key}"), value.to_string());
}

/// The patch itself, which shows parts of the object.
fn annotate_patch(webhook: &Webhook, review: &Review<'_>, key: &str, patch: &Value) {
    if review.warnings.audit().is_some_and(AuditAnnotations::keeps_objects) {
        let (configuration, name) = (&webhook.configuration, &webhook.name);
        let value = json!({"configuration": configuration, "webhook": name, "patch": patch, "patchType": "JSONPatch"});
        annotate(review, &format!("{PATCH}{key}"), value.to_string());
    }
}

fn annotate(review: &Review<'_>, key: &str, value: String) {
    if let Some(audit) = review.warnings.audit() {
        audit.annotate(key, value);
    }
}
