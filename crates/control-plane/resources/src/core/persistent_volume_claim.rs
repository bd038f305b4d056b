//! PersistentVolumeClaim: a wish for storage, bound to a PersistentVolume.

use crate::{Resource, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
        .short_names(&["pvc"])
        .subresources(&[Subresource::Status])
}
