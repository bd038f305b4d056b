//! The form of values on the disk, by the configuration of the moment.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use windlass_api::Chance;
use windlass_api::text::aggregate;
use windlass_api::time::Clock;
use windlass_machinery::configuration::ConfigurationError;
use windlass_store::Encryption;
use windlass_telemetry::Metrics;

use crate::configuration::{EncryptionConfiguration, KmsConfiguration, ProviderConfiguration};
use crate::figures::{Direction, Figures};
use crate::key_ring::KeyRing;
use crate::kms::Kms;
use crate::own_keys::OwnKeys;
use crate::provider::Provider;
use crate::rules::Rules;
use crate::{associated_data, validation};

/// The table whose values are encrypted when no rule is for it.
const SECRETS: &str = "secrets";
/// What every provider's prefix begins with. What the cluster's own key has written begins with a random nonce, which is this by a chance
/// of one to 2^64.
const PREFIX: &[u8] = b"k8s:enc:";

/// Encryption at rest: what the store asks.
#[derive(Debug)]
pub struct AtRest {
    own: ArcSwap<OwnKeys>,
    rules: ArcSwap<Rules>,
    /// The key management services of the configuration.
    services: Mutex<Vec<Arc<Kms>>>,
    figures: Arc<Figures>,
    clock: Clock,
    chance: Chance,
}

impl AtRest {
    /// Without a configuration; `identity` is this server's for metrics.
    pub fn new(own: OwnKeys, clock: Clock, chance: Chance, metrics: &Metrics, identity: &str) -> Self {
        let figures = Arc::new(Figures::new(metrics, identity));
        Self {
            own: ArcSwap::from_pointee(own),
            rules: ArcSwap::default(),
            services: Mutex::default(),
            figures,
            clock,
            chance,
        }
    }

    /// Writes with other keys of the cluster's own from now on.
    pub fn set_own_keys(&self, own: OwnKeys) {
        self.own.store(Arc::new(own));
    }

    /// Writes as a configuration says from now on. Returns when each of its services has been asked once.
    pub async fn configure(&self, configuration: &EncryptionConfiguration) -> Result<(), ConfigurationError> {
        let before = self.services.lock().clone();
        let mut services = Vec::new();
        let mut rules = Rules::default();
        for rule in &configuration.resources {
            let mut providers = Vec::new();
            for provider in &rule.providers {
                let made = match &provider.kms {
                    Some(kms) => {
                        let service = self.service(kms, &before).await?;
                        services.push(service.clone());
                        Provider::Kms(service)
                    }
                    None => key_provider(provider)?,
                };
                providers.push(Arc::new(made));
            }
            rules.add(&rule.resources, &providers).map_err(ConfigurationError::Refused)?;
        }
        self.rules.store(Arc::new(rules));
        *self.services.lock() = services;
        Ok(())
    }

    /// A service that is configured as before goes on.
    async fn service(&self, wanted: &KmsConfiguration, before: &[Arc<Kms>]) -> Result<Arc<Kms>, ConfigurationError> {
        if wanted.api_version == "v1" {
            return Err(ConfigurationError::Refused(
                "KMSv1 is deprecated and not supported here; use KMSv2 instead".to_owned(),
            ));
        }
        if let Some(same) = before.iter().find(|kms| kms.configuration() == wanted) {
            return Ok(same.clone());
        }
        Ok(Kms::start(wanted.clone(), self.clock, self.chance.fork(), self.figures.clone()).await)
    }

    /// Whether all key management services can be used, for health checks. Nobody is asked: each service is probed from time to time.
    pub fn health(&self) -> Result<(), String> {
        let services = self.services.lock().clone();
        let failed = services.iter().enumerate().filter_map(|(index, kms)| {
            let why = kms.health().err()?;
            Some(format!("kms-provider-{index}: {why}"))
        });
        let failed: Vec<String> = failed.collect();
        if failed.is_empty() { Ok(()) } else { Err(aggregate(failed)) }
    }

    /// Asks every service how it is, beside the times at which that happens anyway.
    #[cfg(test)]
    pub(crate) async fn probe(&self) {
        let services = self.services.lock().clone();
        for service in services {
            service.probe().await;
        }
    }

    /// Whether the configuration names key management services.
    pub fn has_services(&self) -> bool {
        !self.services.lock().is_empty()
    }
}

/// A provider that asks nobody.
fn key_provider(provider: &ProviderConfiguration) -> Result<Provider, ConfigurationError> {
    let Some((algorithm, _, keys)) = validation::key_ring(provider) else { return Ok(Provider::Identity) };
    let decoded = keys.iter().map(|key| Some((key.name.clone(), STANDARD.decode(&key.secret).ok()?)));
    let ring = decoded.collect::<Option<Vec<_>>>().and_then(|keys| KeyRing::new(algorithm, keys.into_iter()));
    // Its lengths have been validated.
    ring.map(Provider::Keys).ok_or_else(|| ConfigurationError::Refused("a key cannot be used".to_owned()))
}

impl Encryption for AtRest {
    fn check(&self, table: &str) -> Result<(), String> {
        self.rules.load().of(table).and_then(<[_]>::first).map_or(Ok(()), |provider| provider.check())
    }

    fn seal(&self, table: &str, key: &str, value: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let rules = self.rules.load();
        let Some(provider) = rules.of(table).and_then(<[_]>::first) else {
            return if table == SECRETS { self.own.load().seal(table, key, value) } else { Ok(None) };
        };
        let started = Instant::now();
        let sealed = provider.seal(&associated_data(table, key), value);
        self.figures.transformed(Direction::ToStorage, table, provider.prefix(), started.elapsed(), &sealed);
        sealed
    }

    fn open(&self, table: &str, key: &str, sealed: &[u8]) -> Result<Vec<u8>, String> {
        if !sealed.starts_with(PREFIX) {
            return self.own.load().open(table, key, sealed);
        }
        let rules = self.rules.load();
        let associated = associated_data(table, key);
        let mut failed = Vec::new();
        for provider in rules.of(table).unwrap_or_default() {
            let prefix = provider.prefix();
            // Identity has none, and has written nothing that begins with one.
            let rest = sealed.strip_prefix(prefix.as_bytes()).filter(|_| !prefix.is_empty());
            let Some(rest) = rest else { continue };
            let started = Instant::now();
            let opened = provider.open(&associated, rest);
            self.figures.transformed(Direction::FromStorage, table, prefix, started.elapsed(), &opened);
            match opened {
                Ok(value) => return Ok(value),
                Err(why) => failed.push(why),
            }
        }
        Err(if failed.is_empty() { no_provider(sealed) } else { aggregate(failed) })
    }
}

/// Says by which provider a value has been encrypted that no rule names.
fn no_provider(sealed: &[u8]) -> String {
    const SHOWN: usize = 5;
    let parts = sealed.splitn(SHOWN + 1, |byte| *byte == b':').take(SHOWN);
    let name = parts.map(String::from_utf8_lossy).collect::<Vec<_>>().join(":");
    format!("no matching prefix found: it was encrypted by {name}")
}
