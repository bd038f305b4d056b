//! What a CustomResourceDefinition is told of the migration of its objects.

use serde_json::{Value, json};
use windlass_api::condition::{self, AnyCondition, FALSE};
use windlass_api::resource::CUSTOM_RESOURCE_DEFINITIONS;
use windlass_api::time::Clock;
use windlass_api::{GroupResource, ObjectKey, Status};
use windlass_client::{Client, PatchType, Request, STATUS, Verb};
use windlass_machinery::tree::number;

const MANAGER: &str = "migration-runner-controller";
const CONDITION: &str = "StorageMigrating";
/// As often it is tried against others who change the definition.
const ATTEMPTS: usize = 5;

/// What is written into the status of a definition.
struct News {
    status: &'static str,
    reason: &'static str,
    message: String,
    stored_versions: Option<Vec<String>>,
}

/// Says that a migration runs. There need not be a definition: a built-in resource has none.
pub(super) async fn begin(client: &Client, resource: &GroupResource, clock: Clock, name: &str) -> Result<(), Status> {
    let message = format!("Migration {name} is running");
    tell(client, resource, clock, |_| News {
        status: condition::TRUE,
        reason: "MigrationRunning",
        message: message.clone(),
        stored_versions: None,
    })
    .await
}

/// Says that a migration is over. After one that has succeeded, and if nobody has changed the definition since it began, objects are stored in
/// no other version than the one that is stored now.
pub(super) async fn finish(
    client: &Client,
    resource: &GroupResource,
    clock: Clock,
    has_succeeded: bool,
) -> Result<(), Status> {
    tell(client, resource, clock, |definition| {
        let began = condition::find(condition::list(&definition["status"]), CONDITION);
        let generation = number(&definition["metadata"], "generation");
        let is_same = began.is_some_and(|began| number(began, "observedGeneration") == generation);
        let (reason, message) = match (has_succeeded, is_same) {
            (true, true) => {
                ("MigrationSucceeded", "The migration has succeeded and the stored versions have been updated")
            }
            (true, false) => (
                "MigrationSucceeded",
                "The migration has succeeded but the stored versions have not been updated due to a generation mismatch",
            ),
            (false, _) => ("MigrationFailed", "The migration has failed"),
        };
        let stored_versions = (has_succeeded && is_same).then(|| stored_now(definition));
        News { status: FALSE, reason, message: message.to_owned(), stored_versions }
    })
    .await
}

/// The version in which objects are stored now.
fn stored_now(definition: &Value) -> Vec<String> {
    let versions = definition["spec"]["versions"].as_array().into_iter().flatten();
    let stored = versions.filter(|version| version["storage"] == true);
    stored.filter_map(|version| version["name"].as_str().map(str::to_owned)).collect()
}

async fn tell(
    client: &Client,
    resource: &GroupResource,
    clock: Clock,
    news: impl Fn(&Value) -> News,
) -> Result<(), Status> {
    let key = ObjectKey::new("", resource.to_string());
    let mut attempt = 1;
    loop {
        let definition: Value = match client.get(&CUSTOM_RESOURCE_DEFINITIONS, &key).await {
            Err(status) if status.is_not_found() => return Ok(()),
            found => found?.decode()?,
        };
        match client.call(apply(&key, &definition, &news(&definition), clock)).await {
            Err(status) if status.is_conflict() && attempt < ATTEMPTS => attempt += 1,
            Err(status) if !status.is_not_found() => return Err(status),
            _ => return Ok(()),
        }
    }
}

/// The definition's own version is named, for what is written is true of this one alone.
fn apply(key: &ObjectKey, definition: &Value, news: &News, clock: Clock) -> Request {
    let mut wanted = json!({"type": CONDITION, "status": news.status, "reason": news.reason, "message": news.message,
        "observedGeneration": number(&definition["metadata"], "generation")});
    wanted.set_transition(clock.now());
    let mut status = json!({"conditions": [wanted]});
    if let Some(versions) = &news.stored_versions {
        status["storedVersions"] = json!(versions);
    }
    let applied = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": key.name, "resourceVersion": definition["metadata"]["resourceVersion"]}, "status": status});
    let mut request = Request::new(Verb::Patch(PatchType::Apply), &CUSTOM_RESOURCE_DEFINITIONS)
        .name(key.name.as_str())
        .subresource(STATUS)
        .json(applied.to_string());
    request.options.field_manager = MANAGER.to_owned();
    request.options.force = Some(true);
    request
}
