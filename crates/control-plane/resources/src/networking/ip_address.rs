//! IPAddress: an address that is taken, and by whom.

use crate::Resource;

pub(crate) fn resource() -> Resource {
    Resource::cluster("networking.k8s.io", "v1", "IPAddress", "ipaddresses").short_names(&["ip"])
}
