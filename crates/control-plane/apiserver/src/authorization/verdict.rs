//! What all authorizers together say of a request.

use windlass_auth::Decision;

/// Whether a request may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Allow,
    Deny,
    NoOpinion,
}

/// The outcome, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub outcome: Outcome,
    /// It may be empty, and is where RBAC allows: which binding does so is looked for when somebody wants to know.
    pub reason: String,
    pub is_by_rbac: bool,
    /// What kept an authorizer from saying more.
    pub error: Option<String>,
}

impl Verdict {
    pub(crate) const ALLOWED: Self =
        Self { outcome: Outcome::Allow, reason: String::new(), is_by_rbac: false, error: None };

    pub(crate) fn is_allowed(&self) -> bool {
        self.outcome == Outcome::Allow
    }
}

impl From<Outcome> for Verdict {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, reason: String::new(), is_by_rbac: false, error: None }
    }
}

impl From<Decision> for Verdict {
    fn from(decision: Decision) -> Self {
        let (outcome, reason) = match decision {
            Decision::Allow => (Outcome::Allow, String::new()),
            Decision::Deny(why) => (Outcome::Deny, why),
            Decision::NoOpinion(why) => (Outcome::NoOpinion, why),
        };
        Self { outcome, reason, is_by_rbac: false, error: None }
    }
}

impl From<Verdict> for Decision {
    fn from(verdict: Verdict) -> Self {
        match verdict.outcome {
            Outcome::Allow => Self::Allow,
            Outcome::Deny => Self::Deny(verdict.reason),
            Outcome::NoOpinion => Self::NoOpinion(verdict.reason),
        }
    }
}
