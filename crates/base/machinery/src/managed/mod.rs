//! Field management: who owns which field of an object, and server-side apply.
//!
//! - [`change`]: who changes what.
//! - [`set`]: sets of fields, in the form in which `metadata.managedFields` holds them.
//! - [`diff`]: which fields two versions of an object differ in.
//! - [`merge`]: laying an applied configuration over an object, and taking fields out of one.
//! - [`patch()`]: changing an object by a configuration that nobody owns.
//! - [`typed`]: whether an applied configuration has the types of its kind.
//! - [`last_applied`]: what `kubectl apply` had applied before it did so on the server.
//! - [`managers`]: who owns what after an update or an apply, and who is in the way.
//!
//! All of it is driven by the schema: lists that are maps have items with keys, atomic values have one owner.
//! Source: <https://git.k8s.io/enhancements/keps/sig-api-machinery/555-server-side-apply>, structured-merge-diff.

mod change;
mod diff;
mod last_applied;
mod managers;
mod merge;
mod patch;
mod set;
mod typed;

pub use change::{Change, Operation};
pub use last_applied::update_last_applied;
pub use managers::{ApplyError, Conflict, apply, put_record, update};
pub use patch::{PatchError, patch};
pub use set::FieldSet;
