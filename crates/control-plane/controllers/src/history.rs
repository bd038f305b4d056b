//! The history of templates, kept as ControllerRevisions: what StatefulSets and DaemonSets roll out and back.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use windlass_api::labels::Selector;
use windlass_api::resource::CONTROLLER_REVISIONS;
use windlass_api::{GroupVersionResource, Meta, ObjectKey, Status};
use windlass_client::{Client, DeleteOptions, Informer, OBJECT};

use crate::hash::{safe_encode, template_hash};
use crate::owners::{Claimant, Owned, OwnerKind};
use crate::write::delete;

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Revision {
    pub metadata: Meta,
    pub data: Value,
    pub revision: i64,
}

impl Owned for Revision {
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

/// Whose history it is.
pub(crate) struct History<'a> {
    pub client: &'a Client,
    pub revisions: &'a Arc<Informer>,
    pub kind: OwnerKind,
    pub resource: &'a GroupVersionResource,
    pub owner: &'a Meta,
    pub selector: &'a Selector,
    /// The label in which a revision says its hash. It is written, and never looked for: revisions are found by owner and selector.
    pub hash_label: &'static str,
}

/// What a revision remembers of a template: a patch that makes it so.
pub(crate) fn data_of(template: &Value) -> Value {
    let mut template = template.clone();
    template["$patch"] = json!("replace");
    json!({"spec": {"template": template}})
}

/// The template that a revision remembers.
pub(crate) fn template_of(revision: &Revision) -> Value {
    let mut template = revision.data["spec"]["template"].clone();
    if let Some(fields) = template.as_object_mut() {
        fields.remove("$patch");
    }
    template
}

impl History<'_> {
    /// All revisions of the owner, from old to new.
    pub(crate) async fn all(&self) -> Result<Vec<Revision>, Status> {
        let claimant = Claimant {
            client: self.client,
            kind: self.kind,
            resource: self.resource,
            owner: self.owner,
            selector: self.selector,
        };
        let mut all: Vec<Revision> = claimant.claim(self.revisions, &CONTROLLER_REVISIONS).await?;
        all.sort_by(|a, b| (a.revision, &a.metadata.name).cmp(&(b.revision, &b.metadata.name)));
        Ok(all)
    }

    /// The revision of `template`, made or made the newest if need be. `None` when another template has the same name: then the
    /// owner's count of collisions has to go up.
    pub(crate) async fn of_template(
        &self,
        all: &[Revision],
        template: &Value,
        collisions: Option<i64>,
    ) -> Result<Option<Revision>, Status> {
        let data = data_of(template);
        let newest = all.last().map_or(0, |revision| revision.revision);
        match all.iter().rev().find(|revision| revision.data == data) {
            Some(same) if same.revision == newest => Ok(Some(same.clone())),
            Some(old) => self.make_newest(old, newest + 1).await.map(Some),
            None => self.create(data, newest + 1, &template["metadata"]["labels"], collisions).await,
        }
    }

    async fn make_newest(&self, old: &Revision, number: i64) -> Result<Revision, Status> {
        let patch = json!({"metadata": {"uid": old.metadata.uid}, "revision": number});
        let written = self.client.patch(&CONTROLLER_REVISIONS, &old.metadata.key(), OBJECT, &patch).await?;
        self.revisions.reached(written.revision).await;
        written.decode()
    }

    async fn create(
        &self,
        data: Value,
        number: i64,
        labels: &Value,
        collisions: Option<i64>,
    ) -> Result<Option<Revision>, Status> {
        let hash = safe_encode(template_hash(&data, collisions));
        let prefix: String = self.owner.name.chars().take(223).collect();
        let name = format!("{prefix}-{hash}");
        // The owner's selector matches its template's labels, and so finds this again.
        let mut labels = labels.as_object().cloned().unwrap_or_default();
        labels.insert(self.hash_label.to_owned(), json!(hash));
        let revision = json!({
            "metadata": {"name": name, "namespace": self.owner.namespace, "labels": labels,
                "annotations": self.owner.annotations, "ownerReferences": [self.kind.controller_of(self.owner)]},
            "data": data,
            "revision": number,
        });
        match self.client.create(&CONTROLLER_REVISIONS, &self.owner.namespace, &revision).await {
            Ok(created) => {
                self.revisions.reached(created.revision).await;
                created.decode().map(Some)
            }
            Err(status) if status.is_already_exists() => {
                let key = ObjectKey::new(self.owner.namespace.clone(), name);
                let existing = self.client.get(&CONTROLLER_REVISIONS, &key).await?;
                let present: Revision = existing.decode()?;
                if present.data != revision["data"] {
                    return Ok(None);
                }
                self.revisions.reached(existing.revision).await;
                Ok(Some(present))
            }
            Err(status) => Err(status),
        }
    }

    /// Deletes the oldest revisions beyond `limit` which `is_live` does not need.
    pub(crate) async fn trim(
        &self,
        all: &[Revision],
        limit: usize,
        is_live: impl Fn(&Revision) -> bool,
    ) -> Result<(), Status> {
        let dead: Vec<&Revision> = all.iter().filter(|revision| !is_live(revision)).collect();
        for revision in dead.iter().take(dead.len().saturating_sub(limit)) {
            let options = DeleteOptions::of_uid(revision.metadata.uid.clone());
            delete(self.client, &CONTROLLER_REVISIONS, &revision.metadata.key(), &options).await?;
        }
        Ok(())
    }
}
