//! Which ReplicaSet is of the present template; its name, its revision and its annotations; and which old ones are forgotten.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use windlass_api::resource::REPLICA_SETS;
use windlass_api::well_known::annotation;
use windlass_api::well_known::label::POD_TEMPLATE_HASH;
use windlass_api::{ObjectKey, Status};
use windlass_client::{DeleteOptions, OBJECT, STATUS};

use super::view::{Deployment, ReplicaSet};
use super::{Controller, KIND, Sets, conditions, plan};
use crate::hash::{safe_encode, template_hash};
use crate::write::delete;

/// Annotations of a Deployment that mean nothing on its ReplicaSets.
const OWN_ANNOTATIONS: [&str; 5] = [
    annotation::LAST_APPLIED,
    annotation::DEPLOYMENT_REVISION,
    annotation::DEPLOYMENT_REVISION_HISTORY,
    annotation::DEPLOYMENT_DESIRED_REPLICAS,
    annotation::DEPLOYMENT_MAX_REPLICAS,
];

/// Whether a ReplicaSet is of this template; the hash label that it got is not part of that.
pub(super) fn is_of_template(set: &ReplicaSet, template: &Value) -> bool {
    let mut own = set.spec.template.clone();
    if let Some(labels) = own["metadata"]["labels"].as_object_mut() {
        labels.remove(POD_TEMPLATE_HASH);
    }
    let mut wanted = template.clone();
    if let Some(labels) = wanted["metadata"]["labels"].as_object_mut() {
        labels.remove(POD_TEMPLATE_HASH);
    }
    own == wanted
}

fn revision(set: &ReplicaSet) -> i64 {
    set.annotation_number(annotation::DEPLOYMENT_REVISION).unwrap_or(0)
}

/// The annotations that the new ReplicaSet has to get: the Deployment's own, and its revision with the revisions that it was before.
fn annotations_to_set(deployment: &Deployment, set: Option<&ReplicaSet>, number: i64) -> BTreeMap<String, String> {
    let empty = BTreeMap::new();
    let existing = set.map_or(&empty, |set| &set.metadata.annotations);
    let mut wanted: BTreeMap<String, String> = deployment
        .metadata
        .annotations
        .iter()
        .filter(|(name, value)| !OWN_ANNOTATIONS.contains(&name.as_str()) && existing.get(*name) != Some(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let before = set.map_or(0, revision);
    if before < number {
        wanted.insert(annotation::DEPLOYMENT_REVISION.to_owned(), number.to_string());
        if before > 0 {
            let history = existing.get(annotation::DEPLOYMENT_REVISION_HISTORY).map_or("", String::as_str);
            let before = before.to_string();
            if !history.split(',').any(|revision| revision == before) {
                let history = if history.is_empty() { before } else { format!("{history},{before}") };
                wanted.insert(annotation::DEPLOYMENT_REVISION_HISTORY.to_owned(), history);
            }
        }
    }
    wanted
}

/// What the condition Progressing is to say.
struct Progress {
    is: &'static str,
    reason: &'static str,
    message: String,
}

impl Controller {
    /// With the new ReplicaSet made if it is missing, and its annotations up to date. It stays missing where the namespace ends.
    pub(super) async fn with_new(&self, deployment: &Deployment, sets: Sets) -> Result<Sets, Status> {
        if sets.new.is_some() {
            return self.with_current_new(deployment, sets).await;
        }
        let new = self.create_new(deployment, &sets).await?;
        Ok(Sets { new, old: sets.old })
    }

    /// With the annotations of the new ReplicaSet, if there is one, up to date.
    pub(super) async fn with_current_new(&self, deployment: &Deployment, sets: Sets) -> Result<Sets, Status> {
        let Some(new) = &sets.new else { return Ok(sets) };
        let number = sets.old.iter().map(revision).max().unwrap_or(0) + 1;
        let annotations = annotations_to_set(deployment, Some(new), number);
        let number = annotations
            .get(annotation::DEPLOYMENT_REVISION)
            .or_else(|| new.metadata.annotations.get(annotation::DEPLOYMENT_REVISION))
            .cloned();
        let min_ready = deployment.spec.min_ready_seconds;
        let mut current = None;
        if !annotations.is_empty() || new.spec.min_ready_seconds != min_ready {
            let patch = json!({
                "metadata": {"uid": new.metadata.uid, "annotations": annotations},
                "spec": {"minReadySeconds": min_ready},
            });
            let written = self.client.patch(&REPLICA_SETS, &new.metadata.key(), OBJECT, &patch).await?;
            self.sets.reached(written.revision).await;
            current = Some(written.decode()?);
        }
        let is_found = deployment.condition("Progressing").is_none();
        let found = is_found.then(|| Progress {
            is: "True",
            reason: conditions::SET_FOUND,
            message: format!("Found new replica set {:?}", new.metadata.name),
        });
        self.note(deployment, number, found).await?;
        Ok(Sets { new: current.or(sets.new), old: sets.old })
    }

    async fn create_new(&self, deployment: &Deployment, sets: &Sets) -> Result<Option<ReplicaSet>, Status> {
        let hash = safe_encode(template_hash(&deployment.spec.template, deployment.status.collision_count));
        let name = format!("{}-{hash}", deployment.metadata.name);
        let number = sets.old.iter().map(revision).max().unwrap_or(0) + 1;
        let replicas = plan::new_replicas(deployment, 0, sets.replicas());
        let set = new_set(deployment, &name, &hash, number, replicas);
        let namespace = &deployment.metadata.namespace;
        match self.client.create(&REPLICA_SETS, namespace, &set).await {
            Ok(created) => {
                self.sets.reached(created.revision).await;
                if replicas > 0 {
                    self.tell_scaled(deployment, &name, 0, replicas);
                }
                let message = format!("Created new replica set {name:?}");
                let made = Progress { is: "True", reason: conditions::SET_CREATED, message };
                self.note(deployment, Some(number.to_string()), Some(made)).await?;
                created.decode().map(Some)
            }
            Err(status) if status.is_already_exists() => {
                self.resolve_collision(deployment, &name, status).await.map(Some)
            }
            Err(status) if status.is_namespace_terminating() => Ok(None),
            Err(status) => {
                let message = format!("Failed to create new replica set {name:?}: {}", status.message);
                let failed = Progress { is: "False", reason: conditions::SET_CREATE_ERROR, message };
                self.note(deployment, None, Some(failed)).await?;
                Err(status)
            }
        }
    }

    /// A ReplicaSet of this name is there: our own after all, or one of another template whose hash is the same. Then the next try
    /// has another name.
    async fn resolve_collision(
        &self,
        deployment: &Deployment,
        name: &str,
        already_exists: Status,
    ) -> Result<ReplicaSet, Status> {
        let key = ObjectKey::new(deployment.metadata.namespace.clone(), name);
        let found = self.client.get(&REPLICA_SETS, &key).await?;
        let set: ReplicaSet = found.decode()?;
        let is_ours = set.metadata.controller().is_some_and(|owner| owner.uid == deployment.metadata.uid);
        if is_ours && is_of_template(&set, &deployment.spec.template) {
            self.sets.reached(found.revision).await;
            return Ok(set);
        }
        let count = deployment.status.collision_count.unwrap_or(0) + 1;
        let patch = json!({"status": {"collisionCount": count}});
        self.modify(deployment, STATUS, &patch).await?;
        Err(already_exists)
    }

    /// Says in the Deployment's annotation which revision it is at, and in its conditions how far it came. Both go with the status, for
    /// a change of the whole object would make a new generation.
    async fn note(
        &self,
        deployment: &Deployment,
        number: Option<String>,
        progress: Option<Progress>,
    ) -> Result<(), Status> {
        let mut patch = json!({"metadata": {"uid": deployment.metadata.uid}});
        let present = deployment.metadata.annotations.get(annotation::DEPLOYMENT_REVISION);
        let number = number.filter(|number| present != Some(number));
        if let Some(number) = &number {
            patch["metadata"]["annotations"] = json!({annotation::DEPLOYMENT_REVISION: number});
        }
        let conditions = progress
            .filter(|_| deployment.progress_deadline().is_some())
            .map(|Progress { is, reason, message }| {
                conditions::set_progressing(deployment, is, reason, message, self.clock.now())
            })
            .filter(|conditions| *conditions != deployment.status.conditions);
        if let Some(conditions) = &conditions {
            patch["status"] = json!({"conditions": conditions});
        }
        if number.is_none() && conditions.is_none() {
            return Ok(());
        }
        self.modify(deployment, STATUS, &patch).await
    }

    /// Deletes the oldest revisions beyond the limit, as far as they have no pods.
    pub(super) async fn clean_up(&self, deployment: &Deployment, sets: &Sets) -> Result<(), Status> {
        let Some(limit) = deployment.spec.revision_history_limit.filter(|&limit| limit != i64::from(i32::MAX)) else {
            return Ok(());
        };
        let mut old: Vec<&ReplicaSet> = sets.old.iter().filter(|set| !set.metadata.is_deleting()).collect();
        let excess = old.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
        old.sort_by_key(|set| (revision(set), set.metadata.creation_timestamp.clone()));
        let is_done = |set: &&&ReplicaSet| {
            set.replicas() == 0 && set.status.replicas == 0 && set.metadata.generation <= set.status.observed_generation
        };
        for set in old.iter().take(excess).filter(is_done) {
            let key = set.metadata.key();
            let options = DeleteOptions::of_uid(set.metadata.uid.clone());
            delete(&self.client, &REPLICA_SETS, &key, &options).await?;
        }
        Ok(())
    }
}

/// The ReplicaSet of the Deployment's present template.
fn new_set(deployment: &Deployment, name: &str, hash: &str, number: i64, replicas: i64) -> Value {
    let mut template = deployment.spec.template.clone();
    add_label(&mut template["metadata"], "labels", hash);
    let mut selector = deployment.spec.selector.clone();
    add_label(&mut selector, "matchLabels", hash);
    let mut annotations = annotations_to_set(deployment, None, number);
    let max = deployment.replicas() + deployment.max_surge();
    annotations.insert(annotation::DEPLOYMENT_DESIRED_REPLICAS.to_owned(), deployment.replicas().to_string());
    annotations.insert(annotation::DEPLOYMENT_MAX_REPLICAS.to_owned(), max.to_string());
    let labels = template["metadata"]["labels"].clone();
    json!({
        "metadata": {
            "name": name,
            "namespace": deployment.metadata.namespace,
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [KIND.controller_of(&deployment.metadata)],
        },
        "spec": {
            "replicas": replicas,
            "minReadySeconds": deployment.spec.min_ready_seconds,
            "selector": selector,
            "template": template,
        },
    })
}

fn add_label(object: &mut Value, field: &str, hash: &str) {
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let labels = &mut object[field];
    if !labels.is_object() {
        *labels = Value::Object(Map::new());
    }
    labels[POD_TEMPLATE_HASH] = json!(hash);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_label_is_not_part_of_a_template() {
        let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"x": 1}});
        let deployment: Deployment = serde_json::from_value(json!({"metadata": {"name": "d"},
            "spec": {"template": template, "selector": {"matchLabels": {"a": "b"}}}}))
        .unwrap();
        let set: ReplicaSet = serde_json::from_value(new_set(&deployment, "d-1", "1", 1, 3)).unwrap();
        assert!(is_of_template(&set, &template));
        assert!(!is_of_template(&set, &json!({"metadata": {"labels": {"a": "b"}}, "spec": {"x": 2}})));
        assert_eq!(set.spec.template["metadata"]["labels"][POD_TEMPLATE_HASH], "1");
    }

    #[test]
    fn a_revision_that_comes_back_remembers_what_it_was() {
        let deployment: Deployment =
            serde_json::from_value(json!({"metadata": {"annotations": {"kubernetes.io/change-cause": "c"}}})).unwrap();
        let set: ReplicaSet = serde_json::from_value(json!({"metadata": {"annotations": {
            "deployment.kubernetes.io/revision": "2", "deployment.kubernetes.io/revision-history": "1"}}}))
        .unwrap();
        let wanted = annotations_to_set(&deployment, Some(&set), 4);
        assert_eq!(wanted["deployment.kubernetes.io/revision"], "4");
        assert_eq!(wanted["deployment.kubernetes.io/revision-history"], "1,2");
        assert_eq!(wanted["kubernetes.io/change-cause"], "c");
        assert!(annotations_to_set(&Deployment::default(), Some(&set), 2).is_empty());
    }
}
