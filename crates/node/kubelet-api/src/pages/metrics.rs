//! Metrics of pods and containers in Prometheus' text format: `/metrics/resource`, which the metrics server reads, and
//! `/metrics/cadvisor`, under cAdvisor's names.

use std::fmt::Write;

use http::{Response, StatusCode};
use windlass_cri::{ContainerStats, CpuUsage, MemoryUsage, RuntimeService, SandboxFilter, SandboxStats};

use crate::node::NodeUsage;
use crate::respond::{Body, text, typed};

const TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One metric: its head, then a line for each value.
struct Family<'a> {
    out: &'a mut String,
    name: &'static str,
}

impl<'a> Family<'a> {
    fn new(out: &'a mut String, name: &'static str, kind: &str, help: &str) -> Self {
        // Writing to a string does not fail.
        let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Self { out, name }
    }

    /// `at` is in nanoseconds since the epoch; 0 leaves the time out.
    fn value(&mut self, labels: &[(&str, &str)], value: f64, at: i64) {
        self.out.push_str(self.name);
        for (index, (name, value)) in labels.iter().enumerate() {
            self.out.push(if index == 0 { '{' } else { ',' });
            let _ = write!(self.out, "{name}=\"{}\"", escaped(value));
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
        let _ = write!(self.out, " {value}");
        if at != 0 {
            let _ = write!(self.out, " {}", at / 1_000_000);
        }
        self.out.push('\n');
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

async fn answer(runtime: &dyn RuntimeService, write: impl Fn(&[SandboxStats]) -> String) -> Response<Body> {
    match runtime.list_sandbox_stats(SandboxFilter::default()).await {
        Ok(pods) => typed(TYPE, write(&pods)),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

pub(crate) async fn resource(runtime: &dyn RuntimeService, node: &NodeUsage) -> Response<Body> {
    answer(runtime, |pods| resource_text(pods, node)).await
}

pub(crate) async fn cadvisor(runtime: &dyn RuntimeService) -> Response<Body> {
    answer(runtime, cadvisor_text).await
}

fn each(pods: &[SandboxStats]) -> impl Iterator<Item = (&SandboxStats, &ContainerStats)> {
    pods.iter().flat_map(|pod| pod.containers.iter().map(move |container| (pod, container)))
}

/// A metric of `/metrics/resource`: name, kind, help.
type Head = (&'static str, &'static str, &'static str);

const CONTAINER_CPU: Head = (
    "container_cpu_usage_seconds_total",
    "counter",
    "[STABLE] Cumulative cpu time consumed by the container in core-seconds",
);
const CONTAINER_MEMORY: Head =
    ("container_memory_working_set_bytes", "gauge", "[STABLE] Current working set of the container in bytes");
const NODE_CPU: Head =
    ("node_cpu_usage_seconds_total", "counter", "[STABLE] Cumulative cpu time consumed by the node in core-seconds");
const NODE_MEMORY: Head =
    ("node_memory_working_set_bytes", "gauge", "[STABLE] Current working set of the node in bytes");
const POD_CPU: Head =
    ("pod_cpu_usage_seconds_total", "counter", "[STABLE] Cumulative cpu time consumed by the pod in core-seconds");
const POD_MEMORY: Head = ("pod_memory_working_set_bytes", "gauge", "[STABLE] Current working set of the pod in bytes");
const SCRAPE_ERROR: Head =
    ("resource_scrape_error", "gauge", "[STABLE] 1 if there was an error while getting container metrics, 0 otherwise");

fn resource_text(pods: &[SandboxStats], node: &NodeUsage) -> String {
    let mut out = String::new();
    let cpu = |usage: &CpuUsage| usage.usage_core_nanoseconds.map(|n| (seconds(n), usage.timestamp));
    let memory = |usage: &MemoryUsage| usage.working_set_bytes.map(|n| (n as f64, usage.timestamp));
    let containers = |out: &mut String, head: Head, read: &dyn Fn(&ContainerStats) -> Option<(f64, i64)>| {
        let mut family = Family::new(out, head.0, head.1, head.2);
        for (pod, container) in each(pods) {
            if let Some((value, at)) = read(container) {
                family.value(&of_container(pod, container), value, at);
            }
        }
    };
    let of_pods = |out: &mut String, head: Head, read: &dyn Fn(&SandboxStats) -> Option<(f64, i64)>| {
        let mut family = Family::new(out, head.0, head.1, head.2);
        for pod in pods {
            if let Some((value, at)) = read(pod) {
                family.value(&of_pod(pod), value, at);
            }
        }
    };
    let one = |out: &mut String, head: Head, value: f64, at: i64| {
        Family::new(out, head.0, head.1, head.2).value(&[], value, at);
    };
    containers(&mut out, CONTAINER_CPU, &|container| cpu(&container.cpu));
    containers(&mut out, CONTAINER_MEMORY, &|container| memory(&container.memory));
    one(&mut out, NODE_CPU, seconds(node.cpu_usage_core_nanoseconds), node.timestamp);
    one(&mut out, NODE_MEMORY, node.memory_working_set_bytes as f64, node.timestamp);
    of_pods(&mut out, POD_CPU, &|pod| cpu(&pod.cpu));
    of_pods(&mut out, POD_MEMORY, &|pod| memory(&pod.memory));
    one(&mut out, SCRAPE_ERROR, 0.0, 0);
    out
}

fn of_container<'a>(pod: &'a SandboxStats, container: &'a ContainerStats) -> [(&'static str, &'a str); 3] {
    [
        ("container", container.metadata.name.as_str()),
        ("namespace", pod.metadata.namespace.as_str()),
        ("pod", pod.metadata.name.as_str()),
    ]
}

fn of_pod(pod: &SandboxStats) -> [(&'static str, &str); 2] {
    [("namespace", pod.metadata.namespace.as_str()), ("pod", pod.metadata.name.as_str())]
}

type Reading = fn(&ContainerStats) -> Option<f64>;

/// cAdvisor's metrics of containers: name, kind, help, value.
const CONTAINER: [(&str, &str, &str, Reading); 8] = [
    ("container_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed in seconds.", |c| {
        c.cpu.usage_core_nanoseconds.map(seconds)
    }),
    (
        "container_memory_usage_bytes",
        "gauge",
        "Current memory usage in bytes, including all memory regardless of when it was accessed",
        |c| c.memory.usage_bytes.map(|n| n as f64),
    ),
    ("container_memory_working_set_bytes", "gauge", "Current working set in bytes.", |c| {
        c.memory.working_set_bytes.map(|n| n as f64)
    }),
    ("container_memory_rss", "gauge", "Size of RSS in bytes.", |c| c.memory.rss_bytes.map(|n| n as f64)),
    ("container_memory_failures_total", "counter", "Cumulative count of memory allocation failures.", |c| {
        c.memory.major_page_faults.map(|n| n as f64)
    }),
    (
        "container_fs_usage_bytes",
        "gauge",
        "Number of bytes that are consumed by the container on this filesystem.",
        |c| c.writable_layer.as_ref().map(|layer| layer.used_bytes as f64),
    ),
    ("container_fs_inodes_total", "gauge", "Number of inodes used by the container on this filesystem.", |c| {
        c.writable_layer.as_ref().map(|layer| layer.inodes_used as f64)
    }),
    ("container_processes", "gauge", "Number of processes running inside the container.", |c| {
        c.processes.map(|n| n as f64)
    }),
];

fn cadvisor_text(pods: &[SandboxStats]) -> String {
    let mut out = String::new();
    for (name, kind, help, read) in CONTAINER {
        let mut family = Family::new(&mut out, name, kind, help);
        for (pod, container) in each(pods) {
            if let Some(value) = read(container) {
                let [c, n, p] = of_container(pod, container);
                family.value(&[c, ("id", &container.id), n, p], value, container.cpu.timestamp);
            }
        }
    }
    type Counter = fn(&windlass_cri::InterfaceUsage) -> u64;
    let network: [(&str, &str, Counter); 4] = [
        ("container_network_receive_bytes_total", "Cumulative count of bytes received", |i| i.rx_bytes),
        ("container_network_receive_errors_total", "Cumulative count of errors encountered while receiving", |i| {
            i.rx_errors
        }),
        ("container_network_transmit_bytes_total", "Cumulative count of bytes transmitted", |i| i.tx_bytes),
        ("container_network_transmit_errors_total", "Cumulative count of errors encountered while transmitting", |i| {
            i.tx_errors
        }),
    ];
    for (name, help, read) in network {
        let mut family = Family::new(&mut out, name, "counter", help);
        for (pod, interface) in pods.iter().flat_map(|pod| pod.interfaces.iter().map(move |i| (pod, i))) {
            let [n, p] = of_pod(pod);
            let labels = [("id", pod.id.as_str()), ("interface", interface.name.as_str()), n, p];
            family.value(&labels, read(interface) as f64, pod.cpu.timestamp);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form() {
        let mut pod = SandboxStats { id: "s".to_owned(), ..SandboxStats::default() };
        pod.metadata.name = "p".to_owned();
        pod.metadata.namespace = "ns".to_owned();
        let mut container = ContainerStats { id: "c".to_owned(), ..ContainerStats::default() };
        container.metadata.name = "main".to_owned();
        container.cpu.usage_core_nanoseconds = Some(1_500_000_000);
        container.cpu.timestamp = 7_000_000;
        pod.containers.push(container);
        let pods = [pod];
        let text = resource_text(&pods, &NodeUsage::default());
        let line = "container_cpu_usage_seconds_total{container=\"main\",namespace=\"ns\",pod=\"p\"} 1.5 7\n";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("resource_scrape_error 0\n"));
        let line = "container_cpu_usage_seconds_total{container=\"main\",id=\"c\",namespace=\"ns\",pod=\"p\"} 1.5 7\n";
        assert!(cadvisor_text(&pods).contains(line));
        assert_eq!(escaped("a\"b\\c\n"), "a\\\"b\\\\c\\n");
    }
}
