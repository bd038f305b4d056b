//! The configuration of authorization, and what replaces it while the server runs.
//!
//! A new configuration that cannot be used leaves the old one in place.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use windlass_api::Chance;
use windlass_api::time::Clock;
use windlass_auth::authorization::{AuthorizationConfiguration, Own, WebhookFlags};
use windlass_machinery::configuration::ConfigurationError;
use windlass_telemetry::Metrics;

use super::chain::{Chain, ChainError};
use super::figures::Figures;
use crate::reloads::Reloads;

pub use super::chain::OpenRemote;

/// Which authorizers are asked. By default, Node and RBAC.
pub struct Authorization {
    chain: Option<Chain>,
    figures: Figures,
    chance: Chance,
    open: OpenRemote,
    /// What is followed, when it is a file.
    followed: Option<Followed>,
    /// Where webhooks are waited for, by those who cannot await.
    runtime: Option<Handle>,
}

struct Followed {
    /// The types that every later configuration has to have.
    types: Vec<String>,
    last: Mutex<Last>,
    reloads: Reloads,
}

/// What was taken in last, be it in use or not.
struct Last {
    text: String,
    configuration: AuthorizationConfiguration,
}

/// Why a configuration of authorization is not in use.
#[derive(Debug, thiserror::Error)]
pub enum AuthorizationError {
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    #[error(transparent)]
    Chain(#[from] ChainError),
}

impl Default for Authorization {
    fn default() -> Self {
        Self::of(&Metrics::default(), Chance::system(), Arc::new(|_| Err("no file is read here".to_owned())))
    }
}

impl Authorization {
    fn of(metrics: &Metrics, chance: Chance, open: OpenRemote) -> Self {
        let figures = Figures::new(metrics);
        Self { chain: None, figures, chance, open, followed: None, runtime: Handle::try_current().ok() }
    }

    /// What a file of `--authorization-config` says; later texts of it are taken in by [`crate::Server::reload_authorization`]. `open` opens
    /// the servers that it names.
    pub fn of_file(
        text: String,
        metrics: &Metrics,
        (chance, clock): (Chance, Clock),
        identity: &str,
        open: OpenRemote,
    ) -> Result<Self, AuthorizationError> {
        let mut new = Self::of(metrics, chance, open);
        let configuration = AuthorizationConfiguration::parse(&text)?;
        new.chain = Some(new.compile(&configuration, &[])?);
        let reloads = Reloads::new(metrics, Reloads::AUTHORIZATION, identity, clock);
        reloads.in_use(&text);
        let types = configuration.types();
        new.followed = Some(Followed { types, last: Mutex::new(Last { text, configuration }), reloads });
        Ok(new)
    }

    /// The authorizers that flags name.
    pub fn of_flags(
        modes: &[String],
        webhook: &WebhookFlags,
        metrics: &Metrics,
        chance: Chance,
        open: OpenRemote,
    ) -> Result<Self, AuthorizationError> {
        let mut new = Self::of(metrics, chance, open);
        let configuration = AuthorizationConfiguration::of_flags(modes, webhook)?;
        new.chain = Some(new.compile(&configuration, &[])?);
        Ok(new)
    }

    pub(super) fn runtime(&self) -> Option<&Handle> {
        self.runtime.as_ref()
    }

    pub(super) fn take_chain(&mut self) -> Chain {
        let own = || Chain::of_own(vec![Own::Node, Own::Rbac], &self.figures);
        self.chain.take().unwrap_or_else(own)
    }

    fn compile(
        &self,
        configuration: &AuthorizationConfiguration,
        types: &[String],
    ) -> Result<Chain, AuthorizationError> {
        let check = |path: &Path| (self.open)(path).map(drop);
        let authorizers = configuration.authorizers(&check, types)?;
        Ok(Chain::new(authorizers, &self.open, &self.figures, &self.chance)?)
    }

    /// Takes in the text of the configuration's file as it is now; `None` when it cannot be read. A new chain is put to use by `put`.
    pub(super) fn reload(&self, text: Option<String>, put: impl FnOnce(Chain)) {
        let Some(followed) = &self.followed else { return };
        let mut last = followed.last.lock();
        let Some(text) = text else { return followed.reloads.failed("the file cannot be read") };
        if text == last.text {
            return;
        }
        last.text.clone_from(&text);
        let taken = AuthorizationConfiguration::parse(&text).map_err(AuthorizationError::from).and_then(|new| {
            if new == last.configuration {
                return Ok(false);
            }
            let chain = self.compile(&new, &followed.types)?;
            last.configuration = new;
            put(chain);
            Ok(true)
        });
        match taken {
            Ok(true) => followed.reloads.succeeded(&text),
            Ok(false) => {}
            Err(error) => followed.reloads.failed(&windlass_api::text::with_causes(&error)),
        }
    }
}
