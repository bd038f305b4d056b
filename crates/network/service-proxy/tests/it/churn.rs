//! Whatever happened before: the kernel's state is that of a cold start with the same objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use windlass_api::ObjectKey;
use windlass_dataplane::Netns;
use windlass_service_proxy::object::Service;
use windlass_service_proxy::{Options, ServiceProxy};

use super::cluster::{NODE, new_proxy, options, slice};
use super::dump::facts;
use super::lab::Host;

#[derive(Clone, Debug)]
enum Change {
    Service { name: u8, shape: u8, external: Option<u8>, port: u8 },
    NoService(u8),
    Endpoints { service: u8, slice: u8, endpoints: Vec<(u8, u8)> },
    NoEndpoints { service: u8, slice: u8 },
    Sync,
    Resync,
}

fn change() -> impl Strategy<Value = Change> {
    let endpoints = proptest::collection::vec((0..8_u8, 0..6_u8), 0..6);
    prop_oneof![
        4 => (0..5_u8, 0..10_u8, proptest::option::of(0..2_u8), 0..3_u8)
            .prop_map(|(name, shape, external, port)| Change::Service { name, shape, external, port }),
        1 => (0..5_u8).prop_map(Change::NoService),
        6 => (0..5_u8, 0..2_u8, endpoints)
            .prop_map(|(service, slice, endpoints)| Change::Endpoints { service, slice, endpoints }),
        1 => (0..5_u8, 0..2_u8).prop_map(|(service, slice)| Change::NoEndpoints { service, slice }),
        3 => Just(Change::Sync),
        1 => Just(Change::Resync),
    ]
}

/// Services of all kinds. External addresses and node ports come from a few, so that Services quarrel for them.
fn service(name: u8, shape: u8, external: Option<u8>, port: u8) -> Service {
    let node_port = 30_000 + u16::from(port);
    let stray = shape == 9;
    let address = if stray { format!("172.30.0.{name}") } else { format!("10.96.0.{name}") };
    let mut spec = json!({"clusterIP": address, "clusterIPs": [address], "type": "ClusterIP",
        "ports": [{"name": "tcp", "port": 80, "protocol": "TCP"}, {"name": "udp", "port": 80 + port, "protocol": "UDP"}]});
    let mut status = json!({});
    if (3..8).contains(&shape) {
        spec["type"] = json!("LoadBalancer");
        spec["ports"][0]["nodePort"] = json!(node_port);
        status = json!({"loadBalancer": {"ingress": [{"ip": format!("198.51.100.{port}")}]}});
    }
    match shape {
        1 | 4 => spec["sessionAffinity"] = json!("ClientIP"),
        2 | 5 => spec["internalTrafficPolicy"] = json!("Local"),
        6 => spec["externalTrafficPolicy"] = json!("Local"),
        7 => {
            spec["externalTrafficPolicy"] = json!("Local");
            spec["sessionAffinity"] = json!("ClientIP");
            spec["loadBalancerSourceRanges"] = json!([format!("10.{port}.0.0/16"), "172.16.0.0/12"]);
        }
        8 => spec["clusterIP"] = json!("None"),
        _ => {}
    }
    if let Some(external) = external {
        spec["externalIPs"] = json!([format!("203.0.113.{external}")]);
    }
    Service::from_json(json!({"spec": spec, "status": status}).to_string().as_bytes()).unwrap()
}

fn endpoint((number, state): (u8, u8)) -> Value {
    let node = if number % 2 == 0 { NODE } else { "other" };
    let (ready, serving, terminating) = match state {
        0 => (false, false, false),
        1 => (false, true, true),
        _ => (true, true, false),
    };
    json!({"addresses": [format!("10.244.0.{number}")], "nodeName": node,
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating}})
}

fn service_key(name: u8) -> ObjectKey {
    ObjectKey::new("ns", format!("svc-{name}"))
}

fn slice_key(service: u8, slice: u8) -> ObjectKey {
    ObjectKey::new("ns", format!("svc-{service}-{slice}"))
}

fn options_of_ipv4() -> Options {
    let mut options = options();
    options.service_cidrs.truncate(1);
    options
}

fn perform(proxy: &ServiceProxy, change: &Change) {
    match change {
        Change::Service { name, shape, external, port } => {
            let service = service(*name, *shape, *external, *port);
            proxy.service_changed(service_key(*name), Some(&service));
        }
        Change::NoService(name) => proxy.service_changed(service_key(*name), None),
        Change::Endpoints { service, slice: number, endpoints } => {
            let endpoints = endpoints.iter().copied().map(endpoint).collect();
            let slice = slice(&service_key(*service).name, "IPv4", endpoints);
            proxy.endpoint_slice_changed(slice_key(*service, *number), Some(&slice));
        }
        Change::NoEndpoints { service, slice } => proxy.endpoint_slice_changed(slice_key(*service, *slice), None),
        Change::Sync => {}
        Change::Resync => proxy.resync(),
    }
}

/// The last change of each object, which is all that a proxy that starts now hears of.
fn last_changes(changes: &[Change]) -> Vec<&Change> {
    let mut last: BTreeMap<String, &Change> = BTreeMap::new();
    for change in changes {
        let object = match change {
            Change::Service { name, .. } | Change::NoService(name) => service_key(*name).to_string(),
            Change::Endpoints { service, slice, .. } | Change::NoEndpoints { service, slice } => {
                slice_key(*service, *slice).to_string()
            }
            Change::Sync | Change::Resync => continue,
        };
        last.insert(object, change);
    }
    last.into_values().collect()
}

fn check(changes: &[Change]) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (lived, cold) = (Host::new(), Host::new());
    let start = |netns: &Arc<Netns>| {
        let proxy = new_proxy(options_of_ipv4(), netns);
        proxy.initialized();
        proxy
    };
    let proxy = start(&lived.netns);
    for change in changes {
        perform(&proxy, change);
        if matches!(change, Change::Sync | Change::Resync) {
            runtime.block_on(proxy.sync()).unwrap();
        }
    }
    runtime.block_on(proxy.sync()).unwrap();
    let fresh = start(&cold.netns);
    let last = last_changes(changes);
    last.iter().for_each(|change| perform(&fresh, change));
    runtime.block_on(fresh.sync()).unwrap();
    prop_assert_eq!(facts(&lived.netns), facts(&cold.netns));

    // What the proxy believes is what the kernel holds.
    proxy.resync();
    let report = runtime.block_on(proxy.sync()).unwrap();
    prop_assert_eq!((report.elements_added, report.elements_removed), (0, 0));

    // A proxy that starts over the old one's table ends there too.
    let restarted = start(&lived.netns);
    last.iter().for_each(|change| perform(&restarted, change));
    runtime.block_on(restarted.sync()).unwrap();
    prop_assert_eq!(facts(&lived.netns), facts(&cold.netns));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn any_history_ends_as_a_cold_start(changes in proptest::collection::vec(change(), 1..60)) {
        check(&changes)?;
    }
}

/// One long history, from a fixed seed.
#[test]
fn a_thousand_changes_end_as_a_cold_start() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = proptest::collection::vec(change(), 1000..1001);
    let changes = strategy.new_tree(&mut runner).unwrap().current();
    check(&changes).unwrap();
}
