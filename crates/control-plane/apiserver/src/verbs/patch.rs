//! PATCH: a change described by its difference.

use std::sync::Arc;

use serde_json::Value;
use windlass_api::Status;
use windlass_client::{PatchType, Request};

use crate::context::Context;
use crate::objects::{body_tree, decode_tree};
use crate::outcome::Outcome;
use crate::registry::Served;
use crate::server::Server;

impl Server {
    pub(crate) async fn patch(
        &self,
        context: &Context,
        served: &Arc<Served>,
        request: Request,
        patch_type: PatchType,
    ) -> Result<Outcome, Status> {
        let patch = body_tree(&request.body)?;
        self.change(context, served, &request, |old| {
            let patched = apply(patch_type, &patch, old, served)?;
            let patched = decode_tree(context, served, patched, &request.options)?;
            // A patch that does not mention the version applies to any; one that does is a condition.
            Ok(patched)
        })
        .await
    }
}

fn apply(patch_type: PatchType, patch: &Value, old: &Value, served: &Served) -> Result<Value, Status> {
    let mut new = old.clone();
    match patch_type {
        PatchType::Merge => json_patch::merge(&mut new, patch),
        PatchType::Json => {
            let operations: json_patch::Patch = serde_json::from_value(patch.clone())
                .map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))?;
            json_patch::patch(&mut new, &operations).map_err(|error| {
                Status::new(
                    422,
                    windlass_api::status::Reason::Invalid,
                    format!("the server rejected our request due to an error in our request: {error}"),
                )
            })?;
        }
        PatchType::Strategic | PatchType::Apply => {
            return Err(Status::internal(format_args!("{patch_type:?} of {:?}", served.resource)));
        }
    }
    Ok(new)
}
