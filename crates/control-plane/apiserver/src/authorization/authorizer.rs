//! The authorizer of the server: its chain, over the store.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use tokio::runtime::{Handle, RuntimeFlavor};
use windlass_api::well_known::group;
use windlass_auth::authorization::{Own, Review};
use windlass_auth::node::NodeAuthorizer;
use windlass_auth::rbac::{Rbac, RoleKey, Rule};
use windlass_auth::{Attributes, Decision, User};
use windlass_store::Store;

use super::chain::{Chain, Kind};
use super::fed::{self, Fed};
use super::following::Authorization;
use super::verdict::{Outcome, Verdict};
use super::webhook::{Known, Webhook};

pub(crate) struct Authorizer {
    rbac: Fed<Rbac>,
    nodes: Fed<NodeAuthorizer>,
    chain: ArcSwap<Chain>,
    configured: Authorization,
}

/// How far a question has come.
pub(crate) enum Progress {
    Decided(Verdict),
    /// A webhook has to be asked.
    Waits(Box<Rest>),
}

/// What is left of a question: a webhook to be asked, and those behind it.
pub(crate) struct Rest {
    chain: Arc<Chain>,
    at: usize,
    review: Review,
    said: Said,
}

/// What those without an opinion have said.
#[derive(Default)]
struct Said {
    reasons: Vec<String>,
    errors: Vec<String>,
}

impl Said {
    /// Takes in what one says; returns the verdict if it ends the question.
    fn take(&mut self, verdict: Verdict) -> Option<Verdict> {
        if verdict.outcome != Outcome::NoOpinion {
            return Some(verdict);
        }
        self.reasons.extend(Some(verdict.reason).filter(|reason| !reason.is_empty()));
        self.errors.extend(verdict.error);
        None
    }

    fn verdict(self) -> Verdict {
        let error = (!self.errors.is_empty()).then(|| windlass_api::text::aggregate(&self.errors));
        Verdict { reason: self.reasons.join("\n"), error, ..Outcome::NoOpinion.into() }
    }
}

impl Authorizer {
    pub(crate) fn new(store: &Store, mut configured: Authorization) -> Self {
        let chain = ArcSwap::from_pointee(configured.take_chain());
        Self { rbac: fed::rbac(store), nodes: fed::nodes(store), chain, configured }
    }

    /// Takes in the text of the configuration's file as it is now; `None` when it cannot be read.
    pub(crate) fn reload(&self, text: Option<String>) {
        self.configured.reload(text, |chain| self.chain.store(Arc::new(chain)));
    }

    /// Asks as far as nobody has to be waited for. Cost without a webhook: what RBAC and Node cost, a pointer loaded, and a counter.
    pub(crate) fn begin(&self, attributes: &Attributes<'_>) -> Progress {
        if attributes.user.is_in(group::MASTERS) {
            return Progress::Decided(Verdict::ALLOWED);
        }
        let chain = self.chain.load();
        self.go_on(&chain, 0, Said::default(), attributes)
    }

    /// Asks, and waits for webhooks. The question is not the hot path's: it waits in a future of its own.
    pub(crate) async fn verdict(&self, attributes: &Attributes<'_>) -> Verdict {
        match self.begin(attributes) {
            Progress::Decided(verdict) => verdict,
            Progress::Waits(rest) => Box::pin(rest.finish(self, attributes)).await,
        }
    }

    /// Asks where nothing can be awaited: from expressions, and rules of the life of a write. The thread waits for webhooks, and is no worker
    /// of the runtime's meanwhile.
    pub(crate) fn decide(&self, attributes: &Attributes<'_>) -> Verdict {
        let rest = match self.begin(attributes) {
            Progress::Decided(verdict) => return verdict,
            Progress::Waits(rest) => rest,
        };
        let Some(runtime) = self.configured.runtime() else { return cannot_wait() };
        let is_worker = Handle::try_current().is_ok();
        let wait = || runtime.block_on(rest.finish(self, attributes));
        match runtime.runtime_flavor() {
            // Nobody else would do what is waited for.
            RuntimeFlavor::CurrentThread if is_worker => cannot_wait(),
            _ if is_worker => tokio::task::block_in_place(wait),
            _ => wait(),
        }
    }

    fn go_on(&self, chain: &Guard<Arc<Chain>>, from: usize, mut said: Said, attributes: &Attributes<'_>) -> Progress {
        for (at, step) in chain.steps.iter().enumerate().skip(from) {
            let verdict = match &step.kind {
                Kind::Own(Own::AlwaysAllow) => Verdict::ALLOWED,
                Kind::Own(Own::AlwaysDeny) => Decision::NoOpinion("Everything is forbidden.".to_owned()).into(),
                Kind::Own(Own::Node) if attributes.user.node().is_none() => continue,
                Kind::Own(Own::Node) => self.nodes.ask(|nodes| nodes.authorize(attributes)).into(),
                Kind::Own(Own::Rbac) => {
                    Verdict { is_by_rbac: true, ..self.rbac.ask(|rbac| rbac.authorize(attributes)).into() }
                }
                Kind::Webhook(webhook) => match webhook.known(attributes) {
                    Known::Verdict(verdict) => verdict,
                    Known::Unknown(review) => {
                        return Progress::Waits(Box::new(Rest { chain: Arc::clone(chain), at, review, said }));
                    }
                },
            };
            if let Some(verdict) = said.take(verdict) {
                chain.count(at, verdict.outcome);
                return Progress::Decided(verdict);
            }
        }
        Progress::Decided(said.verdict())
    }

    /// Why a verdict is as it is: where RBAC allows, by which binding.
    pub(crate) fn reason(&self, verdict: &Verdict, attributes: &Attributes<'_>) -> String {
        match verdict.is_allowed() && verdict.is_by_rbac {
            true => self.rbac.ask(|rbac| rbac.why_allowed(attributes)),
            false => verdict.reason.clone(),
        }
    }

    /// Every RBAC rule of a user in a namespace.
    pub(crate) fn rules_of(&self, user: &User, namespace: &str) -> Vec<Rule> {
        self.rbac.ask(|rbac| rbac.rules_of(user, namespace).cloned().collect())
    }

    /// Why the rules are not all that a user may do, if they are not.
    pub(crate) fn rules_lack(&self) -> Option<&'static str> {
        self.chain.load().has_webhook().then_some("webhook authorizer does not support user rule resolution")
    }

    /// The rules of a role; `None` when there is no such role.
    pub(crate) fn rules_of_role(&self, key: &RoleKey) -> Option<Arc<[Rule]>> {
        self.rbac.ask(|rbac| rbac.role(key).cloned())
    }
}

/// A question that only a webhook could answer, on a thread that has to do the asking itself: it is not allowed.
fn cannot_wait() -> Verdict {
    let error = "a webhook cannot be asked from here: the runtime has one thread".to_owned();
    Verdict { error: Some(error), ..Outcome::NoOpinion.into() }
}

impl Chain {
    fn count(&self, at: usize, outcome: Outcome) {
        let decisions = &self.steps[at].decisions;
        match outcome {
            Outcome::Allow => decisions.allowed.inc(),
            Outcome::Deny => decisions.denied.inc(),
            Outcome::NoOpinion => {}
        }
    }

    fn webhook(&self, at: usize) -> Option<&Webhook> {
        match &self.steps.get(at)?.kind {
            Kind::Webhook(webhook) => Some(webhook),
            _ => None,
        }
    }
}

impl Rest {
    /// Asks the webhook, and those behind it.
    async fn finish(mut self, authorizer: &Authorizer, attributes: &Attributes<'_>) -> Verdict {
        while let Some(webhook) = self.chain.webhook(self.at) {
            let verdict = webhook.ask(&self.review).await;
            if let Some(verdict) = self.said.take(verdict) {
                self.chain.count(self.at, verdict.outcome);
                return verdict;
            }
            let Self { chain, at, said, .. } = self;
            match authorizer.go_on(&Guard::from_inner(chain), at + 1, said, attributes) {
                Progress::Decided(verdict) => return verdict,
                Progress::Waits(rest) => self = *rest,
            }
        }
        self.said.verdict()
    }
}
