//! Metrics, in Prometheus' text format.
//!
//! A component gets a [`Metrics`] and registers what it measures, under the name that upstream's component uses, so that existing
//! dashboards and alerts work. A name that is registered twice, by two instances of a component in one process, is
//! one metric.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus::core::Collector;
use prometheus::{
    Encoder, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

pub type Counter = IntCounter;
pub type CounterFamily = IntCounterVec;
pub type Gauge = IntGauge;
pub type GaugeFamily = IntGaugeVec;
pub use prometheus::{Histogram, HistogramVec as HistogramFamily};

/// The content type of [`Metrics::text`].
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=values";

/// Buckets for durations of requests and of work, in seconds.
pub const DURATION_SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// `count` bounds of buckets, each `factor` times the one before.
pub fn exponential(start: f64, factor: f64, count: usize) -> Vec<f64> {
    std::iter::successors(Some(start), |bound| Some(bound * factor)).take(count).collect()
}

/// What is measured in one place; cloning shares it.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    registered: Arc<Mutex<HashMap<&'static str, Metric>>>,
}

#[derive(Clone)]
enum Metric {
    Counter(CounterFamily),
    Gauge(GaugeFamily),
    Histogram(HistogramFamily),
}

impl Default for Metrics {
    fn default() -> Self {
        Self { registry: Registry::new(), registered: Arc::default() }
    }
}

impl Metrics {
    /// A registry that also tells what the process uses, and which version it is.
    pub fn of_process(version: &str) -> Self {
        let metrics = Self::default();
        metrics.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()));
        let mut parts = version.trim_start_matches('v').split('.');
        let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let labels = ["major", "minor", "git_version", "platform"];
        let build = metrics.gauges("kubernetes_build_info", "The version of Kubernetes that is served.", &labels);
        build.with_label_values(&[major, minor, version, "linux/amd64"]).set(1);
        metrics
    }

    fn register(&self, collector: Box<dyn Collector>) {
        if let Err(error) = self.registry.register(collector) {
            tracing::warn!(%error, "a metric is not shown");
        }
    }

    /// The metric of this name, made by `make` unless it is there already.
    fn metric(&self, name: &'static str, make: impl FnOnce() -> prometheus::Result<Metric>) -> Metric {
        let mut registered = self.registered.lock();
        if let Some(metric) = registered.get(name) {
            return metric.clone();
        }
        let metric = make().expect("names and labels of metrics are constants of the program, and well formed");
        self.register(match &metric {
            Metric::Counter(family) => Box::new(family.clone()),
            Metric::Gauge(family) => Box::new(family.clone()),
            Metric::Histogram(family) => Box::new(family.clone()),
        });
        registered.insert(name, metric.clone());
        metric
    }

    pub fn counters(&self, name: &'static str, help: &str, labels: &[&str]) -> CounterFamily {
        let make = || CounterFamily::new(Opts::new(name, help), labels);
        match self.metric(name, || make().map(Metric::Counter)) {
            Metric::Counter(family) => family,
            _ => panic!("{name} is registered as another kind of metric"),
        }
    }

    pub fn gauges(&self, name: &'static str, help: &str, labels: &[&str]) -> GaugeFamily {
        let make = || GaugeFamily::new(Opts::new(name, help), labels);
        match self.metric(name, || make().map(Metric::Gauge)) {
            Metric::Gauge(family) => family,
            _ => panic!("{name} is registered as another kind of metric"),
        }
    }

    pub fn histograms(&self, name: &'static str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramFamily {
        let make = || HistogramFamily::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels);
        match self.metric(name, || make().map(Metric::Histogram)) {
            Metric::Histogram(family) => family,
            _ => panic!("{name} is registered as another kind of metric"),
        }
    }

    pub fn counter(&self, name: &'static str, help: &str) -> Counter {
        self.counters(name, help, &[]).with_label_values::<&str>(&[])
    }

    pub fn gauge(&self, name: &'static str, help: &str) -> Gauge {
        self.gauges(name, help, &[]).with_label_values::<&str>(&[])
    }

    pub fn histogram(&self, name: &'static str, help: &str, buckets: &[f64]) -> Histogram {
        self.histograms(name, help, &[], buckets).with_label_values::<&str>(&[])
    }

    /// All metrics as text, and the type of that text.
    pub fn text(&self) -> (&'static str, Vec<u8>) {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::warn!(%error, "metrics cannot be written");
        }
        (CONTENT_TYPE, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_what_prometheus_reads() {
        let metrics = Metrics::of_process("v1.37.1");
        metrics.counters("a_total", "Things.", &["verb"]).with_label_values(&["GET"]).inc_by(2);
        metrics.counters("a_total", "Things.", &["verb"]).with_label_values(&["GET"]).inc();
        metrics.histogram("b_seconds", "Time.", &[0.1, 1.0]).observe(0.5);
        let (_, text) = metrics.text();
        let text = String::from_utf8(text).unwrap();
        for line in [
            "# TYPE a_total counter",
            "a_total{verb=\"GET\"} 3",
            "b_seconds_bucket{le=\"1\"} 1",
            "b_seconds_count 1",
            "# TYPE process_resident_memory_bytes gauge",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        assert!(text.contains("git_version=\"v1.37.1\""));
    }
}
