//! The language everybody speaks: names, quantities, selectors, statuses, time.

pub mod time;

pub use k8s_openapi as k8s;
