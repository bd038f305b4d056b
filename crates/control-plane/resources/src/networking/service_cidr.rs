//! ServiceCIDR: a range that Services get their addresses from.

use crate::{Resource, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::cluster("networking.k8s.io", "v1", "ServiceCIDR", "servicecidrs").subresources(&[Subresource::Status])
}
