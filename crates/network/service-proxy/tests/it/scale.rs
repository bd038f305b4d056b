//! Ten thousand Services. Prints how long they take; asserts only that they work.

use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use serde_json::json;
use windlass_api::ObjectKey;
use windlass_service_proxy::object::{EndpointSlice, Service};

use super::cluster::{Cluster, NODE, new_proxy, options, slice};

const SERVICES: u32 = 10_000;

fn objects(number: u32) -> (ObjectKey, Service, EndpointSlice) {
    let name = format!("svc-{number}");
    let [_, _, c, d] = (number + 256).to_be_bytes();
    let service = json!({"spec": {"clusterIP": format!("10.96.{c}.{d}"), "clusterIPs": [format!("10.96.{c}.{d}")],
        "type": "ClusterIP", "ports": [{"name": "tcp", "port": 80, "protocol": "TCP"}]}});
    let endpoints = (0..2)
        .map(|which| {
            let [_, b, c, d] = (number * 2 + which).to_be_bytes();
            json!({"addresses": [format!("10.{}.{c}.{d}", 245 + b)], "nodeName": format!("node-{}", number % 100 + 2)})
        })
        .collect();
    let service = Service::from_json(service.to_string().as_bytes()).unwrap();
    (ObjectKey::new("default", &name), service, slice(&name, "IPv4", endpoints))
}

fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let seconds = |time: nix::sys::time::TimeVal| {
        Duration::new(time.tv_sec().unsigned_abs(), time.tv_usec().unsigned_abs() as u32 * 1000)
    };
    seconds(usage.user_time()) + seconds(usage.system_time())
}

fn resident_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Times a step in wall and processor time.
#[expect(clippy::print_stdout, reason = "figures are printed for whoever asks with --nocapture")]
fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (start, before) = (Instant::now(), cpu());
    let result = work();
    println!("{what}: {:?} wall, {:?} cpu, {} kB resident", start.elapsed(), cpu() - before, resident_kilobytes());
    result
}

#[test]
fn ten_thousand_services() {
    let cluster = Cluster::new();
    let pod = cluster.pod(2, NODE);
    let all: Vec<_> = (0..SERVICES).map(objects).collect();
    let hand_in = |proxy: &windlass_service_proxy::ServiceProxy| {
        for (key, service, slice) in &all {
            proxy.service_changed(key.clone(), Some(service));
            proxy.endpoint_slice_changed(ObjectKey::new("default", format!("{}-1", key.name)), Some(slice));
        }
    };
    timed("10,000 services handed in", || hand_in(&cluster.proxy));
    let report = timed("10,000 services x 2 endpoints from cold", || cluster.sync());
    assert_eq!(report.services, SERVICES as usize);
    assert!(report.elements_added >= 30_000);

    // One endpoint among all of them becomes our pod; then one goes, which takes another chain.
    let endpoint = |address: &str| json!({"addresses": [address], "nodeName": NODE});
    cluster.set_slice("svc-5000", vec![endpoint(&pod.address), endpoint("10.250.0.1")]);
    timed("one endpoint exchanged", || cluster.sync());
    cluster.set_slice("svc-5000", vec![endpoint(&pod.address)]);
    timed("one endpoint less", || cluster.sync());
    let (address, _) = (all[5000].1.spec.cluster_ip.clone(), ());
    assert_eq!(pod.host.ask(&format!("{address}:80")).unwrap(), "pod2 192.0.2.1");
    for _ in 0..5 {
        cluster.set_slice("svc-5000", vec![endpoint(&pod.address), endpoint("10.250.0.1")]);
        timed("one endpoint more", || cluster.sync());
        cluster.set_slice("svc-5000", vec![endpoint(&pod.address)]);
        cluster.sync();
    }

    let restarted = new_proxy(options(), &cluster.node.netns);
    hand_in(&restarted);
    restarted.initialized();
    let report = timed("a restart over the same rules", || cluster.block_on(restarted.sync())).unwrap();
    assert!(report.elements_added <= 3, "{report:?}");
    timed("all removed", || cluster.block_on(windlass_service_proxy::remove(cluster.node.netns.clone()))).unwrap();
}
