//! What objects of some kinds take from a common stock when they are written: addresses and ports of Services.
//!
//! Everything that is taken is an object of its own (an IPAddress, or a row of a hidden table), written in the same transaction as
//! the object that takes it. So nothing is ever taken twice, nothing leaks, and a crash leaves no half of it.

mod addresses;
mod ports;
mod services;

use std::sync::Arc;

use serde_json::Value;
use windlass_api::Status;
use windlass_store::{Op, Store};

pub(crate) use services::ServiceAllocator;

/// Takes from and gives back to a stock. A transaction that fails because somebody else was quicker is made anew.
pub(crate) trait Allocator: Send + Sync {
    /// Completes a new object with what it gets, or completes a changed one; returns the writes that take and give back.
    fn write(&self, store: &Arc<Store>, old: Option<&Value>, new: &mut Value) -> Result<Vec<Op>, Status>;

    /// The writes that give everything back.
    fn delete(&self, store: &Arc<Store>, old: &Value) -> Vec<Op>;
}
