//! The plugins in their order.

use std::sync::Arc;

use async_trait::async_trait;
use windlass_api::Status;

use crate::quota::{Charge, ResourceQuota};
use crate::read_once::ReadOnce;
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

/// The plugins of a server, and the quotas that come after them: nothing is charged for what a plugin refuses.
#[derive(Clone, Default)]
pub struct Chain {
    plugins: Vec<Arc<dyn Plugin>>,
    quota: Option<Arc<ResourceQuota>>,
}

impl Chain {
    pub(crate) fn new(plugins: Vec<Arc<dyn Plugin>>, quota: ResourceQuota) -> Self {
        Self { plugins, quota: Some(Arc::new(quota)) }
    }

    pub async fn admit(&self, review: &mut Review<'_>, cluster: &dyn Cluster) -> Result<(), Status> {
        self.admit_once(review, cluster).await?;
        // What policies and webhooks have changed, those before them have not seen.
        if review.reinvocation.begin_again() {
            self.admit_once(review, cluster).await?;
        }
        Ok(())
    }

    async fn admit_once(&self, review: &mut Review<'_>, cluster: &dyn Cluster) -> Result<(), Status> {
        let cluster = ReadOnce::new(cluster, review);
        for plugin in &self.plugins {
            plugin.admit(review, &cluster).await?;
        }
        Ok(())
    }

    pub async fn validate(&self, review: &Review<'_>, cluster: &dyn Cluster) -> Result<(), Status> {
        let cluster = ReadOnce::new(cluster, review);
        for plugin in &self.plugins {
            plugin.validate(review, &cluster).await?;
        }
        Ok(())
    }

    /// What the write is charged to the quotas of its namespace. Asked last, and anew whenever the write is tried again.
    pub async fn charge(&self, review: &Review<'_>, cluster: &dyn Cluster) -> Result<Charge, Status> {
        match &self.quota {
            Some(quota) => quota.charge(review, cluster).await,
            None => Ok(Charge::default()),
        }
    }
}
