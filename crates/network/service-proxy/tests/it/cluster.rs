//! A cluster in the laboratory: one node with a proxy, pods, and the outside world.

use std::sync::Arc;

use serde_json::{Value, json};
use windlass_api::ObjectKey;
use windlass_api::time::Clock;
use windlass_dataplane::Netns;
use windlass_service_proxy::object::{EndpointSlice, Service};
use windlass_service_proxy::{LocalTraffic, Options, ServiceProxy, SyncReport};

use super::lab::{Host, Server};

pub(crate) const NODE: &str = "node-1";

/// The node has 192.0.2.1 and 2001:db8::1; the outside world has 192.0.2.2 and 2001:db8::2 and no route to pods. There is no
/// default route unless a test makes one.
pub(crate) struct Cluster {
    pub(crate) node: Host,
    pub(crate) outside: Host,
    pub(crate) proxy: ServiceProxy,
    runtime: tokio::runtime::Runtime,
}

pub(crate) struct Pod {
    pub(crate) host: Host,
    pub(crate) address: String,
    pub(crate) node: &'static str,
    _servers: Vec<Server>,
}

pub(crate) fn options() -> Options {
    let cidrs = ["10.244.0.0/16", "fd00:10:244::/48"].map(|net| net.parse().unwrap());
    Options {
        local_traffic: LocalTraffic::Cidrs(cidrs.to_vec()),
        ..Options::new(
            NODE,
            vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            vec!["10.96.0.0/16".parse().unwrap(), "fd00:10:96::/108".parse().unwrap()],
        )
    }
}

pub(crate) fn new_proxy(options: Options, netns: &Arc<Netns>) -> ServiceProxy {
    ServiceProxy::new(options, Arc::clone(netns), Clock::system(), &windlass_telemetry::Metrics::default())
}

impl Cluster {
    pub(crate) fn new() -> Self {
        Self::with(options())
    }

    pub(crate) fn with(options: Options) -> Self {
        let (node, outside) = (Host::new(), Host::new());
        node.connect(
            "uplink",
            &["192.0.2.1/24", "2001:db8::1/64"],
            &outside,
            "uplink",
            &["192.0.2.2/24", "2001:db8::2/64"],
        );
        node.sysctl("net/ipv4/ip_forward", "1");
        node.sysctl("net/ipv6/conf/all/forwarding", "1");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let proxy = new_proxy(options, &node.netns);
        proxy.initialized();
        Self { node, outside, proxy, runtime }
    }

    /// A pod that serves TCP and UDP on port 8080 and says its number.
    pub(crate) fn pod(&self, number: u8, node: &'static str) -> Pod {
        self.pod_at(number, &format!("10.244.0.{number}"), node)
    }

    pub(crate) fn pod_at(&self, number: u8, address: &str, node: &'static str) -> Pod {
        let host = self.node.add_pod(&format!("pod{number}"), address);
        let any = if address.contains(':') { "[::]:8080" } else { "0.0.0.0:8080" };
        let name = format!("pod{number}");
        let servers = vec![host.serve(any, &name), host.serve_udp(any, &name)];
        Pod { host, address: address.to_owned(), node, _servers: servers }
    }

    pub(crate) fn set_service(&self, name: &str, spec: Value, status: Value) {
        let object = json!({ "spec": spec, "status": status });
        let service = Service::from_json(object.to_string().as_bytes()).unwrap();
        self.proxy.service_changed(ObjectKey::new("default", name), Some(&service));
    }

    pub(crate) fn remove_service(&self, name: &str) {
        self.proxy.service_changed(ObjectKey::new("default", name), None);
        self.proxy.endpoint_slice_changed(ObjectKey::new("default", format!("{name}-1")), None);
    }

    /// Makes these pods, all ready, the endpoints of a Service's ports `tcp` and `udp`.
    pub(crate) fn set_endpoints(&self, name: &str, pods: &[&Pod]) {
        let endpoints: Vec<Value> =
            pods.iter().map(|pod| json!({"addresses": [pod.address], "nodeName": pod.node})).collect();
        self.set_slice(name, endpoints);
    }

    pub(crate) fn set_slice(&self, name: &str, endpoints: Vec<Value>) {
        let ipv6 = endpoints.first().is_some_and(|endpoint| endpoint["addresses"][0].as_str().unwrap().contains(':'));
        let object = slice(name, if ipv6 { "IPv6" } else { "IPv4" }, endpoints);
        self.proxy.endpoint_slice_changed(ObjectKey::new("default", format!("{name}-1")), Some(&object));
    }

    pub(crate) fn sync(&self) -> SyncReport {
        self.block_on(self.proxy.sync()).unwrap()
    }

    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
        self.runtime.spawn(future)
    }

    /// A Service `web` at 10.96.0.10, port 80 for both protocols, with these endpoints.
    pub(crate) fn web(&self, extra: Value, pods: &[&Pod]) {
        self.set_service("web", web_spec(extra), json!({}));
        self.set_endpoints("web", pods);
        self.sync();
    }
}

/// `extra` is laid over the usual specification.
pub(crate) fn web_spec(extra: Value) -> Value {
    let mut spec = json!({
        "clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10"], "type": "ClusterIP",
        "ports": [{"name": "tcp", "port": 80, "protocol": "TCP"}, {"name": "udp", "port": 80, "protocol": "UDP"}],
    });
    for (key, value) in extra.as_object().unwrap() {
        spec[key] = value.clone();
    }
    spec
}

/// The ports of a NodePort Service.
pub(crate) fn node_ports() -> Value {
    json!([{"name": "tcp", "port": 80, "protocol": "TCP", "nodePort": 30080},
        {"name": "udp", "port": 80, "protocol": "UDP", "nodePort": 30080}])
}

pub(crate) fn slice(service: &str, family: &str, endpoints: Vec<Value>) -> EndpointSlice {
    let object = json!({
        "metadata": {"labels": {"kubernetes.io/service-name": service}}, "addressType": family,
        "ports": [{"name": "tcp", "port": 8080, "protocol": "TCP"}, {"name": "udp", "port": 8080, "protocol": "UDP"}],
        "endpoints": endpoints,
    });
    EndpointSlice::from_json(object.to_string().as_bytes()).unwrap()
}
