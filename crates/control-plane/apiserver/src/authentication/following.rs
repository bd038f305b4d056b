//! The configuration of authentication, and what replaces it while the server runs.
//!
//! New issuers are used once all of them have been discovered; what cannot be used leaves the old ones in place.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;
use tokio::time::timeout;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::time::Clock;
use windlass_api::well_known::group;
use windlass_auth::authentication::configuration::{AnonymousAuth, AuthenticationConfiguration, OidcFlags};
use windlass_machinery::configuration::ConfigurationError;
use windlass_pki::SignatureAlgorithm;
use windlass_telemetry::Metrics;

use super::Found;
use super::anonymous::Anonymous;
use super::issuers::Issuers;
use super::token_webhook::TokenWebhook;
use crate::reloads::Reloads;

/// How long new issuers have to be discovered.
const PATIENCE: Duration = Duration::from_secs(60);

/// Algorithms that the tokens of an issuer may be signed with.
pub type IssuerAlgorithms = Vec<SignatureAlgorithm>;

/// Who may come in beside those whom the server knows itself. By default, nobody but anonymous requests.
pub struct Authentication {
    pub(crate) anonymous: Anonymous,
    /// The only audience of the server, and the issuer of its own tokens.
    own_issuer: String,
    issuers: ArcSwap<Issuers>,
    algorithms: Arc<[SignatureAlgorithm]>,
    webhook: Option<TokenWebhook>,
    metrics: Metrics,
    clock: Clock,
    followed: Option<Followed>,
}

struct Followed {
    /// It may not change.
    anonymous: Option<AnonymousAuth>,
    /// The text that was taken in last, be it in use or not.
    last: Mutex<String>,
    reloads: Reloads,
}

impl Authentication {
    /// Accepts nobody's tokens but the server's own. `own_issuer` is who issues these.
    pub fn new(own_issuer: &str, metrics: &Metrics, clock: Clock) -> Self {
        let algorithms: Arc<[_]> = SignatureAlgorithm::ALL.into();
        let none = Issuers::start(Vec::new(), &algorithms, clock, metrics);
        Self {
            anonymous: Anonymous::default(),
            own_issuer: own_issuer.to_owned(),
            issuers: ArcSwap::from_pointee(none.expect("no issuer has nothing that could be wrong")),
            algorithms,
            webhook: None,
            metrics: metrics.clone(),
            clock,
            followed: None,
        }
    }

    /// Accepts what a file of `--authentication-config` says; later texts of it are taken in by
    /// [`crate::Server::reload_authentication`]. `identity` tells this server from others.
    pub fn with_file(mut self, text: String, identity: &str) -> Result<Self, ConfigurationError> {
        let configuration = AuthenticationConfiguration::parse(&text)?;
        self.accept(&configuration)?;
        if let Some(anonymous) = &configuration.anonymous {
            self.anonymous = anonymous.into();
        }
        let reloads = Reloads::new(&self.metrics, Reloads::AUTHENTICATION, identity, self.clock);
        reloads.in_use(&text);
        self.followed = Some(Followed { anonymous: configuration.anonymous, last: Mutex::new(text), reloads });
        Ok(self)
    }

    /// Whether the file says where anonymous requests may go.
    pub fn configures_anonymous(&self) -> bool {
        self.followed.as_ref().is_some_and(|followed| followed.anonymous.is_some())
    }

    /// Accepts one issuer, as flags name it, with tokens that are signed with one of the algorithms.
    pub fn with_issuer(mut self, flags: OidcFlags, algorithms: IssuerAlgorithms) -> Result<Self, ConfigurationError> {
        self.algorithms = algorithms.into();
        self.accept(&flags.into())?;
        Ok(self)
    }

    /// Asks a webhook about tokens that nobody else knows.
    #[must_use]
    pub fn with_webhook(self, webhook: TokenWebhook) -> Self {
        Self { webhook: Some(webhook), ..self }
    }

    #[must_use]
    pub fn with_anonymous(self, anonymous: Anonymous) -> Self {
        Self { anonymous, ..self }
    }

    fn accept(&mut self, configuration: &AuthenticationConfiguration) -> Result<(), ConfigurationError> {
        let issuers = self.start(configuration)?;
        self.issuers = ArcSwap::from_pointee(issuers);
        Ok(())
    }

    fn start(&self, configuration: &AuthenticationConfiguration) -> Result<Issuers, ConfigurationError> {
        let issuers = configuration.issuers(&self.own_issuer).map_err(ConfigurationError::Invalid)?;
        Issuers::start(issuers, &self.algorithms, self.clock, &self.metrics).map_err(ConfigurationError::Refused)
    }

    /// Whether somebody could know a token that is none of the server's own.
    pub(crate) fn has_remote(&self) -> bool {
        self.webhook.is_some() || !self.issuers.load().is_empty()
    }

    /// Whose a token is that is none of the server's own; `None` when nobody knows it.
    pub(crate) async fn user(&self, token: &str, audiences: &[String]) -> Result<Option<Found>, String> {
        let issuers = self.issuers.load_full();
        let of_issuer = issuers.user(token).await;
        if let Ok(Some(user)) = of_issuer {
            // Its audiences are the issuer's matter; here it is for this server.
            let own: Vec<String> = audiences.iter().filter(|audience| **audience == self.own_issuer).cloned().collect();
            return Ok((!own.is_empty()).then(|| authenticated(Found { user, audiences: own })));
        }
        let of_webhook = match &self.webhook {
            Some(webhook) => webhook.user(token, audiences, &self.own_issuer).await,
            None => Ok(None),
        };
        match (of_issuer, of_webhook) {
            (_, Ok(Some(found))) => Ok(Some(authenticated(found))),
            (Ok(_), Ok(None)) => Ok(None),
            (Err(first), Err(second)) => Err(windlass_api::text::aggregate([first, second])),
            (Err(why), _) | (_, Err(why)) => Err(why),
        }
    }

    /// Takes in the text of the configuration's file as it is now; `None` when it cannot be read.
    pub(crate) async fn reload(&self, text: Option<String>) {
        let Some(followed) = &self.followed else { return };
        let mut last = followed.last.lock().await;
        let Some(text) = text else { return followed.reloads.failed("the file cannot be read") };
        if text == *last {
            return;
        }
        let issuers = match self.reread(&text, followed) {
            Ok(issuers) => issuers,
            Err(error) => {
                // It will be no better when it is looked at again.
                *last = text;
                return followed.reloads.failed(&error.to_string());
            }
        };
        if timeout(PATIENCE, issuers.discovered()).await.is_err() {
            return followed.reloads.failed(&issuers.problems());
        }
        self.issuers.store(Arc::new(issuers));
        followed.reloads.succeeded(&text);
        *last = text;
    }

    fn reread(&self, text: &str, followed: &Followed) -> Result<Issuers, ConfigurationError> {
        let configuration = AuthenticationConfiguration::parse(text)?;
        if configuration.anonymous != followed.anonymous {
            let changed = Error::forbidden(&Path::new("anonymous"), "changed from initial configuration file");
            return Err(ConfigurationError::Invalid(Errors::from(changed)));
        }
        self.start(&configuration)
    }
}

/// Whoever has shown that he is somebody is authenticated, unless he says otherwise.
fn authenticated(mut found: Found) -> Found {
    let says = |says: &str| found.user.groups.iter().any(|group| group == says);
    if !says(group::AUTHENTICATED) && !says(group::UNAUTHENTICATED) {
        found.user.groups.push(group::AUTHENTICATED.to_owned());
    }
    found
}
