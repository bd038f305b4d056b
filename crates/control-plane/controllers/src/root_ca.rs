//! Every namespace has the ConfigMap `kube-root-ca.crt`, by which pods know the API server.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;
use windlass_api::resource::{CONFIG_MAPS, NAMESPACES};
use windlass_api::{ObjectKey, Status};
use windlass_client::{OBJECT, Outcome, WorkQueue};

use crate::context::Context;
use crate::namespaces;
use crate::write::modify;

const NAME: &str = "root-ca-cert-publisher";
const CONFIG_MAP: &str = "kube-root-ca.crt";
const FILE: &str = "ca.crt";

#[derive(Default, Deserialize)]
#[serde(default)]
struct ConfigMap {
    data: BTreeMap<String, String>,
}

pub(crate) async fn run(context: Context, ca_pem: String) {
    let client = context.client(NAME);
    let queue = WorkQueue::new();
    let (namespaces, config_maps) = (context.informer(&NAMESPACES), context.informer(&CONFIG_MAPS));
    namespaces::each(&namespaces, &queue);
    let changed = queue.clone();
    config_maps.subscribe(move |change| {
        if change.object().key.name == CONFIG_MAP && (change.old.is_some() || change.new.is_none()) {
            changed.add(change.object().key.namespace.clone());
        }
    });
    config_maps.synced().await;
    let data = json!({FILE: ca_pem});
    let sync = async |namespace: String| -> Result<Outcome, Status> {
        if !namespaces::is_active(&namespaces, &namespace) {
            return Ok(Outcome::Done);
        }
        let key = ObjectKey::new(namespace.clone(), CONFIG_MAP);
        match config_maps.read::<ConfigMap>(&key) {
            Some(existing) if existing.data.len() == 1 && existing.data.get(FILE) == Some(&ca_pem) => Ok(Outcome::Done),
            Some(existing) => {
                let mut wanted = data.clone();
                for other in existing.data.keys().filter(|name| *name != FILE) {
                    wanted[other] = serde_json::Value::Null;
                }
                let patch = json!({"data": wanted});
                modify(&client, &config_maps, &CONFIG_MAPS, &key, OBJECT, &patch).await.map(|_| Outcome::Done)
            }
            None => {
                let description = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal \
                    endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across \
                    distributions of Kubernetes clusters.";
                let config_map = json!({
                    "metadata": {"name": CONFIG_MAP, "namespace": namespace,
                        "annotations": {"kubernetes.io/description": description}},
                    "data": data,
                });
                namespaces::created(client.create(&CONFIG_MAPS, &namespace, &config_map).await)
            }
        }
    };
    queue.run(NAME, 2, sync).await;
}
