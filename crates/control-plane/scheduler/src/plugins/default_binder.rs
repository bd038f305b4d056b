//! DefaultBinder: tells the API which node a pod has got.

use async_trait::async_trait;
use serde_json::json;
use windlass_api::Status;
use windlass_api::resource::PODS;
use windlass_client::Client;

use crate::framework::{Bind, Plugin};
use crate::object::Pod;

pub(super) struct DefaultBinder {
    pub client: Client,
}

impl Plugin for DefaultBinder {
    fn name(&self) -> &'static str {
        "DefaultBinder"
    }
}

#[async_trait]
impl Bind for DefaultBinder {
    async fn bind(&self, pod: &Pod, node: &str) -> Result<(), Status> {
        let binding = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod.key.name, "namespace": pod.key.namespace, "uid": pod.uid},
            "target": {"kind": "Node", "name": node},
        });
        self.client.create_sub(&PODS, &pod.key, "binding", &binding).await.map(drop)
    }
}
