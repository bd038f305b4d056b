//! Claims and volumes find one another.
//!
//! A claim that is Pending is bound to the smallest volume that suits it, or to the one that it or its maker names. Both sides then name
//! each other: first the volume (`claimRef`, phase Bound), then the claim (`volumeName`, phase Bound), so that a crash in between leaves a
//! volume that is reserved, never two claims on one. With a class that waits for its first consumer, the scheduler reserves the volume.
//! When its claim is gone a volume is Released and then treated as its policy says.
//!
//! Volumes that have to be made or removed outside the cluster are left to their provisioners, which the annotations tell apart. Of a
//! `hostPath` volume with policy Delete the object is removed; what it holds is on some node, which controllers do not reach, and stays.
//!
//! Source: upstream `pkg/controller/volume/persistentvolume/pv_controller.go`.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use windlass_api::resource::{PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS};
use windlass_api::{GroupVersionResource, Meta, ObjectKey, Status};
use windlass_client::{
    Client, DeleteOptions, EventType, Informer, OBJECT, ObjectReference, Outcome, Recorder, STATUS, WorkQueue,
};

use super::matching::{best, suits};
use super::protection::claims_of;
use super::view::{Claim, Volume};
use crate::context::Context;
use crate::pods::Pod;
use crate::write::{delete, modify};

const NAME: &str = "persistent-volume-binder";
const WORKERS: usize = 2;
/// A claim without a volume looks again after this time, for its class may have changed.
const LOOK_AGAIN: Duration = Duration::from_secs(15);
const STORAGE_CLASSES: GroupVersionResource = GroupVersionResource::of("storage.k8s.io", "v1", "storageclasses");
const BY_CLAIM: &str = "claim";
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
const PROVISIONERS: [&str; 2] =
    ["volume.beta.kubernetes.io/storage-provisioner", "volume.kubernetes.io/storage-provisioner"];

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Work {
    Claim(ObjectKey),
    Volume(ObjectKey),
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct StorageClass {
    provisioner: String,
    volume_binding_mode: Option<String>,
}

struct Controller {
    client: Client,
    recorder: Recorder,
    claims: Arc<Informer>,
    volumes: Arc<Informer>,
    classes: Arc<Informer>,
    pods: Arc<Informer>,
    queue: WorkQueue<Work>,
}

pub(crate) async fn run(context: Context) {
    let client = context.client(NAME);
    let controller = Controller {
        recorder: context.recorder(&client, "persistentvolume-controller"),
        client,
        claims: context.informer(&PERSISTENT_VOLUME_CLAIMS),
        volumes: context.informer(&PERSISTENT_VOLUMES),
        classes: context.informer(&STORAGE_CLASSES),
        pods: context.informer(&PODS),
        queue: WorkQueue::new(),
    };
    controller.pods.add_index(BY_CLAIM, |object| {
        let pod = object.decode::<Pod>().unwrap_or_default();
        claims_of(&pod).map(|claim| claim.to_string()).collect()
    });
    for informer in [&controller.claims, &controller.volumes, &controller.classes, &controller.pods] {
        informer.synced().await;
    }
    let queue = controller.queue.clone();
    let volumes = controller.volumes.clone();
    controller.claims.subscribe(move |change| {
        queue.add(Work::Claim(change.object().key.clone()));
        if change.new.is_none() {
            let of_claim = |volume: &Volume| {
                let key = &change.object().key;
                volume.spec.claim_ref.as_ref().is_some_and(|r| r.namespace == key.namespace && r.name == key.name)
            };
            let all = volumes.list("").into_iter().filter_map(|object| object.decode::<Volume>().ok());
            all.filter(of_claim).for_each(|volume| queue.add(Work::Volume(volume.metadata.key())));
        }
    });
    let (queue, claims) = (controller.queue.clone(), controller.claims.clone());
    controller.volumes.subscribe(move |change| {
        queue.add(Work::Volume(change.object().key.clone()));
        wake_claims(&claims, &queue, change.object());
    });
    let queue = controller.queue.clone();
    let sync = async |work: Work| match work {
        Work::Claim(key) => controller.sync_claim(&key).await,
        Work::Volume(key) => controller.sync_volume(&key).await,
    };
    queue.run(NAME, WORKERS, sync).await;
}

/// Claims that a volume may concern: the one that it names, and those that look for one of its class or name it.
fn wake_claims(claims: &Informer, queue: &WorkQueue<Work>, object: &windlass_client::Object) {
    let Ok(volume) = object.decode::<Volume>() else { return };
    for object in claims.list("") {
        let Ok(claim) = object.decode::<Claim>() else { continue };
        let names_it = claim.spec.volume_name == volume.metadata.name;
        let looks_for_it = claim.spec.volume_name.is_empty() && claim.class() == volume.class();
        if names_it || looks_for_it || volume.is_for(&claim.metadata) {
            queue.add(Work::Claim(object.key));
        }
    }
}

fn has(meta: &Meta, annotation: &str) -> bool {
    meta.annotations.contains_key(annotation)
}

/// What is to be done about a claim.
#[derive(Debug, PartialEq)]
enum Step {
    Bind(Box<Volume>),
    /// No volume yet.
    Wait,
    /// The volume that it names is not there yet, or another's.
    Pending,
    Lost(&'static str, &'static str),
}

impl PartialEq for Volume {
    fn eq(&self, other: &Self) -> bool {
        self.metadata.uid == other.metadata.uid && self.metadata.name == other.metadata.name
    }
}

fn step(claim: &Claim, volumes: &[Volume], waits_for_pod: bool) -> Result<Step, Status> {
    let bind = |volume: &Volume| Step::Bind(Box::new(volume.clone()));
    let named = volumes.iter().find(|volume| volume.metadata.name == claim.spec.volume_name);
    if has(&claim.metadata, BIND_COMPLETED) {
        return Ok(match named {
            _ if claim.spec.volume_name.is_empty() => Step::Lost(
                "ClaimLost",
                "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!",
            ),
            None => Step::Lost("ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!"),
            Some(volume) if volume.spec.claim_ref.is_none() || volume.is_for(&claim.metadata) => bind(volume),
            Some(_) => {
                Step::Lost("ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")
            }
        });
    }
    if claim.spec.volume_name.is_empty() {
        let selector = crate::selector_of_structure(&claim.spec.selector)?;
        return Ok(best(volumes, claim, &selector, waits_for_pod).map_or(Step::Wait, bind));
    }
    let binds =
        |volume: &&Volume| volume.is_for(&claim.metadata) || (volume.spec.claim_ref.is_none() && suits(volume, claim));
    Ok(named.filter(binds).map_or(Step::Pending, bind))
}

impl Controller {
    async fn sync_claim(&self, key: &ObjectKey) -> Result<Outcome, Status> {
        let Some(claim) = self.claims.read::<Claim>(key) else { return Ok(Outcome::Done) };
        let class = self.classes.read::<StorageClass>(&ObjectKey::new("", claim.class()));
        let waits =
            class.as_ref().is_some_and(|class| class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer"))
                && !has(&claim.metadata, SELECTED_NODE);
        let volumes: Vec<Volume> = self.volumes.list("").iter().filter_map(|object| object.decode().ok()).collect();
        match step(&claim, &volumes, waits)? {
            Step::Bind(volume) => self.bind(&claim, &volume).await?,
            Step::Wait => {
                self.set_claim_phase(&claim, "Pending").await?;
                if !claim.metadata.is_deleting() {
                    self.provision(&claim, class.as_ref(), waits).await?;
                    return Ok(Outcome::Again(LOOK_AGAIN));
                }
            }
            Step::Pending => self.set_claim_phase(&claim, "Pending").await?,
            Step::Lost(reason, message) => {
                if claim.status.phase != "Lost" {
                    self.recorder.event(&reference(&claim.metadata), EventType::Warning, reason, message);
                }
                self.set_claim_phase(&claim, "Lost").await?;
            }
        }
        Ok(Outcome::Done)
    }

    /// Makes both name each other, the volume first.
    async fn bind(&self, claim: &Claim, volume: &Volume) -> Result<(), Status> {
        let (claim_key, volume_key) = (claim.metadata.key(), volume.metadata.key());
        let is_reserved = volume.spec.claim_ref.as_ref().is_some_and(|reference| reference.uid == claim.metadata.uid);
        if !is_reserved {
            let mut patch = json!({"metadata": {"uid": volume.metadata.uid}, "spec": {"claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": claim.metadata.namespace,
                "name": claim.metadata.name, "uid": claim.metadata.uid,
                "resourceVersion": claim.metadata.resource_version}}});
            if volume.spec.claim_ref.is_none() {
                patch["metadata"]["annotations"] = json!({BOUND_BY_CONTROLLER: "yes"});
            }
            self.modify_volume(&volume_key, OBJECT, &patch).await?;
        }
        self.set_volume_phase(&volume_key, volume, "Bound", "").await?;
        let name = &volume.metadata.name;
        if claim.spec.volume_name != *name || !has(&claim.metadata, BIND_COMPLETED) {
            let mut annotations = json!({BIND_COMPLETED: "yes"});
            if claim.spec.volume_name != *name {
                annotations[BOUND_BY_CONTROLLER] = json!("yes");
            }
            let patch = json!({"metadata": {"uid": claim.metadata.uid, "annotations": annotations},
                "spec": {"volumeName": name}});
            modify(&self.client, &self.claims, &PERSISTENT_VOLUME_CLAIMS, &claim_key, OBJECT, &patch).await?;
        }
        let is_done = claim.status.phase == "Bound"
            && claim.status.access_modes == volume.spec.access_modes
            && !claim.status.capacity.is_null();
        if !is_done {
            let patch = json!({"metadata": {"uid": claim.metadata.uid}, "status": {"phase": "Bound",
                "accessModes": volume.spec.access_modes, "capacity": {"storage": volume.spec.capacity["storage"]}}});
            modify(&self.client, &self.claims, &PERSISTENT_VOLUME_CLAIMS, &claim_key, STATUS, &patch).await?;
            tracing::info!(claim = %claim_key, volume = name, "bound a claim");
        }
        Ok(())
    }

    /// Asks the class's provisioner for a volume, or says why there is none.
    async fn provision(&self, claim: &Claim, class: Option<&StorageClass>, waits: bool) -> Result<(), Status> {
        let about = reference(&claim.metadata);
        let say = |kind, reason, message: &str| self.recorder.event(&about, kind, reason, message);
        if waits {
            let (reason, message) = waited_for(&self.waiting_pods(claim));
            say(EventType::Normal, reason, &message);
            return Ok(());
        }
        let Some(class) = class else {
            if claim.class().is_empty() {
                let message = "no persistent volumes available for this claim and no storage class is set";
                say(EventType::Normal, "FailedBinding", message);
            } else {
                let message = format!("storageclass.storage.k8s.io {:?} not found", claim.class());
                say(EventType::Warning, "ProvisioningFailed", &message);
            }
            return Ok(());
        };
        if class.provisioner == NO_PROVISIONER {
            say(
                EventType::Normal,
                "FailedBinding",
                "no persistent volumes available for this claim and no storage class is set",
            );
            return Ok(());
        }
        let is_said = PROVISIONERS.iter().all(|name| claim.metadata.annotations.get(*name) == Some(&class.provisioner));
        if !is_said {
            let annotations = json!({PROVISIONERS[0]: class.provisioner, PROVISIONERS[1]: class.provisioner});
            let patch = json!({"metadata": {"uid": claim.metadata.uid, "annotations": annotations}});
            let key = claim.metadata.key();
            modify(&self.client, &self.claims, &PERSISTENT_VOLUME_CLAIMS, &key, OBJECT, &patch).await?;
        }
        let message = format!(
            "Waiting for a volume to be created either by the external provisioner '{}' or manually by the system \
             administrator. If volume creation is delayed, please verify that the provisioner is running and correctly \
             registered.",
            class.provisioner
        );
        say(EventType::Normal, "ExternalProvisioning", &message);
        Ok(())
    }

    /// The names of the pods that use a claim and have no node yet.
    fn waiting_pods(&self, claim: &Claim) -> Vec<String> {
        let users = self.pods.by_index(BY_CLAIM, &claim.metadata.key().to_string());
        let users = users.into_iter().filter_map(|object| object.decode::<Pod>().ok());
        let waiting = users.filter(|pod| pod.spec.node_name.is_empty() && !pod.has_ended());
        waiting.map(|pod| pod.metadata.name).collect()
    }

    async fn set_claim_phase(&self, claim: &Claim, phase: &str) -> Result<(), Status> {
        if claim.status.phase == phase {
            return Ok(());
        }
        let patch = json!({"metadata": {"uid": claim.metadata.uid}, "status": {"phase": phase}});
        let key = claim.metadata.key();
        modify(&self.client, &self.claims, &PERSISTENT_VOLUME_CLAIMS, &key, STATUS, &patch).await.map(drop)
    }

    async fn sync_volume(&self, key: &ObjectKey) -> Result<Outcome, Status> {
        let Some(volume) = self.volumes.read::<Volume>(key) else { return Ok(Outcome::Done) };
        let Some(reference) = volume.spec.claim_ref.clone().filter(|reference| !reference.uid.is_empty()) else {
            self.set_volume_phase(key, &volume, "Available", "").await?;
            return Ok(Outcome::Done);
        };
        let claim_key = ObjectKey::new(reference.namespace, reference.name);
        let mut claim = self.claims.read::<Claim>(&claim_key);
        if claim.is_none() {
            // The cache may be behind, and what is lost by this mistake is data.
            claim = match self.client.get(&PERSISTENT_VOLUME_CLAIMS, &claim_key).await {
                Ok(object) => Some(object.decode()?),
                Err(status) if status.is_not_found() => None,
                Err(status) => return Err(status),
            };
        }
        match claim.filter(|claim| claim.metadata.uid == reference.uid) {
            None => self.release(key, &volume).await?,
            Some(claim) if claim.spec.volume_name.is_empty() => self.queue.add(Work::Claim(claim_key)),
            Some(claim) if claim.spec.volume_name == key.name => {
                self.set_volume_phase(key, &volume, "Bound", "").await?;
            }
            Some(_) => self.unbind(key, &volume).await?,
        }
        Ok(Outcome::Done)
    }

    /// The claim has been bound to another volume: what we wrote is taken back, what a user wrote stays as a wish.
    async fn unbind(&self, key: &ObjectKey, volume: &Volume) -> Result<(), Status> {
        let patch = if has(&volume.metadata, BOUND_BY_CONTROLLER) {
            json!({"metadata": {"uid": volume.metadata.uid, "annotations": {BOUND_BY_CONTROLLER: null}},
                "spec": {"claimRef": null}})
        } else {
            json!({"metadata": {"uid": volume.metadata.uid}, "spec": {"claimRef": {"uid": null}}})
        };
        self.modify_volume(key, OBJECT, &patch).await?;
        self.set_volume_phase(key, volume, "Available", "").await
    }

    /// The claim is gone.
    async fn release(&self, key: &ObjectKey, volume: &Volume) -> Result<(), Status> {
        if !matches!(volume.status.phase.as_str(), "Released" | "Failed") {
            self.set_volume_phase(key, volume, "Released", "").await?;
        }
        let is_external = has(&volume.metadata, PROVISIONED_BY);
        if volume.spec.persistent_volume_reclaim_policy != "Delete" || is_external || volume.metadata.is_deleting() {
            return Ok(());
        }
        if volume.spec.host_path.is_some() {
            tracing::info!(volume = key.name, "removing a released volume");
            let options = DeleteOptions::of_uid(volume.metadata.uid.clone());
            return delete(&self.client, &PERSISTENT_VOLUMES, key, &options).await;
        }
        let message = format!(
            "error getting deleter volume plugin for volume {:?}: no deletable volume plugin matched",
            volume.metadata.name
        );
        if volume.status.phase != "Failed" {
            let about = ObjectReference { kind: "PersistentVolume".to_owned(), ..reference(&volume.metadata) };
            self.recorder.event(&about, EventType::Warning, "VolumeFailedDelete", &*message);
        }
        self.set_volume_phase(key, volume, "Failed", &message).await
    }

    async fn set_volume_phase(&self, key: &ObjectKey, seen: &Volume, phase: &str, message: &str) -> Result<(), Status> {
        if seen.status.phase == phase && seen.status.message == message {
            return Ok(());
        }
        let message = if message.is_empty() { Value::Null } else { json!(message) };
        let patch = json!({"metadata": {"uid": seen.metadata.uid}, "status": {"phase": phase, "message": message}});
        self.modify_volume(key, STATUS, &patch).await
    }

    async fn modify_volume(&self, key: &ObjectKey, part: &'static str, patch: &Value) -> Result<(), Status> {
        modify(&self.client, &self.volumes, &PERSISTENT_VOLUMES, key, part, patch).await.map(drop)
    }
}

/// Reason and message of the event for a claim that is bound only when a pod that uses it has a node.
fn waited_for(pods: &[String]) -> (&'static str, String) {
    match pods {
        [] => ("WaitForFirstConsumer", "waiting for first consumer to be created before binding".to_owned()),
        [pod] => ("WaitForPodScheduled", format!("waiting for pod {pod} to be scheduled")),
        pods => ("WaitForPodScheduled", format!("waiting for pods {} to be scheduled", pods.join(","))),
    }
}

fn reference(claim: &Meta) -> ObjectReference {
    ObjectReference {
        api_version: "v1".to_owned(),
        kind: "PersistentVolumeClaim".to_owned(),
        namespace: claim.namespace.clone(),
        name: claim.name.clone(),
        uid: claim.uid.clone(),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(name: &str, reference: Value) -> Volume {
        serde_json::from_value(json!({"metadata": {"name": name, "uid": name}, "status": {"phase": "Available"},
            "spec": {"capacity": {"storage": "1Gi"}, "claimRef": reference}}))
        .unwrap()
    }

    fn claim(volume_name: &str, bound: bool) -> Claim {
        let annotations = if bound { json!({BIND_COMPLETED: "yes"}) } else { json!({}) };
        serde_json::from_value(
            json!({"metadata": {"namespace": "n", "name": "c", "uid": "u", "annotations": annotations},
            "spec": {"volumeName": volume_name, "resources": {"requests": {"storage": "1Gi"}}}}),
        )
        .unwrap()
    }

    #[test]
    fn who_is_waited_for() {
        let pods = ["db-0".to_owned(), "db-1".to_owned()];
        assert_eq!(waited_for(&[]).0, "WaitForFirstConsumer");
        assert_eq!(waited_for(&pods[..1]), ("WaitForPodScheduled", "waiting for pod db-0 to be scheduled".to_owned()));
        assert_eq!(waited_for(&pods).1, "waiting for pods db-0,db-1 to be scheduled");
    }

    #[test]
    fn steps() {
        let ours = json!({"namespace": "n", "name": "c", "uid": "u"});
        let others = json!({"namespace": "n", "name": "d", "uid": "v"});
        let bind = |name: &str| Step::Bind(Box::new(volume(name, Value::Null)));
        let cases = [
            (claim("", false), volume("v", Value::Null), bind("v")),
            (claim("", false), volume("v", others.clone()), Step::Wait),
            (claim("", false), volume("v", ours.clone()), bind("v")),
            (claim("v", false), volume("v", Value::Null), bind("v")),
            (claim("v", false), volume("v", others.clone()), Step::Pending),
            (claim("w", false), volume("v", Value::Null), Step::Pending),
            (claim("v", true), volume("v", ours), bind("v")),
        ];
        for (claim, volume, expected) in cases {
            assert_eq!(step(&claim, std::slice::from_ref(&volume), false).unwrap(), expected, "{claim:?} {volume:?}");
        }
        let lost = |claim: Claim, volumes: &[Volume]| matches!(step(&claim, volumes, false).unwrap(), Step::Lost(..));
        assert!(lost(claim("v", true), &[]) && lost(claim("v", true), &[volume("v", others)]));
    }
}
