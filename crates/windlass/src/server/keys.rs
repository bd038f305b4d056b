//! Keys and certificates of a cluster, below `DATA_DIR/pki`. Authorities are made once and never replaced; what they have
//! issued is renewed in time, and at once when it no longer says what is wanted.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use windlass_api::time::Clock;
use windlass_api::well_known::{group, user};
use windlass_auth::rbac::bootstrap::KUBELET_CLIENT;
use windlass_pki::{Ca, ClientCert, Identity, Issue, PkiError, Rotating, ServerCert, TokenSigner};

use crate::error::Failure;
use crate::settings::Settings;

/// Who may speak for others, when the front proxies' authority says that it is them; kubeadm's name.
pub(crate) const FRONT_PROXY_CLIENT: &str = "front-proxy-client";

const YEAR: Duration = Duration::from_secs(365 * 86_400);
/// A renewal that failed is tried again after this time.
const RETRY: Duration = Duration::from_secs(600);

/// Everything secret of a cluster, and what vouches for it.
pub(crate) struct Keys {
    directory: PathBuf,
    pub ca: Arc<Ca>,
    pub front_proxy_ca: Arc<Ca>,
    clock: Clock,
}

fn failed(error: PkiError) -> Failure {
    Failure::during("the cluster's keys cannot be used", error)
}

impl Keys {
    /// Loads what there is and makes what is missing.
    pub(crate) fn load_or_create(data_dir: &Path, clock: Clock) -> Result<Self, Failure> {
        let directory = data_dir.join("pki");
        let authority = |name: &str, common_name: &str| {
            Ca::load_or_create(&directory, name, common_name, clock.now()).map_err(failed)
        };
        let ca = Arc::new(authority("ca", "kubernetes")?);
        let front_proxy_ca = Arc::new(authority("front-proxy-ca", "front-proxy-ca")?);
        Ok(Self { directory, ca, front_proxy_ca, clock })
    }

    /// Signs the tokens of service accounts.
    pub(crate) fn service_accounts(&self) -> Result<TokenSigner, Failure> {
        TokenSigner::load_or_create(&self.directory, "sa").map_err(failed)
    }

    /// The identity `name`, kept fresh for as long as the process lives.
    fn identity(&self, name: &'static str, wanted: Issue) -> Result<Arc<Rotating>, Failure> {
        self.identity_of(&self.ca, name, wanted)
    }

    /// The same, of another authority.
    fn identity_of(&self, ca: &Arc<Ca>, name: &'static str, wanted: Issue) -> Result<Arc<Rotating>, Failure> {
        let load = |ca: &Ca, directory: &Path, now| Identity::load_or_issue(directory, name, ca, &wanted, now);
        let (identity, due) = load(ca, &self.directory, self.clock.now()).map_err(failed)?;
        let rotating = Rotating::new(&identity).map_err(failed)?;
        let (current, ca, directory, clock) =
            (Arc::downgrade(&rotating), ca.clone(), self.directory.clone(), self.clock);
        let wait_until = move |due: windlass_api::Timestamp| {
            Duration::try_from(due.duration_since(clock.now())).unwrap_or(Duration::ZERO)
        };
        tokio::spawn(async move {
            let mut wait = wait_until(due);
            loop {
                tokio::time::sleep(wait).await;
                let Some(current) = current.upgrade() else { return };
                let renewed = Identity::load_or_issue(&directory, name, &ca, &wanted, clock.now())
                    .and_then(|(identity, due)| current.replace(&identity).map(|()| due));
                wait = match renewed {
                    Ok(due) => wait_until(due).max(RETRY),
                    Err(error) => {
                        tracing::error!(name, %error, "a certificate cannot be renewed and will be tried again");
                        RETRY
                    }
                };
            }
        });
        Ok(rotating)
    }

    /// The API server's face to clients.
    pub(crate) fn api_server(&self, settings: &Settings, node_ip: Ipv4Addr) -> Result<Arc<Rotating>, Failure> {
        let service_ip = settings.service_cidr.hosts().next().unwrap_or_else(|| settings.service_cidr.addr());
        let service = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"].map(str::to_owned);
        let qualified = format!("kubernetes.default.svc.{}", settings.cluster_domain);
        let own = ["localhost".to_owned(), settings.node_name.clone(), qualified];
        let addresses = [service_ip, node_ip, Ipv4Addr::LOCALHOST].map(IpAddr::V4);
        self.identity(
            "apiserver",
            Issue::Server(ServerCert {
                common_name: "kube-apiserver".to_owned(),
                dns_names: service.into_iter().chain(own).collect(),
                ip_addresses: addresses.into_iter().chain([IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)]).collect(),
                ttl: YEAR,
                ..ServerCert::default()
            }),
        )
    }

    fn client(common_name: &str, organizations: &[&str]) -> Issue {
        Issue::Client(ClientCert {
            common_name: common_name.to_owned(),
            organizations: organizations.iter().map(|&name| name.to_owned()).collect(),
            ttl: YEAR,
        })
    }

    /// Whom the API server is to kubelets.
    pub(crate) fn kubelet_client(&self) -> Result<Arc<Rotating>, Failure> {
        self.identity("apiserver-kubelet-client", Self::client(KUBELET_CLIENT, &[]))
    }

    /// Who the API server is to those that it aggregates.
    pub(crate) fn front_proxy_client(&self) -> Result<Arc<Rotating>, Failure> {
        self.identity_of(&self.front_proxy_ca, "front-proxy-client", Self::client(FRONT_PROXY_CLIENT, &[]))
    }

    /// A kubelet's face to the API server.
    pub(crate) fn kubelet_server(&self, node: &str, node_ip: Ipv4Addr) -> Result<Arc<Rotating>, Failure> {
        self.identity(
            "kubelet",
            Issue::Server(ServerCert {
                common_name: user::of_node(node),
                organizations: vec![group::NODES.to_owned()],
                dns_names: vec![node.to_owned()],
                ip_addresses: vec![IpAddr::V4(node_ip), IpAddr::V4(Ipv4Addr::LOCALHOST)],
                ttl: YEAR,
            }),
        )
    }

    /// The administrator, for kubeconfigs.
    pub(crate) fn admin(&self) -> Result<Identity, Failure> {
        let wanted = Self::client("kubernetes-admin", &[group::MASTERS]);
        let issued = Identity::load_or_issue(&self.directory, "admin", &self.ca, &wanted, self.clock.now());
        issued.map(|(identity, _)| identity).map_err(failed)
    }
}
