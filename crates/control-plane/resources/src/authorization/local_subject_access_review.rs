//! LocalSubjectAccessReview: asks what somebody may do in a namespace.

use crate::resource::Question;
use crate::{Resource, Verbs};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("authorization.k8s.io", "v1", "LocalSubjectAccessReview", "localsubjectaccessreviews")
        .verbs(Verbs::Ask(Question::Access))
}
