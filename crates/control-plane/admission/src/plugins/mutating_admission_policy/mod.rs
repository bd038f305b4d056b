//! MutatingAdmissionPolicy: objects that are written are changed by expressions that administrators write.
//!
//! Every binding of a policy that is about a write evaluates the policy's [mutations](mutation) in their order, once for each of its
//! parameters. What is changed is seen by those that come later, and, in a second round, by those that ask for it
//! ([`Reinvocation`](crate::Reinvocation)).
//!
//! Source: apiserver `pkg/admission/plugin/policy/mutating`.

mod metrics;
mod mutation;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use serde_json::Value;
use tokio::time::Instant;
use windlass_api::Status;
use windlass_api::status::{Cause, Reason};
use windlass_api::text::quoted;
use windlass_cel::admission::{Declarations, Environment};
use windlass_machinery::tree::{items, text};
use windlass_telemetry::Metrics;

use self::metrics::Figures;
use self::mutation::{Failure, Mutation};
use crate::chain::Plugin;
use crate::expressions::{Inputs, Versioned, Write};
use crate::matching::is_exempt_from_policies;
use crate::policies::{Applicable, Invocation, Policies, Policy, applicable, namespace_of};
use crate::review::{Cluster, Review};

const NAME: &str = "MutatingAdmissionPolicy";

/// The plugin, with the policies as they were last read.
pub(crate) struct MutatingAdmissionPolicy {
    policies: Policies<Mutations>,
    figures: Figures,
}

/// What a policy does.
pub(super) struct Mutations {
    all: Vec<Mutation>,
    /// It runs again when others change the object after it.
    reinvokes: bool,
}

/// Why a policy has not done what it should.
struct PolicyError {
    message: String,
    /// `None` when it could not be asked at all.
    reason: Option<Reason>,
}

impl MutatingAdmissionPolicy {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let policies = Policies::new(
            "mutatingadmissionpolicies.admissionregistration.k8s.io",
            "mutatingadmissionpolicybindings.admissionregistration.k8s.io",
            |object| Policy::compile(object, Mutations::compile),
        );
        Self { policies, figures: Figures::new(metrics) }
    }
}

impl Mutations {
    fn compile(spec: &Value, environment: &Environment, declarations: Declarations) -> Self {
        let compile = |mutation: &Value| Mutation::compile(mutation, environment, declarations);
        Self {
            all: items(spec, "mutations").filter_map(compile).collect(),
            reinvokes: text(spec, "reinvocationPolicy") == "IfNeeded",
        }
    }
}

#[async_trait]
impl Plugin for MutatingAdmissionPolicy {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn admit(&self, review: &mut Review<'_>, cluster: &dyn Cluster) -> Result<(), Status> {
        let hooks = self.policies.hooks(cluster);
        if hooks.is_empty() || is_exempt_from_policies(review) {
            return Ok(());
        }
        let (mut errors, mut invocations) = (Vec::new(), Vec::new());
        for one in applicable(&hooks, review, cluster).await {
            match one {
                Applicable::Invocation(invocation) if invocation.params.is_empty() => {}
                Applicable::Invocation(invocation) => invocations.push(invocation),
                Applicable::Fault(fault) => {
                    let binding = fault.binding.map(|binding| &*binding.name);
                    errors.extend(policy_error(fault.policy, binding, &fault.why, None));
                }
            }
        }
        if !invocations.is_empty() {
            self.invoke_all(&invocations, review, cluster, &mut errors).await?;
        }
        denial(errors, review)
    }
}

impl MutatingAdmissionPolicy {
    async fn invoke_all(
        &self,
        invocations: &[Invocation<'_, '_, Mutations>],
        review: &mut Review<'_>,
        cluster: &dyn Cluster,
        errors: &mut Vec<PolicyError>,
    ) -> Result<(), Status> {
        let is_again = review.reinvocation.is_again();
        let invoked = review.reinvocation.of(NAME);
        if is_again && invoked.is_changed(review.object.as_deref()) {
            invoked.require_again();
        }
        let namespace = namespace_of(review, cluster)?;
        let mut has_patched = false;
        for invocation in invocations {
            for params in &invocation.params {
                let of_write = OfWrite { params: params.as_deref(), namespace: namespace.as_ref(), cluster };
                has_patched |= self.invoke(invocation, &of_write, review, errors).await?;
            }
        }
        let invoked = review.reinvocation.of(NAME);
        invoked.leave(review.object.as_deref());
        if has_patched {
            invoked.require_again();
            review.reinvocation.want();
        }
        Ok(())
    }

    /// Evaluates a policy for a write, with parameters; whether it has patched the object, be it with what it had.
    async fn invoke(
        &self,
        invocation: &Invocation<'_, '_, Mutations>,
        of_write: &OfWrite<'_>,
        review: &mut Review<'_>,
        errors: &mut Vec<PolicyError>,
    ) -> Result<bool, Status> {
        let (policy, binding) = (invocation.policy, &*invocation.binding.name);
        let key = key(&policy.name, binding, of_write.params);
        let versioned = match Versioned::of(review, invocation.matched.clone(), of_write.cluster).await {
            Ok(versioned) => versioned,
            Err(status) => {
                let why = format!("failed to configure policy: {}", status.message);
                errors.extend(policy_error(policy, None, &why, None));
                return Ok(false);
            }
        };
        let write = Write::of(review, &versioned, of_write.cluster);
        match policy.conditions.evaluate(&of_write.inputs(invocation, &write), &policy.variables) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(why) => {
                errors.extend(policy_error(policy, Some(binding), &why, Some(Reason::Invalid)));
                return Ok(false);
            }
        }
        if review.reinvocation.is_again() && !review.reinvocation.of(NAME).has_to_run(&key) {
            return Ok(false);
        }
        let mut has_patched = false;
        for mutation in &policy.evaluator.all {
            if review.object.is_none() {
                break;
            }
            let started = Instant::now();
            let result = self.mutate(mutation, invocation, of_write, review).await;
            let error = match &result {
                Ok(()) => None,
                Err(Failure::Policy(why)) => Some(&**why),
                Err(Failure::Server(status)) => Some(&*status.message),
            };
            self.figures.observe(&policy.name, binding, started.elapsed(), error);
            match result {
                Ok(()) => has_patched = true,
                Err(Failure::Server(status)) => return Err(status),
                Err(Failure::Policy(why)) => {
                    errors.extend(policy_error(policy, Some(binding), &why, Some(Reason::Invalid)));
                }
            }
        }
        if policy.evaluator.reinvokes {
            review.reinvocation.of(NAME).note(key);
        }
        Ok(has_patched)
    }

    /// Changes the object of the write, in the version that the policy matches.
    async fn mutate(
        &self,
        mutation: &Mutation,
        invocation: &Invocation<'_, '_, Mutations>,
        of_write: &OfWrite<'_>,
        review: &mut Review<'_>,
    ) -> Result<(), Failure> {
        let (matched, cluster) = (&invocation.matched, of_write.cluster);
        let versioned = Versioned::of(review, matched.clone(), cluster).await.map_err(Failure::Server)?;
        let Some(object) = versioned.object.as_deref() else { return Ok(()) };
        let write = Write::of(review, &versioned, cluster);
        let inputs = of_write.inputs(invocation, &write).with_namespace(of_write.namespace);
        let mut changed = mutation.apply(object, &matched.kind, &inputs, &invocation.policy.variables, cluster)?;
        if *matched.kind != *review.kind {
            let converted = cluster.convert(changed, &matched.kind, review.kind).await;
            changed = converted.map_err(|status| {
                Failure::Server(Status::internal(format_args!("failed to convert object: {}", status.message)))
            })?;
        }
        let is_changed = review.object.as_deref() != Some(&changed);
        if is_changed {
            // Those that come before see it in the second round.
            review.reinvocation.of(NAME).require_again();
        }
        if let Some(object) = review.object.as_deref_mut() {
            *object = changed;
        }
        Ok(())
    }
}

/// What all evaluations for a write share.
struct OfWrite<'a> {
    params: Option<&'a Value>,
    namespace: Option<&'a Value>,
    cluster: &'a dyn Cluster,
}

impl<'a> OfWrite<'a> {
    /// What expressions may name; match conditions do not see the namespace.
    fn inputs(&'a self, invocation: &'a Invocation<'_, '_, Mutations>, write: &'a Write<'a>) -> Inputs<'a> {
        let kind = invocation.policy.params.as_ref().map(|params| &params.kind);
        Inputs::of(write).with_params(self.params.zip(kind))
    }
}

/// What tells the evaluations for one write apart.
fn key(policy: &str, binding: &str, params: Option<&Value>) -> String {
    let of = |field| params.map_or("", |params| text(&params["metadata"], field));
    format!("{policy}/{binding}/{}/{}", of("namespace"), of("name"))
}

/// An error of a policy, unless it says that its errors do not matter.
fn policy_error(
    policy: &Policy<Mutations>,
    binding: Option<&str>,
    why: &str,
    reason: Option<Reason>,
) -> Option<PolicyError> {
    let name = &policy.name;
    let message = match binding {
        Some(binding) => format!("policy '{name}' with binding '{binding}' denied request: {why}"),
        None => format!("policy {} denied request: {why}", quoted(name)),
    };
    policy.fails.then_some(PolicyError { message, reason })
}

/// Errors that a client is told of.
const CAUSES_MAX: usize = 100;

/// The refusal of a write that a policy has failed for: the first error is its message.
fn denial(errors: Vec<PolicyError>, review: &Review<'_>) -> Result<(), Status> {
    let Some(first) = errors.first() else { return Ok(()) };
    let mut status = review.forbidden("admission request denied by policy");
    status.message.clone_from(&first.message);
    if let Some(reason) = &first.reason {
        status.reason = reason.clone();
    }
    for PolicyError { message, .. } in errors.into_iter().take(CAUSES_MAX) {
        status = status.with_cause(Cause { message, ..Cause::default() });
    }
    Err(status)
}
