//! VolumeAttributesClass: attributes of a volume that can be changed while it is used.

use crate::Resource;

pub(crate) fn resource() -> Resource {
    Resource::cluster("storage.k8s.io", "v1", "VolumeAttributesClass", "volumeattributesclasses").short_names(&["vac"])
}
