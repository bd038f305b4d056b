//! The Node object and its lease.

use std::time::Instant;

use futures::FutureExt;
use windlass_api::resource::{LEASES, NODES};

use crate::cluster::{NODE, condition, on_cluster, until};

#[test]
fn the_node_registers_and_becomes_ready() {
    let began = Instant::now();
    on_cluster(|cluster| {
        async move {
            let node = until("the node is ready", || async {
                let node = cluster.find(&NODES, "", NODE).await?;
                (condition(&node, "Ready") == "True").then_some(node)
            })
            .await;
            println!("the node is ready after {:?}, API server and image included", began.elapsed());
            let labels = &node["metadata"]["labels"];
            assert_eq!(labels["kubernetes.io/hostname"], NODE);
            assert_eq!(labels["kubernetes.io/os"], "linux");
            assert_eq!(node["status"]["addresses"][0]["address"], "192.0.2.10");
            assert_eq!(node["status"]["allocatable"]["pods"], "110");
            assert_eq!(node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"], 10250);
            for kind in ["MemoryPressure", "DiskPressure", "PIDPressure"] {
                assert_eq!(condition(&node, kind), "False", "{kind}");
            }
            let lease = until("the lease", || async { cluster.find(&LEASES, "kube-node-lease", NODE).await }).await;
            assert_eq!(lease["spec"]["holderIdentity"], NODE);
            assert_eq!(lease["spec"]["leaseDurationSeconds"], 40);
        }
        .boxed()
    });
}
