//! VolumeAttachment: a volume that is to be attached to a node.

use crate::{Resource, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::cluster("storage.k8s.io", "v1", "VolumeAttachment", "volumeattachments")
        .subresources(&[Subresource::Status])
}
