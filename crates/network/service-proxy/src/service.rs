//! A Service, reduced to what is programmed.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use crate::endpoints::PortName;
use crate::object::{Service, ServiceType, SessionAffinity, TrafficPolicy};

/// What is left of a Service. Addresses are of both families.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceInfo {
    pub cluster_ips: Vec<IpAddr>,
    pub external_ips: Vec<IpAddr>,
    /// Addresses of load balancers that hand packets on unchanged, so that the node may take them itself.
    pub load_balancer_ips: Vec<IpAddr>,
    /// Who may use the load balancer's addresses. Empty means everybody.
    pub source_ranges: Vec<IpNet>,
    pub ports: Vec<PortInfo>,
    /// For how many seconds a client keeps its endpoint; `None` without affinity.
    pub affinity_seconds: Option<u32>,
    /// ClusterIPs lead to this node's endpoints only.
    pub internal_local: bool,
    /// All other addresses do.
    pub external_local: bool,
    pub health_check_node_port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortInfo {
    pub name: PortName,
    pub port: u16,
    pub node_port: Option<u16>,
}

impl ServiceInfo {
    /// `None` when there is nothing to program: headless and external names, and Services of another proxy.
    pub fn new(service: &Service) -> Option<Self> {
        let spec = &service.spec;
        let other_proxy = service.metadata.labels.service_proxy_name.is_some();
        if other_proxy || spec.kind == ServiceType::ExternalName || spec.cluster_ip == "None" {
            return None;
        }
        let mut cluster_ips: Vec<IpAddr> = parse(&spec.cluster_ips);
        if cluster_ips.is_empty() {
            cluster_ips = parse(std::slice::from_ref(&spec.cluster_ip));
        }
        if cluster_ips.is_empty() {
            return None;
        }
        let external_ips = parse(&spec.external_ips);
        let is_external = spec.kind != ServiceType::ClusterIP || !external_ips.is_empty();
        let external_local = is_external && spec.external_traffic_policy == TrafficPolicy::Local;
        let needs_health_check = spec.kind == ServiceType::LoadBalancer && external_local;
        let ingress = service.status.load_balancer.ingress.iter();
        let vips = ingress.filter(|ingress| ingress.ip_mode.as_deref().unwrap_or("VIP") == "VIP");
        let vips: Vec<String> = vips.map(|ingress| ingress.ip.clone()).collect();
        Some(Self {
            cluster_ips,
            external_ips,
            load_balancer_ips: parse(&vips),
            source_ranges: source_ranges(&spec.load_balancer_source_ranges),
            ports: spec.ports.iter().map(PortInfo::new).collect(),
            affinity_seconds: (spec.session_affinity == SessionAffinity::ClientIP)
                .then_some(spec.session_affinity_config.client_ip.timeout_seconds),
            internal_local: spec.internal_traffic_policy == TrafficPolicy::Local,
            external_local,
            health_check_node_port: Some(spec.health_check_node_port).filter(|port| needs_health_check && *port != 0),
        })
    }
}

impl PortInfo {
    fn new(port: &crate::object::ServicePort) -> Self {
        Self {
            name: PortName { name: port.name.clone(), protocol: port.protocol },
            port: port.port,
            node_port: Some(port.node_port).filter(|port| *port != 0),
        }
    }
}

/// A range of all addresses is the same as no range. Validation lets spaces pass.
fn source_ranges(texts: &[String]) -> Vec<IpNet> {
    let ranges: Vec<IpNet> = parse(texts);
    let everybody = |ipv4: bool| ranges.iter().any(|net| net.prefix_len() == 0 && net.addr().is_ipv4() == ipv4);
    let restricts = |net: &IpNet| !everybody(net.addr().is_ipv4());
    ranges.iter().copied().filter(restricts).collect()
}

/// What can be read of a list of addresses or ranges.
fn parse<T: FromStr>(texts: &[String]) -> Vec<T> {
    texts.iter().filter_map(|text| text.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(json: &str) -> Option<ServiceInfo> {
        ServiceInfo::new(&Service::from_json(json.as_bytes()).unwrap())
    }

    #[test]
    fn what_is_not_programmed() {
        for json in [
            r#"{"spec":{"clusterIP":"None"}}"#,
            r#"{"spec":{"clusterIP":""}}"#,
            r#"{"spec":{"type":"ExternalName","externalName":"x"}}"#,
            r#"{"metadata":{"labels":{"service.kubernetes.io/service-proxy-name":"x"}},"spec":{"clusterIP":"10.96.0.1"}}"#,
        ] {
            assert_eq!(info(json), None, "{json}");
        }
    }

    #[test]
    fn policies_count_only_where_there_is_traffic() {
        let local = r#""externalTrafficPolicy":"Local","internalTrafficPolicy":"Local","healthCheckNodePort":31000"#;
        let with = |rest: &str| info(&format!(r#"{{"spec":{{"clusterIP":"10.96.0.1",{local}{rest}}}}}"#)).unwrap();
        assert_eq!((with("").internal_local, with("").external_local), (true, false));
        assert!(with(r#","externalIPs":["1.2.3.4"]"#).external_local);
        assert!(with(r#","type":"NodePort""#).external_local);
        assert_eq!(with(r#","type":"NodePort""#).health_check_node_port, None);
        assert_eq!(with(r#","type":"LoadBalancer""#).health_check_node_port, Some(31000));
    }

    #[test]
    fn load_balancers() {
        let service = info(
            r#"{"spec":{"clusterIP":"10.96.0.1","clusterIPs":["10.96.0.1","fd00::1"],"type":"LoadBalancer",
                "loadBalancerSourceRanges":[" 10.0.0.0/8 ","0.0.0.0/0","fd00::/8"]},
                "status":{"loadBalancer":{"ingress":[{"ip":"1.1.1.1"},{"ip":"2.2.2.2","ipMode":"Proxy"},{"hostname":"x"}]}}}"#,
        )
        .unwrap();
        assert_eq!(service.load_balancer_ips, ["1.1.1.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(service.source_ranges, ["fd00::/8".parse::<IpNet>().unwrap()]);
        assert_eq!(service.cluster_ips.len(), 2);
        assert_eq!(service.affinity_seconds, None);
    }
}
