//! Encryption at rest: the cluster's own keys, and the file of `--encryption-provider-config`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep};
use windlass_api::Chance;
use windlass_api::text::with_causes;
use windlass_api::time::Clock;
use windlass_apiserver::{Reloads, Server};
use windlass_encryption::{AtRest, EncryptionConfiguration, KeyFiles, Rotation};
use windlass_machinery::digest;
use windlass_store::{OpenError, Store};

use super::access::{Surroundings, followed};
use crate::error::Failure;
use crate::settings::Settings;

/// How long, and how often, a store that another process uses is tried.
const STORE_PATIENCE: Duration = Duration::from_secs(5);
const STORE_PAUSE: Duration = Duration::from_millis(20);
/// The same for one whose key management service is not there yet: it may be starting, too.
const KMS_PATIENCE: Duration = Duration::from_secs(60);
const KMS_PAUSE: Duration = Duration::from_secs(1);

/// What was read last.
#[derive(Default)]
struct Taken {
    /// The hash of the text: the text itself has keys.
    hash: String,
    /// Why it cannot be used.
    failure: Option<String>,
}

/// The configuration of the moment, and what can be done with it.
pub(crate) struct Keeper {
    at_rest: Arc<AtRest>,
    files: KeyFiles,
    path: Option<PathBuf>,
    is_followed: bool,
    taken: Mutex<Taken>,
    reloads: Reloads,
}

impl Keeper {
    /// Reads keys and configuration.
    pub(super) async fn new(settings: &Settings, around: &Surroundings<'_>) -> Result<Self, Failure> {
        let files = KeyFiles::of(&settings.data_dir.join("pki"));
        let own = files.load_or_create();
        let own =
            own.map_err(|error| Failure::during("the key that Secrets are encrypted with cannot be used", error))?;
        let keeper = Self {
            at_rest: Arc::new(AtRest::new(own, around.clock, Chance::system(), around.metrics, around.identity)),
            files,
            path: settings.encryption.provider_config.clone(),
            is_followed: settings.encryption.is_followed(),
            taken: Mutex::default(),
            reloads: Reloads::new(around.metrics, Reloads::ENCRYPTION, around.identity, around.clock),
        };
        if let Some(path) = &keeper.path {
            let what = format!("--encryption-provider-config: {} cannot be used", path.display());
            let text = std::fs::read_to_string(path).map_err(|error| Failure::during(&what, error))?;
            keeper.configure(&text).await.map_err(|why| Failure::during(&what, why))?;
            keeper.reloads.in_use(&text);
            keeper.taken.lock().await.hash = digest::hex(text.as_bytes());
        }
        Ok(keeper)
    }

    async fn configure(&self, text: &str) -> Result<(), String> {
        let configuration = EncryptionConfiguration::parse(text, self.is_followed);
        let configuration = configuration.map_err(|error| with_causes(&error))?;
        self.at_rest.configure(&configuration).await.map_err(|error| with_causes(&error))
    }

    /// Opens the store in a folder. Waits for another process that is ending, and for key management services that are starting.
    pub(super) async fn open_store(&self, directory: &Path, clock: Clock) -> Result<Arc<Store>, Failure> {
        let started = Instant::now();
        let failed = |error: OpenError| Failure::during("the store cannot be opened", error);
        loop {
            let encryption = self.at_rest.clone();
            let options = windlass_store::Options { directory: directory.to_owned(), clock, encryption };
            // What is encrypted by a service is opened by asking it, which blocks.
            let opened = spawn_blocking(move || Store::open(options)).await;
            let pause = match opened.map_err(|error| Failure::during("the store cannot be opened", error))? {
                Ok(store) => return Ok(store),
                Err(OpenError::InUse { .. }) if started.elapsed() < STORE_PATIENCE => STORE_PAUSE,
                Err(error @ OpenError::Locked { .. }) if self.at_rest.health().is_err() => {
                    if started.elapsed() > KMS_PATIENCE {
                        return Err(failed(error));
                    }
                    tracing::warn!(%error, "waiting for a key management service");
                    KMS_PAUSE
                }
                Err(error) => return Err(failed(error)),
            };
            sleep(pause).await;
        }
    }

    /// Adds upstream's health check, and follows the file if that is wanted.
    pub(super) fn keep(self: &Arc<Self>, server: &Server) -> Option<JoinHandle<()>> {
        if self.is_followed || self.at_rest.has_services() {
            let at_rest = self.at_rest.clone();
            server.health().add("kms-providers", Box::new(move || at_rest.health()));
        }
        let path = self.path.clone().filter(|_| self.is_followed)?;
        let keeper = self.clone();
        Some(tokio::spawn(followed(path, async move |text| {
            // A failure has been logged and counted; the old configuration stays.
            let _ = keeper.reload(text).await;
        })))
    }

    /// Takes in the text of the file as it is now.
    async fn reload(&self, text: Option<String>) -> Result<(), String> {
        let mut last = self.taken.lock().await;
        let Some(text) = text else {
            let why = "the file cannot be read";
            self.reloads.failed(why);
            return Err(why.to_owned());
        };
        let hash = digest::hex(text.as_bytes());
        if hash != last.hash {
            last.hash = hash;
            last.failure = self.configure(&text).await.err();
            match &last.failure {
                None => self.reloads.succeeded(&text),
                Some(why) => self.reloads.failed(why),
            }
        }
        last.failure.clone().map_or(Ok(()), Err)
    }

    /// What rotates the keys of a store.
    pub(super) fn rotation(&self, store: Arc<Store>) -> Rotation {
        Rotation::new(self.at_rest.clone(), self.files.clone(), store)
    }

    /// Reads the file again, and writes everything on the disk anew with the keys that come first.
    pub(super) async fn rotate(&self, rotation: &Rotation) -> Result<(), Failure> {
        if let Some(path) = &self.path {
            let taken = self.reload(std::fs::read_to_string(path).ok()).await;
            taken.map_err(|why| Failure::during(format!("{} cannot be used", path.display()), why))?;
        }
        rotation.rotate().await.map_err(|error| Failure::during("the keys have not been rotated", error))
    }
}
