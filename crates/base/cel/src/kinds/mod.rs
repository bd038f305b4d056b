//! What values of libraries are, apart from the functions that expressions call with them.

pub(crate) mod authorizer;
pub(crate) mod cidr;
pub(crate) mod ip;
pub(crate) mod named_format;
pub(crate) mod quantity;
pub(crate) mod semver;
pub(crate) mod timestamp;
pub(crate) mod url;
