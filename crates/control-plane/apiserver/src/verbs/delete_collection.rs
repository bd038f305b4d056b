//! DELETE of a collection: every object that a selection finds, one after the other.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use windlass_api::Status;
use windlass_client::Request;

use super::delete::delete_options;
use crate::context::Context;
use crate::outcome::{Listed, Outcome};
use crate::registry::Served;
use crate::server::Server;

/// Deletions under way at once.
const AT_ONCE: usize = 64;

impl Server {
    /// Returns the objects as they were found.
    pub(crate) async fn delete_collection(
        &self,
        context: &Context,
        served: &Arc<Served>,
        request: Request,
    ) -> Result<Outcome, Status> {
        let options = delete_options(&request)?;
        let Outcome::List(listed) = self.list(served, &request).await? else {
            return Err(Status::internal("a list gave something else"));
        };
        stream::iter(listed.items.clone())
            .map(|item| {
                let one =
                    Request { namespace: item.namespace().to_owned(), name: item.name().to_owned(), ..request.clone() };
                let options = &options;
                async move {
                    match self.delete_object(context, served, &one, options).await {
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
}
