//! Volumes and claims: who belongs to whom, and who may go while somebody uses it.

pub(crate) mod binder;
mod matching;
pub(crate) mod protection;
mod view;
