//! The built-in plugins that upstream enables by default, one file each.

mod namespace_lifecycle;

use std::sync::Arc;

use crate::chain::Chain;

/// Upstream's default plugins in upstream's order.
pub fn default_chain() -> Chain {
    Chain::new(vec![Arc::new(namespace_lifecycle::NamespaceLifecycle)])
}
