//! The node's heartbeat: a Lease in kube-node-lease, renewed every quarter of its duration.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use windlass_api::resource::LEASES;
use windlass_api::well_known::namespace::KUBE_NODE_LEASE;
use windlass_api::{ObjectKey, Status};
use windlass_client::OBJECT;

use crate::shared::Shared;

const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(7);

/// Renews for ever.
pub(crate) async fn run(shared: Arc<Shared>) {
    let period = shared.options.lease_duration / 4;
    let mut retry = RETRY_FIRST;
    loop {
        match renew(&shared).await {
            Ok(()) => {
                retry = RETRY_FIRST;
                tokio::time::sleep(period).await;
            }
            Err(status) => {
                tracing::warn!(error = %status, "failed to update the node's lease");
                tokio::time::sleep(retry).await;
                retry = (retry * 2).min(RETRY_MAX);
            }
        }
    }
}

async fn renew(shared: &Shared) -> Result<(), Status> {
    let name = &shared.options.node_name;
    let key = ObjectKey::new(KUBE_NODE_LEASE, name);
    let seconds = shared.options.lease_duration.as_secs();
    let now = shared.clock.now_rfc3339_micro();
    let owner = shared
        .node
        .node()
        .and_then(|node| node.metadata.uid)
        .map(|uid| json!([{"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}]));
    let mut renewal = json!({"spec": {
        "holderIdentity": name, "leaseDurationSeconds": seconds, "renewTime": now,
    }});
    if let Some(owner) = &owner {
        renewal["metadata"] = json!({"ownerReferences": owner});
    }
    match shared.client.patch(&LEASES, &key, OBJECT, &renewal).await {
        Ok(_) => return Ok(()),
        Err(status) if status.is_not_found() => {}
        Err(status) => return Err(status),
    }
    let mut lease = renewal;
    lease["metadata"]["name"] = json!(name);
    lease["metadata"]["namespace"] = json!(KUBE_NODE_LEASE);
    shared.client.create(&LEASES, KUBE_NODE_LEASE, &lease).await.map(drop)
}
