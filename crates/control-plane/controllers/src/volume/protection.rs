//! A claim stays while a pod uses it, a volume while it is bound, and a volume attributes class while a claim or a volume names it: their
//! finalizers go only after that.

use serde_json::json;
use windlass_api::meta::PartialObject;
use windlass_api::resource::{PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, VOLUME_ATTRIBUTES_CLASSES};
use windlass_api::well_known::finalizer;
use windlass_api::{GroupVersionResource, Meta, ObjectKey, Status};
use windlass_client::{Client, Informer, OBJECT, Object, Options, Outcome, WorkQueue};

use super::view::{Claim, Volume};
use crate::context::Context;
use crate::pods::Pod;
use crate::write::modify;

const CLAIMS_NAME: &str = "pvc-protection-controller";
const VOLUMES_NAME: &str = "pv-protection-controller";
const ATTRIBUTES_CLASSES_NAME: &str = "volumeattributesclass-protection-controller";
const WORKERS: usize = 2;

pub(crate) async fn run_claims(context: Context) {
    let client = context.client(CLAIMS_NAME);
    let (claims, pods) = (context.informer(&PERSISTENT_VOLUME_CLAIMS), context.informer(&PODS));
    let queue = WorkQueue::new();
    let changed = queue.clone();
    claims.subscribe(move |change| changed.add(change.object().key.clone()));
    let changed = queue.clone();
    pods.subscribe(move |change| {
        let pods = [&change.old, &change.new].into_iter().flatten();
        for pod in pods.filter_map(|object| object.decode::<Pod>().ok()) {
            claims_of(&pod).for_each(|key| changed.add(key));
        }
    });
    claims.synced().await;
    pods.synced().await;
    let sync = async |key: ObjectKey| -> Result<Outcome, Status> {
        let Some(claim) = claims.read::<PartialObject>(&key) else { return Ok(Outcome::Done) };
        let is_user = |object: Object| object.decode::<Pod>().is_ok_and(|pod| uses(&pod, &key));
        let is_used = claim.metadata.is_deleting() && is_any(&client, &pods, &PODS, &key.namespace, is_user).await?;
        let finalizers = protect(&claim.metadata, finalizer::PVC_PROTECTION, is_used);
        write(&client, &claims, &PERSISTENT_VOLUME_CLAIMS, &key, &claim.metadata, finalizers).await
    };
    queue.run(CLAIMS_NAME, WORKERS, sync).await;
}

pub(crate) async fn run_volumes(context: Context) {
    let client = context.client(VOLUMES_NAME);
    let volumes = context.informer(&PERSISTENT_VOLUMES);
    let queue = WorkQueue::new();
    let changed = queue.clone();
    volumes.subscribe(move |change| changed.add(change.object().key.clone()));
    volumes.synced().await;
    let sync = async |key: ObjectKey| -> Result<Outcome, Status> {
        let Some(volume) = volumes.read::<Volume>(&key) else { return Ok(Outcome::Done) };
        let finalizers = protect(&volume.metadata, finalizer::PV_PROTECTION, volume.status.phase == "Bound");
        write(&client, &volumes, &PERSISTENT_VOLUMES, &key, &volume.metadata, finalizers).await
    };
    queue.run(VOLUMES_NAME, WORKERS, sync).await;
}

pub(crate) async fn run_attributes_classes(context: Context) {
    let client = context.client(ATTRIBUTES_CLASSES_NAME);
    let classes = context.informer(&VOLUME_ATTRIBUTES_CLASSES);
    let users = [(PERSISTENT_VOLUME_CLAIMS, OF_CLAIM), (PERSISTENT_VOLUMES, OF_VOLUME)]
        .map(|(resource, names)| (context.informer(&resource), resource, names));
    let queue = WorkQueue::new();
    let changed = queue.clone();
    classes.subscribe(move |change| changed.add(change.object().key.clone()));
    for (informer, _, names) in &users {
        let (changed, names) = (queue.clone(), *names);
        informer.subscribe(move |change| {
            let objects = [&change.old, &change.new].into_iter().flatten();
            objects.flat_map(names).for_each(|name| changed.add(ObjectKey::new("", name)));
        });
    }
    classes.synced().await;
    for (informer, ..) in &users {
        informer.synced().await;
    }
    let sync = async |key: ObjectKey| -> Result<Outcome, Status> {
        let Some(class) = classes.read::<PartialObject>(&key) else { return Ok(Outcome::Done) };
        let mut is_used = false;
        for (informer, resource, names) in users.iter().filter(|_| class.metadata.is_deleting()) {
            let names_it = |object: Object| names(&object).contains(&key.name);
            is_used |= is_any(&client, informer, resource, "", names_it).await?;
        }
        let finalizers = protect(&class.metadata, finalizer::VAC_PROTECTION, is_used);
        write(&client, &classes, &VOLUME_ATTRIBUTES_CLASSES, &key, &class.metadata, finalizers).await
    };
    queue.run(ATTRIBUTES_CLASSES_NAME, WORKERS, sync).await;
}

/// The volume attributes classes that an object names.
type ClassNames = fn(&Object) -> Vec<String>;

/// What a claim asks for, what it has, and what it is on its way to.
const OF_CLAIM: ClassNames = |object| {
    let claim = object.decode::<Claim>().unwrap_or_default();
    let (spec, status) = (claim.spec, claim.status);
    let names = [spec.volume_attributes_class_name, status.current_volume_attributes_class_name];
    names.into_iter().flatten().chain([status.modify_volume_status.target_volume_attributes_class_name]).collect()
};

const OF_VOLUME: ClassNames = |object| {
    let volume = object.decode::<Volume>().unwrap_or_default();
    volume.spec.volume_attributes_class_name.into_iter().collect()
};

/// The claims that a pod names; those of its ephemeral volumes have the names of pod and volume.
pub(super) fn claims_of(pod: &Pod) -> impl Iterator<Item = ObjectKey> {
    named_claims(pod).chain(ephemeral_claims(pod))
}

fn named_claims(pod: &Pod) -> impl Iterator<Item = ObjectKey> {
    let claims = pod.spec.volumes.iter().filter_map(|volume| volume.persistent_volume_claim.as_ref());
    claims.map(|claim| ObjectKey::new(pod.metadata.namespace.clone(), claim.claim_name.clone()))
}

fn ephemeral_claims(pod: &Pod) -> impl Iterator<Item = ObjectKey> {
    let meta = &pod.metadata;
    let volumes = pod.spec.volumes.iter().filter(|volume| volume.ephemeral.is_some());
    volumes.map(|volume| ObjectKey::new(meta.namespace.clone(), format!("{}-{}", meta.name, volume.name)))
}

/// A pod without a node does not use its claims yet: no kubelet starts a pod whose claim is being deleted. A pod that has ended still
/// holds the claims that it names, and no longer those that were made for it.
fn uses(pod: &Pod, claim: &ObjectKey) -> bool {
    !pod.spec.node_name.is_empty()
        && (named_claims(pod).any(|key| key == *claim)
            || (!pod.has_ended() && ephemeral_claims(pod).any(|key| key == *claim)))
}

/// Whether an object of a kind uses something. The cache is asked first and, when that knows of nobody, the server, for the cache may be
/// behind.
async fn is_any(
    client: &Client,
    informer: &Informer,
    resource: &GroupVersionResource,
    namespace: &str,
    is_user: impl Fn(Object) -> bool,
) -> Result<bool, Status> {
    if informer.list(namespace).into_iter().any(&is_user) {
        return Ok(true);
    }
    let live = client.list(resource, namespace, Options::default()).await?;
    Ok(live.items.into_iter().any(is_user))
}

/// The finalizers as they should be; `None` when they are.
fn protect(object: &Meta, name: &str, is_used: bool) -> Option<Vec<String>> {
    let has = object.finalizers.iter().any(|finalizer| finalizer == name);
    let mut finalizers = object.finalizers.clone();
    match (object.is_deleting(), has) {
        (false, false) => finalizers.push(name.to_owned()),
        (true, true) if !is_used => finalizers.retain(|finalizer| finalizer != name),
        _ => return None,
    }
    Some(finalizers)
}

async fn write(
    client: &Client,
    informer: &Informer,
    resource: &GroupVersionResource,
    key: &ObjectKey,
    object: &Meta,
    finalizers: Option<Vec<String>>,
) -> Result<Outcome, Status> {
    if let Some(finalizers) = finalizers {
        let patch = json!({"metadata": {"uid": object.uid, "finalizers": finalizers}});
        modify(client, informer, resource, key, OBJECT, &patch).await?;
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finalizers() {
        let object = |deleting: bool, finalizers: &[&str]| Meta {
            deletion_timestamp: deleting.then(|| "2026-11-21T06:00:00Z".to_owned()),
            finalizers: finalizers.iter().map(|name| (*name).to_owned()).collect(),
            ..Meta::default()
        };
        let cases = [
            (object(false, &["other"]), true, Some(vec!["other", "us"])),
            (object(false, &["us"]), false, None),
            (object(true, &["us"]), true, None),
            (object(true, &["other", "us"]), false, Some(vec!["other"])),
            (object(true, &[]), false, None),
        ];
        for (object, is_used, expected) in cases {
            let expected = expected.map(|all| all.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(protect(&object, "us", is_used), expected, "{object:?}");
        }
    }

    #[test]
    fn users() {
        let pod = |node: &str, phase: &str| -> Pod {
            serde_json::from_value(json!({"metadata": {"namespace": "n", "name": "p"}, "status": {"phase": phase},
                "spec": {"nodeName": node, "volumes": [{"name": "a", "persistentVolumeClaim": {"claimName": "c"}},
                    {"name": "b", "ephemeral": {}}, {"name": "d"}]}}))
            .unwrap()
        };
        let claim = |name: &str| ObjectKey::new("n", name);
        assert!(uses(&pod("node", "Running"), &claim("c")) && uses(&pod("node", "Running"), &claim("p-b")));
        assert!(!uses(&pod("", "Pending"), &claim("c")) && !uses(&pod("node", "Failed"), &claim("p-b")));
        assert!(uses(&pod("node", "Failed"), &claim("c")) && !uses(&pod("node", "Running"), &claim("d")));
    }
}
