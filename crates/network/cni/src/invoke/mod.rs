//! Running a network's plugins for sandboxes.
//!
//! [`Cni`] holds no state of its own but the directory of cached results, so it can be made anew after every restart. What an
//! ADD returned is cached together with the configuration that it ran with: DEL and CHECK use those, whatever has become of
//! the configuration since.

mod attachment;
mod cache;
mod cni;
mod error;
mod exec;
mod options;
mod request;

pub use attachment::Attachment;
pub use cache::CachedAttachment;
pub use cni::Cni;
pub use error::InvokeError;
pub use options::Options;
