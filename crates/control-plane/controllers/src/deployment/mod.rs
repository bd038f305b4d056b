//! A Deployment rolls its pods over from one ReplicaSet to the next.
//!
//! - [`revision`]: which ReplicaSet is the new one, its name and annotations, and which old ones are forgotten;
//! - [`plan`]: how many pods each ReplicaSet is to have, as pure functions;
//! - [`conditions`]: the Deployment's status.
//!
//! Each sync takes one step; the ReplicaSets' changes wake the next one.

mod conditions;
mod plan;
mod revision;
mod view;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use windlass_api::labels::Selector;
use windlass_api::resource::{DEPLOYMENTS, PODS, REPLICA_SETS};
use windlass_api::time::Clock;
use windlass_api::well_known::annotation::{DEPLOYMENT_DESIRED_REPLICAS, DEPLOYMENT_MAX_REPLICAS};
use windlass_api::{ObjectKey, Status};
use windlass_client::{Client, EventType, Informer, OBJECT, Outcome, Recorder, STATUS, Subresource, WorkQueue};

use crate::context::Context;
use crate::owners::{Claimant, OwnerKind, controlled, index_by_controller};
use crate::pod_control::reference;
use crate::pods::Pod;
use crate::waking::owners_of;
use crate::write::modify;
use plan::Size;
use view::{Deployment, ReplicaSet};

const NAME: &str = "deployment-controller";
const WORKERS: usize = 5;
/// The cache has changed by our own doing; work goes on with what it shows now.
const AGAIN: Outcome = Outcome::Again(Duration::ZERO);
const KIND: OwnerKind = OwnerKind { api_version: "apps/v1", kind: "Deployment" };
const REPLICA_SET: OwnerKind = OwnerKind { api_version: "apps/v1", kind: "ReplicaSet" };

struct Controller {
    client: Client,
    recorder: Recorder,
    clock: Clock,
    deployments: Arc<Informer>,
    sets: Arc<Informer>,
    pods: Arc<Informer>,
}

/// A Deployment's ReplicaSets: the one of its present template, if it is there, and the others from old to young.
struct Sets {
    new: Option<ReplicaSet>,
    old: Vec<ReplicaSet>,
}

impl Sets {
    fn all(&self) -> impl Iterator<Item = &ReplicaSet> {
        self.old.iter().chain(&self.new)
    }

    fn replicas(&self) -> i64 {
        self.all().map(ReplicaSet::replicas).sum()
    }
}

pub(crate) async fn run(context: Context) {
    let client = context.client(NAME);
    let controller = Controller {
        recorder: context.recorder(&client, NAME),
        client,
        clock: context.clock,
        deployments: context.informer(&DEPLOYMENTS),
        sets: context.informer(&REPLICA_SETS),
        pods: context.informer(&PODS),
    };
    index_by_controller(&controller.sets);
    index_by_controller(&controller.pods);
    let queue = WorkQueue::new();
    controller.wake(&queue);
    for informer in [&controller.deployments, &controller.sets, &controller.pods] {
        informer.synced().await;
    }
    queue.run(NAME, WORKERS, async |key| controller.sync(key).await).await;
}

impl Controller {
    fn wake(&self, queue: &WorkQueue<ObjectKey>) {
        let changed = queue.clone();
        self.deployments.subscribe(move |change| changed.add(change.object().key.clone()));
        let (changed, deployments) = (queue.clone(), self.deployments.clone());
        self.sets.subscribe(move |change| {
            owners_of(change, KIND).into_iter().for_each(|key| changed.add(key));
            let orphan = change.new.as_ref().and_then(|object| object.decode::<ReplicaSet>().ok());
            let Some(orphan) = orphan.filter(|set| set.metadata.controller().is_none()) else { return };
            for owner in deployments.list(&orphan.metadata.namespace) {
                let wants = |deployment: &Deployment| deployment.selector().matches(&orphan.metadata.labels);
                if owner.decode::<Deployment>().is_ok_and(|deployment| wants(&deployment)) {
                    changed.add(owner.key);
                }
            }
        });
        // A Deployment that recreates its pods waits until the old ones are gone.
        let (gone, sets) = (queue.clone(), self.sets.clone());
        self.pods.subscribe(move |change| {
            if change.new.is_some() {
                return;
            }
            for set in owners_of(change, REPLICA_SET) {
                let owner = sets.read::<ReplicaSet>(&set).and_then(|set| KIND.owner_key(&set.metadata));
                owner.into_iter().for_each(|key| gone.add(key));
            }
        });
    }

    async fn sync(&self, key: ObjectKey) -> Result<Outcome, Status> {
        let Some(deployment) = self.deployments.read::<Deployment>(&key) else { return Ok(Outcome::Done) };
        let selector = deployment.selector();
        if selector.is_everything() {
            return self.refuse(&deployment).await;
        }
        let sets = self.claim(&deployment, &selector).await?;
        if deployment.metadata.is_deleting() {
            return self.report(&deployment, &self.sort(&deployment, sets)).await;
        }
        if let Some(condition) = conditions::of_pausing(&deployment, self.clock.now()) {
            let patch = json!({"status": {"conditions": condition}});
            self.modify(&deployment, STATUS, &patch).await?;
            return Ok(AGAIN);
        }
        let sets = self.sort(&deployment, sets);
        if deployment.spec.paused || self.is_scaling(&deployment, &sets) {
            let sets = if deployment.spec.paused { sets } else { self.with_current_new(&deployment, sets).await? };
            self.scale_proportionally(&deployment, &sets).await?;
            if deployment.spec.paused {
                self.clean_up(&deployment, &sets).await?;
            }
            return self.report(&deployment, &sets).await;
        }
        if deployment.recreates() { self.recreate(&deployment, sets).await } else { self.roll(&deployment, sets).await }
    }

    async fn claim(&self, deployment: &Deployment, selector: &Selector) -> Result<Vec<ReplicaSet>, Status> {
        let claimant = Claimant {
            client: &self.client,
            kind: KIND,
            resource: &DEPLOYMENTS,
            owner: &deployment.metadata,
            selector,
        };
        claimant.claim(&self.sets, &REPLICA_SETS).await
    }

    /// A selector that selects everything would take other controllers' pods.
    async fn refuse(&self, deployment: &Deployment) -> Result<Outcome, Status> {
        let message = "This deployment is selecting all pods. A non-empty selector is required.";
        self.recorder.event(&reference(KIND, &deployment.metadata), EventType::Warning, "SelectingAll", message);
        if deployment.status.observed_generation < deployment.metadata.generation {
            let patch = json!({"status": {"observedGeneration": deployment.metadata.generation}});
            self.modify(deployment, STATUS, &patch).await?;
        }
        Ok(Outcome::Done)
    }

    fn sort(&self, deployment: &Deployment, mut all: Vec<ReplicaSet>) -> Sets {
        all.sort_by(|a, b| a.age_key().cmp(&b.age_key()));
        let position = all.iter().position(|set| revision::is_of_template(set, &deployment.spec.template));
        let new = position.map(|index| all.remove(index));
        Sets { new, old: all }
    }

    /// The Deployment's size has changed since its ReplicaSets were sized. Several of a Deployment that recreates its pods have no share
    /// in it: all but the new one go, whatever they were sized for. (Upstream's wait for ever.)
    fn is_scaling(&self, deployment: &Deployment, sets: &Sets) -> bool {
        if deployment.recreates() && sets.all().filter(|set| set.replicas() > 0).count() > 1 {
            return false;
        }
        let is_other = |set: &&ReplicaSet| {
            set.annotation_number(DEPLOYMENT_DESIRED_REPLICAS).is_some_and(|desired| desired != deployment.replicas())
        };
        sets.all().filter(|set| set.replicas() > 0).any(|set| is_other(&set))
    }

    async fn roll(&self, deployment: &Deployment, sets: Sets) -> Result<Outcome, Status> {
        let sets = self.with_new(deployment, sets).await?;
        let Some(new) = &sets.new else { return Ok(Outcome::Done) };
        let wanted = plan::new_replicas(deployment, new.replicas(), sets.replicas());
        if self.scale(deployment, new, wanted).await? {
            return self.report_fresh(deployment).await;
        }
        let sizes: Vec<Size> = sets.old.iter().map(Size::of).collect();
        let mut scaled = false;
        for (set, wanted) in sets.old.iter().zip(plan::old_replicas(deployment, &Size::of(new), &sizes)) {
            if wanted != set.replicas() {
                scaled |= self.scale(deployment, set, wanted).await?;
            }
        }
        if scaled {
            return self.report_fresh(deployment).await;
        }
        if conditions::is_complete(deployment, &deployment.status) {
            self.clean_up(deployment, &sets).await?;
        }
        self.report(deployment, &sets).await
    }

    async fn recreate(&self, deployment: &Deployment, sets: Sets) -> Result<Outcome, Status> {
        let sets = self.with_current_new(deployment, sets).await?;
        let mut scaled = false;
        for set in sets.old.iter().filter(|set| set.replicas() > 0) {
            scaled |= self.scale(deployment, set, 0).await?;
        }
        if scaled {
            return self.report_fresh(deployment).await;
        }
        let is_running =
            |set: &ReplicaSet| controlled::<Pod>(&self.pods, &set.metadata.uid).iter().any(|pod| !pod.has_ended());
        if sets.old.iter().any(is_running) {
            return self.report(deployment, &sets).await;
        }
        let sets = self.with_new(deployment, sets).await?;
        let Some(new) = &sets.new else { return Ok(Outcome::Done) };
        if self.scale(deployment, new, deployment.replicas()).await? {
            return self.report_fresh(deployment).await;
        }
        if conditions::is_complete(deployment, &deployment.status) {
            self.clean_up(deployment, &sets).await?;
        }
        self.report(deployment, &sets).await
    }

    async fn scale_proportionally(&self, deployment: &Deployment, sets: &Sets) -> Result<(), Status> {
        let all: Vec<&ReplicaSet> = sets.all().collect();
        let sizes: Vec<Size> = all.iter().map(|set| Size::of(set)).collect();
        let new = sets.new.as_ref().map(|_| all.len() - 1);
        for (index, wanted) in plan::proportional(deployment, &sizes, new) {
            self.scale(deployment, all[index], wanted).await?;
        }
        Ok(())
    }

    /// Gives a ReplicaSet its size, and the annotations that say for which size of the Deployment it is. Says whether the size
    /// changed.
    async fn scale(&self, deployment: &Deployment, set: &ReplicaSet, wanted: i64) -> Result<bool, Status> {
        let max = deployment.replicas() + deployment.max_surge();
        let resized = set.replicas() != wanted;
        let annotated = set.annotation_number(DEPLOYMENT_DESIRED_REPLICAS) == Some(deployment.replicas())
            && set.annotation_number(DEPLOYMENT_MAX_REPLICAS) == Some(max);
        if !resized && annotated {
            return Ok(false);
        }
        let patch = json!({
            "metadata": {
                "uid": set.metadata.uid,
                "resourceVersion": set.metadata.resource_version,
                "annotations": {
                    DEPLOYMENT_DESIRED_REPLICAS: deployment.replicas().to_string(),
                    DEPLOYMENT_MAX_REPLICAS: max.to_string(),
                },
            },
            "spec": {"replicas": wanted},
        });
        let written = self.client.patch(&REPLICA_SETS, &set.metadata.key(), OBJECT, &patch).await?;
        if resized {
            self.tell_scaled(deployment, &set.metadata.name, set.replicas(), wanted);
        }
        self.sets.reached(written.revision).await;
        Ok(resized)
    }

    fn tell_scaled(&self, deployment: &Deployment, set: &str, from: i64, to: i64) {
        let direction = if from < to { "up" } else { "down" };
        let message = format!("Scaled {direction} replica set {set} from {from} to {to}");
        let about = reference(KIND, &deployment.metadata);
        self.recorder.event(&about, EventType::Normal, "ScalingReplicaSet", message);
    }

    /// Reports what the cache shows after a step.
    async fn report_fresh(&self, deployment: &Deployment) -> Result<Outcome, Status> {
        let sets = controlled::<ReplicaSet>(&self.sets, &deployment.metadata.uid);
        self.report(deployment, &self.sort(deployment, sets)).await
    }

    /// Writes the status that the ReplicaSets give, if it is another.
    async fn report(&self, deployment: &Deployment, sets: &Sets) -> Result<Outcome, Status> {
        let now = self.clock.now();
        // Its status may have been written meanwhile; what it wants stays as it was read.
        let fresh = self.deployments.read::<Deployment>(&deployment.metadata.key());
        let Some(fresh) = fresh.filter(|fresh| fresh.metadata.uid == deployment.metadata.uid) else {
            return Ok(Outcome::Done);
        };
        let deployment = &Deployment { status: fresh.status, raw_status: fresh.raw_status, ..deployment.clone() };
        let wanted = conditions::status_of(deployment, sets.new.as_ref(), &sets.old, now);
        let outcome = conditions::until_deadline(deployment, &wanted, now).map_or(Outcome::Done, Outcome::Again);
        let wanted = wanted.to_patch();
        if crate::status::is_up_to_date(&deployment.raw_status, &wanted) {
            return Ok(outcome);
        }
        let patch = json!({"metadata": {"uid": deployment.metadata.uid}, "status": wanted});
        self.modify(deployment, STATUS, &patch).await?;
        Ok(outcome)
    }

    /// Changes the Deployment, and waits until the cache shows it.
    async fn modify(&self, deployment: &Deployment, part: Subresource, patch: &Value) -> Result<(), Status> {
        let key = deployment.metadata.key();
        modify(&self.client, &self.deployments, &DEPLOYMENTS, &key, part, patch).await.map(drop)
    }
}
