//! The authorizers in their order.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use windlass_api::Chance;
use windlass_auth::authorization::{self as configured, Own};
use windlass_webhook::Remote;

use super::figures::{Decisions, Figures};
use super::webhook::Webhook;

/// The authorizers, in the order in which they are asked. Whoever is in `system:masters` has been let through before.
pub(super) struct Chain {
    pub steps: Vec<Step>,
}

pub(super) struct Step {
    pub kind: Kind,
    pub decisions: Decisions,
}

pub(super) enum Kind {
    Own(Own),
    Webhook(Box<Webhook>),
}

impl Step {
    fn own(own: Own, figures: &Figures) -> Self {
        Self { kind: Kind::Own(own), decisions: figures.decisions(own.name(), &own.name().to_lowercase()) }
    }
}

/// Opens the server that a kubeconfig names; the error says why that cannot be.
pub type OpenRemote = Arc<dyn Fn(&Path) -> Result<Remote, String> + Send + Sync>;

/// Why a chain cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("the kubeconfig {path} of the webhook {webhook:?} cannot be used: {why}")]
pub struct ChainError {
    path: PathBuf,
    webhook: String,
    why: String,
}

impl Chain {
    pub(super) fn new(
        authorizers: Vec<configured::Authorizer>,
        open: &OpenRemote,
        figures: &Figures,
        chance: &Chance,
    ) -> Result<Self, ChainError> {
        let steps = authorizers.into_iter().map(|authorizer| {
            let settings = match authorizer {
                configured::Authorizer::Webhook(settings) => settings,
                configured::Authorizer::Own(own) => return Ok(Step::own(own, figures)),
            };
            let failed = |why| ChainError { path: settings.kubeconfig.clone(), webhook: settings.name.clone(), why };
            let remote = open(&settings.kubeconfig).map_err(failed)?;
            let decisions = figures.decisions("Webhook", &settings.name);
            let webhook = Webhook::new(*settings, remote, figures.clone(), chance.fork());
            Ok(Step { kind: Kind::Webhook(Box::new(webhook)), decisions })
        });
        Ok(Self { steps: steps.collect::<Result<_, _>>()? })
    }

    /// A chain without webhooks.
    pub(super) fn of_own(authorizers: Vec<Own>, figures: &Figures) -> Self {
        Self { steps: authorizers.into_iter().map(|own| Step::own(own, figures)).collect() }
    }

    pub(super) fn has_webhook(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.kind, Kind::Webhook(_)))
    }
}
