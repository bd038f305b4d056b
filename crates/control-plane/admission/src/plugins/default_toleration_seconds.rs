//! DefaultTolerationSeconds: pods stay for five minutes on a node that is not ready or cannot be reached.

use async_trait::async_trait;
use serde_json::{Value, json};
use windlass_api::Status;
use windlass_api::well_known::taint;
use windlass_machinery::tree::{child, items, set, text};

use crate::chain::Plugin;
use crate::review::{Cluster, Operation, Review};

const SECONDS: i64 = 300;

pub(super) struct DefaultTolerationSeconds;

#[async_trait]
impl Plugin for DefaultTolerationSeconds {
    fn name(&self) -> &'static str {
        "DefaultTolerationSeconds"
    }

    async fn admit(&self, review: &mut Review<'_>, _cluster: &dyn Cluster) -> Result<(), Status> {
        let writes = matches!(review.operation, Operation::Create | Operation::Update);
        if !writes || !review.is_of("", "pods") {
            return Ok(());
        }
        if let Some(pod) = review.object.as_deref_mut() {
            tolerate(child(pod, "spec"));
        }
        Ok(())
    }
}

fn tolerate(spec: &mut Value) {
    for key in [taint::NOT_READY, taint::UNREACHABLE] {
        let tolerated = items(spec, "tolerations").any(|t| {
            matches!(text(t, "key"), "" | "*")
                && text(t, "operator") == "Exists"
                && matches!(text(t, "effect"), "" | "NoExecute")
                || text(t, "key") == key && matches!(text(t, "effect"), "" | "NoExecute")
        });
        if !tolerated {
            set(spec, "tolerations", json!([]));
            if let Some(tolerations) = spec["tolerations"].as_array_mut() {
                let toleration =
                    json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS});
                tolerations.push(toleration);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_once_and_not_over_others() {
        let mut spec = json!({"tolerations": [{"key": taint::NOT_READY, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}]});
        tolerate(&mut spec);
        tolerate(&mut spec);
        assert_eq!(spec["tolerations"].as_array().unwrap().len(), 2);
        assert_eq!(spec["tolerations"][0]["tolerationSeconds"], 5);
        let mut everything = json!({"tolerations": [{"operator": "Exists"}]});
        tolerate(&mut everything);
        assert_eq!(everything["tolerations"].as_array().unwrap().len(), 1);
    }
}
