//! ComponentStatus: the parts of the control plane, each asked when somebody reads.

use std::sync::Arc;

use parking_lot::RwLock;
use serde_json::{Value, json};
use windlass_api::Status;
use windlass_api::condition::{FALSE, TRUE};
use windlass_store::Item;

use crate::call::Call;
use crate::outcome::{Listed, Outcome};
use crate::pages::Check;
use crate::selection::Selection;

/// The parts of the control plane that have a name.
#[derive(Default)]
pub struct Components(RwLock<Vec<(String, Check)>>);

impl Components {
    /// Adds a part, and what says whether it works.
    pub fn add(&self, name: &str, check: Check) {
        self.0.write().push((name.to_owned(), check));
    }

    pub(crate) fn get(&self, call: &Call<'_>) -> Result<Outcome, Status> {
        let (resource, name) = (&call.served.resource, &call.request.name);
        let known = self.0.read();
        let found = known.iter().find(|(known, _)| known == name);
        let (name, check) = found.ok_or_else(|| Status::not_found(&resource.group_resource(), name))?;
        Ok(Outcome::draft(call.served, object(name, check)))
    }

    pub(crate) fn list(&self, call: &Call<'_>) -> Result<Listed, Status> {
        let (served, request) = (call.served, call.request);
        let selection = Selection::new(served, "", "", &request.options)?;
        let mut items = Vec::new();
        for (name, check) in self.0.read().iter() {
            let json = serde_json::to_vec(&object(name, check)).map_err(Status::internal)?;
            let item = Item::unstored(name, json.into());
            if selection.matches(served, &item) {
                items.push(Arc::new(item));
            }
        }
        let revision = call.storage.store.revision();
        Ok(Listed { served: served.clone(), items, revision, continue_token: String::new(), remaining: None })
    }
}

fn object(name: &str, check: &Check) -> Value {
    let condition = match check() {
        Ok(()) => json!({"type": "Healthy", "status": TRUE, "message": "ok"}),
        Err(why) => json!({"type": "Healthy", "status": FALSE, "message": why}),
    };
    json!({"metadata": {"name": name}, "conditions": [condition]})
}
