//! Finalize: takes finalizers out of a namespace's spec. When none is left of a namespace that is being deleted, it goes.

use std::sync::Arc;

use serde_json::Value;
use windlass_api::Status;
use windlass_client::Request;
use windlass_machinery::tree::{child, keep};

use crate::context::Context;
use crate::outcome::Outcome;
use crate::registry::Served;
use crate::server::Server;

impl Server {
    pub(super) async fn finalize(
        &self,
        context: &Context,
        served: &Arc<Served>,
        request: Request,
    ) -> Result<Outcome, Status> {
        self.change_part(context, served, request, |old, new| {
            let mut object = old.clone();
            keep(child(&mut object, "spec"), new.get("spec").unwrap_or(&Value::Null), "finalizers");
            Ok(object)
        })
        .await
    }
}
