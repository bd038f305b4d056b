//! `storagemigration.k8s.io/v1`: stored versions.

pub(crate) mod storage_version_migration;
