//! ServiceAccount: every pod runs as one, and gets a token of it as a volume; an account may limit which Secrets its pods use.

mod mountable_secrets;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use windlass_api::{Chance, Status};
use windlass_machinery::tree::{child, items, items_mut, put, set, text};

use windlass_api::pod::tree::is_mirror;

use super::created;
use crate::chain::Plugin;
use crate::review::{Cluster, Operation, Review};

const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Upstream's hour and seven seconds, by which its own tokens are told from those that people ask for.
const TOKEN_SECONDS: i64 = 3607;
/// A namespace's account `default` is made right after the namespace: a pod that comes with it may wait a little.
const WAIT: Duration = Duration::from_millis(20);
const WAITS: usize = 100;

pub(super) struct ServiceAccount {
    pub(super) chance: Chance,
}

#[async_trait]
impl Plugin for ServiceAccount {
    fn name(&self) -> &'static str {
        "ServiceAccount"
    }

    async fn admit(&self, review: &mut Review<'_>, cluster: &dyn Cluster) -> Result<(), Status> {
        let namespace = review.namespace.to_owned();
        let Some(pod) = created(review, "", "pods") else { return Ok(()) };
        if is_mirror(pod) {
            return match text(&pod["spec"], "serviceAccountName") {
                "" => Ok(()),
                _ => Err(review.forbidden("a mirror pod may not reference service accounts")),
            };
        }
        let spec = child(pod, "spec");
        if text(spec, "serviceAccountName").is_empty() {
            put(spec, "serviceAccountName", "default");
            put(spec, "serviceAccount", "default");
        }
        let name = text(spec, "serviceAccountName").to_owned();
        let Some(account) = find(cluster, &namespace, &name).await else {
            let why = format!("error looking up service account {namespace}/{name}: serviceaccount {name:?} not found");
            return Err(review.forbidden(why));
        };
        if wants_token(&account, spec) {
            mount_token(spec, &self.chance);
        }
        if items(spec, "imagePullSecrets").next().is_none() {
            let secrets: Vec<Value> = items(&account, "imagePullSecrets").cloned().collect();
            if !secrets.is_empty() {
                put(spec, "imagePullSecrets", secrets);
            }
        }
        Ok(())
    }

    async fn validate(&self, review: &Review<'_>, cluster: &dyn Cluster) -> Result<(), Status> {
        let is_pod = review.resource.group.is_empty() && review.resource.resource == "pods";
        let check = match (review.operation, review.subresource) {
            (Operation::Create, "") => mountable_secrets::problem_of_pod,
            (Operation::Update, "ephemeralcontainers") => mountable_secrets::problem_of_ephemeral_containers,
            _ => return Ok(()),
        };
        let Some(pod) = review.object.as_deref().filter(|pod| is_pod && !is_mirror(pod)) else { return Ok(()) };
        // It was found when the pod was admitted; should it have gone since, the pod gets nothing of it.
        let account = cluster.object("serviceaccounts", review.namespace, text(&pod["spec"], "serviceAccountName"));
        let problem = account.filter(|account| mountable_secrets::are_enforced(account));
        let problem = problem.and_then(|account| check(&account, &pod["spec"]));
        problem.map_or(Ok(()), |why| Err(review.forbidden(why)))
    }
}

async fn find(cluster: &dyn Cluster, namespace: &str, name: &str) -> Option<Arc<Value>> {
    let waits = if name == "default" { WAITS } else { 1 };
    for _ in 0..waits {
        if let Some(account) = cluster.object("serviceaccounts", namespace, name) {
            return Some(account);
        }
        tokio::time::sleep(WAIT).await;
    }
    None
}

fn wants_token(account: &Value, spec: &Value) -> bool {
    let say = |object: &Value| object.get("automountServiceAccountToken").and_then(Value::as_bool);
    say(spec).or_else(|| say(account)).unwrap_or(true)
}

fn mount_token(spec: &mut Value, chance: &Chance) {
    let volume = token_volume(spec, chance);
    let mut used = false;
    for list in ["initContainers", "containers"] {
        for container in items_mut(spec, list) {
            if items(container, "volumeMounts").any(|mount| text(mount, "mountPath") == MOUNT_PATH) {
                continue;
            }
            set(container, "volumeMounts", json!([]));
            if let Some(mounts) = container["volumeMounts"].as_array_mut() {
                mounts.push(json!({"name": volume, "readOnly": true, "mountPath": MOUNT_PATH}));
                used = true;
            }
        }
    }
    if !used || items(spec, "volumes").any(|existing| text(existing, "name") == volume) {
        return;
    }
    set(spec, "volumes", json!([]));
    if let Some(volumes) = spec["volumes"].as_array_mut() {
        volumes.push(json!({"name": volume, "projected": {"defaultMode": 0o644, "sources": [
            {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
        ]}}));
    }
}

/// The name of the volume: one that is there already, or a new one.
fn token_volume(spec: &Value, chance: &Chance) -> String {
    let existing = items(spec, "volumes").map(|volume| text(volume, "name"));
    match existing.into_iter().find(|name| name.starts_with("kube-api-access-")) {
        Some(name) => name.to_owned(),
        None => windlass_machinery::names::generate("kube-api-access-", chance),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_mounted_once() {
        let mut spec = json!({"containers": [{"name": "a"}, {"name": "b", "volumeMounts": [{"name": "x", "mountPath": MOUNT_PATH}]}]});
        mount_token(&mut spec, &Chance::system());
        let name = text(&spec["volumes"][0], "name").to_owned();
        assert!(name.starts_with("kube-api-access-") && name.len() == 21, "{name}");
        assert_eq!(spec["containers"][0]["volumeMounts"][0]["name"], name.as_str());
        assert_eq!(spec["containers"][1]["volumeMounts"].as_array().unwrap().len(), 1);
        let before = spec.clone();
        mount_token(&mut spec, &Chance::system());
        assert_eq!(spec, before);
    }

    #[test]
    fn who_wants_a_token() {
        let says = |value: Option<bool>| value.map_or(json!({}), |v| json!({"automountServiceAccountToken": v}));
        for (account, pod, wanted) in [
            (None, None, true),
            (Some(false), None, false),
            (Some(false), Some(true), true),
            (None, Some(false), false),
        ] {
            assert_eq!(wants_token(&says(account), &says(pod)), wanted);
        }
    }
}
