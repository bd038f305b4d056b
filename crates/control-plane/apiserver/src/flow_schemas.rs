//! Looks after the status of FlowSchemas: whether the level that each names is there (`Dangling`). What requests are for, [`crate::fairness`]
//! reads by itself.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use windlass_api::condition::{self, Condition};
use windlass_api::well_known::group;
use windlass_api::{GroupVersionResource, Status};
use windlass_auth::User;
use windlass_client::{Client, Options, PatchType, Request, Verb};
use windlass_machinery::tree::text;
use windlass_store::{Range, Table};

use crate::direct::Direct;
use crate::server::Server;

/// Under this name upstream records what it writes to FlowSchemas.
const MANAGER: &str = "api-priority-and-fairness-config-consumer-v1";

const FLOW_SCHEMAS: GroupVersionResource =
    GroupVersionResource::of("flowcontrol.apiserver.k8s.io", "v1", "flowschemas");

/// After a failure.
const RETRY: Duration = Duration::from_secs(1);

/// The FlowSchemas of a server, looked after.
pub struct FlowSchemas {
    server: Arc<Server>,
    client: Client,
}

impl FlowSchemas {
    pub fn new(server: &Arc<Server>) -> Self {
        let user = User::new("system:apiserver", &[group::MASTERS]);
        let client = Client::new(Arc::new(Direct::new(server.clone(), user, MANAGER)));
        Self { server: server.clone(), client }
    }

    /// Looks after them, for ever: at all of them when one has changed, or a level has come or gone.
    pub async fn keep(self) {
        let [schemas, levels] = ["flowschemas", "prioritylevelconfigurations"]
            .map(|plural| self.server.store().table(&format!("{plural}.flowcontrol.apiserver.k8s.io")));
        loop {
            let seen = [schemas.last(), levels.last()];
            let failed = self.look_at_all(&schemas, &levels).await;
            tokio::select! {
                () = changed(&schemas, seen[0]) => {}
                () = changed(&levels, seen[1]) => {}
                () = tokio::time::sleep(RETRY), if failed => {}
            }
        }
    }

    /// Returns whether one could not be written.
    async fn look_at_all(&self, schemas: &Table, levels: &Table) -> bool {
        let mut failed = false;
        for item in schemas.state().iter(&Range::default()) {
            let Ok(schema) = serde_json::from_slice::<Value>(&item.value) else { continue };
            let level = text(&schema["spec"]["priorityLevelConfiguration"], "name");
            if let Err(error) = self.look_at(&schema, levels.get(level).is_some(), level).await {
                tracing::warn!(flow_schema = %item.key, %error, "a FlowSchema's status cannot be written");
                failed = true;
            }
        }
        failed
    }

    async fn look_at(&self, schema: &Value, is_there: bool, level: &str) -> Result<(), Status> {
        let what = format!("This FlowSchema references the PriorityLevelConfiguration object named {level:?}");
        let (status, reason, message) = match is_there {
            true => ("False", "Found", format!("{what} and it exists")),
            false => ("True", "NotFound", format!("{what} but there is no such object")),
        };
        let mut conditions: Vec<Condition> =
            serde_json::from_value(schema["status"]["conditions"].clone()).unwrap_or_default();
        let wanted = Condition::new("Dangling", status, reason, message);
        if !condition::set(&mut conditions, wanted, self.server.clock().now()) {
            return Ok(());
        }
        // It owns this one condition and no other.
        conditions.retain(|condition| condition.kind == "Dangling");
        let metadata = &schema["metadata"];
        let configuration = json!({
            "apiVersion": FLOW_SCHEMAS.group_version().to_string(),
            "kind": "FlowSchema",
            "metadata": {"name": metadata["name"], "uid": metadata["uid"]},
            "status": {"conditions": conditions},
        });
        match self.apply(text(metadata, "name"), &configuration).await {
            Err(status) if !status.says_gone() && !status.is_conflict() => Err(status),
            _ => Ok(()),
        }
    }

    /// Applies the status, taking it from whoever else wrote it.
    async fn apply(&self, name: &str, configuration: &Value) -> Result<(), Status> {
        let options = Options { field_manager: MANAGER.to_owned(), force: Some(true), ..Options::default() };
        let request = Request::new(Verb::Patch(PatchType::Apply), &FLOW_SCHEMAS).name(name).subresource("status");
        let body = serde_json::to_vec(configuration).map_err(Status::internal)?;
        self.client.call(request.options(options).json(body)).await.map(drop)
    }
}

/// Waits until a table is no longer as it was.
async fn changed(table: &Arc<Table>, seen: u64) {
    if let Ok(mut watch) = table.watch(seen) {
        // Too much may have happened meanwhile, which is a change as well.
        let _ = watch.next().await;
    }
}
