//! What our plugin makes, with traffic.

use serde_json::json;
use windlass_cni::plugin::{PluginOptions, prepare_node, remove_node};
use windlass_cni::{Attachment, NetworkConfig, ValidAttachment};
use windlass_dataplane::nftables::{Batch, Family, Nftables};
use windlass_dataplane::route::Rtnetlink;

use super::lab::{Host, IMPATIENCE, say};
use super::node::Node;

/// Links of the node other than its own.
fn pod_links(node: &Node) -> usize {
    let links = Rtnetlink::open(&node.host.netns).unwrap().links().unwrap();
    links.iter().filter(|link| link.name.starts_with("wl")).count()
}

#[test]
fn pods_reach_pods_and_the_node_and_are_reached() {
    let node = Node::new(false);
    let (a, b) = (node.add(&node.network(), "a"), node.add(&node.network(), "b"));
    assert_eq!((a.ip(), b.ip()), ("10.244.0.2".into(), "10.244.0.3".into()));
    let _server = b.host.serve("0.0.0.0:80", "b");
    assert_eq!(a.host.ask("10.244.0.3:80").unwrap(), "b 10.244.0.2");
    assert_eq!(b.host.ask("10.244.0.3:80").unwrap(), "b 10.244.0.3");
    assert_eq!(node.host.ask("10.244.0.3:80").unwrap(), "b 192.0.2.1");
    let _node_server = node.host.serve("192.0.2.1:80", "node");
    assert_eq!(a.host.ask("192.0.2.1:80").unwrap(), "node 10.244.0.2");
    node.check(&a).unwrap();
    node.check(&b).unwrap();

    // What nobody has is refused at once, although the node has no default route.
    let refused = a.host.ask("10.244.0.99:80").unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EHOSTUNREACH), "{refused}");
    let refused = node.host.ask("10.244.7.7:80").unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EHOSTUNREACH), "{refused}");

    node.del(&a);
    node.del(&a);
    assert_eq!(pod_links(&node), 1);
    node.del(&b);
    assert_eq!(pod_links(&node), 0);
}

#[test]
fn a_default_route_takes_only_what_leaves_the_cluster() {
    let node = Node::new(true);
    node.host.add_route("0.0.0.0/0", "192.0.2.2");
    // The outside world answers to everything, so a packet that got there would connect.
    node.outside.add_address("lo", "10.244.0.77/32");
    node.outside.add_address("lo", "10.244.9.9/32");
    let _trap = node.outside.serve("0.0.0.0:80", "outside");
    let pod = node.add(&node.network(), "a");
    assert_eq!(pod.host.ask("198.51.100.1:80").unwrap(), "outside 192.0.2.1");
    for address in ["10.244.0.77:80", "10.244.9.9:80"] {
        for host in [&pod.host, &node.host] {
            assert_eq!(host.ask(address).unwrap_err().raw_os_error(), Some(libc::EHOSTUNREACH), "{address}");
        }
    }
}

#[test]
fn what_leaves_the_cluster_gets_the_nodes_address() {
    let node = Node::new(true);
    let mut options = node.options();
    options.non_masquerade_cidrs = vec!["192.0.2.0/24".parse().unwrap()];
    node.outside.add_route("10.244.0.0/16", "192.0.2.1");
    let _server = node.outside.serve("0.0.0.0:80", "outside");
    let pod = node.add(&node.network(), "a");
    assert_eq!(pod.host.ask("192.0.2.2:80").unwrap(), "outside 192.0.2.1");
    assert_eq!(pod.host.ask("198.51.100.1:80").unwrap(), "outside 192.0.2.1");
    // The node's part follows its options.
    node.host.run(|| prepare_node(&options)).unwrap();
    assert_eq!(pod.host.ask("192.0.2.2:80").unwrap(), "outside 10.244.0.2");
    assert_eq!(pod.host.ask("198.51.100.1:80").unwrap(), "outside 192.0.2.1");
    options.ip_masq = false;
    node.host.run(|| prepare_node(&options)).unwrap();
    assert_eq!(pod.host.ask("198.51.100.1:80").unwrap(), "outside 10.244.0.2");
    node.host.run(|| remove_node(&options)).unwrap();
    assert_eq!(pod_links(&node), 0);
    node.del(&pod);
}

#[test]
fn both_families() {
    let node = Node::new(true);
    let mut options = node.options();
    options.subnets.push("fd00:10:244::/64".parse().unwrap());
    options.cluster_cidrs.push("fd00:10::/32".parse().unwrap());
    options.node_ips.push("2001:db8::1".parse().unwrap());
    let network = NetworkConfig::from_list(options.conflist("dual").as_bytes()).unwrap();
    let (a, b) = (node.add(&network, "a"), node.add(&network, "b"));
    assert_eq!(b.result.sandbox_addresses().len(), 2);
    let _server = b.host.serve("[::]:80", "b");
    assert_eq!(a.host.ask("[fd00:10:244::3]:80").unwrap(), "b fd00:10:244::2");
    assert_eq!(a.host.ask("10.244.0.3:80").unwrap(), "b ::ffff:10.244.0.2");
    assert_eq!(node.host.ask("[fd00:10:244::3]:80").unwrap(), "b 2001:db8::1");
    let _outside = node.outside.serve("[::]:80", "outside");
    assert_eq!(a.host.ask("[2001:db8::2]:80").unwrap(), "outside 2001:db8::1");
    let refused = a.host.ask("[fd00:10:244::99]:80").unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::ENETUNREACH), "{refused}");
    node.check(&b).unwrap();
}

#[test]
fn host_ports_from_outside_from_the_node_and_from_pods() {
    let node = Node::new(false);
    let ports = json!([
        {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
        {"hostPort": 8081, "containerPort": 80, "protocol": "TCP", "hostIP": "127.0.0.1"},
        {"hostPort": 53, "containerPort": 5353, "protocol": "udp"},
    ]);
    let pod = node.add_with_ports("server", ports);
    let client = node.add(&node.network(), "client");
    let _server = pod.host.serve("0.0.0.0:80", "pod");
    let _udp = pod.host.serve_udp("0.0.0.0:5353", "pod");
    // From outside the client's own address is seen.
    assert_eq!(node.outside.ask("192.0.2.1:8080").unwrap(), "pod 192.0.2.2");
    assert_eq!(node.outside.ask_udp("192.0.2.1:53").unwrap(), "pod 192.0.2.2");
    assert_eq!(node.host.ask("192.0.2.1:8080").unwrap(), "pod 192.0.2.1");
    assert_eq!(node.host.ask("127.0.0.1:8080").unwrap(), "pod 192.0.2.1");
    assert_eq!(node.host.ask("127.0.0.1:8081").unwrap(), "pod 192.0.2.1");
    assert_eq!(node.host.ask_from("192.0.2.1", "127.0.0.1:8081").unwrap(), "pod 192.0.2.1");
    assert_eq!(node.host.ask_udp("127.0.0.1:53").unwrap(), "pod 192.0.2.1");
    assert_eq!(client.host.ask("192.0.2.1:8080").unwrap(), "pod 10.244.0.3");
    // A pod that asks itself by way of the node.
    assert_eq!(pod.host.ask("192.0.2.1:8080").unwrap(), "pod 192.0.2.1");
    // The port of the loopback address is closed on others.
    assert_eq!(node.outside.ask("192.0.2.1:8081").unwrap_err().raw_os_error(), Some(libc::ECONNREFUSED));
    node.check(&pod).unwrap();
    node.del(&pod);
    assert_eq!(node.outside.ask("192.0.2.1:8080").unwrap_err().raw_os_error(), Some(libc::ECONNREFUSED));
}

#[test]
fn neighbours_do_not_reach_the_nodes_loopback_address() {
    let node = Node::new(true);
    let _pod = node.add_with_ports("p", json!([{"hostPort": 8080, "containerPort": 80}]));
    let _secret = node.host.serve("127.0.0.1:9000", "secret");
    assert_eq!(node.host.ask("127.0.0.1:9000").unwrap(), "secret 127.0.0.1");
    // The neighbour sends packets for 127.0.0.1 to the node, which a usual router never does.
    node.outside.run(|| std::fs::write("/proc/sys/net/ipv4/conf/all/route_localnet", "1")).unwrap();
    let loopback = node.outside.link_index("lo");
    node.outside.change(|requests| requests.delete_address(loopback, "127.0.0.1/8".parse().unwrap()));
    node.outside.add_route("127.0.0.0/8", "192.0.2.1");
    assert!(node.outside.ask_within("127.0.0.1:9000", IMPATIENCE).is_err());
}

#[test]
fn a_udp_port_that_changes_hands_is_not_remembered() {
    let node = Node::new(true);
    let ports = json!([{"hostPort": 53, "containerPort": 53, "protocol": "udp"}]);
    let first = node.add_with_ports("first", ports.clone());
    let _first_server = first.host.serve_udp("0.0.0.0:53", "first");
    let client = node.outside.udp_client("192.0.2.2:999");
    assert_eq!(say(&client, "192.0.2.1:53", super::lab::PATIENCE).unwrap(), "first 192.0.2.2");
    // The new pod comes before the old one goes, as in a rolling update; the old one's DEL must not take its port away.
    let second = node.add_with_ports("second", ports);
    let _second_server = second.host.serve_udp("0.0.0.0:53", "second");
    assert_eq!(say(&client, "192.0.2.1:53", super::lab::PATIENCE).unwrap(), "second 192.0.2.2");
    node.del(&first);
    assert_eq!(say(&client, "192.0.2.1:53", super::lab::PATIENCE).unwrap(), "second 192.0.2.2");
    node.check(&second).unwrap();
    node.del(&second);
    assert!(say(&client, "192.0.2.1:53", IMPATIENCE).is_err());
}

#[test]
fn check_finds_what_is_broken() {
    let node = Node::new(true);
    let ports = json!([{"hostPort": 80, "containerPort": 80}]);
    let pod = node.add_with_ports("a", ports.clone());
    node.check(&pod).unwrap();
    let mut nftables = Nftables::open(&node.host.netns).unwrap();
    let mut batch = Batch::new(Family::Ipv4, "windlass-hostports");
    batch.flush_set("host-ports");
    batch.send(&mut nftables).unwrap();
    assert!(node.check(&pod).unwrap_err().contains("host port 80 does not lead to 10.244.0.2"));

    let pod = node.add_with_ports("b", ports);
    let index = pod.host.link_index("eth0");
    pod.host.change(|requests| requests.delete_address(index, "10.244.0.3/32".parse().unwrap()));
    assert!(node.check(&pod).unwrap_err().contains("has lost address 10.244.0.3"));

    let pod = node.add(&node.network(), "c");
    pod.host.change(|requests| requests.delete_link("eth0"));
    assert!(node.check(&pod).unwrap_err().contains("is missing or down"));
}

#[test]
fn a_sandbox_that_has_the_interface_keeps_it() {
    let node = Node::new(true);
    let pod = node.add(&node.network(), "a");
    let again = node.block_on(node.cni.add(&node.network(), &pod.attachment)).unwrap_err();
    assert_eq!(again.plugin_error().unwrap().code, 100, "{again:?}");
    node.check(&pod).unwrap();

    let own = Attachment { netns: Some(node.host.netns.path().to_owned()), ..Attachment::new("b", "eth0") };
    let error = node.block_on(node.cni.add(&node.network(), &own)).unwrap_err();
    assert_eq!(error.plugin_error().unwrap().code, 8, "{error:?}");
    let gone = Attachment { netns: Some("/nowhere".into()), ..Attachment::new("b", "eth0") };
    let error = node.block_on(node.cni.add(&node.network(), &gone)).unwrap_err();
    assert_eq!(error.plugin_error().unwrap().code, 8, "{error:?}");
    assert_eq!(pod_links(&node), 1);
}

#[test]
fn an_exhausted_range_is_said_and_nothing_stays_behind() {
    let node = Node::new(true);
    let options = PluginOptions { subnets: vec!["10.244.0.0/29".parse().unwrap()], ..node.options() };
    let network = NetworkConfig::from_list(options.conflist("small").as_bytes()).unwrap();
    let pods: Vec<_> = (0..5).map(|number| node.add(&network, &format!("p{number}"))).collect();
    let error = node.try_add(&network, "one-too-many", json!([])).err().unwrap();
    assert!(error.contains("no address is left in 10.244.0.0/29: all 5 are in use"), "{error}");
    let status = node.block_on(node.cni.status(&network)).unwrap_err();
    assert_eq!(status.plugin_error().unwrap().code, 50);
    assert_eq!(pod_links(&node), 5);
    node.del(&pods[2]);
    node.block_on(node.cni.status(&network)).unwrap();
    assert_eq!(node.add(&network, "next").ip(), pods[2].ip());
}

#[test]
fn garbage_goes_and_the_rest_stays() {
    let node = Node::new(false);
    let ports = |port: u16| json!([{"hostPort": port, "containerPort": 80}]);
    let (kept, lost) = (node.add_with_ports("kept", ports(81)), node.add_with_ports("lost", ports(82)));
    // As after a crash of the runtime: its cache is gone, so only the plugin knows of the attachment.
    #[expect(clippy::disallowed_methods, reason = "a tree that nobody else shapes")]
    std::fs::remove_dir_all(node.dir.path().join("cache")).unwrap();
    let valid = [ValidAttachment { container_id: "kept".into(), ifname: "eth0".into() }];
    node.block_on(node.cni.gc(&node.network(), &valid)).unwrap();
    assert_eq!(pod_links(&node), 1);
    let _server = kept.host.serve("0.0.0.0:80", "kept");
    assert_eq!(node.outside.ask("192.0.2.1:81").unwrap(), "kept 192.0.2.2");
    assert!(node.outside.ask("192.0.2.1:82").is_err());
    let state = std::fs::read_to_string(node.dir.path().join("ipam/windlass.json")).unwrap();
    assert!(!state.contains("lost") && state.contains("kept"), "{state}");
    drop(lost);
}

#[test]
fn many_at_the_same_time() {
    let node = Node::new(true);
    let network = node.network();
    let hosts: Vec<Host> = (0..24).map(|_| Host::new()).collect();
    let add = |number: usize| {
        let capabilities = json!({"portMappings": [{"hostPort": 1000 + number, "containerPort": 80}]});
        let attachment = Attachment {
            netns: Some(hosts[number].netns.path().to_owned()),
            capabilities: capabilities.as_object().unwrap().clone(),
            ..Attachment::new(format!("pod-{number}"), "eth0")
        };
        let (cni, network) = (&node.cni, &network);
        async move { cni.add(network, &attachment).await.unwrap().sandbox_addresses()[0] }
    };
    let addresses = node.block_on(async {
        let mut all = std::collections::BTreeSet::new();
        let futures: Vec<_> = (0..24).map(add).map(Box::pin).collect();
        for address in join_all(futures).await {
            all.insert(address);
        }
        all
    });
    assert_eq!(addresses.len(), 24);
    assert_eq!(pod_links(&node), 24);
    let _server = hosts[17].serve("0.0.0.0:80", "seventeen");
    assert_eq!(node.outside.ask("192.0.2.1:1017").unwrap(), "seventeen 192.0.2.2");
}

/// Polls all futures until the last is done.
async fn join_all<F: Future + Unpin>(mut futures: Vec<F>) -> Vec<F::Output> {
    let mut results: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, result) in futures.iter_mut().zip(&mut results) {
            if result.is_none() {
                match std::pin::Pin::new(future).poll(context) {
                    std::task::Poll::Ready(value) => *result = Some(value),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    results.into_iter().flatten().collect()
}

#[test]
fn nft_lists_our_tables() {
    let node = Node::new(true);
    let _pod = node.add_with_ports("a", json!([{"hostPort": 80, "containerPort": 80}]));
    let namespace = format!("--net={}", node.host.netns.path().display());
    let output = std::process::Command::new("nsenter").arg(namespace).args(["nft", "list", "ruleset"]).output();
    let Some(output) = output.ok().filter(|output| output.status.code() != Some(127)) else { return };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        text.contains("table ip windlass-egress") && text.contains("0.0.0.0 . tcp . 80 comment \"a eth0\""),
        "{text}"
    );
}
