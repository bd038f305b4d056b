//! What a worker lets others see.

use std::sync::Arc;

use windlass_api::k8s::api::core::v1::{Pod, PodStatus};

use crate::observe::Observed;

/// What others may see of a worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    pub(crate) status: PodStatus,
    pub(crate) observed: Observed,
    /// Nothing of the pod runs any more, nor will.
    pub(crate) finished: bool,
    /// The pod with the resources that are allocated to it.
    pub(crate) allocated: Option<Arc<Pod>>,
}
