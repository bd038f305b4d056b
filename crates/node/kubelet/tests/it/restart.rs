//! A kubelet that comes back.

use futures::FutureExt;
use serde_json::json;
use windlass_api::ObjectKey;
use windlass_api::resource::PODS;
use windlass_client::DeleteOptions;
use windlass_cri::{RuntimeService, SandboxFilter};

use crate::cluster::{condition, container, on_cluster, shell, text, until};

#[test]
fn pods_run_on_and_are_found_again() {
    on_cluster(|cluster| {
        async move {
            let mut main = shell("c", "sleep 1000");
            main["readinessProbe"] = json!({"exec": {"command": ["true"]}, "periodSeconds": 1});
            cluster.create_pod("stays", json!({"containers": [main]})).await;
            cluster.create_pod("forgotten", json!({"containers": [shell("c", "sleep 1000")]})).await;
            let before = cluster.ready("stays").await;
            cluster.ready("forgotten").await;
            cluster.stop().await;
            let options = DeleteOptions::default().grace_seconds(0);
            cluster.admin.delete(&PODS, &ObjectKey::new("default", "forgotten"), &options).await.unwrap();
            cluster.start().await;
            until("the forgotten pod is ended", || async {
                let list = cluster.runtime().list_sandboxes(SandboxFilter::default()).await.unwrap();
                (list.len() == 1).then_some(())
            })
            .await;
            let after = cluster.pod("stays").await;
            assert_eq!(condition(&after, "Ready"), "True");
            assert_eq!(container(&after, "c")["restartCount"], 0);
            assert_eq!(text(&container(&after, "c")["containerID"]), text(&container(&before, "c")["containerID"]));
            cluster.delete("stays", None).await;
            cluster.gone("stays").await;
        }
        .boxed()
    });
}
