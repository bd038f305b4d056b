//! The core group, `v1`.

pub(crate) mod config_map;
pub(crate) mod namespace;
pub(crate) mod secret;
pub(crate) mod service_account;
