//! A StatefulSet has pods with names, ordinals and storage of their own, one after the other.
//!
//! [`plan`] decides what the next step is, [`identity`] what a pod of an ordinal looks like; this file carries the step out.

mod identity;
mod plan;
mod view;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use windlass_api::labels::Selector;
use windlass_api::resource::{CONTROLLER_REVISIONS, PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS};
use windlass_api::time::Clock;
use windlass_api::{GroupVersionResource, ObjectKey, Status};
use windlass_client::{Client, DeleteOptions, EventType, Informer, OBJECT, Outcome, Recorder, STATUS, WorkQueue};

use crate::context::Context;
use crate::history::{History, Revision, template_of};
use crate::owners::{Claimant, OwnerKind, index_by_controller};
use crate::pod_control::reference;
use crate::pods::{Pod, until_available};
use crate::waking::{owners_of, wake_by_pods};
use crate::write::modify;
use plan::{Action, Revisions};
use view::{StatefulSet, ordinal_of};

const NAME: &str = "statefulset-controller";
const WORKERS: usize = 5;
static RESOURCE: GroupVersionResource = STATEFUL_SETS;
/// Where a ControllerRevision of a StatefulSet says its hash. Its pods name their revision whole, in another label.
const HASH_LABEL: &str = "controller.kubernetes.io/hash";
const KIND: OwnerKind = OwnerKind { api_version: "apps/v1", kind: "StatefulSet" };

struct Controller {
    client: Client,
    recorder: Recorder,
    clock: Clock,
    sets: Arc<Informer>,
    pods: Arc<Informer>,
    claims: Arc<Informer>,
    revisions: Arc<Informer>,
}

pub(crate) async fn run(context: Context) {
    let client = context.client(NAME);
    let controller = Controller {
        recorder: context.recorder(&client, NAME),
        client,
        clock: context.clock,
        sets: context.informer(&STATEFUL_SETS),
        pods: context.informer(&PODS),
        claims: context.informer(&PERSISTENT_VOLUME_CLAIMS),
        revisions: context.informer(&CONTROLLER_REVISIONS),
    };
    index_by_controller(&controller.pods);
    index_by_controller(&controller.revisions);
    let queue = WorkQueue::new();
    wake_by_pods(&controller.sets, &controller.pods, &queue, KIND, StatefulSet::selector);
    let changed = queue.clone();
    controller.revisions.subscribe(move |change| {
        owners_of(change, KIND).into_iter().for_each(|key| changed.add(key));
    });
    for informer in [&controller.sets, &controller.pods, &controller.claims, &controller.revisions] {
        informer.synced().await;
    }
    queue.run(NAME, WORKERS, async |key| controller.sync(key).await).await;
}

impl Controller {
    async fn sync(&self, key: ObjectKey) -> Result<Outcome, Status> {
        let Some(set) = self.sets.read::<StatefulSet>(&key) else { return Ok(Outcome::Done) };
        if set.metadata.is_deleting() {
            return Ok(Outcome::Done);
        }
        let selector = set.selector();
        let history = self.history(&set, &selector);
        let all = history.all().await?;
        let found = history.of_template(&all, &set.spec.template, set.status.collision_count).await?;
        let Some(update) = found else {
            let count = set.status.collision_count.unwrap_or(0) + 1;
            let patch = json!({"status": {"collisionCount": count}});
            modify(&self.client, &self.sets, &STATEFUL_SETS, &key, STATUS, &patch).await?;
            return Ok(Outcome::Again(Duration::ZERO));
        };
        let current = all.iter().find(|revision| revision.metadata.name == set.status.current_revision);
        let current = current.cloned().unwrap_or_else(|| update.clone());
        let pods = self.claim(&set, &selector).await?;
        let names = Revisions { current: &current.metadata.name, update: &update.metadata.name };
        let now = self.clock.now();
        let plan = plan::plan(&set, &names, &pods, now);
        let done = self.act(&set, &plan.actions, &current, &update).await;
        self.keep_claim_owners(&set, &pods).await?;
        let pods = if plan.actions.is_empty() { pods } else { self.claim(&set, &selector).await? };
        self.report(&set, plan::status_of(&set, &names, &pods, now)).await?;
        done?;
        let in_use = |revision: &Revision| {
            let name = &revision.metadata.name;
            [&current, &update].iter().any(|live| live.metadata.name == *name)
                || pods.iter().any(|pod| plan::revision_of(pod) == name)
        };
        history.trim(&all, set.history_limit(), in_use).await?;
        let wait = until_available(&pods, set.spec.min_ready_seconds, now);
        Ok(wait.map_or(Outcome::Done, Outcome::Again))
    }

    fn history<'a>(&'a self, set: &'a StatefulSet, selector: &'a Selector) -> History<'a> {
        History {
            client: &self.client,
            revisions: &self.revisions,
            kind: KIND,
            resource: &RESOURCE,
            owner: &set.metadata,
            selector,
            hash_label: HASH_LABEL,
        }
    }

    /// The set's pods, those with a name of the set's only.
    async fn claim(&self, set: &StatefulSet, selector: &Selector) -> Result<Vec<Pod>, Status> {
        let claimant =
            Claimant { client: &self.client, kind: KIND, resource: &STATEFUL_SETS, owner: &set.metadata, selector };
        let mut pods: Vec<Pod> = claimant.claim(&self.pods, &PODS).await?;
        pods.retain(|pod| ordinal_of(&set.metadata.name, &pod.metadata.name).is_some());
        Ok(pods)
    }

    async fn act(
        &self,
        set: &StatefulSet,
        actions: &[Action],
        current: &Revision,
        update: &Revision,
    ) -> Result<(), Status> {
        for action in actions {
            match action {
                Action::Create { ordinal, revision } => {
                    let of = if *revision == current.metadata.name { current } else { update };
                    self.create(set, *ordinal, of).await?;
                }
                Action::Delete { pod } => self.delete(set, pod).await?,
            }
        }
        Ok(())
    }

    async fn create(&self, set: &StatefulSet, ordinal: i64, revision: &Revision) -> Result<(), Status> {
        let pod = identity::pod(set, ordinal, &template_of(revision), &revision.metadata.name);
        let name = pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let result = async {
            self.create_claims(set, ordinal, &name).await?;
            self.client.create(&PODS, &set.metadata.namespace, &pod).await
        };
        match result.await {
            Ok(created) => {
                self.tell(set, EventType::Normal, "SuccessfulCreate", &format!("Create Pod {name}"), "successful");
                self.pods.reached(created.revision).await;
                Ok(())
            }
            Err(status) if status.is_namespace_terminating() => Ok(()),
            Err(status) if status.is_already_exists() => Err(status),
            Err(status) => {
                self.tell_failure(set, "FailedCreate", &format!("Create Pod {name}"), &status);
                Err(status)
            }
        }
    }

    fn tell(&self, set: &StatefulSet, kind: EventType, reason: &str, what: &str, how: &str) {
        let message = format!("{what} in StatefulSet {} {how}", set.metadata.name);
        self.recorder.event(&reference(KIND, &set.metadata), kind, reason, message);
    }

    fn tell_failure(&self, set: &StatefulSet, reason: &str, what: &str, status: &Status) {
        self.tell(set, EventType::Warning, reason, what, &format!("failed error: {}", status.message));
    }

    /// The storage that a pod finds when it comes, new or as it was left. A claim that is going has to be gone first.
    async fn create_claims(&self, set: &StatefulSet, ordinal: i64, pod: &str) -> Result<(), Status> {
        for claim in identity::claims(set, ordinal) {
            let name = claim["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            let key = ObjectKey::new(set.metadata.namespace.clone(), name.clone());
            match self.claims.read::<crate::owners::AnyOwned>(&key) {
                Some(present) if present.metadata.is_deleting() => {
                    return Err(Status::internal(format!("pvc {name} is being deleted")));
                }
                Some(_) => continue,
                None => {}
            }
            match self.client.create(&PERSISTENT_VOLUME_CLAIMS, &set.metadata.namespace, &claim).await {
                Ok(created) => {
                    let what = format!("Create Claim {name} Pod {pod}");
                    self.tell(set, EventType::Normal, "SuccessfulCreate", &what, "success");
                    self.claims.reached(created.revision).await;
                }
                Err(status) if status.is_already_exists() => {}
                Err(status) if status.is_namespace_terminating() => return Err(status),
                Err(status) => {
                    self.tell_failure(set, "FailedCreate", &format!("Create Claim {name} for Pod {pod}"), &status);
                    let message = format!("failed to create PVC {name}: {}", status.message);
                    return Err(Status { message, ..status });
                }
            }
        }
        Ok(())
    }

    async fn delete(&self, set: &StatefulSet, name: &str) -> Result<(), Status> {
        let key = ObjectKey::new(set.metadata.namespace.clone(), name);
        let Some(pod) = self.pods.read::<Pod>(&key) else { return Ok(()) };
        let what = format!("Delete Pod {name}");
        match self.client.delete(&PODS, &key, &DeleteOptions::of_uid(pod.metadata.uid.clone())).await {
            Ok(_) => self.tell(set, EventType::Normal, "SuccessfulDelete", &what, "successful"),
            Err(status) if status.is_not_found() => {}
            Err(status) => {
                self.tell_failure(set, "FailedDelete", &what, &status);
                return Err(status);
            }
        }
        let uid = &pod.metadata.uid;
        self.pods
            .until(|pods| {
                pods.read::<Pod>(&key).is_none_or(|now| now.metadata.uid != *uid || now.metadata.is_deleting())
            })
            .await;
        Ok(())
    }

    /// Storage that is to go with the set, or with a pod that is scaled away, is owned by it.
    async fn keep_claim_owners(&self, set: &StatefulSet, pods: &[Pod]) -> Result<(), Status> {
        for pod in pods {
            let Some(ordinal) = ordinal_of(&set.metadata.name, &pod.metadata.name) else { continue };
            for claim in identity::claims(set, ordinal) {
                let name = claim["metadata"]["name"].as_str().unwrap_or_default();
                let key = ObjectKey::new(set.metadata.namespace.clone(), name);
                let Some(present) = self.claims.read::<crate::owners::AnyOwned>(&key) else { continue };
                let wanted = identity::claim_owners(set, ordinal, pod, &present.metadata.owner_references);
                if wanted == present.metadata.owner_references {
                    continue;
                }
                let patch = json!({"metadata": {"uid": present.metadata.uid, "ownerReferences": wanted}});
                modify(&self.client, &self.claims, &PERSISTENT_VOLUME_CLAIMS, &key, OBJECT, &patch).await?;
            }
        }
        Ok(())
    }

    async fn report(&self, set: &StatefulSet, status: Value) -> Result<(), Status> {
        if crate::status::is_up_to_date(&set.raw_status, &status) {
            return Ok(());
        }
        let patch = json!({"metadata": {"uid": set.metadata.uid}, "status": status});
        modify(&self.client, &self.sets, &STATEFUL_SETS, &set.metadata.key(), STATUS, &patch).await.map(drop)
    }
}
