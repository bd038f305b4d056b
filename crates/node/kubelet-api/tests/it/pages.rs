//! Pages, and who may see them.

use http::StatusCode;
use serde_json::Value;
use windlass_cri::ContainerConfig;

use crate::client::{get, get_with_token, post};
use crate::node::on_node;

#[test]
fn pages() {
    on_node(|node| {
        Box::pin(async move {
            node.start("c", "sleep 1000", ContainerConfig::default()).await;
            let page = async |path: &str| {
                let (code, text) = get(node, path).await;
                assert_eq!(code, StatusCode::OK, "{path}: {text}");
                text
            };
            let json = async |path: &str| serde_json::from_str::<Value>(&page(path).await).unwrap();
            assert_eq!(page("/healthz").await, "ok");
            assert_eq!(json("/pods").await["items"][0]["metadata"]["name"], "pod");
            assert_eq!(json("/configz").await["kubeletconfig"]["kind"], "KubeletConfiguration");
            let running = json("/runningpods/").await;
            assert_eq!(running["items"][0]["metadata"]["uid"], "uid", "{running}");
            assert_eq!(running["items"][0]["spec"]["containers"][0]["name"], "c");
            let summary = json("/stats/summary").await;
            assert_eq!(summary["node"]["nodeName"], "node");
            assert_eq!(summary["pods"][0]["podRef"]["name"], "pod", "{summary}");
            let container = &summary["pods"][0]["containers"][0];
            assert_eq!(container["name"], "c", "{summary}");
            assert!(container["memory"]["workingSetBytes"].as_u64().unwrap() > 0, "{summary}");
            let labels = "{container=\"c\",namespace=\"test\",pod=\"pod\"} ";
            let resource = page("/metrics/resource").await;
            assert!(resource.contains(&format!("container_memory_working_set_bytes{labels}")), "{resource}");
            assert!(page("/metrics/cadvisor").await.contains("container_processes{container=\"c\""));
            assert_eq!(page("/metrics/probes").await, "prober_probe_total 1\n");
            page("/metrics").await;
            assert!(page("/logs/").await.contains("<a href=\"c.log\">c.log</a>"));
            assert_eq!(page("/logs/c.log").await, "");
            let said = post(node, "/run/test/pod/c?cmd=echo+hello+there").await;
            assert_eq!(said, (StatusCode::OK, "hello there\n".to_owned()));
            assert_eq!(get(node, "/none").await.0, StatusCode::NOT_FOUND);
            assert_eq!(post(node, "/pods").await.0, StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(get(node, "/logs/../runtime").await.0, StatusCode::NOT_FOUND);
        })
    });
}

#[test]
fn who_may_see_them() {
    on_node(|node| {
        Box::pin(async move {
            let unauthorized = (StatusCode::UNAUTHORIZED, "Unauthorized".to_owned());
            assert_eq!(get_with_token(node, "", "/pods").await, unauthorized);
            assert_eq!(get_with_token(node, "bad", "/pods").await, unauthorized);
            assert_eq!(get_with_token(node, "good", "/metrics").await.0, StatusCode::OK);
            let text = "Forbidden (user=alice, verb=get, resource=nodes, subresource(s)=[pods proxy])\n";
            assert_eq!(get_with_token(node, "good", "/pods").await, (StatusCode::FORBIDDEN, text.to_owned()));
            // Answers are remembered.
            let asked = node.reviews.asked.lock().len();
            assert_eq!(get_with_token(node, "good", "/metrics").await.0, StatusCode::OK);
            assert_eq!(get_with_token(node, "good", "/pods").await.0, StatusCode::FORBIDDEN);
            assert_eq!(node.reviews.asked.lock().len(), asked);
        })
    });
}
