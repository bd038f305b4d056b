//! Every node gets a part of the cluster's pod addresses: `spec.podCIDR`.

use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};
use parking_lot::Mutex;
use serde_json::json;
use windlass_api::resource::NODES;
use windlass_api::{ObjectKey, Status};
use windlass_client::{EventType, OBJECT, Object, Outcome, WorkQueue};

use super::cidrs::NodeCidrs;
use super::view::Node;
use crate::context::Context;
use crate::owners::OwnerKind;
use crate::pod_control::reference;

const NAME: &str = "node-controller";
const KIND: OwnerKind = OwnerKind { api_version: "v1", kind: "Node" };
/// A node's part has this prefix, unless the cluster's is as small.
const NODE_PREFIX: u8 = 24;

pub(crate) async fn run(context: Context, cluster_cidr: Ipv4Net) {
    let client = context.client(NAME);
    let recorder = context.recorder(&client, "cidrAllocator");
    let nodes = context.informer(&NODES);
    let queue = WorkQueue::new();
    let changed = queue.clone();
    let prefix = NODE_PREFIX.max(cluster_cidr.prefix_len());
    let cidrs = match NodeCidrs::new(cluster_cidr.into(), prefix) {
        Ok(cidrs) => Arc::new(Mutex::new(cidrs)),
        Err(error) => return tracing::error!(%error, "nodes get no pod addresses"),
    };
    let known = cidrs.clone();
    nodes.subscribe(move |change| {
        note(&mut known.lock(), change.old.as_ref().and_then(cidr_of), change.new.as_ref().and_then(cidr_of));
        if let Some(node) = &change.new {
            changed.add(node.key.clone());
        }
    });
    nodes.synced().await;
    let sync = async |key: ObjectKey| -> Result<Outcome, Status> {
        let Some(node) = nodes.read::<Node>(&key) else { return Ok(Outcome::Done) };
        if !node.spec.pod_cidr.is_empty() || node.metadata.is_deleting() {
            return Ok(Outcome::Done);
        }
        let free = cidrs.lock().allocate();
        let free = match free {
            Ok(free) => free,
            Err(error) => {
                let about = reference(KIND, &node.metadata);
                let message = format!("Node {} status is now: CIDRNotAvailable", key.name);
                recorder.event(&about, EventType::Normal, "CIDRNotAvailable", message);
                return Err(Status::internal(error));
            }
        };
        let patch = json!({
            "metadata": {"uid": node.metadata.uid},
            "spec": {"podCIDR": free.to_string(), "podCIDRs": [free.to_string()]},
        });
        match client.patch(&NODES, &key, OBJECT, &patch).await {
            Ok(node) => {
                nodes.reached(node.revision).await;
                Ok(Outcome::Done)
            }
            Err(status) => {
                note(&mut cidrs.lock(), Some(free), nodes.get(&key).as_ref().and_then(cidr_of));
                if status.is_not_found() { Ok(Outcome::Done) } else { Err(status) }
            }
        }
    };
    queue.run(NAME, 1, sync).await;
}

fn cidr_of(object: &Object) -> Option<IpNet> {
    object.decode::<Node>().ok()?.spec.pod_cidr.parse().ok()
}

/// Takes in that a node has another range than before. Ranges that are not of this cluster's are nobody's concern here.
fn note(cidrs: &mut NodeCidrs, before: Option<IpNet>, now: Option<IpNet>) {
    if let Some(before) = before.filter(|before| Some(*before) != now) {
        let _ = cidrs.release(before);
    }
    if let Some(now) = now {
        let _ = cidrs.occupy(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_come_and_go_with_nodes() {
        let net = |text: &str| Some(text.parse::<IpNet>().unwrap());
        let mut cidrs = NodeCidrs::new("10.244.0.0/22".parse().unwrap(), 24).unwrap();
        note(&mut cidrs, None, net("10.244.0.0/24"));
        note(&mut cidrs, net("10.244.0.0/24"), net("10.244.0.0/24"));
        note(&mut cidrs, None, net("192.168.0.0/24"));
        assert_eq!(cidrs.allocate().ok(), net("10.244.1.0/24"));
        note(&mut cidrs, net("10.244.0.0/24"), net("10.244.2.0/24"));
        assert_eq!(cidrs.allocate().ok(), net("10.244.3.0/24"));
        assert_eq!(cidrs.allocate().ok(), net("10.244.0.0/24"));
        assert!(cidrs.allocate().is_err());
    }
}
