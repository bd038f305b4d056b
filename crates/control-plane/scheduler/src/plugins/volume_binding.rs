//! VolumeBinding: a pod goes where its claims' volumes are, or can be made; claims that wait for their first pod get their volumes
//! when that has a node.
//!
//! Reserve decides which volumes, so that no other pod takes them; PreBind tells the API and waits until the volumes are there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::json;
use windlass_api::resource::{PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES};
use windlass_api::{ObjectKey, Status};
use windlass_client::{Client, Informer, OBJECT};

use crate::cache::{Cluster, NodeInfo};
use crate::framework::{Event, Filter, Plugin, PostBind, PreBind, PreFilter, PreFiltered, Rejection, Requeue, Reserve};
use crate::object::Pod;
use crate::storage::{Claim, Plan, RawClaim, RawVolume, SELECTED_NODE, Storage, Volume, plan};

/// How long volumes may take to be there.
const BIND_TIMEOUT: Duration = Duration::from_secs(600);

pub(super) struct VolumeBinding {
    pub client: Client,
    pub claims: Arc<Informer>,
    pub volumes: Arc<Informer>,
    pub pods: Arc<Informer>,
    /// What is to be done for pods that have a node.
    pub plans: Mutex<HashMap<ObjectKey, PlannedClaims>>,
}

/// A plan, with the UIDs of the claims that get a volume.
#[derive(Clone, Debug, Default)]
pub(super) struct PlannedClaims {
    plan: Plan,
    uids: HashMap<ObjectKey, String>,
}

impl Plugin for VolumeBinding {
    fn name(&self) -> &'static str {
        "VolumeBinding"
    }
}

impl Requeue for VolumeBinding {
    fn may_help(&self, _pod: &Pod, event: &Event) -> bool {
        matches!(event, Event::Node { .. } | Event::Storage)
    }
}

/// The claims of a pod, unless they make it impossible to schedule.
fn claims<'a>(storage: &'a Storage, pod: &Pod) -> Result<Vec<&'a Claim>, String> {
    let mut claims = Vec::new();
    for (key, ephemeral) in pod.claims() {
        let name = &key.name;
        let Some(claim) = storage.claims.get(&key) else {
            return Err(if ephemeral {
                format!("waiting for ephemeral volume controller to create the persistentvolumeclaim {name:?}")
            } else {
                format!("persistentvolumeclaim {name:?} not found")
            });
        };
        if claim.lost {
            let volume = &claim.volume_name;
            return Err(format!("persistentvolumeclaim {name:?} bound to non-existent persistentvolume {volume:?}"));
        }
        if claim.terminating {
            return Err(format!("persistentvolumeclaim {name:?} is being deleted"));
        }
        if ephemeral && claim.owner.as_deref() != Some(pod.uid.as_str()) {
            let pod = &pod.key;
            return Err(format!("PVC {key} was not created for pod {pod} (pod is not owner)"));
        }
        if !claim.bound && (!claim.volume_name.is_empty() || !storage.waits_for_consumer(claim)) {
            return Err("pod has unbound immediate PersistentVolumeClaims".to_owned());
        }
        claims.push(claim);
    }
    Ok(claims)
}

impl PreFilter for VolumeBinding {
    fn pre_filter<'a>(&'a self, cluster: &'a Cluster, pod: &'a Pod) -> PreFiltered<'a> {
        if !pod.has_claims() {
            return PreFiltered::Skip;
        }
        let storage = &cluster.surroundings.storage;
        match claims(storage, pod) {
            Ok(claims) => PreFiltered::filter(Reachable { storage, claims }),
            Err(reason) => PreFiltered::Reject(Rejection::unresolvable(reason)),
        }
    }
}

struct Reachable<'a> {
    storage: &'a Storage,
    claims: Vec<&'a Claim>,
}

impl Filter for Reachable<'_> {
    fn filter(&self, node: &NodeInfo) -> Result<(), Rejection> {
        plan(self.storage, &self.claims, &node.node).map(drop)
    }
}

impl Reserve for VolumeBinding {
    fn reserve(&self, cluster: &mut Cluster, pod: &Pod, node: &str) -> Result<(), Rejection> {
        let Some(info) = cluster.node_named(node).filter(|_| pod.has_claims()) else { return Ok(()) };
        let info = info.node.clone();
        let storage = &mut cluster.surroundings.storage;
        let claims = claims(storage, pod).map_err(Rejection::unresolvable)?;
        let plan = plan(storage, &claims, &info)?;
        if plan.is_empty() {
            return Ok(());
        }
        let uids = claims.iter().map(|claim| (claim.key.clone(), claim.uid.clone())).collect();
        for (volume, claim) in &plan.bindings {
            storage.chosen.insert(volume.clone(), claim.clone());
        }
        self.plans.lock().insert(pod.key.clone(), PlannedClaims { plan, uids });
        Ok(())
    }

    fn unreserve(&self, cluster: &mut Cluster, pod: &Pod) {
        if let Some(planned) = self.plans.lock().remove(&pod.key) {
            for (volume, _) in &planned.plan.bindings {
                cluster.surroundings.storage.chosen.remove(volume);
            }
        }
    }
}

#[async_trait]
impl PreBind for VolumeBinding {
    fn concerns(&self, pod: &Pod) -> bool {
        self.plans.lock().contains_key(&pod.key)
    }

    async fn pre_bind(&self, pod: &Pod, node: &str) -> Result<(), Status> {
        let Some(planned) = self.plans.lock().get(&pod.key).cloned() else { return Ok(()) };
        self.tell(&planned, node).await?;
        let gone = self.pods.until(|pods| pods.get(&pod.key).is_none());
        let bound = self.claims.until(|claims| self.state(&planned, claims, node) != Some(false));
        tokio::select! {
            biased;
            () = bound => {}
            () = gone => return Err(Status::internal("pod does not exist any more")),
            () = tokio::time::sleep(BIND_TIMEOUT) => {
                return Err(Status::internal("binding volumes: context deadline exceeded"));
            }
        }
        match self.state(&planned, &self.claims, node) {
            Some(true) => Ok(()),
            _ => Err(Status::internal("binding volumes: provisioning failed, or a claim has gone")),
        }
    }
}

impl PostBind for VolumeBinding {
    fn post_bind(&self, pod: &Pod, _node: &str) {
        // The volumes stay spoken for until the API shows whose they are.
        self.plans.lock().remove(&pod.key);
    }
}

impl VolumeBinding {
    /// Writes which claim gets which volume, and where volumes are to be made.
    async fn tell(&self, planned: &PlannedClaims, node: &str) -> Result<(), Status> {
        for (volume, claim) in &planned.plan.bindings {
            let key = ObjectKey::new("", volume.as_str());
            let current = self.volumes.get(&key).ok_or_else(|| Status::internal("a persistentvolume has gone"))?;
            let known = Volume::from(current.decode::<RawVolume>()?);
            if known.claim.is_some_and(|(key, _)| key != *claim) {
                return Err(Status::internal(format_args!("persistentvolume {volume:?} has got another claim")));
            }
            let patch = json!({
                "metadata": {
                    "resourceVersion": current.revision.to_string(),
                    "annotations": {"pv.kubernetes.io/bound-by-controller": "yes"},
                },
                "spec": {"claimRef": {
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": claim.namespace, "name": claim.name,
                    "uid": planned.uids.get(claim),
                }},
            });
            self.client.patch(&PERSISTENT_VOLUMES, &key, OBJECT, &patch).await?;
        }
        for claim in &planned.plan.provisions {
            let patch = json!({"metadata": {"annotations": {SELECTED_NODE: node}}});
            let written = self.client.patch(&PERSISTENT_VOLUME_CLAIMS, claim, OBJECT, &patch).await?;
            self.claims.reached(written.revision).await;
        }
        Ok(())
    }

    /// Whether all claims have their volumes; `None` when one never will.
    fn state(&self, planned: &PlannedClaims, claims: &Informer, node: &str) -> Option<bool> {
        let read = |key: &ObjectKey| claims.read::<RawClaim>(key).map(Claim::from);
        let mut all = true;
        for key in planned.plan.bindings.iter().map(|(_, claim)| claim) {
            all &= read(key)?.bound;
        }
        for key in &planned.plan.provisions {
            let claim = read(key)?;
            // A provisioner takes the node back when it cannot make the volume there.
            if !claim.bound && claim.selected_node.as_deref() != Some(node) {
                return None;
            }
            all &= claim.bound;
        }
        Some(all)
    }
}
