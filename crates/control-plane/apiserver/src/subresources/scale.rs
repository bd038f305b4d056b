//! Scale: the one number of a workload, as a kind of its own, so that a scaler need not know the workload.

use windlass_api::Status;
use windlass_client::{PatchType, Verb};
use windlass_machinery::managed::{self, Change};
use windlass_machinery::schema::TypeRef;
use windlass_machinery::tree::{child, put};

use super::scale_managers::{managers_of_scale, managers_of_scaled};
use crate::body::BodyKind;
use crate::call::Call;
use crate::outcome::{Outcome, Payload};
use crate::scale_view::{SCALE, replicas_pointer, scale_of, scaled};
use crate::storage::tree;
use crate::verbs::patch::{Configuration, Patch};
use crate::verbs::update::{change, check_names};

pub(super) async fn scale(call: &Call<'_>) -> Result<Outcome, Status> {
    let (request, resource) = (call.request, &call.served.resource);
    if request.verb == Verb::Get {
        let item = call.presented().await?;
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
            let now = String::new();
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
        Payload::Draft(_, object) | Payload::Tree(_, object) => object,
    };
    Ok(Outcome::tree(SCALE, scale_of(resource, &object)))
}
