//! Scale: the one number of a workload, as a kind of its own, so that a scaler need not know the workload.

use serde_json::{Value, json};
use windlass_api::field::{Error, Path};
use windlass_api::labels::Selector;
use windlass_api::{GroupVersionKind, Status, time};
use windlass_client::{PatchType, Verb};
use windlass_machinery::managed::{self, Change};
use windlass_machinery::schema::TypeRef;
use windlass_machinery::tree::{child, number, put, text};
use windlass_resources::Resource;

use super::scale_managers::{REPLICAS, managers_of_scale, managers_of_scaled};
use crate::body::BodyKind;
use crate::call::Call;
use crate::outcome::{Outcome, Payload};
use crate::storage::tree;
use crate::verbs::patch::{Configuration, Patch};
use crate::verbs::update::{change, check_names};

pub(crate) const SCALE: GroupVersionKind = GroupVersionKind::of("autoscaling", "v1", "Scale");

pub(super) async fn scale(call: &Call<'_>) -> Result<Outcome, Status> {
    let (request, resource) = (call.request, &call.served.resource);
    if request.verb == Verb::Get {
        let item = call.stored()?;
        let mut object = tree(call.served, &item)?;
        if resource.scale.is_some() && object.pointer(replicas_pointer(resource)).is_none() {
            let path = replicas_pointer(resource).replace('/', ".");
            return Err(Status::internal(format_args!("the spec replicas field {path:?} does not exist")));
        }
        put(child(&mut object, "metadata"), "resourceVersion", item.revision.to_string());
        return Ok(Outcome::tree(SCALE, scale_of(resource, &object)));
    }
    let kind = SCALE;
    let of = BodyKind::builtin(&kind)?;
    let outcome = match request.verb {
        Verb::Patch(PatchType::Apply) => {
            let configuration = Configuration::read(call, of)?;
            configuration.report_duplicates(call)?;
            let now = time::rfc3339(call.storage.clock.now());
            let TypeRef { schema, id } = of.object_type;
            let ownership = Change { schema, id, api_version: "autoscaling/v1", ..call.ownership_change(&now) };
            change(call, |old| {
                let mut scale = scale_of(resource, old);
                put(
                    child(&mut scale, "metadata"),
                    "managedFields",
                    managers_of_scale(old, &SCALE, replicas_pointer(resource)),
                );
                let new = configuration.applied(call, of, &ownership, Some(&scale))?;
                let mut scaled = scaled(resource, old, &new, &request.name)?;
                managed::put_record(
                    &mut scaled,
                    &managers_of_scaled(old, &new, &call.served.api_version, replicas_pointer(resource)),
                );
                Ok(scaled)
            })
            .await?
        }
        Verb::Patch(patch_type) => {
            let patch = Patch::read(call, patch_type)?;
            change(call, |old| {
                scaled(resource, old, &patch.applied(call, of, &scale_of(resource, old))?, &request.name)
            })
            .await?
        }
        _ => {
            let mut scale = call.body_as(of)?;
            check_names(&mut scale, call)?;
            change(call, |old| scaled(resource, old, &scale, &request.name)).await?
        }
    };
    let Outcome::Object { payload, .. } = outcome else {
        return Err(Status::internal("a change gave something that is no object"));
    };
    let object = match payload {
        Payload::Item(served, item) => tree(&served, &item)?,
        Payload::Tree(_, object) => object,
    };
    Ok(Outcome::tree(SCALE, scale_of(resource, &object)))
}

/// The Scale of an object. Custom resources say where its numbers are, and have its selector as text.
pub(crate) fn scale_of(resource: &Resource, object: &Value) -> Value {
    let metadata = &object["metadata"];
    let mut meta = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = metadata.get(field) {
            put(&mut meta, field, value.clone());
        }
    }
    let number_at = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let (wanted, present, selector) = match &resource.scale {
        None => (number_at(REPLICAS), number_at("/status/replicas"), selector(&object["spec"]["selector"])),
        Some(paths) => {
            let text = paths.selector.as_ref().and_then(|path| object.pointer(path)).and_then(Value::as_str);
            (number_at(&paths.replicas), number_at(&paths.status_replicas), text.unwrap_or_default().to_owned())
        }
    };
    let mut spec = json!({});
    if wanted != 0 {
        put(&mut spec, "replicas", wanted);
    }
    let mut status = json!({"replicas": present});
    if !selector.is_empty() || resource.scale.is_none() {
        put(&mut status, "selector", selector);
    }
    json!({"metadata": meta, "spec": spec, "status": status})
}

/// The selector of a built-in kind, as text.
fn selector(selector: &Value) -> String {
    // A ReplicationController selects by equality alone.
    let is_structure = selector.get("matchLabels").is_some() || selector.get("matchExpressions").is_some();
    if is_structure {
        let structure = serde_json::from_value(selector.clone()).ok();
        return Selector::from_structure(structure.as_ref()).map(|s| s.to_string()).unwrap_or_default();
    }
    let labels: std::collections::BTreeMap<String, String> =
        serde_json::from_value(selector.clone()).unwrap_or_default();
    Selector::from_map(&labels).to_string()
}

/// Where an object has the number of its replicas.
fn replicas_pointer(resource: &Resource) -> &str {
    resource.scale.as_ref().map_or(REPLICAS, |paths| &paths.replicas)
}

/// The object with the scale's number of replicas.
fn scaled(resource: &Resource, old: &Value, scale: &Value, name: &str) -> Result<Value, Status> {
    let replicas = number(&scale["spec"], "replicas");
    // Of a custom resource, its own validation speaks.
    if replicas < 0 && resource.scale.is_none() {
        let spec = Path::new("spec");
        let error = Error::invalid(&spec.child("replicas"), replicas, "must be greater than or equal to 0");
        return Err(Status::invalid("autoscaling", "Scale", name, &error.into()));
    }
    let mut new = old.clone();
    put_replicas(resource, &mut new, replicas);
    let metadata = child(&mut new, "metadata");
    for field in ["resourceVersion", "uid"] {
        let said = text(&scale["metadata"], field).to_owned();
        if !said.is_empty() {
            put(metadata, field, said);
        }
    }
    Ok(new)
}

/// Sets the number of an object's replicas.
pub(crate) fn put_replicas(resource: &Resource, object: &mut Value, replicas: i64) {
    let steps: Vec<&str> = replicas_pointer(resource).split('/').skip(1).collect();
    if let Some((last, above)) = steps.split_last() {
        let parent = above.iter().fold(object, |parent, step| child(parent, step));
        put(parent, last, replicas);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_deployment_and_of_a_replication_controller() {
        let deployment = json!({"metadata": {"name": "d"}, "spec": {"replicas": 3, "selector": {"matchLabels": {"a": "b"}}}, "status": {"replicas": 2}});
        let of = |plural: &str| windlass_resources::all().into_iter().find(|r| &*r.plural == plural).unwrap();
        let deployments = of("deployments");
        let scale = scale_of(&deployments, &deployment);
        assert_eq!(
            (&scale["spec"], &scale["status"]),
            (&json!({"replicas": 3}), &json!({"replicas": 2, "selector": "a=b"}))
        );
        let controller = json!({"spec": {"selector": {"c": "d"}}});
        assert_eq!(scale_of(&of("replicationcontrollers"), &controller)["status"]["selector"], "c=d");
        let new = scaled(&deployments, &deployment, &json!({"spec": {}}), "d").unwrap();
        assert_eq!(new["spec"]["replicas"], 0);
        assert!(scaled(&deployments, &deployment, &json!({"spec": {"replicas": -1}}), "d").is_err());
    }
}
