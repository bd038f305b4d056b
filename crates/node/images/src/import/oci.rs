//! OCI image layouts: index.json leads to manifests, everything else lies in `blobs/` by digest.

use bytes::Bytes;

use super::archive::Archive;
use super::{Candidate, ImportError, Layer, docker, read_config};
use crate::digest::Digest;
use crate::manifest::{Descriptor, Document, MANIFEST_BYTES_MAX, Manifest};
use crate::reference::Reference;
use crate::store::{Core, ImageRecord};

/// Where tools put the image's full name.
const CONTAINERD_NAME: &str = "io.containerd.image.name";
/// By the specification a tag; some tools write the full name.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// An index may hold indexes; more levels than this are a loop.
const INDEX_LEVELS_MAX: usize = 3;

type Blobs = Vec<(Digest, Bytes)>;

/// Every image of the layout that is for this machine. Names come from the index, and from manifest.json where an
/// archive is of both kinds.
pub(super) fn candidates(core: &Core, archive: &Archive) -> Result<Vec<Candidate>, ImportError> {
    const PATH: &str = "index.json";
    let bytes = archive.read(PATH, MANIFEST_BYTES_MAX)?;
    let wrong = |source| ImportError::Document { path: PATH.to_owned(), source };
    let Document::Index(entries) = Document::parse(&bytes).map_err(wrong)? else {
        return Err(ImportError::NotAnImage);
    };
    let docker_items = if archive.has("manifest.json") { docker::items(archive)? } else { Vec::new() };
    let mut found: Vec<Candidate> = Vec::new();
    for entry in &entries {
        let suits = entry.platform.as_ref().is_none_or(|platform| core.options.platform.rank(platform).is_some());
        if !suits {
            continue;
        }
        let mut blobs = Blobs::new();
        let Some(manifest) = follow(core, archive, entry, &mut blobs)? else { continue };
        let mut candidate = candidate(core, archive, manifest, blobs)?;
        candidate.record.targets.insert(entry.digest.clone());
        if let Some(name) = name(entry) {
            candidate.record.name(&name, &entry.digest);
        }
        let config_path = blob_path(&candidate.id);
        for item in docker_items.iter().filter(|item| item.config == config_path) {
            candidate.record.tags.extend(docker::tags(item.repo_tags.clone()));
        }
        found.push(candidate);
    }
    if found.is_empty() { Err(ImportError::NoPlatform(core.options.platform.to_string())) } else { Ok(found) }
}

fn name(entry: &Descriptor) -> Option<Reference> {
    let full = entry.annotations.get(CONTAINERD_NAME);
    let reference = full.or_else(|| entry.annotations.get(REF_NAME).filter(|name| name.contains(['/', ':'])))?;
    match reference.parse() {
        Ok(reference) => Some(reference),
        Err(error) => {
            tracing::warn!(name = reference, %error, "left out a name of an imported image");
            None
        }
    }
}

/// The manifest for this machine that an entry leads to. `None` when there is none for this machine.
fn follow(
    core: &Core,
    archive: &Archive,
    entry: &Descriptor,
    blobs: &mut Blobs,
) -> Result<Option<Manifest>, ImportError> {
    let mut digest = entry.digest.clone();
    for _ in 0..=INDEX_LEVELS_MAX {
        let path = blob_path(&digest);
        let bytes = read_blob(archive, &digest, MANIFEST_BYTES_MAX)?;
        let document = Document::parse(&bytes).map_err(|source| ImportError::Document { path, source })?;
        blobs.push((digest, bytes));
        match document {
            Document::Manifest(manifest) => return Ok(Some(manifest)),
            Document::Index(entries) => match core.options.platform.choose(&entries) {
                Some(chosen) => digest = chosen.digest.clone(),
                None => return Ok(None),
            },
        }
    }
    Err(ImportError::NotAnImage)
}

fn candidate(core: &Core, archive: &Archive, manifest: Manifest, mut blobs: Blobs) -> Result<Candidate, ImportError> {
    let digest = &manifest.config.digest;
    let path = blob_path(digest);
    let (_, config, bytes) = read_config(core, archive, &path)?;
    if !digest.matches(&bytes) {
        return Err(ImportError::Digest { path, expected: digest.clone() });
    }
    let mut record = ImageRecord { run: config.run_config().into(), ..ImageRecord::default() };
    record.targets.extend(blobs.iter().map(|(digest, _)| digest.clone()));
    let layers = manifest.layers.iter().map(|layer| {
        let (offset, size) = archive.locate(&blob_path(&layer.digest))?;
        record.size_bytes += size;
        Ok(Layer { offset, size, digest: Some(layer.digest.clone()) })
    });
    let layers = layers.collect::<Result<_, ImportError>>()?;
    blobs.push((digest.clone(), bytes.into()));
    Ok(Candidate { id: digest.clone(), config, record, layers, blobs })
}

fn read_blob(archive: &Archive, digest: &Digest, bytes_max: u64) -> Result<Bytes, ImportError> {
    let path = blob_path(digest);
    let bytes = archive.read(&path, bytes_max)?;
    if digest.matches(&bytes) { Ok(bytes.into()) } else { Err(ImportError::Digest { path, expected: digest.clone() }) }
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}", digest.as_str().replacen(':', "/", 1))
}
