//! Writes all objects of a resource again, so that they are stored in the version, and encrypted by the provider, that is used now; a
//! StorageVersionMigration asks for it.
//!
//! [`migration`] says what comes next; of a resource one migration runs at a time, the oldest first. It notes a revision, and then patches every
//! object that is not newer with nothing but its own version: whoever has changed it meanwhile has written it. [`definition`] tells
//! the CustomResourceDefinition of it, and takes versions off its `storedVersions` that nothing is stored in any more.
//!
//! Source: KEP-4192; upstream `pkg/controller/storageversionmigrator`.

mod definition;
mod migration;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use windlass_api::condition::{self, TRUE};
use windlass_api::resource::STORAGE_VERSION_MIGRATIONS;
use windlass_api::status::Reason;
use windlass_api::time::Clock;
use windlass_api::{GroupResource, GroupVersionResource, ObjectKey, Status};
use windlass_client::{
    ApiResource, Client, Informer, Object, Options, Outcome, PatchType, Reply, Request, STATUS, Verb, WorkQueue,
};

use self::migration::{Migration, Step, next_of, running_message};
use crate::context::Context;
use crate::write::modify;

const NAME: &str = "storage-version-migrator-controller";
const WORKERS: usize = 5;
/// Objects of a list.
const PAGE: usize = 500;
/// How long, and how often, a resource is waited for that may be about to be served.
const SERVED_WITHIN: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// What clients must be able to do with a resource for its objects to be written again.
const VERBS: [&str; 3] = ["update", "patch", "list"];

struct Controller {
    client: Client,
    /// Asks which resources there are.
    manager: Client,
    clock: Clock,
    migrations: Arc<Informer>,
}

pub(crate) async fn run(context: Context) {
    let controller = Controller {
        client: context.client(NAME),
        manager: context.manager.clone(),
        clock: context.clock,
        migrations: context.informer(&STORAGE_VERSION_MIGRATIONS),
    };
    let queue = WorkQueue::new();
    let changed = queue.clone();
    controller.migrations.subscribe(move |change| {
        let resource = change.object().decode::<Migration>().map(|migration| migration.resource());
        resource.into_iter().for_each(|resource| changed.add(resource));
    });
    controller.migrations.synced().await;
    queue.run(NAME, WORKERS, async |resource| controller.sync(resource).await).await;
}

impl Controller {
    /// Takes the migrations of a resource a step further.
    async fn sync(&self, resource: GroupResource) -> Result<Outcome, Status> {
        let read = self.migrations.list("").into_iter().map(|object| object.decode::<Migration>());
        let mut all = read.collect::<Result<Vec<_>, _>>()?;
        all.retain(|migration| migration.resource() == resource);
        for ended in all.iter().filter(|migration| migration.step() == Step::Finish) {
            self.finish(ended).await?;
        }
        if let Some(next) = next_of(&all) {
            self.begin(next).await?;
            return Ok(Outcome::Done);
        }
        for running in &all {
            match running.step() {
                Step::Note => return self.note(running).await,
                Step::Migrate { until } => return self.migrate(running, until).await,
                Step::Finish | Step::Wait => {}
            }
        }
        Ok(Outcome::Done)
    }

    async fn begin(&self, migration: &Migration) -> Result<(), Status> {
        definition::begin(&self.client, &migration.resource(), self.clock, migration.name()).await?;
        self.write(migration, &[running(running_message(None, None))], None).await
    }

    async fn finish(&self, migration: &Migration) -> Result<(), Status> {
        definition::finish(&self.client, &migration.resource(), self.clock, migration.has_succeeded()).await?;
        let ended = json!({"type": "Running", "status": "False", "reason": "MigrationCompleted",
            "message": "Migration completed", "observedGeneration": migration.generation()});
        self.write(migration, &[ended], None).await
    }

    /// Notes up to which revision objects are written again.
    async fn note(&self, migration: &Migration) -> Result<Outcome, Status> {
        let Some(served) = self.served(migration).await? else {
            return self.not_served(migration, "resource does not exist in discovery").await;
        };
        if !VERBS.iter().all(|verb| served.has_verb(verb)) {
            let GroupVersionResource { group, version, resource } = &served.resource;
            let shown = format!("{group}/{version}, Resource={resource}");
            let why = format!("resource \"{shown}\" does not support discovery operations: [{}]", VERBS.join(" "));
            return self.fail(migration, why, None).await;
        }
        let options = Options { limit: 1, ..Options::default() };
        let request = Request::new(Verb::List, &served.resource).options(options);
        let Reply::List(list) = self.client.call(request).await? else { return Ok(Outcome::Done) };
        self.write(migration, &[], Some(list.revision)).await.map(|()| Outcome::Done)
    }

    async fn migrate(&self, migration: &Migration, until: u64) -> Result<Outcome, Status> {
        let Some(served) = self.served(migration).await? else {
            return self
                .not_served(migration, "migration encountered unhandled error: unable to obtain GVR from discovery")
                .await;
        };
        let listed = self.client.list(&served.resource, "", Options { limit: PAGE, ..Options::default() }).await?;
        let total = listed.items.len();
        let older: Vec<&Object> = listed.items.iter().filter(|object| object.revision <= until).collect();
        for (index, object) in older.iter().enumerate() {
            let Err(error) = self.write_again(&served, object).await else { continue };
            let left = older.len() - index;
            if is_passing(&error) {
                let message = running_message(Some((left, total)), Some(&error.message));
                self.write(migration, &[running(message)], None).await?;
                return Err(error);
            }
            let why =
                format!("{left}/{total} not yet migrated. migration encountered unhandled error: {}", error.message);
            return self.fail(migration, why, Some((left, total))).await;
        }
        let succeeded = json!({"type": "Succeeded", "status": TRUE, "reason": "StorageVersionMigrationSucceeded",
            "message": "Migration completed"});
        let ended = [running(running_message(Some((0, total)), None)), succeeded];
        self.write(migration, &ended, None).await.map(|()| Outcome::Done)
    }

    /// Somebody who has changed or removed the object meanwhile has done what was to be done.
    async fn write_again(&self, served: &ApiResource, object: &Object) -> Result<(), Status> {
        let patch = json!({"apiVersion": served.api_version(), "kind": served.kind,
            "metadata": {"resourceVersion": object.revision.to_string()}});
        let mut request = Request::new(Verb::Patch(PatchType::Merge), &served.resource)
            .namespace(object.key.namespace.as_str())
            .name(object.key.name.as_str())
            .json(patch.to_string());
        request.options.field_manager = NAME.to_owned();
        match self.client.call(request).await {
            Err(error) if !error.is_conflict() && !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// The resource in the version that its group prefers.
    async fn served(&self, migration: &Migration) -> Result<Option<ApiResource>, Status> {
        let wanted = migration.resource();
        let all = self.manager.resources().await?;
        Ok(all.into_iter().find(|served| served.resource.group_resource() == wanted))
    }

    async fn not_served(&self, migration: &Migration, why: &str) -> Result<Outcome, Status> {
        if migration.age(self.clock.now()) < SERVED_WITHIN {
            return Ok(Outcome::Again(LOOK_AGAIN));
        }
        self.fail(migration, why.to_owned(), None).await
    }

    /// `counts` are the objects that have not been written again, and all.
    async fn fail(
        &self,
        migration: &Migration,
        why: String,
        counts: Option<(usize, usize)>,
    ) -> Result<Outcome, Status> {
        let failed =
            json!({"type": "Failed", "status": TRUE, "reason": "StorageVersionMigrationFailed", "message": why});
        let so_far = counts.map(|counts| running(running_message(Some(counts), None)));
        let conditions: Vec<Value> = so_far.into_iter().chain([failed]).collect();
        self.write(migration, &conditions, None).await.map(|()| Outcome::Done)
    }

    /// Writes conditions, and the revision up to which objects are written again, into the status.
    async fn write(&self, migration: &Migration, conditions: &[Value], revision: Option<u64>) -> Result<(), Status> {
        let mut all = migration.conditions().to_vec();
        for wanted in conditions {
            condition::set(&mut all, wanted.clone(), self.clock.now());
        }
        let mut status = json!({"conditions": all});
        if let Some(revision) = revision {
            status["resourceVersion"] = json!(revision.to_string());
        }
        let patch = json!({"metadata": {"uid": migration.uid()}, "status": status});
        let key = ObjectKey::new("", migration.name());
        modify(&self.client, &self.migrations, &STORAGE_VERSION_MIGRATIONS, &key, STATUS, &patch).await.map(drop)
    }
}

fn running(message: String) -> Value {
    json!({"type": "Running", "status": TRUE, "reason": "MigrationRunning", "message": message})
}

/// Whether the same request may succeed later.
fn is_passing(error: &Status) -> bool {
    matches!(
        error.reason,
        Reason::ServerTimeout
            | Reason::TooManyRequests
            | Reason::ServiceUnavailable
            | Reason::InternalError
            | Reason::Timeout
    )
}
