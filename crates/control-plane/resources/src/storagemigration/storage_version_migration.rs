//! StorageVersionMigration: rewrites all objects of a resource in the version that is stored now.

use crate::{Resource, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::cluster("storagemigration.k8s.io", "v1", "StorageVersionMigration", "storageversionmigrations")
        .subresources(&[Subresource::Status])
}
