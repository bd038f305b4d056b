//! Approval: the conditions of a certificate signing request by which it is approved or denied.

use std::sync::Arc;

use serde_json::Value;
use windlass_api::{Status, time};
use windlass_client::Request;
use windlass_machinery::tree::{child, items_mut, keep, put};

use crate::context::Context;
use crate::outcome::Outcome;
use crate::registry::Served;
use crate::server::Server;

impl Server {
    pub(super) async fn approve(
        &self,
        context: &Context,
        served: &Arc<Served>,
        request: Request,
    ) -> Result<Outcome, Status> {
        let now = time::rfc3339(self.clock.now());
        self.change_part(context, served, request, |old, new| {
            let mut object = old.clone();
            keep(child(&mut object, "status"), new.get("status").unwrap_or(&Value::Null), "conditions");
            for field in ["labels", "annotations"] {
                keep(child(&mut object, "metadata"), new.get("metadata").unwrap_or(&Value::Null), field);
            }
            for condition in items_mut(child(&mut object, "status"), "conditions") {
                for field in ["lastUpdateTime", "lastTransitionTime"] {
                    if condition.get(field).is_none_or(Value::is_null) {
                        put(condition, field, now.as_str());
                    }
                }
            }
            Ok(object)
        })
        .await
    }
}
