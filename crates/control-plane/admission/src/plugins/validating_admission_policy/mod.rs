//! ValidatingAdmissionPolicy: writes are refused, warned of or noted for the audit log by expressions that administrators write.
//!
//! Every binding of a policy that is about a write evaluates the policy once for each of its parameters ([`evaluator`]). What that
//! [decides](evaluator::Decision) is dealt with as the binding says; the first refusal is what the client hears.
//!
//! Source: apiserver `pkg/admission/plugin/policy/validating`.

mod audit;
mod evaluator;
mod metrics;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use windlass_api::Status;
use windlass_api::status::{Cause, Reason};
use windlass_telemetry::Metrics;

use self::audit::{Annotations, Failures};
use self::evaluator::{Decision, Evaluation, Evaluator, Outcome};
use self::metrics::Figures;
use crate::chain::Plugin;
use crate::matching::is_exempt_from_policies;
use crate::policies::{Action, Applicable, Fault, Forms, Invocation, Policies, Policy, applicable, namespace_of};
use crate::review::{Cluster, Review};

/// The plugin, with the policies as they were last read.
pub(crate) struct ValidatingAdmissionPolicy {
    policies: Policies<Evaluator>,
    figures: Figures,
}

/// What a client hears of a write that is refused.
struct Denial {
    policy: String,
    /// Empty when the policy itself is wrong.
    binding: String,
    message: String,
    reason: Reason,
}

/// What has been decided so far.
#[derive(Default)]
struct Decided {
    /// The first refusal is what the client hears.
    denial: Option<Denial>,
    failures: Failures,
}

impl ValidatingAdmissionPolicy {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let policies = Policies::new(
            "validatingadmissionpolicies.admissionregistration.k8s.io",
            "validatingadmissionpolicybindings.admissionregistration.k8s.io",
            |object| Policy::compile(object, Evaluator::compile),
        );
        Self { policies, figures: Figures::new(metrics) }
    }
}

#[async_trait]
impl Plugin for ValidatingAdmissionPolicy {
    fn name(&self) -> &'static str {
        "ValidatingAdmissionPolicy"
    }

    async fn validate(&self, review: &Review<'_>, cluster: &dyn Cluster) -> Result<(), Status> {
        let hooks = self.policies.hooks(cluster);
        if hooks.is_empty() || is_exempt_from_policies(review) {
            return Ok(());
        }
        let applicable = applicable(&hooks, review, cluster).await;
        if applicable.is_empty() {
            return Ok(());
        }
        let namespace = match applicable.iter().any(|one| one.invoked().is_some()) {
            true => namespace_of(review, cluster)?,
            false => None,
        };
        let forms = Forms::of(&applicable, review, cluster).await;
        let writes = forms.writes(review, cluster);
        let mut decided = Decided::default();
        let mut annotations = Annotations::default();
        for one in applicable {
            let invocation = match one {
                Applicable::Fault(fault) => {
                    decided.fault(fault);
                    continue;
                }
                Applicable::Invocation(invocation) => invocation,
            };
            annotations.begin(review, &invocation.policy.name);
            match writes.of(&invocation.matched) {
                None => {}
                Some(Err(status)) => {
                    let why =
                        format!("failed to configure binding: failed to convert object version: {}", status.message);
                    decided.fault(Fault { policy: invocation.policy, binding: Some(invocation.binding), why });
                }
                Some(Ok(write)) => {
                    for params in &invocation.params {
                        let outcome = invocation.policy.evaluate(write, namespace.as_ref(), params.as_deref());
                        self.settle(&invocation, outcome, review, &mut decided, &mut annotations);
                    }
                }
            }
        }
        annotations.publish(review);
        decided.failures.publish(review);
        decided.denial.map_or(Ok(()), |denial| Err(denial.status(review)))
    }
}

impl ValidatingAdmissionPolicy {
    /// Does about a write what the binding says.
    fn settle(
        &self,
        invocation: &Invocation<'_, '_, Evaluator>,
        outcome: Outcome,
        review: &Review<'_>,
        decided: &mut Decided,
        annotations: &mut Annotations,
    ) {
        let (policy, binding) = (&invocation.policy.name, invocation.binding);
        let observe = |action: &str, decision: &Decision| self.figures.observe(policy, &binding.name, action, decision);
        for (index, decision) in outcome.decisions.into_iter().enumerate() {
            if !decision.denies {
                if decision.evaluation == Evaluation::Error {
                    observe("allow", &decision);
                }
                continue;
            }
            for action in &binding.actions {
                match action {
                    Action::Deny => {
                        observe("deny", &decision);
                        decided.deny(policy, &binding.name, &decision);
                    }
                    Action::Audit => {
                        observe("audit", &decision);
                        decided.failures.add(index, &decision.message, binding, policy);
                    }
                    Action::Warn => {
                        observe("warn", &decision);
                        let (binding, message) = (&binding.name, &decision.message);
                        review.warnings.warn(format!(
                            "Validation failed for ValidatingAdmissionPolicy '{policy}' with binding '{binding}': {message}"
                        ));
                    }
                }
            }
        }
        for annotation in outcome.annotations {
            match annotation {
                Ok((key, value)) => annotations.add(&key, value),
                Err(decision) => {
                    observe("deny", &decision);
                    decided.deny(policy, &binding.name, &decision);
                }
            }
        }
    }
}

impl Decided {
    fn deny(&mut self, policy: &str, binding: &str, decision: &Decision) {
        self.denial.get_or_insert_with(|| Denial {
            policy: policy.to_owned(),
            binding: binding.to_owned(),
            message: decision.message.clone(),
            reason: decision.reason.clone(),
        });
    }

    /// A policy that cannot be asked refuses, unless it says otherwise.
    fn fault(&mut self, fault: Fault<'_, Evaluator>) {
        if fault.policy.fails {
            self.denial.get_or_insert_with(|| Denial {
                policy: fault.policy.name.clone(),
                binding: fault.binding.map(|binding| binding.name.clone()).unwrap_or_default(),
                message: fault.why,
                reason: Reason::Invalid,
            });
        }
    }
}

impl Denial {
    fn status(self, review: &Review<'_>) -> Status {
        let Self { policy, binding, message, reason } = self;
        let with = if binding.is_empty() { String::new() } else { format!(" with binding '{binding}'") };
        let message = format!("ValidatingAdmissionPolicy '{policy}'{with} denied request: {message}");
        let cause = Cause { message: message.clone(), ..Cause::default() };
        let mut status = review.forbidden(message).with_cause(cause);
        status.code = match reason {
            Reason::Forbidden => 403,
            Reason::RequestEntityTooLarge => 413,
            _ => 422,
        };
        status.reason = reason;
        status
    }
}
