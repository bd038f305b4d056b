//! GET of one object.

use windlass_api::Status;

use crate::call::Call;
use crate::outcome::Outcome;

/// Reads are of what has been acknowledged: no lock, no disk. Any `resourceVersion` up to now is satisfied by that.
pub(crate) fn get(call: &Call<'_>) -> Result<Outcome, Status> {
    Ok(Outcome::item(call.served, call.stored()?))
}
