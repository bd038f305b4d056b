//! Scale: the one number of a workload, as a kind of its own, so that a scaler need not know the workload.

use std::sync::Arc;

use serde_json::{Value, json};
use windlass_api::field::{Error, Path};
use windlass_api::labels::Selector;
use windlass_api::{GroupVersionKind, Status};
use windlass_client::{PatchType, Request, Verb};
use windlass_machinery::tree::{child, number, put, text};
use windlass_machinery::{Schema, decode, strategic};

use crate::context::Context;
use crate::objects::{body_tree, decode_body, tree};
use crate::outcome::{Outcome, Payload};
use crate::registry::Served;
use crate::server::Server;

const SCALE: GroupVersionKind = GroupVersionKind::of("autoscaling", "v1", "Scale");

impl Server {
    pub(super) async fn scale(
        &self,
        context: &Context,
        served: &Arc<Served>,
        request: Request,
    ) -> Result<Outcome, Status> {
        if request.verb == Verb::Get {
            let item = self.stored(served, &request.namespace, &request.name)?;
            let mut object = tree(served, &item)?;
            put(child(&mut object, "metadata"), "resourceVersion", item.revision.to_string());
            return Ok(Outcome::tree(SCALE, scale_of(&object)));
        }
        let id = Schema::object_type("autoscaling", "v1", "Scale").ok_or_else(Status::no_such_path)?;
        let schema = Schema::builtin();
        let replacement = match request.verb {
            Verb::Update => Some(decode_body(context, schema, id, &SCALE, &request.body, &request.options)?),
            _ => None,
        };
        let patch = if replacement.is_none() { body_tree(&request.body)? } else { Value::Null };
        let outcome = self
            .change(context, served, &request, |old| {
                let new = match &replacement {
                    Some(new) => new.clone(),
                    None => {
                        let mut scale = scale_of(old);
                        apply_patch(request.verb, &mut scale, &patch)?;
                        decode::from_value(schema, id, scale).map_err(|error| Status::bad_request(error.0))?.value
                    }
                };
                scaled(old, &new, &request.name)
            })
            .await?;
        let Outcome::Object { payload, .. } = outcome else {
            return Err(Status::internal("a change gave something that is no object"));
        };
        let object = match payload {
            Payload::Item(served, item) => tree(&served, &item)?,
            Payload::Tree(_, object) => object,
        };
        Ok(Outcome::tree(SCALE, scale_of(&object)))
    }
}

fn apply_patch(verb: Verb, scale: &mut Value, patch: &Value) -> Result<(), Status> {
    let refuse = |error: &dyn std::fmt::Display| Status::bad_request(error.to_string());
    match verb {
        Verb::Patch(PatchType::Json) => {
            let patch: json_patch::Patch = serde_json::from_value(patch.clone()).map_err(|error| refuse(&error))?;
            json_patch::patch(scale, &patch).map_err(|error| refuse(&error))
        }
        Verb::Patch(PatchType::Strategic) => {
            let id = Schema::object_type("autoscaling", "v1", "Scale").ok_or_else(Status::no_such_path)?;
            strategic::apply(Schema::builtin(), id, scale, patch).map_err(|error| refuse(&error))
        }
        _ => {
            json_patch::merge(scale, patch);
            Ok(())
        }
    }
}

fn scale_of(object: &Value) -> Value {
    let metadata = &object["metadata"];
    let mut meta = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = metadata.get(field) {
            put(&mut meta, field, value.clone());
        }
    }
    let selector = &object["spec"]["selector"];
    // A ReplicationController selects by equality alone.
    let is_structure = selector.get("matchLabels").is_some() || selector.get("matchExpressions").is_some();
    let selector = if is_structure {
        let structure = serde_json::from_value(selector.clone()).ok();
        Selector::from_structure(structure.as_ref()).map(|s| s.to_string()).unwrap_or_default()
    } else {
        let labels: std::collections::BTreeMap<String, String> =
            serde_json::from_value(selector.clone()).unwrap_or_default();
        Selector::from_map(&labels).to_string()
    };
    let mut spec = json!({});
    let wanted = number(&object["spec"], "replicas");
    if wanted != 0 {
        put(&mut spec, "replicas", wanted);
    }
    json!({
        "metadata": meta,
        "spec": spec,
        "status": {"replicas": number(&object["status"], "replicas"), "selector": selector},
    })
}

/// The object with the scale's number of replicas.
fn scaled(old: &Value, scale: &Value, name: &str) -> Result<Value, Status> {
    let replicas = number(&scale["spec"], "replicas");
    if replicas < 0 {
        let spec = Path::new("spec");
        let error = Error::invalid(&spec.child("replicas"), replicas, "must be greater than or equal to 0");
        return Err(Status::invalid("autoscaling", "Scale", name, &vec![error]));
    }
    let mut new = old.clone();
    put(child(&mut new, "spec"), "replicas", replicas);
    let metadata = child(&mut new, "metadata");
    for field in ["resourceVersion", "uid"] {
        let said = text(&scale["metadata"], field).to_owned();
        if !said.is_empty() {
            put(metadata, field, said);
        }
    }
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_deployment_and_of_a_replication_controller() {
        let deployment = json!({"metadata": {"name": "d"}, "spec": {"replicas": 3, "selector": {"matchLabels": {"a": "b"}}}, "status": {"replicas": 2}});
        let scale = scale_of(&deployment);
        assert_eq!(
            (&scale["spec"], &scale["status"]),
            (&json!({"replicas": 3}), &json!({"replicas": 2, "selector": "a=b"}))
        );
        let controller = json!({"spec": {"selector": {"c": "d"}}});
        assert_eq!(scale_of(&controller)["status"]["selector"], "c=d");
        let new = scaled(&deployment, &json!({"spec": {}}), "d").unwrap();
        assert_eq!(new["spec"]["replicas"], 0);
        assert!(scaled(&deployment, &json!({"spec": {"replicas": -1}}), "d").is_err());
    }
}
