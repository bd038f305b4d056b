//! The node's range of pod addresses: the runtime is told as soon as the cluster has given one.

use std::sync::Arc;
use std::time::Duration;

use windlass_api::ObjectKey;
use windlass_api::k8s::api::core::v1::Node;
use windlass_client::Informer;

use crate::shared::Shared;

/// A range that the runtime did not take is offered again after this time: its disk may have been full.
const RETRY: Duration = Duration::from_secs(5);

pub(crate) async fn follow_pod_cidr(shared: Arc<Shared>, own_node: Arc<Informer>) {
    let key = ObjectKey::new("", shared.options.node_name.clone());
    let range = || own_node.read::<Node>(&key)?.spec?.pod_cidr.filter(|range| !range.is_empty());
    let mut told = None;
    loop {
        own_node.until(|_| range().is_some_and(|range| told.as_ref() != Some(&range))).await;
        let Some(range) = range() else { continue };
        match shared.runtime.update_pod_cidr(&range).await {
            Ok(()) => {
                tracing::info!(%range, "the pod network is set up");
                shared.node.expect_news();
                told = Some(range);
            }
            Err(error) => {
                tracing::error!(%error, %range, "pods get no network yet");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}
