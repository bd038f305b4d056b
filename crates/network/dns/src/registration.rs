//! Where pods find the cluster's DNS: the Service that everybody looks for, and the EndpointSlice that says where a node answers for it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::{Value, json};
use windlass_api::resource::{ENDPOINT_SLICES, SERVICES};
use windlass_api::well_known::label::{ENDPOINTSLICE_MANAGED_BY, SERVICE_NAME};
use windlass_api::well_known::namespace::KUBE_SYSTEM;
use windlass_api::{ObjectKey, Status};
use windlass_client::{Client, OBJECT};

/// The name of the Service.
const SERVICE: &str = "kube-dns";
const MANAGER: &str = "windlass";
/// A registration that failed is tried again after this time.
const RETRY: Duration = Duration::from_secs(1);

/// The DNS Service, and where a node answers for it.
pub struct Registration {
    pub client: Client,
    pub service_ip: Ipv4Addr,
    /// UDP and TCP.
    pub sockets: [SocketAddr; 2],
    pub node: String,
}

impl Registration {
    /// Tries until it is registered.
    pub async fn keep_trying(&self) {
        while let Err(error) = self.register().await {
            tracing::warn!(%error, "the cluster's DNS cannot be announced and will be tried again");
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Makes the Service unless it is there, and the node's slice, or brings that up to date.
    pub async fn register(&self) -> Result<(), Status> {
        match self.client.get(&SERVICES, &ObjectKey::new(KUBE_SYSTEM, SERVICE)).await {
            Err(status) if status.is_not_found() => {
                self.client.create(&SERVICES, KUBE_SYSTEM, &service(self.service_ip)).await?;
            }
            found => drop(found?),
        }
        let name = format!("{SERVICE}-{}", self.node);
        let slice = slice(&name, &self.node, self.sockets);
        match self.client.create(&ENDPOINT_SLICES, KUBE_SYSTEM, &slice).await {
            Err(status) if status.is_already_exists() => {
                let patch = json!({"endpoints": slice["endpoints"], "ports": slice["ports"]});
                let key = ObjectKey::new(KUBE_SYSTEM, name);
                self.client.patch(&ENDPOINT_SLICES, &key, OBJECT, &patch).await.map(drop)
            }
            result => result.map(drop),
        }
    }
}

fn service(ip: Ipv4Addr) -> Value {
    json!({
        "metadata": {"name": SERVICE, "namespace": KUBE_SYSTEM,
            "labels": {"k8s-app": SERVICE, "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}},
        "spec": {"clusterIP": ip, "ports": [
            {"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]},
    })
}

fn slice(name: &str, node: &str, [udp, tcp]: [SocketAddr; 2]) -> Value {
    let address: IpAddr = udp.ip();
    json!({
        "metadata": {"name": name, "namespace": KUBE_SYSTEM,
            "labels": {(SERVICE_NAME): SERVICE, (ENDPOINTSLICE_MANAGED_BY): MANAGER}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": true}, "nodeName": node}],
        "ports": [
            {"name": "dns", "port": udp.port(), "protocol": "UDP"},
            {"name": "dns-tcp", "port": tcp.port(), "protocol": "TCP"}],
    })
}

#[cfg(test)]
mod tests {
    use windlass_auth::User;
    use windlass_auth::rbac::bootstrap::DNS;
    use windlass_testing::Cluster;

    use super::*;

    /// With the rights that the cluster gives to its DNS, and no more.
    #[tokio::test(start_paused = true)]
    async fn the_service_stays_and_the_slice_follows_the_sockets() {
        let cluster = Cluster::start().await;
        let user = User::new(DNS, &["system:authenticated"]);
        let at = |port: u16| {
            let sockets = [("192.0.2.1", port), ("192.0.2.1", port + 1)];
            Registration {
                client: cluster.client(user.clone(), "dns"),
                service_ip: Ipv4Addr::new(10, 96, 0, 10),
                sockets: sockets.map(|(ip, port)| SocketAddr::new(ip.parse().unwrap(), port)),
                node: "n0".to_owned(),
            }
        };
        for port in [1000, 2000] {
            at(port).register().await.unwrap();
            let service = cluster.get(&SERVICES, &ObjectKey::new(KUBE_SYSTEM, "kube-dns")).await;
            assert_eq!(service["spec"]["clusterIP"], "10.96.0.10");
            let slice = cluster.get(&ENDPOINT_SLICES, &ObjectKey::new(KUBE_SYSTEM, "kube-dns-n0")).await;
            assert_eq!((&slice["ports"][0]["port"], &slice["ports"][1]["port"]), (&json!(port), &json!(port + 1)));
            assert_eq!(slice["metadata"]["labels"]["kubernetes.io/service-name"], "kube-dns");
        }
        let elsewhere = cluster.client(user.clone(), "dns");
        let refused = elsewhere.create(&SERVICES, "default", &service(Ipv4Addr::new(10, 96, 0, 11))).await;
        assert_eq!(refused.unwrap_err().code, 403);
        for resource in [&SERVICES, &ENDPOINT_SLICES, &windlass_api::resource::NAMESPACES] {
            elsewhere.list(resource, "", Default::default()).await.unwrap();
        }
    }
}
