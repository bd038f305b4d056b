//! SelfSubjectAccessReview: asks what one may do.

use crate::resource::Question;
use crate::{Resource, Verbs};

pub(crate) fn resource() -> Resource {
    Resource::cluster("authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews")
        .verbs(Verbs::Ask(Question::OwnAccess))
}
