//! LIST of a collection, in one piece or in pages.

use std::sync::Arc;
use std::time::Duration;

use windlass_api::Status;
use windlass_client::{Options, VersionMatch};
use windlass_store::{Expired, Page, Range, Store, TableState};

use crate::call::Call;
use crate::list_token::ListToken;
use crate::outcome::Listed;
use crate::registry::Served;
use crate::selection::Selection;

/// For how long a request may wait for a revision that is not there yet.
const FRESH_WAIT: Duration = Duration::from_secs(3);

pub(crate) async fn list(call: &Call<'_>) -> Result<Listed, Status> {
    let Call { storage, served, request, .. } = *call;
    let selection = Selection::new(served, &request.namespace, &request.name, &request.options)?;
    let options = &request.options;
    let token = match options.continue_token.as_str() {
        "" => None,
        text => Some(ListToken::decode(text)?),
    };
    if token.is_some() && options.resource_version.is_some_and(|revision| revision > 0) {
        return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
    }
    if let Some(least) = options.resource_version {
        // A version of a single object is asked of etcd at once, which does not say when to come again.
        let is_of_one = options.version_match == Some(VersionMatch::Exact) && selection.only_key(served).is_some();
        let retry_after_seconds = if is_of_one { 0 } else { 1 };
        wait_for_revision(&storage.store, least, retry_after_seconds).await?;
    }
    let (state, revision) = state_for(&storage.store, served, options, token.as_ref())?;
    let after = token.as_ref().map(|token| token.after.as_str());
    let range = Range { prefix: &selection.prefix, after };
    // Whoever takes any version gets what is at hand, all of it.
    let limit = if options.resource_version == Some(0) { 0 } else { options.limit };
    let page = match selection.only_key(served) {
        Some(key) => {
            let items = storage.present(served, state.get(&key).cloned().into_iter().collect()).await?;
            Page { items: items.into_iter().filter(|item| selection.matches(served, item)).collect(), remaining: 0 }
        }
        None if selection.is_all() => {
            let Page { items, remaining } = Page::of(&state, &range, limit, |_| true);
            Page { items: storage.present(served, items).await?, remaining }
        }
        None if served.is_converted() => {
            let items = storage.present(served, Page::of(&state, &range, 0, |_| true).items).await?;
            let mut items: Vec<_> = items.into_iter().filter(|item| selection.matches(served, item)).collect();
            let remaining = if limit > 0 { items.len().saturating_sub(limit) } else { 0 };
            items.truncate(items.len() - remaining);
            Page { items, remaining }
        }
        None => Page::of(&state, &range, limit, |item| selection.matches(served, item)),
    };
    let mut listed =
        Listed { served: served.clone(), revision, continue_token: String::new(), remaining: None, items: page.items };
    if page.remaining > 0
        && let Some(last) = listed.items.last()
    {
        let revision = token.as_ref().map_or(Some(revision), |token| token.revision.or(Some(revision)));
        listed.continue_token = ListToken { revision, after: last.key.to_string() }.encode();
        // With a selector, nobody knows how many of the rest would match.
        listed.remaining = selection.is_all().then_some(page.remaining);
    }
    Ok(listed)
}

/// The table at the revision that the client wants, and that revision.
fn state_for(
    store: &Store,
    served: &Served,
    options: &Options,
    token: Option<&ListToken>,
) -> Result<(Arc<TableState>, u64), Status> {
    let exact = match (token, options.version_match) {
        (Some(ListToken { revision: Some(revision), .. }), _) => Some(*revision),
        (None, Some(VersionMatch::Exact)) => options.resource_version,
        // A limit with a revision has meant exactly that revision since before the parameter existed.
        (None, None) if options.limit > 0 => options.resource_version.filter(|revision| *revision > 0),
        _ => None,
    };
    if let Some(revision) = exact {
        let state = store.state_at(&served.table, revision);
        return match state {
            Ok(state) => Ok((state, revision)),
            Err(expired) => Err(too_old(expired, token)),
        };
    }
    // The global revision is read first: everything up to it is in the state that is read after it.
    let revision = store.revision();
    let state = served.table.state();
    let revision = revision.max(state.last());
    Ok((state, revision))
}

fn too_old(expired: Expired, token: Option<&ListToken>) -> Status {
    match (expired, token) {
        (Expired::TooOld { .. }, Some(token)) => {
            let mut status = Status::expired(
                "The provided continue parameter is too old to display a consistent list result. You can start a new \
                 list without the continue parameter, or use the continue token in this response to retrieve the \
                 remainder of the results. Continuing with the provided token results in an inconsistent list - \
                 objects that were created, modified, or deleted between the time the first chunk was returned and \
                 now may show up in the list.",
            );
            status.continue_token = ListToken { revision: None, after: token.after.clone() }.encode();
            status
        }
        (Expired::TooOld { .. }, None) => Status::expired("The resourceVersion for the provided list is too old."),
        // Upstream asks etcd, which does not say when to come again.
        (Expired::TooLarge { .. }, _) => Status::timeout(expired, 0),
    }
}

/// Waits a little until everything up to a revision can be read.
pub(super) async fn wait_for_revision(store: &Store, least: u64, retry_after_seconds: u32) -> Result<(), Status> {
    let current = store.revision();
    if least <= current {
        return Ok(());
    }
    let too_large = Expired::TooLarge { asked: least, current };
    match tokio::time::timeout(FRESH_WAIT, store.reached(least)).await {
        Ok(()) => Ok(()),
        Err(_) => {
            let cause = windlass_api::status::Cause {
                reason: "ResourceVersionTooLarge".to_owned(),
                message: "Too large resource version".to_owned(),
                ..Default::default()
            };
            Err(Status::timeout(too_large, retry_after_seconds).with_cause(cause))
        }
    }
}
