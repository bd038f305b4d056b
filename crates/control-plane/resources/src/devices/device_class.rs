//! DeviceClass: a kind of devices that can be claimed.

use crate::Resource;

pub(crate) fn resource() -> Resource {
    Resource::cluster("resource.k8s.io", "v1", "DeviceClass", "deviceclasses").counts_generations()
}
