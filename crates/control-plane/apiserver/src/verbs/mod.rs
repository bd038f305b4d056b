//! What can be asked for, one file a verb.

mod create;
mod delete;
mod delete_collection;
mod get;
mod list;
mod ownership;
mod patch;
mod update;
pub(crate) mod watch;

use serde_json::Value;
use windlass_admission::{Operation, Review};
use windlass_client::Request;

use crate::context::Context;
use crate::registry::Served;

/// What admission is asked about a request.
fn review<'a>(
    operation: Operation,
    context: &'a Context,
    served: &'a Served,
    request: &'a Request,
    object: Option<&'a mut Value>,
    old: Option<&'a Value>,
) -> Review<'a> {
    Review {
        operation,
        kind: &served.resource.kind,
        resource: &request.resource,
        subresource: &request.subresource,
        namespace: &request.namespace,
        name: &request.name,
        user: &context.user,
        object,
        old,
        dry_run: request.options.dry_run,
    }
}
