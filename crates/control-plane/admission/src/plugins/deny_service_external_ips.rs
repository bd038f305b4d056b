//! DenyServiceExternalIPs: no Service takes over an address of the outside, which would let its owner receive others' traffic.
//!
//! Upstream has this plugin off by default, for compatibility; here it is on until the administrator opens it.

use std::collections::HashSet;

use async_trait::async_trait;
use serde_json::Value;
use windlass_api::Status;
use windlass_machinery::tree::items;

use crate::chain::Plugin;
use crate::review::{Cluster, Operation, Review};

pub(super) struct DenyServiceExternalIPs;

#[async_trait]
impl Plugin for DenyServiceExternalIPs {
    fn name(&self) -> &'static str {
        "DenyServiceExternalIPs"
    }

    async fn validate(&self, review: &Review<'_>, _cluster: &dyn Cluster) -> Result<(), Status> {
        let is_write = matches!(review.operation, Operation::Create | Operation::Update);
        let Some(new) = review.object.as_deref().filter(|_| is_write && review.is_of("", "services")) else {
            return Ok(());
        };
        if adds(new, review.old) {
            let why = "Use of external IPs is denied by admission control (the server's flag --allow-service-external-ips \
                       opens it)";
            return Err(review.forbidden(why));
        }
        Ok(())
    }
}

/// Whether a Service has external addresses that it did not have before.
fn adds(new: &Value, old: Option<&Value>) -> bool {
    let had: HashSet<&Value> = old.into_iter().flat_map(|old| items(&old["spec"], "externalIPs")).collect();
    items(&new["spec"], "externalIPs").any(|ip| !had.contains(ip))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_additions_count() {
        let with = |ips: &[&str]| json!({"spec": {"externalIPs": ips}});
        assert!(!adds(&json!({"spec": {}}), None) && !adds(&with(&[]), None));
        assert!(adds(&with(&["1.1.1.1"]), None));
        let old = with(&["1.1.1.1", "2.2.2.2"]);
        assert!(!adds(&with(&["2.2.2.2"]), Some(&old)) && !adds(&with(&["2.2.2.2", "1.1.1.1"]), Some(&old)));
        assert!(adds(&with(&["1.1.1.1", "3.3.3.3"]), Some(&old)));
        assert!(adds(&with(&["1.1.1.1"]), Some(&json!({"spec": {}}))));
    }
}
