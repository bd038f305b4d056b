//! Subresources with a kind of their own, one file each, and where connections go. A subresource that is a part of its object takes
//! the way of the object (see [`windlass_resources::life`]).

pub(crate) mod binding;
mod eviction;
mod scale;
mod scale_managers;
pub(crate) mod target;
mod token;

use windlass_api::Status;
use windlass_client::Verb;
use windlass_resources::{Subresource, life};

use crate::call::Call;
use crate::outcome::Outcome;
use crate::verbs::get::get;
use crate::verbs::patch::patch;
use crate::verbs::update::update;

/// Carries out a request for a subresource.
pub(crate) async fn subresource(call: &Call<'_>, subresource: Subresource) -> Result<Outcome, Status> {
    match (subresource, call.request.verb) {
        (Subresource::Scale, _) => scale::scale(call).await,
        (_, Verb::Get) => get(call).await,
        (part, Verb::Patch(patch_type)) if life::takes_whole_object(part) => patch(call, patch_type).await,
        (part, _) if life::takes_whole_object(part) => update(call).await,
        (Subresource::Binding, _) => binding::bind(call).await,
        (Subresource::Eviction, _) => eviction::evict(call).await,
        (Subresource::Token, _) => token::issue_token(call).await,
        (connection, _) => Err(Status::bad_request(format!("{} is a connection, and needs HTTP", connection.name()))),
    }
}
