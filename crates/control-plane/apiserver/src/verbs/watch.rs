//! WATCH: what is there (if asked for), and then every change, until the time is up.

use std::time::Duration;

use windlass_api::Status;

use super::list::wait_for_revision;
use crate::call::Call;
use crate::selection::Selection;
use crate::watcher::Watcher;

/// Without a limit of its own, a watch ends after half an hour to an hour, so that clients spread over servers again.
const TIMEOUT_MIN: Duration = Duration::from_secs(1800);
/// Nobody waits longer than a year.
const TIMEOUT_MAX: Duration = Duration::from_secs(365 * 86_400);

pub(crate) async fn watch(call: &Call<'_>) -> Result<Watcher, Status> {
    let Call { storage, served, request, .. } = *call;
    let options = &request.options;
    let named = options.fields.required_value("metadata.name");
    if !request.name.is_empty() && !options.fields.is_everything() && named != Some(&request.name) {
        return Err(Status::bad_request("fieldSelector metadata.name doesn't match requested name"));
    }
    let selection = Selection::new(served, &request.namespace, &request.name, options)?;
    if let Some(least) = options.resource_version {
        wait_for_revision(&storage.store, least, 1).await?;
    }
    // Revision and state are read in this order, so that nothing can fall between the two.
    let revision = storage.store.revision();
    let state = served.table.state();
    let current = revision.max(state.last());
    let wants_initial = match (options.send_initial_events, options.resource_version) {
        (Some(wanted), _) => wanted,
        (None, None | Some(0)) => true,
        (None, Some(_)) => false,
    };
    let start = match options.resource_version {
        Some(revision) if revision > 0 && !wants_initial => revision,
        _ => current,
    };
    let timeout = match options.timeout_seconds {
        Some(seconds) if seconds > 0 => Duration::from_secs(seconds).min(TIMEOUT_MAX),
        _ => TIMEOUT_MIN + Duration::from_millis(storage.chance.below(1_800_000) as u64),
    };
    let initial = wants_initial.then_some(&*state);
    let owes_initial_end = options.send_initial_events == Some(true) && options.allow_bookmarks;
    Watcher::new(storage.clone(), served.clone(), selection, start, initial, timeout)
        .map(|watcher| watcher.with_bookmarks(options.allow_bookmarks, owes_initial_end))
}
