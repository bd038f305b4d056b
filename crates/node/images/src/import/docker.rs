//! `docker save`: manifest.json lists images with their configuration, tags and layers; layers have no digest of their own.

use serde::Deserialize;

use super::archive::Archive;
use super::{Candidate, ImportError, Layer, read_config};
use crate::manifest::MANIFEST_BYTES_MAX;
use crate::reference::Reference;
use crate::store::{Core, ImageRecord};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Item {
    pub(super) config: String,
    #[serde(default)]
    pub(super) repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

pub(super) fn items(archive: &Archive) -> Result<Vec<Item>, ImportError> {
    const PATH: &str = "manifest.json";
    let bytes = archive.read(PATH, MANIFEST_BYTES_MAX)?;
    serde_json::from_slice(&bytes).map_err(|source| ImportError::Json { path: PATH.to_owned(), source })
}

pub(super) fn candidates(core: &Core, archive: &Archive) -> Result<Vec<Candidate>, ImportError> {
    items(archive)?.into_iter().map(|item| candidate(core, archive, item)).collect()
}

fn candidate(core: &Core, archive: &Archive, item: Item) -> Result<Candidate, ImportError> {
    let (id, config, bytes) = read_config(core, archive, &item.config)?;
    let mut record = ImageRecord { run: config.run_config().into(), ..ImageRecord::default() };
    record.tags.extend(tags(item.repo_tags));
    let layers = item.layers.unwrap_or_default().into_iter().map(|path| {
        let (offset, size) = archive.locate(&path)?;
        record.size_bytes += size;
        Ok(Layer { offset, size, digest: None })
    });
    let layers = layers.collect::<Result<_, ImportError>>()?;
    Ok(Candidate { blobs: vec![(id.clone(), bytes.into())], id, config, record, layers })
}

/// Full names; what is no reference is left out.
pub(super) fn tags(names: Option<Vec<String>>) -> impl Iterator<Item = String> {
    names.into_iter().flatten().filter_map(|name| match name.parse::<Reference>() {
        Ok(reference) => reference.tag().is_some().then(|| reference.to_string()),
        Err(error) => {
            tracing::warn!(name, %error, "left out a name of an imported image");
            None
        }
    })
}
