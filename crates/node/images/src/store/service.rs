//! The store as the CRI sees it.

use async_trait::async_trait;
use windlass_api::io::is_full;
use windlass_api::text::with_causes;
use windlass_cri::{
    AuthConfig, Code, Error, FilesystemUsage, Image, ImageRootfs, ImageService, ImageSource, ImageSpec, ProgressSink,
    Result,
};

use super::core::{Core, ImageStore, State, StoreError, find};
use crate::digest::Digest;

#[async_trait]
impl ImageService for ImageStore {
    async fn list_images(&self, filter: Option<&ImageSpec>) -> Result<Vec<Image>> {
        let state = self.core.state.lock();
        match filter.filter(|spec| !spec.image.is_empty()) {
            Some(spec) => {
                Ok(find(&state, &spec.image)?.and_then(|id| self.core.describe(&state, &id)).into_iter().collect())
            }
            None => {
                let ids: Vec<Digest> = state.index.images().map(|(id, _)| id.clone()).collect();
                Ok(ids.iter().filter_map(|id| self.core.describe(&state, id)).collect())
            }
        }
    }

    async fn image_status(&self, image: &ImageSpec) -> Result<Option<Image>> {
        let state = self.core.state.lock();
        Ok(find(&state, &image.image)?.and_then(|id| self.core.describe(&state, &id)))
    }

    async fn pull_image(
        &self,
        image: &ImageSpec,
        auth: Option<AuthConfig>,
        progress: Option<ProgressSink>,
    ) -> Result<String> {
        self.core.pull(&image.image, auth, progress).await.map(|id| id.to_string())
    }

    async fn remove_image(&self, image: &ImageSpec) -> Result<()> {
        let text = &image.image;
        let removed = self
            .core
            .state
            .lock()
            .index
            .remove(text)
            .map_err(|source| StoreError::Reference { text: text.clone(), source })?;
        if removed {
            match self.core.persist().await {
                Err(error) if !is_full(&error) => Err(StoreError::Write(error))?,
                // What is removed makes room, and the index is written then.
                Err(_) | Ok(()) => self.core.collect_soon(),
            }
        }
        Ok(())
    }

    async fn image_fs_info(&self) -> Result<Vec<FilesystemUsage>> {
        let state = self.core.state.lock();
        let (used_bytes, inodes_used) = state
            .index
            .layers()
            .fold((0, 0), |(bytes, inodes), (_, layer)| (bytes + layer.bytes, inodes + layer.inodes));
        Ok(vec![FilesystemUsage {
            timestamp: self.core.options.clock.now_nanos(),
            mountpoint: self.core.options.root.display().to_string(),
            used_bytes,
            inodes_used,
        }])
    }
}

#[async_trait]
impl ImageSource for ImageStore {
    async fn rootfs(&self, image: &str) -> Result<ImageRootfs> {
        Ok(self.core.rootfs(image)?)
    }
}

impl Core {
    fn describe(&self, state: &State, id: &Digest) -> Option<Image> {
        let record = state.index.image(id)?;
        let (uid, username) = record.user();
        Some(Image {
            id: id.to_string(),
            repo_tags: record.tags.iter().cloned().collect(),
            repo_digests: record.digests.iter().cloned().collect(),
            size_bytes: record.size_bytes,
            uid,
            username,
            pinned: self.is_pinned(&record.tags),
        })
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::Reference { .. } => Code::InvalidArgument,
            StoreError::NotFound(_) => Code::NotFound,
            StoreError::Write(source) | StoreError::Collect(source) if is_full(source) => Code::ResourceExhausted,
            StoreError::Write(_) | StoreError::Collect(_) => Code::Internal,
        };
        Self::new(code, with_causes(&error))
    }
}
