//! SelfSubjectReview: asks who one is.

use crate::resource::Question;
use crate::{Resource, Verbs};

pub(crate) fn resource() -> Resource {
    Resource::cluster("authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews")
        .verbs(Verbs::Ask(Question::Identity))
}
