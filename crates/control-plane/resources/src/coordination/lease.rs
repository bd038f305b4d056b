//! Lease: who holds something, and until when.

use crate::Resource;

pub(crate) fn resource() -> Resource {
    Resource::namespaced("coordination.k8s.io", "v1", "Lease", "leases").creates_on_update()
}
