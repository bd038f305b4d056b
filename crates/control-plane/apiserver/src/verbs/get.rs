//! GET of one object.

use windlass_api::Status;

use super::list::wait_for_revision;
use crate::call::Call;
use crate::outcome::Outcome;

/// Reads are of what has been acknowledged: no lock, no disk. Any `resourceVersion` up to now is satisfied by that.
pub(crate) async fn get(call: &Call<'_>) -> Result<Outcome, Status> {
    if let Some(least) = call.request.options.resource_version {
        wait_for_revision(&call.storage.store, least, 1).await?;
    }
    Ok(Outcome::item(call.served, call.presented().await?))
}
