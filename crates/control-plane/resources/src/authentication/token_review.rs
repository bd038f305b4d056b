//! TokenReview: asks whose a token is.

use crate::resource::Question;
use crate::{Resource, Verbs};

pub(crate) fn resource() -> Resource {
    Resource::cluster("authentication.k8s.io", "v1", "TokenReview", "tokenreviews").verbs(Verbs::Ask(Question::Token))
}
