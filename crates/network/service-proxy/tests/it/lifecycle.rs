//! Start, restart, running by itself, health checks, and removal.

use std::sync::Arc;

use serde_json::json;
use windlass_api::ObjectKey;
use windlass_dataplane::nftables::{Family, Nftables};
use windlass_dataplane::route::Rtnetlink;
use windlass_eventually::until_true;
use windlass_service_proxy::health::serve_proxy_health;
use windlass_service_proxy::object::{Node, Service};
use windlass_service_proxy::service_route;

use super::cluster::{Cluster, NODE, new_proxy, node_ports, options, slice, web_spec};

#[test]
fn a_restart_leaves_connections_and_rules_alone() {
    let cluster = Cluster::new();
    let pod = cluster.pod(2, NODE);
    cluster.web(json!({"type": "NodePort", "ports": node_ports()}), &[&pod]);
    let restarted = new_proxy(options(), &cluster.node.netns);
    // Before it knows all objects the new proxy touches nothing.
    assert_eq!(cluster.block_on(restarted.sync()).unwrap(), Default::default());
    let service = json!({"spec": web_spec(json!({"type": "NodePort", "ports": node_ports()}))}).to_string();
    let service = Service::from_json(service.as_bytes()).unwrap();
    restarted.service_changed(ObjectKey::new("default", "web"), Some(&service));
    assert!(cluster.node.ask("10.96.0.10:80").is_ok());
    let endpoints = vec![json!({"addresses": [pod.address], "nodeName": NODE})];
    restarted.endpoint_slice_changed(ObjectKey::new("default", "web-1"), Some(&slice("web", "IPv4", endpoints)));
    restarted.initialized();
    let report = cluster.block_on(restarted.sync()).unwrap();
    assert!(report.resynced);
    assert_eq!((report.elements_added, report.elements_removed), (0, 0));
    assert_eq!(cluster.block_on(restarted.sync()).unwrap(), Default::default());
}

#[test]
fn what_others_destroy_comes_back() {
    let cluster = Cluster::new();
    let pod = cluster.pod(2, NODE);
    cluster.web(json!({}), &[&pod]);
    let mut nftables = Nftables::open(&cluster.node.netns).unwrap();
    nftables.delete_table(Family::Ipv4, "windlass-services").unwrap();
    Rtnetlink::open(&cluster.node.netns).unwrap().sync_routes(service_route::ROUTE_PROTOCOL, &[]).unwrap();
    assert!(cluster.node.ask("10.96.0.10:80").is_err());
    cluster.proxy.resync();
    assert!(cluster.sync().resynced);
    assert!(cluster.node.ask("10.96.0.10:80").is_ok());
    // A change finds out by itself that the table is gone.
    nftables.delete_table(Family::Ipv4, "windlass-services").unwrap();
    cluster.set_endpoints("web", &[]);
    cluster.sync();
    cluster.set_endpoints("web", &[&pod]);
    cluster.sync();
    assert!(cluster.node.ask("10.96.0.10:80").is_ok());
}

#[test]
fn running_by_itself_it_follows_readiness() {
    let cluster = Cluster::new();
    let (first, second) = (cluster.pod(2, NODE), cluster.pod(3, NODE));
    cluster.web(json!({}), &[&first]);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let proxy = cluster.proxy.clone();
    cluster.block_on(async {
        let running = tokio::spawn(async move { proxy.run(async { drop(stopped.await) }).await });
        for (pod, name) in [(&second, "pod3 "), (&first, "pod2 "), (&second, "pod3 ")] {
            cluster.set_endpoints("web", &[pod]);
            let answers = async || {
                let answer = tokio::task::block_in_place(|| first.host.ask("10.96.0.10:80"));
                answer.is_ok_and(|answer| answer.starts_with(name))
            };
            until_true("an answer of the pod", answers).await;
        }
        stop.send(()).unwrap();
        running.await.unwrap();
    });
    assert!(first.host.ask("10.96.0.10:80").is_ok(), "what is programmed outlives the proxy");
}

#[test]
fn health_checks_of_services_and_of_the_proxy() {
    let cluster = Cluster::new();
    let (here, there) = (cluster.pod(2, NODE), cluster.pod(3, "node-2"));
    let spec =
        web_spec(json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 31000}));
    cluster.set_service("web", spec, json!({}));
    cluster.set_endpoints("web", &[&there]);
    let get = |address: &str, path: &str| {
        let address = address.to_owned();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        cluster.outside.run(move || {
            use std::io::{Read, Write};
            let mut stream = std::net::TcpStream::connect(address).ok()?;
            stream.write_all(request.as_bytes()).ok()?;
            let mut text = String::new();
            stream.read_to_string(&mut text).ok()?;
            Some(text)
        })
    };
    cluster.sync();
    let answer = get("192.0.2.1:31000", "/").unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("x-load-balancing-endpoint-weight: 0"), "{answer}");
    cluster.set_endpoints("web", &[&there, &here]);
    cluster.sync();
    let answer = get("192.0.2.1:31000", "/healthz").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"localEndpoints\": 1"), "{answer}");
    cluster.remove_service("web");
    cluster.sync();
    cluster.block_on(until_true("the end of the health check", async || get("192.0.2.1:31000", "/").is_none()));

    let listener = cluster.node.run(|| std::net::TcpListener::bind("192.0.2.1:10256")).unwrap();
    listener.set_nonblocking(true).unwrap();
    let health = Arc::clone(cluster.proxy.health());
    let server = cluster.spawn(async move {
        serve_proxy_health(tokio::net::TcpListener::from_std(listener).unwrap(), health).await;
    });
    let answer = get("192.0.2.1:10256", "/healthz").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"nodeEligible\":true"), "{answer}");
    let removed = json!({"spec": {"taints": [{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}]}});
    let deleted = json!({"metadata": {"deletionTimestamp": "2026-11-21T06:00:00Z"}});
    for node in [Some(removed), Some(deleted), None] {
        let node: Option<Node> = node.map(|node| serde_json::from_value(node).unwrap());
        cluster.proxy.node_changed(node.as_ref());
        assert!(get("192.0.2.1:10256", "/healthz").unwrap().starts_with("HTTP/1.1 503"), "{node:?}");
        assert!(get("192.0.2.1:10256", "/livez").unwrap().starts_with("HTTP/1.1 200"), "{node:?}");
        cluster.proxy.node_changed(Some(&Node::default()));
        assert!(get("192.0.2.1:10256", "/healthz").unwrap().starts_with("HTTP/1.1 200"), "a node that stays");
    }
    assert!(get("192.0.2.1:10256", "/").unwrap().starts_with("HTTP/1.1 404"));
    server.abort();
}

#[test]
fn a_zone_and_ranges_can_change() {
    let cluster = Cluster::new();
    let (near, far) = (cluster.pod(2, NODE), cluster.pod(3, "node-2"));
    cluster.web(json!({}), &[]);
    let endpoint = |pod: &super::cluster::Pod, zone: &str| json!({"addresses": [pod.address], "nodeName": pod.node, "hints": {"forZones": [{"name": zone}]}});
    cluster.set_slice("web", vec![endpoint(&near, "a"), endpoint(&far, "b")]);
    for (zone, expected) in [("a", "pod2 "), ("b", "pod3 ")] {
        cluster.proxy.reconfigure(windlass_service_proxy::Options { zone: Some(zone.into()), ..options() });
        cluster.sync();
        for _ in 0..8 {
            assert!(near.host.ask("10.96.0.10:80").unwrap().starts_with(expected));
        }
    }
    // Without its range the Service is a stray, which works all the same and is refused all the same.
    cluster.node.add_route("0.0.0.0/0", "192.0.2.2");
    let mut other = options();
    other.service_cidrs = vec!["10.97.0.0/16".parse().unwrap()];
    cluster.proxy.reconfigure(other);
    cluster.sync();
    assert!(near.host.ask("10.96.0.10:80").is_ok());
    let refused = |address: &str| near.host.ask(address).unwrap_err().raw_os_error() == Some(libc::ECONNREFUSED);
    assert!(refused("10.96.0.10:81") && refused("10.97.1.1:80"));
}

#[test]
fn nothing_stays_behind() {
    let cluster = Cluster::new();
    let pod = cluster.pod(2, NODE);
    cluster.web(json!({"sessionAffinity": "ClientIP"}), &[&pod]);
    cluster.block_on(windlass_service_proxy::remove(Arc::clone(&cluster.node.netns))).unwrap();
    let mut nftables = Nftables::open(&cluster.node.netns).unwrap();
    for family in [Family::Ipv4, Family::Ipv6] {
        assert!(!nftables.table_exists(family, "windlass-services").unwrap());
    }
    let routes = Rtnetlink::open(&cluster.node.netns).unwrap().routes().unwrap();
    assert!(routes.iter().all(|route| route.protocol != service_route::ROUTE_PROTOCOL));
}

#[test]
fn nft_lists_everything() {
    let cluster = Cluster::new();
    let (here, there) = (cluster.pod(2, NODE), cluster.pod(3, "node-2"));
    let spec = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "ports": node_ports(),
        "sessionAffinity": "ClientIP", "loadBalancerSourceRanges": ["10.0.0.0/8"]});
    cluster.set_service("web", web_spec(spec), json!({"loadBalancer": {"ingress": [{"ip": "198.51.100.9"}]}}));
    cluster.set_endpoints("web", &[&here, &there]);
    cluster.set_service("plain", web_spec(json!({"clusterIP": "10.96.0.11", "clusterIPs": ["10.96.0.11"]})), json!({}));
    cluster.set_endpoints("plain", &[&here]);
    cluster.sync();
    here.host.ask("10.96.0.10:80").unwrap();
    let namespace = format!("--net={}", cluster.node.netns.path().display());
    let output = std::process::Command::new("nsenter").arg(namespace).args(["nft", "list", "ruleset"]).output();
    let Some(output) = output.ok().filter(|output| output.status.code() != Some(127)) else { return };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for part in ["goto pick-1", "node-port-external-2-or-local-1-affinity-10800", "update @affinity", "table ip6"] {
        assert!(text.contains(part), "nft does not show {part}:\n{text}");
    }
}
