//! One pull: resolve the reference, read manifest and configuration, make the layers, list the image.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::try_join_all;
use windlass_api::io::is_full;
use windlass_api::text::with_causes;
use windlass_cri::{AuthConfig, Code, Error, ProgressSink};

use crate::digest::Digest;
use crate::manifest::{CONFIG_BYTES_MAX, Descriptor, Document, ImageConfig, Manifest, ManifestError};
use crate::progress::Progress;
use crate::reference::{Reference, ReferenceError};
use crate::registry::{RegistryError, Repository};
use crate::store::{Core, ImageRecord, LayerError, LayerSource};

/// An index may hold indexes; more levels than this are a loop.
const INDEX_LEVELS_MAX: usize = 3;

/// Why an image could not be brought into the store.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageError {
    #[error("failed to parse image reference {text:?}")]
    Reference { text: String, source: ReferenceError },
    #[error("failed to resolve reference \"{reference}\"")]
    Resolve { reference: String, source: Box<RegistryError> },
    #[error("failed to fetch the manifest {digest}")]
    FetchManifest { digest: Digest, source: Box<RegistryError> },
    #[error("failed to fetch the image configuration {digest}")]
    FetchConfig { digest: Digest, source: Box<RegistryError> },
    #[error("invalid document {digest}")]
    Document { digest: Digest, source: ManifestError },
    #[error("no match for platform {platform} in the image index {digest}: not found")]
    NoPlatform { digest: Digest, platform: String },
    #[error("the image index {0} leads to further indexes without end")]
    IndexLoop(Digest),
    #[error(transparent)]
    Layer(LayerError),
    #[error("failed to write the image store")]
    Store(#[source] std::io::Error),
}

impl ImageError {
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Reference { .. } | Self::Document { .. } | Self::IndexLoop(_) => Code::InvalidArgument,
            Self::Resolve { source, .. } | Self::FetchManifest { source, .. } | Self::FetchConfig { source, .. } => {
                source.code()
            }
            Self::NoPlatform { .. } => Code::NotFound,
            Self::Layer(source) => source.code(),
            Self::Store(source) if is_full(source) => Code::ResourceExhausted,
            Self::Store(_) => Code::Internal,
        }
    }
}

impl Core {
    /// Pulls `text` and returns the image's ID.
    pub(crate) async fn pull(
        self: &Arc<Self>,
        text: &str,
        auth: Option<AuthConfig>,
        sink: Option<ProgressSink>,
    ) -> windlass_cri::Result<Digest> {
        let reference: Reference = text.parse().map_err(|source| {
            let error = ImageError::Reference { text: text.to_owned(), source };
            Error::new(error.code(), with_causes(&error))
        })?;
        let name = reference.to_string();
        let core = self.clone();
        let start = |progress: Progress| {
            let auth = auth.clone();
            async move {
                let name = reference.to_string();
                core.pull_reference(reference, auth, &progress).await.map_err(|error| {
                    let message = format!("failed to pull and unpack image \"{name}\": {}", with_causes(&error));
                    Error::new(error.code(), message)
                })
            }
        };
        self.flights.join(&name, auth.as_ref(), sink, start).await
    }

    async fn pull_reference(
        self: Arc<Self>,
        reference: Reference,
        auth: Option<AuthConfig>,
        progress: &Progress,
    ) -> Result<Digest, ImageError> {
        let resolving = |error| ImageError::Resolve { reference: reference.to_string(), source: Box::new(error) };
        let (transport, registries, backoff) = (self.transport.clone(), self.registries.clone(), self.options.backoff);
        let chance = self.options.chance.clone();
        let repository = Repository::open(transport, registries, backoff, chance, reference.clone(), auth);
        let repository = repository.await.map_err(resolving)?;
        let resolved = repository.resolve().await.map_err(resolving)?;
        let target = resolved.digest;
        let bytes = match resolved.bytes {
            Some(bytes) => bytes,
            None => {
                // The registry has said that we may have this tag; what it means may be here already. For a digest only
                // fetching the manifest shows that we may.
                if reference.tag().is_some()
                    && let Some(id) = self.name_known(&reference, &target).await?
                {
                    return Ok(id);
                }
                repository.manifest(&target).await.map_err(resolving)?
            }
        };
        if let Some(id) = self.name_known(&reference, &target).await? {
            return Ok(id);
        }
        let mut documents = Documents::default();
        let manifest = self.find_manifest(&repository, &target, bytes, &mut documents).await?;
        let config = self.fetch_config(&repository, &manifest, &mut documents).await?;
        let mut record = ImageRecord { run: config.run_config().into(), ..ImageRecord::default() };
        record.name(&reference, &target);
        record.targets = documents.targets;
        record.targets.insert(target);
        record.size_bytes = manifest.layers.iter().map(|layer| layer.size).sum();

        let id = manifest.config.digest.clone();
        let diff_ids = config
            .diff_ids(manifest.layers.len())
            .map_err(|source| ImageError::Document { digest: id.clone(), source })?;
        // A layer may stand in an image twice; it is made once.
        let unique: HashMap<&Digest, &Descriptor> = diff_ids.iter().zip(&manifest.layers).collect();
        let bytes_total = unique.values().map(|blob| blob.size).sum();
        progress.expect(u32::try_from(unique.len()).unwrap_or(u32::MAX), bytes_total);
        let layers = unique.into_iter().map(|(diff_id, blob)| {
            self.ensure_layer(diff_id, LayerSource::Registry { repository: &repository, blob }, progress)
        });
        let leases = try_join_all(layers).await.map_err(ImageError::Layer)?;
        self.list_image(&id, record, diff_ids, documents.blobs).await?;
        drop(leases);
        Ok(id)
    }

    /// Follows indexes to the manifest for this machine.
    async fn find_manifest(
        &self,
        repository: &Repository,
        target: &Digest,
        bytes: Bytes,
        documents: &mut Documents,
    ) -> Result<Manifest, ImageError> {
        let (mut digest, mut bytes) = (target.clone(), bytes);
        for _ in 0..=INDEX_LEVELS_MAX {
            let document =
                Document::parse(&bytes).map_err(|source| ImageError::Document { digest: digest.clone(), source })?;
            documents.add(&digest, bytes);
            let entries = match document {
                Document::Manifest(manifest) => {
                    documents.targets.insert(digest);
                    return Ok(manifest);
                }
                Document::Index(entries) => entries,
            };
            let platform = &self.options.platform;
            let chosen = platform
                .choose(&entries)
                .ok_or_else(|| ImageError::NoPlatform { digest: digest.clone(), platform: platform.to_string() })?;
            digest = chosen.digest.clone();
            let fetched = repository.manifest(&digest).await;
            bytes = fetched
                .map_err(|error| ImageError::FetchManifest { digest: digest.clone(), source: Box::new(error) })?;
        }
        Err(ImageError::IndexLoop(target.clone()))
    }

    async fn fetch_config(
        &self,
        repository: &Repository,
        manifest: &Manifest,
        documents: &mut Documents,
    ) -> Result<ImageConfig, ImageError> {
        let digest = &manifest.config.digest;
        let fetched = repository.blob(&manifest.config, CONFIG_BYTES_MAX).await;
        let bytes =
            fetched.map_err(|error| ImageError::FetchConfig { digest: digest.clone(), source: Box::new(error) })?;
        let config = self.parse_config(digest, &bytes)?;
        documents.add(digest, bytes);
        Ok(config)
    }

    /// Reads a configuration and refuses one for another machine.
    pub(crate) fn parse_config(&self, digest: &Digest, bytes: &[u8]) -> Result<ImageConfig, ImageError> {
        let wrong = |source| ImageError::Document { digest: digest.clone(), source };
        let config = ImageConfig::parse(bytes).map_err(wrong)?;
        config.check_platform(&self.options.platform).map_err(wrong)?;
        Ok(config)
    }

    /// Lists an image whose layers are all there (and leased by the caller), with its documents.
    pub(crate) async fn list_image(
        self: &Arc<Self>,
        id: &Digest,
        mut record: ImageRecord,
        diff_ids: &[Digest],
        blobs: Vec<(Digest, Bytes)>,
    ) -> Result<(), ImageError> {
        let (chain, leases) = self.complete_chain(diff_ids).await.map_err(ImageError::Layer)?;
        record.layers = chain;
        record.blobs = blobs.iter().map(|(digest, _)| digest.clone()).collect();
        self.state.lock().index.add_image(id, record);
        drop(leases);
        let core = self.clone();
        let written = tokio::task::spawn_blocking(move || {
            blobs.iter().try_for_each(|(digest, bytes)| core.blobs.write(digest, bytes))
        });
        match written.await {
            Ok(written) => written.map_err(ImageError::Store)?,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
        self.persist().await.map_err(ImageError::Store)
    }

    /// Gives the image that `target` leads to, if there is one, the name `reference`.
    async fn name_known(
        self: &Arc<Self>,
        reference: &Reference,
        target: &Digest,
    ) -> Result<Option<Digest>, ImageError> {
        let id = {
            let mut state = self.state.lock();
            let Some(id) = state.index.by_target(target).cloned() else { return Ok(None) };
            if state.index.find(&reference.to_string()).ok().flatten().as_ref() == Some(&id) {
                return Ok(Some(id));
            }
            state.index.add_name(&id, reference, target);
            id
        };
        self.persist().await.map_err(ImageError::Store)?;
        Ok(Some(id))
    }
}

/// What was read on the way to an image.
#[derive(Default)]
struct Documents {
    blobs: Vec<(Digest, Bytes)>,
    targets: std::collections::BTreeSet<Digest>,
}

impl Documents {
    fn add(&mut self, digest: &Digest, bytes: Bytes) {
        self.blobs.push((digest.clone(), bytes));
    }
}
