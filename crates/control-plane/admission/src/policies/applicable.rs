//! Which policies and bindings are about a write.

use std::sync::Arc;

use serde_json::Value;

use super::binding::Binding;
use super::params::collect;
use super::policy::Policy;
use super::source::Hook;
use crate::matching::Matched;
use crate::review::{Cluster, Review};

/// A policy that is about a write by way of a binding.
pub(crate) struct Invocation<'h, 'r, E> {
    pub policy: &'h Policy<E>,
    pub binding: &'h Binding,
    /// As what the policy sees the write.
    pub matched: Matched<'r>,
    pub params: Vec<Option<Arc<Value>>>,
}

/// Why it cannot be known whether a policy is about a write, or how.
pub(crate) struct Fault<'h, E> {
    pub policy: &'h Policy<E>,
    /// `None` when the policy itself is wrong.
    pub binding: Option<&'h Binding>,
    pub why: String,
}

/// One or the other.
pub(crate) enum Applicable<'h, 'r, E> {
    Invocation(Invocation<'h, 'r, E>),
    Fault(Fault<'h, E>),
}

impl<'h, 'r, E> Applicable<'h, 'r, E> {
    /// A policy that is evaluated: with parameters, or without any where it needs none.
    pub(crate) fn invoked(&self) -> Option<&Invocation<'h, 'r, E>> {
        match self {
            Self::Invocation(invocation) if !invocation.params.is_empty() => Some(invocation),
            _ => None,
        }
    }
}

/// Says which policies and bindings are about the write, in their order. A write that none is about allocates nothing.
pub(crate) async fn applicable<'h, 'r, E>(
    hooks: &'h [Hook<E>],
    review: &Review<'r>,
    cluster: &dyn Cluster,
) -> Vec<Applicable<'h, 'r, E>> {
    let mut found = Vec::new();
    for hook in hooks {
        let policy = &*hook.policy;
        let faulty = |binding: Option<&'h Binding>, why: String| {
            let what = if binding.is_some() { "binding" } else { "policy" };
            Applicable::Fault(Fault { policy, binding, why: format!("failed to configure {what}: {why}") })
        };
        let matched = match &policy.matcher {
            Ok(matcher) => matcher.matches(review, cluster).map_err(|status| status.message),
            Err(why) => Err((*why).to_owned()),
        };
        let matched = match matched {
            Ok(Some(matched)) => matched,
            Ok(None) => continue,
            Err(why) => {
                found.push(faulty(None, why));
                continue;
            }
        };
        let served = match policy.params.as_ref().map(|kind| Ok((kind, kind.served(cluster)?))).transpose() {
            Ok(served) => served,
            Err(why) => {
                found.push(faulty(None, why));
                continue;
            }
        };
        for binding in &hook.bindings {
            let is_about = match &binding.matcher {
                None => Ok(true),
                Some(Err(why)) => Err((*why).to_owned()),
                Some(Ok(matcher)) => {
                    matcher.matches(review, cluster).map(|matched| matched.is_some()).map_err(|status| status.message)
                }
            };
            match is_about {
                Ok(true) => {}
                Ok(false) => continue,
                Err(why) => {
                    found.push(faulty(Some(&**binding), why));
                    continue;
                }
            }
            let kind = served.as_ref().map(|(kind, served)| (*kind, served));
            found.push(match collect(kind, binding.params.as_ref(), review, cluster).await {
                Ok(params) => Applicable::Invocation(Invocation { policy, binding, matched: matched.clone(), params }),
                Err(why) => faulty(Some(&**binding), why),
            });
        }
    }
    found
}
