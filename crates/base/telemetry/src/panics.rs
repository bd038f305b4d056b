//! Panics: each is logged with its place and counted, whatever catches it afterwards.

use std::panic::{self, PanicHookInfo};

use crate::metrics::Metrics;

/// Logs and counts all panics of the process from now on.
pub fn observe(metrics: &Metrics) {
    let count = metrics.counter("windlass_panics_total", "Panics that were caught; each is a fault to be reported.");
    panic::set_hook(Box::new(move |panic: &PanicHookInfo<'_>| {
        count.inc();
        let message = panic.payload_as_str().unwrap_or("(no message)");
        match panic.location() {
            Some(place) => tracing::error!(%place, message, "a panic: please report it"),
            None => tracing::error!(message, "a panic: please report it"),
        }
    }));
}
