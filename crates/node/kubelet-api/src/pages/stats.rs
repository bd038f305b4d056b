//! `/stats/summary`: what node, pods and containers use (`k8s.io/kubelet/pkg/apis/stats/v1alpha1`).

use std::collections::HashMap;

use http::{Response, StatusCode};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use windlass_api::{Timestamp, time};
use windlass_cri::{
    ContainerStats, CpuUsage, FilesystemUsage, MemoryUsage, RuntimeService, SandboxFilter, SandboxStats,
};

use crate::node::NodeUsage;
use crate::respond::{self, Body, text};

/// Turns counters of CPU time into rates: what each was when it was asked for last.
#[derive(Default)]
pub(crate) struct Rates(Mutex<HashMap<String, Sample>>);

#[derive(Clone, Copy)]
struct Sample {
    at: i64,
    usage: u64,
    nano_cores: Option<u64>,
}

impl Rates {
    /// The rate since the last time; between readings of the same instant it stays as it is.
    fn rate(&self, id: &str, at: i64, usage: u64) -> Option<u64> {
        let mut samples = self.0.lock();
        let before = samples.get(id).copied();
        let nano_cores = match before {
            Some(before) if at > before.at && usage >= before.usage => {
                let passed = u128::try_from(at - before.at).unwrap_or(1);
                u64::try_from(u128::from(usage - before.usage) * 1_000_000_000 / passed).ok()
            }
            Some(before) if at == before.at => return before.nano_cores,
            _ => None,
        };
        samples.insert(id.to_owned(), Sample { at, usage, nano_cores });
        nano_cores
    }

    /// Forgets what is not there any more.
    fn keep(&self, known: impl Fn(&str) -> bool) {
        self.0.lock().retain(|id, _| known(id));
    }
}

const NODE: &str = "";

pub(crate) async fn summary(
    runtime: &dyn RuntimeService,
    name: &str,
    node: &NodeUsage,
    rates: &Rates,
    only_cpu_and_memory: bool,
) -> Response<Body> {
    let pods = match runtime.list_sandbox_stats(SandboxFilter::default()).await {
        Ok(pods) => pods,
        Err(error) => return text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    };
    rates.keep(|id| id == NODE || pods.iter().any(|pod| pod.id == id || pod.containers.iter().any(|c| c.id == id)));
    let of_pods: Vec<Value> = pods.iter().map(|pod| of_pod(pod, rates, only_cpu_and_memory)).collect();
    respond::json(&json!({"node": of_node(name, node, rates, only_cpu_and_memory), "pods": of_pods}))
}

fn instant(nanoseconds: i64) -> String {
    time::rfc3339(Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or(Timestamp::UNIX_EPOCH))
}

fn cpu(usage: &CpuUsage, id: &str, rates: &Rates) -> Value {
    let mut value = json!({"time": instant(usage.timestamp)});
    if let Some(total) = usage.usage_core_nanoseconds {
        value["usageCoreNanoSeconds"] = json!(total);
        value["usageNanoCores"] = json!(rates.rate(id, usage.timestamp, total).unwrap_or(0));
    }
    value
}

fn memory(usage: &MemoryUsage) -> Value {
    let mut value = Map::new();
    value.insert("time".to_owned(), json!(instant(usage.timestamp)));
    let fields = [
        ("availableBytes", usage.available_bytes),
        ("usageBytes", usage.usage_bytes),
        ("workingSetBytes", usage.working_set_bytes),
        ("rssBytes", usage.rss_bytes),
        ("pageFaults", usage.page_faults),
        ("majorPageFaults", usage.major_page_faults),
    ];
    for (name, number) in fields {
        if let Some(number) = number {
            value.insert(name.to_owned(), json!(number));
        }
    }
    Value::Object(value)
}

fn file_system(usage: &FilesystemUsage) -> Value {
    json!({"time": instant(usage.timestamp), "usedBytes": usage.used_bytes, "inodesUsed": usage.inodes_used})
}

fn of_container(container: &ContainerStats, rates: &Rates, brief: bool) -> Value {
    let mut value = json!({
        "name": container.metadata.name,
        "startTime": instant(container.cpu.timestamp),
        "cpu": cpu(&container.cpu, &container.id, rates),
        "memory": memory(&container.memory),
    });
    if let Some(layer) = container.writable_layer.as_ref().filter(|_| !brief) {
        value["rootfs"] = file_system(layer);
    }
    value
}

fn of_pod(pod: &SandboxStats, rates: &Rates, brief: bool) -> Value {
    let of = &pod.metadata;
    let containers: Vec<Value> = pod.containers.iter().map(|c| of_container(c, rates, brief)).collect();
    let mut value = json!({
        "podRef": {"name": of.name, "namespace": of.namespace, "uid": of.uid},
        "startTime": instant(pod.cpu.timestamp),
        "containers": containers,
        "cpu": cpu(&pod.cpu, &pod.id, rates),
        "memory": memory(&pod.memory),
    });
    if brief {
        return value;
    }
    let interface = |usage: &windlass_cri::InterfaceUsage| {
        json!({
            "name": usage.name, "rxBytes": usage.rx_bytes, "rxErrors": usage.rx_errors,
            "txBytes": usage.tx_bytes, "txErrors": usage.tx_errors,
        })
    };
    if let Some(default) = pod.interfaces.first() {
        let mut network = interface(default);
        network["time"] = json!(instant(pod.cpu.timestamp));
        network["interfaces"] = pod.interfaces.iter().map(interface).collect();
        value["network"] = network;
    }
    if let Some(processes) = pod.processes {
        value["process_stats"] = json!({"process_count": processes});
    }
    let used =
        pod.containers.iter().filter_map(|c| c.writable_layer.as_ref()).map(|layer| layer.used_bytes).sum::<u64>();
    value["ephemeral-storage"] = json!({"time": instant(pod.cpu.timestamp), "usedBytes": used});
    value
}

fn of_node(name: &str, node: &NodeUsage, rates: &Rates, brief: bool) -> Value {
    let at = instant(node.timestamp);
    let usage = CpuUsage { timestamp: node.timestamp, usage_core_nanoseconds: Some(node.cpu_usage_core_nanoseconds) };
    let mut value = json!({
        "nodeName": name,
        "startTime": instant(node.started),
        "cpu": cpu(&usage, NODE, rates),
        "memory": {
            "time": at,
            "availableBytes": node.memory_available_bytes,
            "usageBytes": node.memory_usage_bytes,
            "workingSetBytes": node.memory_working_set_bytes,
            "rssBytes": node.memory_rss_bytes,
        },
    });
    if !brief {
        let used = node.file_system_capacity_bytes.saturating_sub(node.file_system_available_bytes);
        value["fs"] = json!({
            "time": at,
            "availableBytes": node.file_system_available_bytes,
            "capacityBytes": node.file_system_capacity_bytes,
            "usedBytes": used,
            "inodesFree": node.file_system_inodes_free,
            "inodes": node.file_system_inodes,
            "inodesUsed": node.file_system_inodes.saturating_sub(node.file_system_inodes_free),
        });
        value["rlimit"] = json!({"time": at, "maxpid": node.processes_max, "curproc": node.processes});
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_of_counters() {
        let rates = Rates::default();
        assert_eq!(rates.rate("c", 1_000_000_000, 0), None);
        assert_eq!(rates.rate("c", 3_000_000_000, 1_000_000_000), Some(500_000_000));
        // Asked again for the same reading.
        assert_eq!(rates.rate("c", 3_000_000_000, 1_000_000_000), Some(500_000_000));
        // A counter that has begun anew.
        assert_eq!(rates.rate("c", 4_000_000_000, 5), None);
        rates.keep(|id| id != "c");
        assert_eq!(rates.rate("c", 5_000_000_000, 10), None);
    }
}
