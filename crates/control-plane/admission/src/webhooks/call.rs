//! One question to one webhook.

use serde_json::{Value, json};
use windlass_webhook::{Answer, CallError};

use super::configured::Webhook;
use super::denial::{Denial, no_dry_run, rejection};
use super::response::{GROUP, KIND, Response};
use crate::expressions::Versioned;
use crate::request::{Contents, with_contents, with_type};
use crate::review::{Cluster, Review};

/// Upstream's codes for metrics, where no webhook has said one.
const NO_REVIEW: u16 = 400;
const NO_CLIENT: u16 = 500;
const NO_ANSWER: u16 = 503;

/// Asks a webhook about a write, in the form in which it matches. Warnings and annotations of the answer are passed on.
pub(super) async fn call(
    webhook: &Webhook,
    review: &Review<'_>,
    versioned: &Versioned<'_>,
    cluster: &dyn Cluster,
    may_patch: bool,
) -> Result<Response, Denial> {
    if review.dry_run && !webhook.takes_dry_run {
        return Err(Denial::Unusable(no_dry_run(&webhook.name)));
    }
    let known = webhook.review_versions.iter().find(|version| ["v1", "v1beta1"].contains(&version.as_str()));
    let version = known.ok_or_else(|| {
        let why = "webhook does not accept known AdmissionReview versions (v1, v1beta1)";
        Denial::uncalled(NO_REVIEW, format!("could not create admission objects: {why}"))
    })?;
    let client = webhook.client.as_ref().map_err(|error| uncalled(error.clone().into()))?;
    let uid = cluster.new_uid();
    let body = question(review, versioned, version, &uid).to_string();
    let answer = cluster.call_webhook(client, body.into(), webhook.timeout).await;
    let Answer { body, code, content_type } = answer.map_err(uncalled)?;
    if body.is_empty() {
        let why = format!("0-length response with status code: {code} and content type: {content_type}");
        return Err(Denial::uncalled(NO_ANSWER, format!("failed to call webhook: {why}")));
    }
    let response = Response::read(&body, version, &uid, may_patch)
        .map_err(|why| Denial::uncalled(NO_ANSWER, format!("received invalid webhook response: {why}")))?;
    if let Some(audit) = review.warnings.audit() {
        let annotations = &response.audit_annotations;
        annotations.iter().for_each(|(key, value)| audit.annotate(&format!("{}/{key}", webhook.name), value.clone()));
    }
    response.warnings.iter().for_each(|warning| review.warnings.warn(warning.clone()));
    if !response.allowed {
        return Err(Denial::Rejected(rejection(&webhook.name, response.result.as_ref())));
    }
    Ok(response)
}

fn uncalled(error: CallError) -> Denial {
    let (code, what) = match &error {
        CallError::Config(_) => (NO_CLIENT, "could not get REST client"),
        CallError::Refused(status) => (status.code, "failed to call webhook"),
        CallError::Exchange { .. } | CallError::Body(_) => (NO_ANSWER, "failed to call webhook"),
    };
    Denial::uncalled(code, format!("{what}: {error}"))
}

/// The AdmissionReview that asks.
fn question(review: &Review<'_>, versioned: &Versioned<'_>, version: &str, uid: &str) -> Value {
    let kind = &versioned.matched.kind;
    let shown = |object: Option<&Value>| object.map_or(Value::Null, |object| with_type(object.clone(), kind));
    let (object, old_object) = (shown(versioned.object.as_deref()), shown(versioned.old.as_deref()));
    let request = with_contents(review, &versioned.matched, Contents { uid, object, old_object });
    json!({"kind": KIND, "apiVersion": format!("{GROUP}/{version}"), "request": request})
}
