//! A key management service (KMS v2): it encrypts one seed, from which every value gets a key of its own.
//!
//! The service is asked for its state each minute, and more often while something is wrong. When it names another key, a new seed is made
//! and encrypted with that. Values can be read as long as the service opens their seeds; they can be written for three minutes after
//! it was well for the last time.
//!
//! Source: upstream apiserver `pkg/server/options/encryptionconfig/config.go`; KEP-3299.

mod client;
#[expect(clippy::disallowed_methods, reason = "seeds and nonces are the kernel's random numbers")]
mod envelope;
pub(crate) mod messages;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use prost::Message;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use windlass_api::text::{aggregate, quoted};
use windlass_api::time::{Clock, rfc3339};
use windlass_api::{Chance, Timestamp};
use windlass_machinery::names::new_uid;

use self::client::Client;
use self::envelope::{HKDF_SEED, Seed};
use self::messages::{DecryptRequest, EncryptRequest, EncryptedObject, StatusResponse};
use crate::configuration::KmsConfiguration;
use crate::figures::{Direction, Figures};
use crate::key_hash::hash;

const VERSIONS: [&str; 2] = ["v2", "v2beta1"];
/// How often a service is asked that is well, and one that is not.
const WELL: Duration = Duration::from_secs(60);
const UNWELL: Duration = Duration::from_secs(10);
/// How long a seed may be used for writing after the service was well.
const SEED_TTL: Duration = Duration::from_secs(180);

/// A key management service, looked after for as long as somebody uses it.
pub(crate) struct Kms {
    configuration: KmsConfiguration,
    prefix: String,
    client: Client,
    /// What values are written with.
    current: Mutex<Option<Current>>,
    health: Mutex<Health>,
    /// Seeds that the service has opened, by their encrypted form.
    seeds: Mutex<HashMap<Source, Arc<Seed>>>,
    figures: Arc<Figures>,
    clock: Clock,
    chance: Chance,
    runtime: Handle,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

/// An encrypted seed, and what the service must know to open it.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Source {
    kind: i32,
    encrypted: Vec<u8>,
    key_id: String,
    annotations: BTreeMap<String, Vec<u8>>,
}

/// The seed that values are written with.
#[derive(Clone)]
struct Current {
    seed: Arc<Seed>,
    source: Source,
    expires: Timestamp,
}

struct Health {
    outcome: Result<(), String>,
    /// The version of the API that the first answer has named.
    version: Option<String>,
}

impl fmt::Debug for Kms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kms({})", self.configuration.name)
    }
}

impl Drop for Kms {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.lock().take() {
            keeper.abort();
        }
    }
}

impl Kms {
    /// Asks the service once; whatever it answers, it is asked again from time to time.
    pub(crate) async fn start(
        configuration: KmsConfiguration,
        clock: Clock,
        chance: Chance,
        figures: Arc<Figures>,
    ) -> Arc<Self> {
        let endpoint = configuration.endpoint.as_str();
        let socket = endpoint.strip_prefix("unix://").or_else(|| endpoint.strip_prefix("unix:")).unwrap_or(endpoint);
        let client = Client::new(&configuration.name, Path::new(socket), configuration.patience(), figures.clone());
        let service = Arc::new(Self {
            prefix: format!("k8s:enc:kms:v2:{}:", configuration.name),
            configuration,
            client,
            current: Mutex::default(),
            health: Mutex::new(Health { outcome: Err("it has not been asked yet".to_owned()), version: None }),
            seeds: Mutex::default(),
            figures,
            clock,
            chance,
            runtime: Handle::current(),
            keeper: Mutex::default(),
        });
        service.probe().await;
        *service.keeper.lock() = Some(tokio::spawn(keep(Arc::downgrade(&service))));
        service
    }

    pub(crate) fn configuration(&self) -> &KmsConfiguration {
        &self.configuration
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What came of asking the service last.
    pub(crate) fn health(&self) -> Result<(), String> {
        self.health.lock().outcome.clone()
    }

    /// Whether values can be written now.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.writable().map(drop)
    }

    fn writable(&self) -> Result<Current, String> {
        let current = self.current.lock().clone();
        let Some(current) = current else {
            let why = self.health().err().unwrap_or_default();
            return Err(format!("KMS Provider {} has given no key yet: {why}", self.configuration.name));
        };
        let now = self.clock.now();
        if now > current.expires {
            return Err(format!(
                "encryptedDEKSource with keyID hash {} expired at {} (current time is {})",
                quoted(&hash(&current.source.key_id)),
                rfc3339(current.expires),
                rfc3339(now)
            ));
        }
        Ok(current)
    }

    /// An [`EncryptedObject`] behind the provider's name.
    pub(crate) fn seal(&self, associated: &[u8], value: &[u8]) -> Result<Vec<u8>, String> {
        let Current { seed, source, .. } = self.writable()?;
        let object = source.object(seed.seal(associated, value)?);
        self.figures.used(Direction::ToStorage, &self.configuration.name, &object.key_id, self.clock);
        let mut sealed = self.prefix.clone().into_bytes();
        sealed.reserve(object.encoded_len());
        object.encode(&mut sealed).map_err(|error| error.to_string())?;
        Ok(sealed)
    }

    /// Opens what stands behind the provider's name. A seed that is not known yet is opened by the service, and this thread waits for it.
    pub(crate) fn open(&self, associated: &[u8], sealed: &[u8]) -> Result<Vec<u8>, String> {
        let object = EncryptedObject::decode(sealed).map_err(|error| format!("proto: {error}"))?;
        envelope::validate(&object)?;
        let (source, encrypted) = Source::of(object);
        let known = self.known(&source);
        let seed = match known {
            Some(seed) => seed,
            None => self.runtime.block_on(self.decrypt(&source))?,
        };
        self.figures.used(Direction::FromStorage, &self.configuration.name, &source.key_id, self.clock);
        seed.open(source.kind, associated, &encrypted)
    }

    fn known(&self, source: &Source) -> Option<Arc<Seed>> {
        let current = self.current.lock();
        if let Some(current) = current.as_ref().filter(|current| current.source == *source) {
            return Some(current.seed.clone());
        }
        drop(current);
        self.seeds.lock().get(source).cloned()
    }

    async fn decrypt(&self, source: &Source) -> Result<Arc<Seed>, String> {
        self.figures.missed();
        let request = DecryptRequest {
            ciphertext: source.encrypted.clone(),
            uid: new_uid(&self.chance),
            key_id: source.key_id.clone(),
            annotations: source.annotations.clone(),
        };
        let answer =
            self.client.decrypt(request).await.map_err(|error| format!("failed to decrypt DEK, error: {error}"))?;
        let seed = Arc::new(Seed::of(answer.plaintext));
        let mut seeds = self.seeds.lock();
        seeds.insert(source.clone(), seed.clone());
        self.figures.cached(&self.configuration.name, seeds.len());
        Ok(seed)
    }

    /// Asks the service how it is, and for another seed if its key has changed.
    pub(crate) async fn probe(&self) {
        let outcome = self.probed().await;
        if let Err(error) = &outcome {
            tracing::error!(name = self.configuration.name, error, "a key management service is not well");
        }
        self.health.lock().outcome = outcome;
    }

    async fn probed(&self) -> Result<(), String> {
        let name = &self.configuration.name;
        let status = self.client.status().await.map_err(|error| {
            format!("failed to perform status section of the healthz check for KMS Provider {name}, error: {error}")
        })?;
        let mut problems = Vec::new();
        if status.healthz != "ok" {
            problems.push(format!("got unexpected healthz status: {}", status.healthz));
        }
        problems.extend(self.check_version(&status));
        match envelope::validate_key_id(&status.key_id) {
            Ok(()) => {
                self.figures.named(name, &status.key_id, self.clock);
                problems.extend(self.follow_key(&status.key_id).await.err());
            }
            Err(problem) => {
                self.figures.invalid(name, problem.code());
                let shown = quoted(&hash(&status.key_id));
                problems.push(format!("got invalid KMSv2 KeyID hash {shown}: {problem}"));
            }
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(format!("kmsv2 Provider {name} is not healthy, error: {}", aggregate(problems)))
    }

    fn check_version(&self, status: &StatusResponse) -> Option<String> {
        let version = &status.version;
        if !VERSIONS.contains(&version.as_str()) {
            return Some(format!("expected KMSv2 API version v2, got {version}"));
        }
        let mut health = self.health.lock();
        let first = health.version.get_or_insert_with(|| version.clone());
        (first != version).then(|| {
            format!(
                "KMSv2 API version should not change after the initial status response version {first}, got {version}"
            )
        })
    }

    /// Uses the seed that there is for longer when it is encrypted with the service's key, or makes another.
    async fn follow_key(&self, key_id: &str) -> Result<(), String> {
        // From before the calls: a seed shall not be used for longer than this after the service was well.
        let expires = self.clock.now() + SEED_TTL;
        if let Some(current) = self.current.lock().as_mut().filter(|current| current.source.key_id == key_id) {
            current.expires = expires;
            return Ok(());
        }
        let uid = new_uid(&self.chance);
        let made = self.generate(&uid, expires).await;
        let (said, why) = match made {
            Ok(current) if current.source.key_id == key_id => {
                self.seeds.lock().insert(current.source.clone(), current.seed.clone());
                *self.current.lock() = Some(current);
                return Ok(());
            }
            Ok(current) => (hash(&current.source.key_id), "<nil>".to_owned()),
            Err(why) => (String::new(), why),
        };
        let before = self.current.lock().as_ref().map(|current| current.source.key_id.clone()).unwrap_or_default();
        Err(format!(
            "failed to rotate DEK uid={}, errGen={why}, statusKeyIDHash={}, encryptKeyIDHash={}, stateKeyIDHash={}",
            quoted(&uid),
            quoted(&hash(key_id)),
            quoted(&said),
            quoted(&hash(&before))
        ))
    }

    async fn generate(&self, uid: &str, expires: Timestamp) -> Result<Current, String> {
        let seed = Seed::generate()?;
        let request = EncryptRequest { plaintext: seed.bytes().to_vec(), uid: uid.to_owned() };
        let answer = self.client.encrypt(request).await;
        let answer = answer.map_err(|error| format!("failed to encrypt DEK, error: {error}"))?;
        let source = Source {
            kind: HKDF_SEED,
            encrypted: answer.ciphertext,
            key_id: answer.key_id,
            annotations: answer.annotations,
        };
        // Whatever is encrypted is not empty.
        envelope::validate(&source.object(vec![0]))?;
        Ok(Current { seed: Arc::new(seed), source, expires })
    }
}

impl Source {
    fn of(object: EncryptedObject) -> (Self, Vec<u8>) {
        let source = Self {
            kind: object.encrypted_dek_source_type,
            encrypted: object.encrypted_dek_source,
            key_id: object.key_id,
            annotations: object.annotations,
        };
        (source, object.encrypted_data)
    }

    fn object(&self, encrypted_data: Vec<u8>) -> EncryptedObject {
        EncryptedObject {
            encrypted_data,
            key_id: self.key_id.clone(),
            encrypted_dek_source: self.encrypted.clone(),
            annotations: self.annotations.clone(),
            encrypted_dek_source_type: self.kind,
        }
    }
}

/// Asks a service from time to time, until nobody uses it any more.
async fn keep(service: Weak<Kms>) {
    loop {
        let wait = match service.upgrade() {
            Some(service) if service.health().is_ok() => WELL,
            Some(_) => UNWELL,
            None => return,
        };
        tokio::time::sleep(wait).await;
        let Some(service) = service.upgrade() else { return };
        service.probe().await;
    }
}
