//! What a pod may take of the node's disk.

use std::path::Path;

use futures::FutureExt;
use serde_json::json;
use windlass_api::Quantity;

use crate::cluster::{on_cluster, shell, until};

fn files(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

#[test]
fn logs_are_rotated() {
    on_cluster(|cluster| {
        async move {
            cluster.stop().await;
            cluster.options.container_log_max_size = Quantity::from_bytes(256 << 10);
            cluster.options.container_log_max_files = 3;
            cluster.start().await;
            let script = "while [ ! -e /go/on ]; do yes 0123456789 | head -n 1000; done; echo end; sleep 1000";
            let mut main = shell("c", script);
            main["volumeMounts"] = json!([{"name": "go", "mountPath": "/go"}]);
            let spec = json!({"containers": [main], "volumes": [{"name": "go", "emptyDir": {}}]});
            cluster.create_pod("talker", spec).await;
            let pod = cluster.ready("talker").await;
            let directory = cluster.logs(&pod).join("c");
            until("an old log is compressed", || async {
                files(&directory).iter().any(|name| name.starts_with("0.log.") && name.ends_with(".gz")).then_some(())
            })
            .await;
            let uid = pod["metadata"]["uid"].as_str().unwrap();
            let volume = cluster.options.root.join("pods").join(uid).join("volumes/kubernetes.io~empty-dir/go");
            std::fs::write(volume.join("on"), "").unwrap();
            until("the last line", || async { cluster.log(&pod, "c", 0).ends_with("end\n").then_some(()) }).await;
            until("the last rotation is done", || async {
                let names = files(&directory);
                let plain = names.iter().filter(|name| !name.ends_with(".gz")).count();
                (names.len() <= 3 && plain <= 2).then_some(())
            })
            .await;
            cluster.delete("talker", Some(0)).await;
            cluster.gone("talker").await;
            until("the logs are gone", || async { (!cluster.logs(&pod).exists()).then_some(()) }).await;
        }
        .boxed()
    });
}
