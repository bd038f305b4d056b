//! Who owns what: controller references, and how a controller takes and gives up the objects that its selector is about.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::json;
use windlass_api::labels::Selector;
use windlass_api::meta::PartialObject;
use windlass_api::{GroupVersionResource, Meta, ObjectKey, OwnerReference, Status};
use windlass_client::{Client, Informer, OBJECT, Object};

/// The index of objects by their controller's UID; objects without a controller stand under [`orphans_of`] their namespace.
const BY_CONTROLLER: &str = "controller";

/// An object that can have a controller.
pub(crate) trait Owned: DeserializeOwned {
    fn meta(&self) -> &Meta;
}

/// Any object, for its metadata.
pub(crate) type AnyOwned = PartialObject;

impl Owned for PartialObject {
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

/// A kind whose objects own others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OwnerKind {
    pub api_version: &'static str,
    pub kind: &'static str,
}

impl OwnerKind {
    /// The reference that makes `owner` the controller.
    pub(crate) fn controller_of(self, owner: &Meta) -> OwnerReference {
        OwnerReference {
            api_version: self.api_version.to_owned(),
            kind: self.kind.to_owned(),
            name: owner.name.clone(),
            uid: owner.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }

    /// The key of the owner that `meta` names as its controller, when that is of this kind.
    pub(crate) fn owner_key(self, meta: &Meta) -> Option<ObjectKey> {
        let group = self.api_version.split('/').next();
        let owner = meta.controller()?;
        let is_ours = owner.kind == self.kind && owner.api_version.split('/').next() == group;
        is_ours.then(|| ObjectKey::new(meta.namespace.clone(), owner.name.clone()))
    }
}

fn orphans_of(namespace: &str) -> String {
    format!("orphans/{namespace}")
}

/// Lets objects be found by their controller.
pub(crate) fn index_by_controller(informer: &Informer) {
    informer.add_index(BY_CONTROLLER, |object| {
        let Ok(object) = object.decode::<PartialObject>() else { return Vec::new() };
        vec![match object.metadata.controller() {
            Some(owner) => owner.uid.clone(),
            None => orphans_of(&object.metadata.namespace),
        }]
    });
}

fn read<T: Owned>(objects: Vec<Object>) -> impl Iterator<Item = T> {
    objects.into_iter().filter_map(|object| {
        object.decode().inspect_err(|error| tracing::error!(%error, "an object in a cache cannot be read")).ok()
    })
}

/// The objects that this owner controls.
pub(crate) fn controlled<T: Owned>(informer: &Informer, owner_uid: &str) -> Vec<T> {
    read(informer.by_index(BY_CONTROLLER, owner_uid)).collect()
}

/// The objects of a namespace that nobody controls.
pub(crate) fn orphans<T: Owned>(informer: &Informer, namespace: &str) -> Vec<T> {
    read(informer.by_index(BY_CONTROLLER, &orphans_of(namespace))).collect()
}

/// An owner that wants the objects that its selector matches.
pub(crate) struct Claimant<'a> {
    pub client: &'a Client,
    pub kind: OwnerKind,
    pub resource: &'a GroupVersionResource,
    pub owner: &'a Meta,
    pub selector: &'a Selector,
}

impl Claimant<'_> {
    /// The objects that belong to the owner, after it took those that nobody controlled and gave up those that no longer match.
    pub(crate) async fn claim<T: Owned>(
        &self,
        informer: &Arc<Informer>,
        resource: &GroupVersionResource,
    ) -> Result<Vec<T>, Status> {
        let mut mine = Vec::new();
        for object in controlled::<T>(informer, &self.owner.uid) {
            if self.selector.matches(&object.meta().labels) {
                mine.push(object);
            } else if !self.owner.is_deleting() {
                self.release(resource, object.meta()).await?;
            }
        }
        if self.owner.is_deleting() {
            return Ok(mine);
        }
        let mut may_adopt = None;
        for orphan in orphans::<T>(informer, &self.owner.namespace) {
            if orphan.meta().is_deleting() || !self.selector.matches(&orphan.meta().labels) {
                continue;
            }
            let may = match may_adopt {
                Some(may) => may,
                None => *may_adopt.insert(self.still_exists().await?),
            };
            if may && self.adopt(informer, resource, orphan.meta()).await? {
                mine.extend(informer.read::<T>(&orphan.meta().key()));
            }
        }
        Ok(mine)
    }

    /// What a cache says may be old; nothing is taken for an owner that has gone meanwhile.
    async fn still_exists(&self) -> Result<bool, Status> {
        match self.client.get(self.resource, &self.owner.key()).await {
            Ok(object) => {
                let current: PartialObject = object.decode()?;
                Ok(current.metadata.uid == self.owner.uid && !current.metadata.is_deleting())
            }
            Err(status) if status.is_not_found() => Ok(false),
            Err(status) => Err(status),
        }
    }

    async fn adopt(&self, informer: &Informer, resource: &GroupVersionResource, orphan: &Meta) -> Result<bool, Status> {
        let mut owners = orphan.owner_references.clone();
        owners.push(self.kind.controller_of(self.owner));
        let adopted = self.replace_owners(resource, orphan, &owners).await?;
        if let Some(object) = &adopted {
            informer.reached(object.revision).await;
        }
        Ok(adopted.is_some())
    }

    async fn release(&self, resource: &GroupVersionResource, object: &Meta) -> Result<(), Status> {
        let owners: Vec<OwnerReference> =
            object.owner_references.iter().filter(|owner| owner.uid != self.owner.uid).cloned().collect();
        self.replace_owners(resource, object, &owners).await.map(drop)
    }

    /// `None` when the object has gone, or is another by now.
    async fn replace_owners(
        &self,
        resource: &GroupVersionResource,
        object: &Meta,
        owners: &[OwnerReference],
    ) -> Result<Option<Object>, Status> {
        let patch = json!({"metadata": {
            "uid": object.uid, "resourceVersion": object.resource_version, "ownerReferences": owners}});
        match self.client.patch(resource, &object.key(), OBJECT, &patch).await {
            Ok(object) => Ok(Some(object)),
            Err(status) if status.is_not_found() => Ok(None),
            Err(status) => Err(status),
        }
    }
}
