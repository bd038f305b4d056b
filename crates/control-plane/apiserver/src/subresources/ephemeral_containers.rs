//! Ephemeral containers: added to a running pod, for debugging; never changed or taken away.

use std::sync::Arc;

use serde_json::Value;
use windlass_api::Status;
use windlass_api::field::{Error, Path};
use windlass_client::Request;
use windlass_machinery::tree::{child, items, put, text};

use crate::context::Context;
use crate::outcome::Outcome;
use crate::registry::Served;
use crate::server::Server;

impl Server {
    pub(super) async fn change_ephemeral_containers(
        &self,
        context: &Context,
        served: &Arc<Served>,
        request: Request,
    ) -> Result<Outcome, Status> {
        self.change_part(context, served, request, |old, new| {
            let mut object = old.clone();
            let wanted = new["spec"].get("ephemeralContainers").cloned().unwrap_or_default();
            put(child(&mut object, "spec"), "ephemeralContainers", wanted);
            let errors = removed_or_changed(old, &object);
            if errors.is_empty() {
                return Ok(object);
            }
            Err(Status::invalid("", "Pod", text(&old["metadata"], "name"), &errors))
        })
        .await
    }
}

fn removed_or_changed(old: &Value, new: &Value) -> Vec<Error> {
    let spec = Path::new("spec");
    let path = spec.child("ephemeralContainers");
    let find = |name: &str| items(&new["spec"], "ephemeralContainers").position(|c| text(c, "name") == name);
    let mut errors = Vec::new();
    for before in items(&old["spec"], "ephemeralContainers") {
        let name = text(before, "name");
        match find(name) {
            None => errors
                .push(Error::forbidden(&path, format!("existing ephemeral containers {name:?} may not be removed\n"))),
            Some(index) if items(&new["spec"], "ephemeralContainers").nth(index) != Some(before) => {
                let detail = format!("existing ephemeral containers {name:?} may not be changed\n");
                errors.push(Error::forbidden(&path, detail));
            }
            Some(_) => {}
        }
    }
    errors
}
