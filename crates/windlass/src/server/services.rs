//! What makes Services work on a node: the service proxy and the cluster's DNS, each fed by informers of its own.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use windlass_api::fields::FieldSelector;
use windlass_api::resource::{ENDPOINT_SLICES, NAMESPACES, NODES, SERVICES};
use windlass_api::time::Clock;
use windlass_api::well_known::group;
use windlass_apiserver::Server;
use windlass_auth::User;
use windlass_auth::rbac::bootstrap::DNS;
use windlass_client::{Informers, Options as Selection};
use windlass_dataplane::Netns;
use windlass_dns::{Dns, Registration};
use windlass_service_proxy::health::{ProxyHealth, serve_proxy_health};
use windlass_service_proxy::{LocalTraffic, ServiceProxy};

use super::controllers;
use crate::error::Failure;
use crate::settings::Settings;

const RESOLV_CONF_BYTES_MAX: u64 = 1 << 20;

/// The address of the cluster's DNS: the tenth of the Services' range.
pub(crate) fn dns_address(settings: &Settings) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(settings.service_cidr.network()) + 10)
}

/// Upstream's `healthzBindAddress` has it.
const PROXY_HEALTH_PORT: u16 = 10256;

/// Resolves when the sender says so, or is gone.
pub(crate) async fn stopped(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Programs Services into the kernel until `stop`.
pub(crate) fn start_proxy(
    settings: &Settings,
    server: &Arc<Server>,
    node_ip: Ipv4Addr,
    clock: Clock,
    stop: watch::Receiver<bool>,
) -> JoinHandle<()> {
    let client = controllers::client(server, User::new("system:kube-proxy", &[]), "kube-proxy");
    let informers = Informers::new(client);
    let options = windlass_service_proxy::Options {
        local_traffic: LocalTraffic::Cidrs(vec![settings.cluster_cidr.into()]),
        ..windlass_service_proxy::Options::new(
            settings.node_name.clone(),
            vec![IpAddr::V4(node_ip)],
            vec![settings.service_cidr.into()],
        )
    };
    let proxy = Arc::new(ServiceProxy::new(options, Arc::new(Netns::current()), clock, server.metrics()));
    let (services, slices) = (informers.of(&SERVICES), informers.of(&ENDPOINT_SLICES));
    let target = proxy.clone();
    services.subscribe(move |change| {
        let service = change.new.as_ref().and_then(|object| object.decode().ok());
        target.service_changed(change.object().key.clone(), service.as_ref());
    });
    let target = proxy.clone();
    slices.subscribe(move |change| {
        let slice = change.new.as_ref().and_then(|object| object.decode().ok());
        target.endpoint_slice_changed(change.object().key.clone(), slice.as_ref());
    });
    let fields = FieldSelector::equal("metadata.name", settings.node_name.clone());
    let node = informers.selected(&NODES, "", Selection { fields, ..Selection::default() });
    let target = proxy.clone();
    node.subscribe(move |change| {
        target.node_changed(change.new.as_ref().and_then(|object| object.decode().ok()).as_ref());
    });
    tokio::spawn(async move {
        services.synced().await;
        slices.synced().await;
        proxy.initialized();
        let health = tokio::spawn(serve_health(node_ip, proxy.health().clone()));
        proxy.run(stopped(stop)).await;
        health.abort();
        // They run for as long as this lives.
        drop(informers);
    })
}

/// Answers load balancers and operators that ask for the proxy's health.
async fn serve_health(node_ip: Ipv4Addr, health: Arc<ProxyHealth>) {
    match TcpListener::bind((node_ip, PROXY_HEALTH_PORT)).await {
        Ok(listener) => serve_proxy_health(listener, health).await,
        Err(error) => {
            tracing::warn!(%error, port = PROXY_HEALTH_PORT, "the service proxy's health cannot be asked for");
        }
    }
}

/// Answers the cluster's names until `stop`.
pub(crate) async fn start_dns(
    settings: &Settings,
    server: &Arc<Server>,
    node_ip: Ipv4Addr,
    clock: Clock,
    stop: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, Failure> {
    let failed = |error: std::io::Error| Failure::during(format!("DNS cannot listen on {node_ip}"), error);
    let udp = UdpSocket::bind((node_ip, 0)).await.map_err(failed)?;
    let tcp = TcpListener::bind((node_ip, 0)).await.map_err(failed)?;
    let sockets = [udp.local_addr().map_err(failed)?, tcp.local_addr().map_err(failed)?];
    let service_ip = dns_address(settings);
    let own = windlass_dns::own_addresses(&[service_ip.into()], &sockets);
    let resolv_conf =
        windlass_tree::read_config(Path::new("/etc/resolv.conf"), RESOLV_CONF_BYTES_MAX).unwrap_or_default();
    let options = windlass_dns::Options {
        service_ips: vec![service_ip.into()],
        reverse_ranges: vec![settings.service_cidr.into(), settings.cluster_cidr.into()],
        client_ranges: vec![settings.cluster_cidr.into()],
        upstreams: windlass_dns::upstreams_of(&String::from_utf8_lossy(&resolv_conf), &own),
        ..windlass_dns::Options::new(settings.cluster_domain.clone())
    };
    let dns = Arc::new(Dns::new(&options, clock, server.metrics()));
    let client =
        controllers::client(server, User::new(DNS, &[group::SERVICE_ACCOUNTS, group::AUTHENTICATED]), "coredns");
    let informers = Informers::new(client.clone());
    feed(&dns, &informers);
    let registration = Registration { client, service_ip, sockets, node: settings.node_name.clone() };
    Ok(tokio::spawn(async move {
        tokio::spawn(async move { registration.keep_trying().await });
        for resource in [&SERVICES, &ENDPOINT_SLICES, &NAMESPACES] {
            informers.of(resource).synced().await;
        }
        dns.initialized();
        dns.run(vec![udp], vec![tcp], stopped(stop)).await;
        drop(informers);
    }))
}

fn feed(dns: &Arc<Dns>, informers: &Informers) {
    use windlass_dns::object::{EndpointSlice, Service};
    let target = dns.clone();
    informers.of(&SERVICES).subscribe(move |change| {
        let service = change.new.as_ref().and_then(|object| object.decode::<Service>().ok());
        target.service_changed(&change.object().key, service.as_ref());
    });
    let target = dns.clone();
    informers.of(&ENDPOINT_SLICES).subscribe(move |change| {
        let slice = change.new.as_ref().and_then(|object| object.decode::<EndpointSlice>().ok());
        target.endpoint_slice_changed(&change.object().key, slice.as_ref());
    });
    let target = dns.clone();
    informers.of(&NAMESPACES).subscribe(move |change| {
        target.namespace_changed(&change.object().key.name, change.new.is_some());
    });
}

/// Removes what the service proxy has programmed.
pub(crate) async fn remove_proxy() -> Result<(), Failure> {
    windlass_service_proxy::remove(Arc::new(Netns::current()))
        .await
        .map_err(|error| Failure::during("the rules of Services cannot be removed", error))
}
