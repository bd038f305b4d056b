//! Eviction: a deletion that asks the pod's disruption budgets first.
//!
//! Source: upstream `pkg/registry/core/pod/storage/eviction.go`.

use std::sync::Arc;

use serde_json::{Value, json};
use windlass_api::labels::Selector;
use windlass_api::pod::disruption_target;
use windlass_api::status::Cause;
use windlass_api::{GroupVersionKind, GroupVersionResource, Status, Timestamp, condition, time};
use windlass_client::{DeleteOptions, PatchType, Request, Verb};
use windlass_machinery::tree::{child, number, put, text};
use windlass_resources::{Subresource, life};

use crate::body::BodyKind;
use crate::call::Call;
use crate::outcome::Outcome;
use crate::storage::tree;
use crate::verbs::delete::delete_object;
use crate::verbs::update::change;

const EVICTION: GroupVersionKind = GroupVersionKind::of("policy", "v1", "Eviction");
const BUDGETS: GroupVersionResource = GroupVersionResource::of("policy", "v1", "poddisruptionbudgets");
const BUDGETS_TABLE: &str = "poddisruptionbudgets.policy";

pub(super) async fn evict(call: &Call<'_>) -> Result<Outcome, Status> {
    let request = call.request;
    let mut eviction = call.body_as(BodyKind::builtin(&EVICTION)?)?;
    life::ask(&mut eviction, &Call { asks: Some(&EVICTION), ..*call }, |eviction| {
        let said = text(&eviction["metadata"], "name");
        if said.is_empty() || said == request.name {
            return Ok(());
        }
        Err(Status::bad_request("name in URL does not match name in Eviction object"))
    })
    .await?;
    // What the eviction does to the pod, admission is not asked again.
    let call = &Call { is_admitted: true, ..*call };
    let options: DeleteOptions = match eviction.get("deleteOptions") {
        None | Some(Value::Null) => DeleteOptions::default(),
        Some(options) => serde_json::from_value(options.clone()).map_err(|e| Status::bad_request(e.to_string()))?,
    };
    let pod = tree(call.served, &*call.stored()?)?;
    let dry_run = request.options.dry_run || !options.dry_run.is_empty();
    if needs_budget(&pod) {
        take_from_budget(call, &pod, dry_run).await?;
    }
    if !dry_run && pod["metadata"].get("deletionTimestamp").is_none() {
        let now = call.storage.clock.now();
        change(call, |old| Ok(evicted(old, now))).await?;
    }
    let mut delete = Request { verb: Verb::Delete, subresource: "".into(), ..request.clone() };
    delete.options.dry_run = dry_run;
    delete_object(&Call { request: &delete, subresource: None, ..*call }, &options).await?;
    Ok(Outcome::success_of_creation())
}

/// Counts the eviction against the one budget that covers the pod, or refuses.
async fn take_from_budget(call: &Call<'_>, pod: &Value, dry_run: bool) -> Result<(), Status> {
    let request = call.request;
    let budgets = call.storage.objects(BUDGETS_TABLE, &request.namespace);
    let budgets: Vec<Arc<Value>> = budgets.into_iter().filter(|budget| covers(budget, pod)).collect();
    let budget = match budgets.as_slice() {
        [] => return Ok(()),
        [only] => only,
        _ => {
            let text =
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
            return Err(Status::new(500, windlass_api::status::Reason::Unknown, text));
        }
    };
    let policy = text(&budget["spec"], "unhealthyPodEvictionPolicy");
    let desired = number(&budget["status"], "desiredHealthy");
    let healthy_enough = number(&budget["status"], "currentHealthy") >= desired && desired > 0;
    if !is_ready(pod) && (policy == "AlwaysAllow" || healthy_enough) {
        return Ok(());
    }
    let served = &call.storage.find(&BUDGETS)?;
    let name = text(&budget["metadata"], "name").to_owned();
    let mut status = Request::new(Verb::Patch(PatchType::Merge), &BUDGETS)
        .namespace(request.namespace.as_str())
        .name(name.as_str())
        .subresource("status");
    status.options.dry_run = dry_run;
    let now = call.storage.clock.now();
    let subresource = Some(Subresource::Status);
    let of_budget = Call { served, request: &status, subresource, is_admitted: false, ..*call };
    change(&of_budget, |old| disrupted(old, &request.name, &name, now)).await?;
    Ok(())
}

/// The pod, which says why it goes: those who count failures look at this.
fn evicted(pod: &Value, now: Timestamp) -> Value {
    let mut pod = pod.clone();
    let mut target = json!(disruption_target("EvictionByEvictionAPI", "Eviction API: evicting", 0));
    put(&mut target, "lastProbeTime", Value::Null);
    let status = child(&mut pod, "status");
    let mut conditions = condition::list(status).to_vec();
    condition::set(&mut conditions, target, now);
    put(status, "conditions", conditions);
    pod
}

/// A pod that has ended, or was never started, disturbs nobody.
fn needs_budget(pod: &Value) -> bool {
    let phase = text(&pod["status"], "phase");
    !windlass_api::pod::has_ended(phase) && phase != "Pending" && pod["metadata"].get("deletionTimestamp").is_none()
}

fn covers(budget: &Value, pod: &Value) -> bool {
    let structure = serde_json::from_value(budget["spec"]["selector"].clone()).ok();
    let labels: std::collections::BTreeMap<String, String> =
        serde_json::from_value(pod["metadata"]["labels"].clone()).unwrap_or_default();
    Selector::from_structure(structure.as_ref()).is_ok_and(|selector| selector.matches(&labels))
}

fn is_ready(pod: &Value) -> bool {
    condition::is_true(condition::list(&pod["status"]), "Ready")
}

/// The budget with one more disruption on its account.
fn disrupted(budget: &Value, pod: &str, name: &str, now: Timestamp) -> Result<Value, Status> {
    let status = &budget["status"];
    let refuse = |message: String, retry_after_seconds| {
        let cause = Cause { reason: "DisruptionBudget".to_owned(), message, ..Cause::default() };
        let text = "Cannot evict pod as it would violate the pod's disruption budget.";
        Status::too_many_requests(text, retry_after_seconds).with_cause(cause)
    };
    if number(status, "observedGeneration") < number(&budget["metadata"], "generation") {
        let seconds = 10;
        return Err(refuse(format!("The disruption budget {name} is still being processed by the server."), seconds));
    }
    let allowed = number(status, "disruptionsAllowed");
    if allowed <= 0 {
        let message = format!(
            "The disruption budget {name} needs {} healthy pods and has {} currently",
            number(status, "desiredHealthy"),
            number(status, "currentHealthy")
        );
        return Err(refuse(message, 0));
    }
    let mut new = budget.clone();
    let generation = number(&budget["metadata"], "generation");
    let status = child(&mut new, "status");
    put(status, "disruptionsAllowed", allowed - 1);
    if allowed == 1 {
        let mut conditions = condition::list(status).to_vec();
        let exhausted = json!({"type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods", "message": "",
            "observedGeneration": generation});
        condition::set(&mut conditions, exhausted, now);
        put(status, "conditions", conditions);
    }
    put(child(status, "disruptedPods"), pod, time::rfc3339(now));
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets() {
        let budget = json!({"metadata": {"generation": 1}, "spec": {"selector": {"matchLabels": {"a": "b"}}},
            "status": {"observedGeneration": 1, "disruptionsAllowed": 1}});
        let pod = json!({"metadata": {"labels": {"a": "b"}}, "status": {"phase": "Running"}});
        assert!(covers(&budget, &pod) && needs_budget(&pod));
        let after = disrupted(&budget, "p", "x", Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(
            after["status"],
            json!({"observedGeneration": 1, "disruptionsAllowed": 0, "disruptedPods": {"p": "1970-01-01T00:00:00Z"},
                "conditions": [{"type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods", "message": "",
                    "observedGeneration": 1, "lastTransitionTime": "1970-01-01T00:00:00Z"}]})
        );
        let refused = disrupted(&after, "q", "x", Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!((refused.code, refused.details.unwrap().causes[0].reason.as_str()), (429, "DisruptionBudget"));
    }
}
