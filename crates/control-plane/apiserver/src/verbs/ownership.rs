//! Who is recorded as the owner of what a request changes.

use serde_json::Value;
use windlass_api::time;
use windlass_client::{PatchType, Request, Verb};
use windlass_machinery::managed::{self, Change};

use crate::context::Context;
use crate::registry::Served;

/// What a request to the object itself may not change, and what a request to its status may not.
const OF_OBJECT: &[&[&str]] = &[&["status"]];
const OF_STATUS: &[&[&str]] = &[&["spec"], &["metadata", "deletionTimestamp"], &["metadata", "ownerReferences"]];

/// The change that a request makes, as field management sees it; `now` is RFC 3339.
pub(super) fn change<'a>(context: &'a Context, served: &'a Served, request: &'a Request, now: &'a str) -> Change<'a> {
    let named = request.options.field_manager.as_str();
    Change {
        schema: served.resource.schema.schema,
        id: served.resource.schema.id,
        manager: if named.is_empty() { context.default_manager() } else { named },
        api_version: &served.api_version,
        subresource: &request.subresource,
        now,
        reset: match &*request.subresource {
            "" if served.resource.has(windlass_resources::Subresource::Status) => OF_OBJECT,
            "status" => OF_STATUS,
            _ => &[],
        },
    }
}

/// Records a write that is no apply; an apply has recorded itself.
pub(super) fn record(
    context: &Context,
    served: &Served,
    request: &Request,
    now: jiff::Timestamp,
    old: Option<&Value>,
    new: &mut Value,
) {
    if request.verb != Verb::Patch(PatchType::Apply) {
        let now = time::rfc3339(now);
        managed::update(&change(context, served, request, &now), old, new);
    }
}
