//! The Node object and its lease.

use std::time::{Duration, Instant};

use futures::FutureExt;
use serde_json::json;
use windlass_api::resource::{LEASES, NODES};

use windlass_kubelet::{Signal, SoftThreshold, Threshold, ThresholdValue};

use crate::cluster::{NODE, condition, on_cluster, shell, until};

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

#[test]
fn a_node_without_memory_evicts() {
    on_cluster(|cluster| {
        async move {
            // There is always less than all of the memory left.
            let threshold = Threshold { signal: Signal::MemoryAvailable, value: ThresholdValue::Fraction(1.0) };
            cluster.stop().await;
            cluster.options.eviction.soft = vec![SoftThreshold { threshold, grace: Duration::from_secs(1) }];
            cluster.start().await;
            until("the node is under pressure", || async {
                let node = cluster.find(&NODES, "", NODE).await?;
                (condition(&node, "MemoryPressure") == "True").then_some(())
            })
            .await;
            cluster.create_pod("modest", json!({"containers": [shell("c", "sleep 1000")]})).await;
            let rejected = cluster.phase("modest", "Failed").await;
            assert_eq!(rejected["status"]["reason"], "Evicted");
            let mut main = shell("c", "sleep 1000");
            main["resources"] = json!({"requests": {"memory": "1Mi"}});
            cluster.create_pod("asks", json!({"containers": [main]})).await;
            let evicted = cluster.phase("asks", "Failed").await;
            assert_eq!(evicted["status"]["reason"], "Evicted");
            let message = evicted["status"]["message"].as_str().unwrap();
            assert!(message.starts_with("The node was low on resource: memory. Threshold quantity: "), "{message}");
            assert_eq!(condition(&evicted, "DisruptionTarget"), "True");
        }
        .boxed()
    });
}
