//! What a program tells its operator: logs ([`logs`]), metrics under upstream's names ([`Metrics`]), and panics ([`panics`]).

pub mod logs;
mod metrics;
pub mod panics;

pub use metrics::{
    Counter, CounterFamily, DURATION_SECONDS, Gauge, GaugeFamily, Histogram, HistogramFamily, Metrics, exponential,
};
