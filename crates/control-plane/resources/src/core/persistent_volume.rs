//! PersistentVolume: storage that outlives pods.

use crate::{Resource, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::cluster("", "v1", "PersistentVolume", "persistentvolumes")
        .short_names(&["pv"])
        .subresources(&[Subresource::Status])
}
