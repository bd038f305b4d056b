//! Kinds that are questions: they are answered at once and not stored.

mod access;
mod identity;
mod validation;

use windlass_api::{GroupVersionResource, Status};
use windlass_client::Request;
use windlass_machinery::tree::text;
use windlass_resources::life::{Checkpoints, check_namespace};

use crate::call::Call;
use crate::outcome::Outcome;
use crate::subresources::binding::bind;

const PODS: GroupVersionResource = GroupVersionResource::of("", "v1", "pods");

/// Answers a POST of a kind that is only ever created.
pub(crate) async fn review(call: &Call<'_>) -> Result<Outcome, Status> {
    let kind = &call.served.resource.kind;
    let mut object = call.body()?;
    let (gate, user, namespace) = (call.gate, &call.context.user, &call.request.namespace);
    check_namespace(&object, namespace)?;
    // Of rules, upstream answers with a review of its own, which nobody manages.
    if !matches!(&*kind.kind, "Binding" | "SelfSubjectRulesReview") {
        call.record_ownership(&mut object, None);
    }
    let answered = match &*kind.kind {
        "Binding" => {
            let request = &Request { name: text(&object["metadata"], "name").to_owned(), ..call.request.clone() };
            return bind(&Call { served: &call.storage.find(&PODS)?, request, ..*call }).await;
        }
        "TokenReview" => identity::review_token(gate, object).await?,
        "SelfSubjectReview" => identity::self_subject(user, object, call.storage.clock.now()),
        "SubjectAccessReview" | "LocalSubjectAccessReview" => access::review_access(gate, namespace, object).await?,
        "SelfSubjectAccessReview" => access::review_own_access(gate, user, object).await?,
        "SelfSubjectRulesReview" => access::review_rules(gate, user, object)?,
        other => return Err(Status::internal(format_args!("nobody answers a {other}"))),
    };
    Ok(Outcome::tree(kind.clone(), answered).created())
}
