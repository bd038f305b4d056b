//! Plugins as the API server meets them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod pod_security;
