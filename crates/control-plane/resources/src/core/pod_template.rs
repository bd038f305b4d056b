//! PodTemplate: a pod to be made, as an object of its own.

use crate::Resource;

pub(crate) fn resource() -> Resource {
    Resource::namespaced("", "v1", "PodTemplate", "podtemplates").counts_generations().creates_on_update()
}
