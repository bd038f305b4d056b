//! ResourceQuota: bounds for what a namespace may hold and use in all.

use crate::{Resource, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("", "v1", "ResourceQuota", "resourcequotas")
        .short_names(&["quota"])
        .subresources(&[Subresource::Status])
}
