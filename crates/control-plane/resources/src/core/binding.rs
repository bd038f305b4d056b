//! Binding: assigns a pod to a node; the old form of the pod's subresource `binding`.

use crate::resource::Question;
use crate::{Resource, Verbs};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("", "v1", "Binding", "bindings").verbs(Verbs::Ask(Question::Binding))
}
