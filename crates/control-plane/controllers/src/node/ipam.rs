//! Every node gets a part of the cluster's pod addresses: `spec.podCIDR`.

use std::collections::HashSet;
use std::sync::Mutex;

use ipnet::Ipv4Net;
use serde_json::json;
use windlass_api::resource::NODES;
use windlass_api::{ObjectKey, Status};
use windlass_client::{EventType, OBJECT, Outcome, WorkQueue};

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
    nodes.subscribe(move |change| {
        if let Some(node) = &change.new {
            changed.add(node.key.clone());
        }
    });
    nodes.synced().await;
    // What has been given to nodes whose update the cache may not show yet. One worker gives.
    let given: Mutex<HashSet<Ipv4Net>> = Mutex::default();
    let sync = async |key: ObjectKey| -> Result<Outcome, Status> {
        let Some(node) = nodes.read::<Node>(&key) else { return Ok(Outcome::Done) };
        if !node.spec.pod_cidr.is_empty() || node.metadata.is_deleting() {
            return Ok(Outcome::Done);
        }
        let taken =
            nodes.list("").into_iter().filter_map(|object| object.decode::<Node>().ok()?.spec.pod_cidr.parse().ok());
        let mut taken: HashSet<Ipv4Net> = taken.collect();
        taken.extend(given.lock().expect("nothing panics while it holds this").iter());
        let Some(free) = first_free(cluster_cidr, &taken) else {
            let about = reference(KIND, &node.metadata);
            let message = format!("Node {} status is now: CIDRNotAvailable", key.name);
            recorder.event(&about, EventType::Normal, "CIDRNotAvailable", message);
            return Err(Status::internal(format_args!("no pod addresses are left in {cluster_cidr}")));
        };
        let patch = json!({
            "metadata": {"uid": node.metadata.uid},
            "spec": {"podCIDR": free.to_string(), "podCIDRs": [free.to_string()]},
        });
        given.lock().expect("nothing panics while it holds this").insert(free);
        let written = client.patch(&NODES, &key, OBJECT, &patch).await;
        if let Ok(node) = &written {
            nodes.reached(node.revision).await;
        }
        given.lock().expect("nothing panics while it holds this").remove(&free);
        match written {
            Err(status) if !status.is_not_found() => Err(status),
            _ => Ok(Outcome::Done),
        }
    };
    queue.run(NAME, 1, sync).await;
}

/// The first part of the cluster's addresses that overlaps with none of `taken`.
fn first_free(cluster: Ipv4Net, taken: &HashSet<Ipv4Net>) -> Option<Ipv4Net> {
    let prefix = NODE_PREFIX.max(cluster.prefix_len());
    let overlaps = |part: &Ipv4Net| taken.iter().any(|other| other.contains(part) || part.contains(other));
    cluster.subnets(prefix).ok()?.find(|part| !taken.contains(part) && !overlaps(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_overlap() {
        let cluster: Ipv4Net = "10.244.0.0/22".parse().unwrap();
        let mut taken = HashSet::new();
        for expected in ["10.244.0.0/24", "10.244.1.0/24", "10.244.2.0/24", "10.244.3.0/24"] {
            let free = first_free(cluster, &taken).unwrap();
            assert_eq!(free.to_string(), expected);
            taken.insert(free);
        }
        assert_eq!(first_free(cluster, &taken), None);
        taken.remove(&"10.244.1.0/24".parse().unwrap());
        assert_eq!(first_free(cluster, &taken).unwrap().to_string(), "10.244.1.0/24");
        assert_eq!(first_free("10.1.0.0/28".parse().unwrap(), &HashSet::new()).unwrap().to_string(), "10.1.0.0/28");
    }
}
