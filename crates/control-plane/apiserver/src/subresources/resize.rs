//! Resize: other resources for the containers of a running pod. Everything else stays as it is.

use std::sync::Arc;

use serde_json::Value;
use windlass_api::Status;
use windlass_client::Request;
use windlass_machinery::tree::{child, items, items_mut, put, text};

use crate::context::Context;
use crate::outcome::Outcome;
use crate::registry::Served;
use crate::server::Server;

impl Server {
    pub(super) async fn resize(
        &self,
        context: &Context,
        served: &Arc<Served>,
        request: Request,
    ) -> Result<Outcome, Status> {
        self.change_part(context, served, request, |old, new| {
            let mut object = old.clone();
            for list in ["containers", "initContainers"] {
                for container in items_mut(child(&mut object, "spec"), list) {
                    let name = text(container, "name").to_owned();
                    let wanted = items(&new["spec"], list).find(|c| text(c, "name") == name);
                    let Some(wanted) = wanted else { continue };
                    for field in ["resources", "resizePolicy"] {
                        if let Some(value) = wanted.get(field) {
                            put(container, field, value.clone());
                        }
                    }
                }
            }
            if let Some(resources) = new["spec"].get("resources").filter(|resources| resources.is_object()) {
                put(child(&mut object, "spec"), "resources", resources.clone());
            }
            Ok(object)
        })
        .await
    }

    /// A change of a part of an object: `merge` takes from what the client sends (a whole object, or a patched one) only that
    /// part.
    pub(super) async fn change_part(
        &self,
        context: &Context,
        served: &Arc<Served>,
        request: Request,
        merge: impl Fn(&Value, &Value) -> Result<Value, Status>,
    ) -> Result<Outcome, Status> {
        let change = self.requested_change(context, served, &request)?;
        self.change(context, served, &request, |old| {
            let new = change(old)?;
            let mut merged = merge(old, &new)?;
            // What the client says of the version is a condition here as well.
            for field in ["resourceVersion", "uid"] {
                let said = text(&new["metadata"], field).to_owned();
                if !said.is_empty() {
                    put(child(&mut merged, "metadata"), field, said);
                }
            }
            Ok(merged)
        })
        .await
    }
}
