//! Kinds that are questions: they are answered at once and not stored.

mod access;
mod identity;

use std::sync::Arc;

use windlass_api::Status;
use windlass_client::Request;

use crate::context::Context;
use crate::objects::decode_body;
use crate::outcome::Outcome;
use crate::registry::Served;
use crate::server::Server;

impl Server {
    /// Answers a POST of a kind that is only ever created.
    pub(crate) async fn review(
        &self,
        context: &Context,
        served: &Arc<Served>,
        request: Request,
    ) -> Result<Outcome, Status> {
        let kind = &served.resource.kind;
        let schema = served.resource.schema;
        let object = decode_body(context, schema.schema, schema.id, kind, &request.body, &request.options)?;
        let answered = match &*kind.kind {
            "Binding" => {
                let pods = windlass_api::GroupVersionResource::of("", "v1", "pods");
                let pods = self.registry().find(&pods).cloned().ok_or_else(Status::no_such_path)?;
                let name = windlass_machinery::tree::text(&object["metadata"], "name").to_owned();
                return self.bind(context, &pods, Request { name, ..request }).await;
            }
            "TokenReview" => self.review_token(object),
            "SelfSubjectReview" => identity::self_subject(&context.user, object, self.clock.now()),
            "SubjectAccessReview" | "LocalSubjectAccessReview" => self.review_access(&request.namespace, object)?,
            "SelfSubjectAccessReview" => self.review_own_access(&context.user, object)?,
            "SelfSubjectRulesReview" => self.review_rules(&context.user, object)?,
            other => return Err(Status::internal(format_args!("nobody answers a {other}"))),
        };
        Ok(Outcome::tree(kind.clone(), answered).created())
    }
}
