//! From credentials to users.
//!
//! What a token says is only half of the truth: the objects that it names must still be there. They are looked up through
//! [`Objects`], so that a token dies with its service account, pod or secret.

mod bootstrap_token;
pub mod configuration;
pub mod jwt;
mod service_account;

use std::sync::Arc;

use serde_json::Value;

pub use bootstrap_token::bootstrap_user;
pub use service_account::{Bound, Claims, Grant, service_account_user};

/// The objects that credentials refer to, as they are now.
pub trait Objects: Send + Sync {
    /// An object by the name of its table (`pods`).
    fn object(&self, table: &str, namespace: &str, name: &str) -> Option<Arc<Value>>;
}
