//! Why a pod, or a node for it, is refused.

use std::borrow::Cow;

use smallvec::{SmallVec, smallvec};

/// Why a plugin refuses a pod, or a node for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub reasons: SmallVec<[Cow<'static, str>; 1]>,
    /// Whether other pods' going could change it.
    pub preemption_may_help: bool,
}

impl Rejection {
    /// Other pods are in the way.
    pub(crate) fn unschedulable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { reasons: smallvec![reason.into()], preemption_may_help: true }
    }

    /// Whatever other pods do, it does not fit.
    pub(crate) fn unresolvable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { reasons: smallvec![reason.into()], preemption_may_help: false }
    }

    pub(crate) fn message(&self) -> String {
        self.reasons.join(", ")
    }
}
