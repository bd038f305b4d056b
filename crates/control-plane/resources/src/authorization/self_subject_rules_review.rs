//! SelfSubjectRulesReview: asks for all that one may do in a namespace.

use crate::resource::Question;
use crate::{Resource, Verbs};

pub(crate) fn resource() -> Resource {
    Resource::cluster("authorization.k8s.io", "v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews")
        .verbs(Verbs::Ask(Question::OwnRules))
}
