//! Who reaches what, and who is seen there.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::cluster::{Cluster, NODE, Pod, node_ports, options, web_spec};
use super::lab::{Host, IMPATIENCE, PATIENCE, say};
use windlass_eventually::until_true;

fn refused(result: std::io::Result<String>) -> bool {
    result.as_ref().err().and_then(std::io::Error::raw_os_error) == Some(libc::ECONNREFUSED)
}

/// How often each endpoint answered.
fn counts(client: &Host, address: &str, times: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..times {
        let answer = client.ask(address).unwrap();
        *counts.entry(answer.split(' ').next().unwrap().to_owned()).or_default() += 1;
    }
    counts
}

#[test]
fn a_cluster_ip_is_shared_evenly() {
    let cluster = Cluster::new();
    let pods: Vec<Pod> = (2..5).map(|number| cluster.pod(number, NODE)).collect();
    let client = cluster.pod(9, NODE);
    cluster.web(json!({}), &pods.iter().collect::<Vec<_>>());
    let counts = counts(&client.host, "10.96.0.10:80", 900);
    // Three hundred each; the standard deviation is 14.
    assert!(counts.len() == 3 && counts.values().all(|count| (215..385).contains(count)), "{counts:?}");
    // Pods are seen under their own addresses, processes of the node under the node's.
    assert!(client.host.ask("10.96.0.10:80").unwrap().ends_with(" 10.244.0.9"));
    assert!(cluster.node.ask("10.96.0.10:80").unwrap().ends_with(" 192.0.2.1"));
    assert!(client.host.ask_udp("10.96.0.10:80").unwrap().ends_with(" 10.244.0.9"));
    assert!(cluster.node.ask_udp("10.96.0.10:80").unwrap().ends_with(" 192.0.2.1"));
}

#[test]
fn what_nobody_serves_is_refused_and_never_leaves_the_node() {
    let cluster = Cluster::new();
    cluster.node.add_route("0.0.0.0/0", "192.0.2.2");
    for address in ["10.96.0.10/32", "10.96.7.7/32"] {
        cluster.outside.add_address("lo", address);
    }
    let _trap = cluster.outside.serve("0.0.0.0:80", "outside");
    let pod = cluster.pod(2, NODE);
    cluster.web(json!({"type": "NodePort", "ports": node_ports(), "externalIPs": ["198.51.100.9"]}), &[]);
    for client in [&pod.host, &cluster.node] {
        // No endpoints; an unknown port; an unknown address; an external address without endpoints.
        for address in ["10.96.0.10:80", "10.96.0.10:81", "10.96.7.7:80", "198.51.100.9:80"] {
            assert!(refused(client.ask(address)), "{address}");
        }
    }
    assert!(refused(cluster.outside.ask("192.0.2.1:30080")));
    assert!(refused(cluster.node.ask("127.0.0.1:30080")));
    let error = cluster.node.ask_udp("10.96.0.10:80");
    assert!(error.is_err());
    // With an endpoint all of it answers, and without one it is refused again.
    cluster.set_endpoints("web", &[&pod]);
    cluster.sync();
    for (client, address) in [
        (&pod.host, "198.51.100.9:80"),
        (&cluster.node, "10.96.0.10:80"),
        (&cluster.node, "127.0.0.1:30080"),
        (&cluster.outside, "192.0.2.1:30080"),
    ] {
        assert!(client.ask(address).unwrap().starts_with("pod2 "), "{address}");
    }
    cluster.set_endpoints("web", &[]);
    cluster.sync();
    assert!(refused(cluster.outside.ask("192.0.2.1:30080")));
    assert!(refused(pod.host.ask("10.96.0.10:80")));
    cluster.remove_service("web");
    cluster.sync();
    assert!(refused(pod.host.ask("10.96.0.10:80")));
}

#[test]
fn node_ports_on_all_addresses_of_the_node() {
    let cluster = Cluster::new();
    let pod = cluster.pod(2, NODE);
    let client = cluster.pod(9, NODE);
    cluster.node.add_address("lo", "203.0.113.5/32");
    cluster.outside.add_route("203.0.113.0/24", "192.0.2.1");
    cluster.web(json!({"type": "NodePort", "ports": node_ports()}), &[&pod]);
    for (from, address) in [
        (&cluster.outside, "192.0.2.1:30080"),
        (&cluster.outside, "203.0.113.5:30080"),
        (&cluster.node, "192.0.2.1:30080"),
        (&cluster.node, "127.0.0.1:30080"),
        (&cluster.node, "127.8.9.10:30080"),
        (&client.host, "192.0.2.1:30080"),
    ] {
        // Clients are masqueraded, by whichever of the node's addresses the kernel likes.
        for answer in [from.ask(address).unwrap(), from.ask_udp(address).unwrap()] {
            assert!(["pod2 192.0.2.1", "pod2 203.0.113.5"].contains(&answer.as_str()), "{address}: {answer}");
        }
    }
    // Another host's port of the same number is none of our business.
    let _server = cluster.outside.serve("192.0.2.2:30080", "outside");
    assert!(client.host.ask_within("192.0.2.2:30080", IMPATIENCE).is_err(), "pods have no route back");
    assert_eq!(cluster.node.ask("192.0.2.2:30080").unwrap(), "outside 192.0.2.1");
}

#[test]
fn node_ports_can_be_kept_to_some_addresses() {
    let restricted = windlass_service_proxy::Options {
        node_port_addresses: vec!["192.0.2.0/24".parse().unwrap()],
        localhost_node_ports: false,
        ..options()
    };
    let cluster = Cluster::with(restricted);
    cluster.node.add_address("lo", "203.0.113.5/32");
    cluster.outside.add_route("203.0.113.0/24", "192.0.2.1");
    let pod = cluster.pod(2, NODE);
    cluster.web(json!({"type": "NodePort", "ports": node_ports()}), &[&pod]);
    assert!(cluster.outside.ask("192.0.2.1:30080").is_ok());
    assert!(refused(cluster.outside.ask("203.0.113.5:30080")));
    assert!(refused(cluster.node.ask("127.0.0.1:30080")));
}

#[test]
fn an_endpoint_reaches_itself() {
    let cluster = Cluster::new();
    let pod = cluster.pod(2, NODE);
    cluster.web(json!({"type": "NodePort", "ports": node_ports()}), &[&pod]);
    assert_eq!(pod.host.ask("10.96.0.10:80").unwrap(), "pod2 192.0.2.1");
    assert_eq!(pod.host.ask_udp("10.96.0.10:80").unwrap(), "pod2 192.0.2.1");
    assert_eq!(pod.host.ask("192.0.2.1:30080").unwrap(), "pod2 192.0.2.1");
    // An endpoint on the node's own network.
    let _server = cluster.node.serve("192.0.2.1:8080", "node");
    cluster.set_slice("web", vec![json!({"addresses": ["192.0.2.1"], "nodeName": NODE})]);
    cluster.sync();
    for address in ["10.96.0.10:80", "192.0.2.1:30080", "127.0.0.1:30080"] {
        assert!(cluster.node.ask(address).unwrap().starts_with("node "), "{address}");
    }
    assert_eq!(pod.host.ask("10.96.0.10:80").unwrap(), "node 10.244.0.2");
}

#[test]
fn packets_from_outside_to_a_cluster_ip_are_masqueraded() {
    let cluster = Cluster::new();
    let pod = cluster.pod(2, NODE);
    cluster.outside.add_route("10.96.0.0/16", "192.0.2.1");
    cluster.web(json!({}), &[&pod]);
    assert_eq!(cluster.outside.ask("10.96.0.10:80").unwrap(), "pod2 192.0.2.1");
}

#[test]
fn external_traffic_policy_local_keeps_the_clients_address() {
    let cluster = Cluster::new();
    let (here, there) = (cluster.pod(2, NODE), cluster.pod(3, "node-2"));
    let client = cluster.pod(9, NODE);
    cluster.outside.add_route("198.51.100.0/24", "192.0.2.1");
    cluster.node.add_route("198.51.100.0/24", "192.0.2.2");
    let status = json!({"loadBalancer": {"ingress": [{"ip": "198.51.100.9"}]}});
    let spec = web_spec(json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "ports": node_ports()}));
    cluster.set_service("web", spec, status);
    cluster.set_endpoints("web", &[&here, &there]);
    cluster.sync();
    for address in ["192.0.2.1:30080", "198.51.100.9:80"] {
        for _ in 0..10 {
            assert_eq!(cluster.outside.ask(address).unwrap(), "pod2 192.0.2.2", "{address}");
        }
        // Pods and processes of the node get all endpoints.
        assert_eq!(counts(&client.host, address, 60).len(), 2, "{address}");
        assert_eq!(counts(&cluster.node, address, 60).len(), 2, "{address}");
    }
    assert_eq!(cluster.node.ask("127.0.0.1:30080").unwrap().split(' ').nth(1), Some("192.0.2.1"));
    // Without a local endpoint strangers are dropped, so that a load balancer looks elsewhere; the node's own still get there.
    cluster.set_endpoints("web", &[&there]);
    cluster.sync();
    for address in ["192.0.2.1:30080", "198.51.100.9:80"] {
        let error = cluster.outside.ask_within(address, IMPATIENCE).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut, "{address}");
        assert!(client.host.ask(address).unwrap().starts_with("pod3 "));
        assert!(cluster.node.ask(address).unwrap().starts_with("pod3 "));
    }
}

#[test]
fn internal_traffic_policy_local_stays_on_the_node() {
    let cluster = Cluster::new();
    let (here, there) = (cluster.pod(2, NODE), cluster.pod(3, "node-2"));
    cluster.web(json!({"internalTrafficPolicy": "Local"}), &[&here, &there]);
    assert_eq!(counts(&there.host, "10.96.0.10:80", 20).len(), 1);
    cluster.set_endpoints("web", &[&there]);
    cluster.sync();
    let error = here.host.ask_within("10.96.0.10:80", IMPATIENCE).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
}

#[test]
fn a_client_keeps_its_endpoint() {
    let cluster = Cluster::new();
    let pods: Vec<Pod> = (2..6).map(|number| cluster.pod(number, NODE)).collect();
    let clients: Vec<Pod> = (20..26).map(|number| cluster.pod(number, NODE)).collect();
    let all: Vec<&Pod> = pods.iter().collect();
    let affinity = json!({"sessionAffinity": "ClientIP", "type": "NodePort", "ports": node_ports()});
    cluster.web(affinity, &all);
    let mut chosen = BTreeMap::new();
    for client in &clients {
        for address in ["10.96.0.10:80", "192.0.2.1:30080"] {
            let counts = counts(&client.host, address, 12);
            assert_eq!(counts.len(), 1, "{counts:?}");
            chosen.insert((client.address.clone(), address), counts.keys().next().unwrap().clone());
        }
        assert!(client.host.ask_udp("10.96.0.10:80").is_ok());
    }
    // Twelve choices among four endpoints: that all are the same has a chance of one in four million.
    assert!(chosen.values().collect::<std::collections::BTreeSet<_>>().len() > 1);

    // A restart and other endpoints coming and going do not matter.
    let extra = cluster.pod(7, NODE);
    cluster.set_endpoints("web", &[all.as_slice(), &[&extra]].concat());
    cluster.proxy.resync();
    cluster.sync();
    for client in &clients {
        let answer = client.host.ask("10.96.0.10:80").unwrap();
        assert_eq!(answer.split(' ').next(), Some(chosen[&(client.address.clone(), "10.96.0.10:80")].as_str()));
    }

    // When the endpoint goes, the client gets another at once, and keeps that.
    let victim = chosen[&(clients[0].address.clone(), "10.96.0.10:80")].clone();
    let left: Vec<&Pod> = all.into_iter().filter(|pod| !pod.address.ends_with(&victim[3..])).collect();
    assert_eq!(left.len(), 3);
    cluster.set_endpoints("web", &left);
    cluster.sync();
    let after = counts(&clients[0].host, "10.96.0.10:80", 12);
    assert!(after.len() == 1 && !after.contains_key(&victim), "{after:?}");

    // And without affinity clients wander.
    cluster.web(json!({}), &left);
    assert!(counts(&clients[0].host, "10.96.0.10:80", 60).len() > 1);
}

#[test]
fn affinity_ends_with_its_timeout() {
    let cluster = Cluster::new();
    let pods: Vec<Pod> = (2..6).map(|number| cluster.pod(number, NODE)).collect();
    let affinity = json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 1}}});
    cluster.web(affinity, &pods.iter().collect::<Vec<_>>());
    let client = cluster.pod(9, NODE);
    // On a busy machine the second may be over before we look.
    let remembered = (0..20).any(|_| {
        client.host.ask("10.96.0.10:80").unwrap();
        super::dump::affinity_count(&cluster.node.netns) == 1
    });
    assert!(remembered);
    cluster.block_on(until_true("the end of the affinity", async || {
        super::dump::affinity_count(&cluster.node.netns) == 0
    }));
}

#[test]
fn source_ranges_keep_strangers_out() {
    let cluster = Cluster::new();
    let pod = cluster.pod(2, NODE);
    cluster.outside.add_route("198.51.100.0/24", "192.0.2.1");
    cluster.outside.add_address("uplink", "192.0.2.130/24");
    let balanced = |ranges: Value| {
        let spec = web_spec(json!({"type": "LoadBalancer", "ports": node_ports(), "loadBalancerSourceRanges": ranges}));
        cluster.set_service("web", spec, json!({"loadBalancer": {"ingress": [{"ip": "198.51.100.9"}]}}));
        cluster.set_endpoints("web", &[&pod]);
        cluster.sync();
    };
    balanced(json!(["192.0.2.128/25", "10.0.0.0/30"]));
    let probe = |from: &str| {
        let client = cluster.outside.udp_client(&format!("{from}:0"));
        say(&client, "198.51.100.9:80", IMPATIENCE).is_ok()
    };
    assert!(probe("192.0.2.130"));
    assert!(!probe("192.0.2.2"));
    // NodePorts and pods are not restricted, as upstream.
    assert!(cluster.outside.ask("192.0.2.1:30080").is_ok());
    balanced(json!([]));
    assert!(probe("192.0.2.2"));
}

#[test]
fn terminating_endpoints_serve_while_there_is_no_other() {
    let cluster = Cluster::new();
    let (old, new) = (cluster.pod(2, NODE), cluster.pod(3, NODE));
    let endpoint = |pod: &Pod, ready: bool, terminating: bool| {
        json!({"addresses": [pod.address], "nodeName": NODE,
            "conditions": {"ready": ready, "serving": true, "terminating": terminating}})
    };
    cluster.web(json!({}), &[]);
    cluster.set_slice("web", vec![endpoint(&old, false, true)]);
    cluster.sync();
    assert!(new.host.ask("10.96.0.10:80").unwrap().starts_with("pod2 "));
    cluster.set_slice("web", vec![endpoint(&old, false, true), endpoint(&new, true, false)]);
    cluster.sync();
    assert_eq!(counts(&old.host, "10.96.0.10:80", 20).keys().collect::<Vec<_>>(), ["pod3"]);
}

#[test]
fn udp_flows_leave_an_endpoint_that_is_gone() {
    let cluster = Cluster::new();
    let (first, second) = (cluster.pod(2, NODE), cluster.pod(3, NODE));
    let client = cluster.pod(9, NODE);
    cluster.web(json!({"type": "NodePort", "ports": node_ports()}), &[&first]);
    // The same sockets all along: to the kernel these are flows that never end.
    let inside = client.host.udp_client("0.0.0.0:999");
    let outside = cluster.outside.udp_client("0.0.0.0:999");
    let local = cluster.node.udp_client("127.0.0.1:999");
    let ask_all = |expected: &str| {
        for (socket, address) in
            [(&inside, "10.96.0.10:80"), (&outside, "192.0.2.1:30080"), (&local, "127.0.0.1:30080")]
        {
            assert!(say(socket, address, PATIENCE).unwrap().starts_with(expected), "{address}");
        }
    };
    ask_all("pod2 ");
    cluster.set_endpoints("web", &[&second]);
    assert_eq!(cluster.sync().flows_forgotten, 3);
    ask_all("pod3 ");
    cluster.set_endpoints("web", &[]);
    assert_eq!(cluster.sync().flows_forgotten, 3);
    assert!(say(&inside, "10.96.0.10:80", IMPATIENCE).is_err());
    // A flow that began while there was nobody finds the endpoint that comes.
    cluster.set_endpoints("web", &[&first]);
    cluster.sync();
    ask_all("pod2 ");
    // A flow that goes on to an endpoint that stays is left alone.
    cluster.set_endpoints("web", &[&first, &second]);
    assert_eq!(cluster.sync().flows_forgotten, 0);
    cluster.remove_service("web");
    assert_eq!(cluster.sync().flows_forgotten, 3);
}

#[test]
fn ipv6() {
    let cluster = Cluster::new();
    let pods: Vec<Pod> = (2..4).map(|n| cluster.pod_at(n, &format!("fd00:10:244::{n}"), NODE)).collect();
    let spec = json!({"clusterIP": "fd00:10:96::10", "clusterIPs": ["fd00:10:96::10"], "type": "NodePort",
        "sessionAffinity": "ClientIP", "ports": node_ports()});
    cluster.web(spec, &pods.iter().collect::<Vec<_>>());
    for (client, address) in [
        (&pods[0].host, "[fd00:10:96::10]:80"),
        (&cluster.node, "[fd00:10:96::10]:80"),
        (&cluster.outside, "[2001:db8::1]:30080"),
        (&cluster.node, "[2001:db8::1]:30080"),
    ] {
        assert_eq!(counts(client, address, 10).len(), 1, "{address}");
    }
    assert_eq!(cluster.outside.ask("[2001:db8::1]:30080").unwrap().split(' ').nth(1), Some("2001:db8::1"));
    assert!(refused(cluster.node.ask("[fd00:10:96::11]:80")));
    assert!(refused(pods[0].host.ask("[fd00:10:96::10]:81")));
    cluster.web(
        json!({"clusterIP": "fd00:10:96::10", "clusterIPs": ["fd00:10:96::10"]}),
        &pods.iter().collect::<Vec<_>>(),
    );
    assert_eq!(counts(&cluster.node, "[fd00:10:96::10]:80", 60).len(), 2);
}
