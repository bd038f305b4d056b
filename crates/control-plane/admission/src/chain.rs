//! The plugins in their order.

use std::sync::Arc;

use async_trait::async_trait;
use windlass_api::Status;

use crate::review::{Cluster, Review};

/// A rule about writes. Most plugins do one of the two steps.
#[async_trait]
pub trait Plugin: Send + Sync {
    /// Upstream's name, as in `--enable-admission-plugins`.
    fn name(&self) -> &'static str;

    /// May change `review.object`.
    async fn admit(&self, _review: &mut Review<'_>, _cluster: &dyn Cluster) -> Result<(), Status> {
        Ok(())
    }

    /// May only refuse.
    async fn validate(&self, _review: &Review<'_>, _cluster: &dyn Cluster) -> Result<(), Status> {
        Ok(())
    }
}

/// The plugins of a server.
#[derive(Clone, Default)]
pub struct Chain {
    plugins: Vec<Arc<dyn Plugin>>,
}

impl Chain {
    pub fn new(plugins: Vec<Arc<dyn Plugin>>) -> Self {
        Self { plugins }
    }

    pub async fn admit(&self, review: &mut Review<'_>, cluster: &dyn Cluster) -> Result<(), Status> {
        for plugin in &self.plugins {
            plugin.admit(review, cluster).await?;
        }
        Ok(())
    }

    pub async fn validate(&self, review: &Review<'_>, cluster: &dyn Cluster) -> Result<(), Status> {
        for plugin in &self.plugins {
            plugin.validate(review, cluster).await?;
        }
        Ok(())
    }
}
