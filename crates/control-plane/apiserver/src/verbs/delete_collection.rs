//! DELETE of a collection: every object that a selection finds, one after the other.

use futures::{StreamExt, TryStreamExt, stream};
use windlass_api::Status;
use windlass_client::Request;

use super::delete::{delete_object, delete_options, warn_of_orphans};
use super::list::list;
use crate::call::Call;
use crate::outcome::{Listed, Outcome};

/// Deletions under way at once.
const AT_ONCE: usize = 64;

/// Returns the objects as they were found.
pub(crate) async fn delete_collection(call: &Call<'_>) -> Result<Outcome, Status> {
    let options = &delete_options(call)?;
    warn_of_orphans(call, options);
    let listed = list(call).await?;
    stream::iter(listed.items.clone())
        .map(|item| {
            let (namespace, name) = (item.namespace().to_owned(), item.name().to_owned());
            let one = Request { namespace, name, ..call.request.clone() };
            async move {
                match delete_object(&Call { request: &one, ..*call }, options).await {
                    // Somebody else was quicker.
                    Err(status) if status.is_not_found() => Ok(()),
                    result => result.map(drop),
                }
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    Ok(Outcome::List(Listed { continue_token: String::new(), remaining: None, ..listed }))
}
