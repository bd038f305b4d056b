//! SubjectAccessReview: asks what somebody may do.

use crate::resource::Question;
use crate::{Resource, Verbs};

pub(crate) fn resource() -> Resource {
    Resource::cluster("authorization.k8s.io", "v1", "SubjectAccessReview", "subjectaccessreviews")
        .verbs(Verbs::Ask(Question::Access))
}
