//! Kinds that are questions: they are answered at once and not stored.

mod access;
mod identity;
mod validation;

use windlass_api::{GroupVersionResource, Status};
use windlass_client::Request;
use windlass_machinery::tree::text;
use windlass_resources::Question;
use windlass_resources::life::{Checkpoints, check_namespace};

use crate::call::Call;
use crate::outcome::Outcome;
use crate::subresources::binding::bind;

const PODS: GroupVersionResource = GroupVersionResource::of("", "v1", "pods");

/// Answers a POST of a kind that is a question.
pub(crate) async fn answer(call: &Call<'_>, question: Question) -> Result<Outcome, Status> {
    let mut object = call.body()?;
    let (gate, user, namespace) = (call.gate, &call.context.user, &call.request.namespace);
    check_namespace(&object, namespace)?;
    // Of rules, upstream answers with a review of its own, which nobody manages.
    if !matches!(question, Question::Binding | Question::OwnRules) {
        call.record_ownership(&mut object, None);
    }
    let answered = match question {
        Question::Binding => {
            let request = &Request { name: text(&object["metadata"], "name").to_owned(), ..call.request.clone() };
            return bind(&Call { served: &call.storage.find(&PODS)?, request, ..*call }).await;
        }
        Question::Token => identity::review_token(gate, object).await?,
        Question::Identity => identity::self_subject(user, object, call.storage.clock.now()),
        Question::Access => access::review_access(gate, namespace, object).await?,
        Question::OwnAccess => access::review_own_access(gate, user, object).await?,
        Question::OwnRules => access::review_rules(gate, user, object)?,
    };
    Ok(Outcome::tree(call.served.resource.kind.clone(), answered).created())
}
