//! The control plane: store, API server, controllers, scheduler.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use windlass_api::Chance;
use windlass_api::time::Clock;
use windlass_api::well_known::{extra, group};
use windlass_apiserver::http::{Frontend, Listener, Peer, PeerUser, REQUEST_TIMEOUT, serve};
use windlass_apiserver::{ApiServer, ApiServices, Definitions, FirstObjects, FlowSchemas, Options, Server, Tokens};
use windlass_audit::Auditor;
use windlass_auth::User;
use windlass_http::serve::Limits;
use windlass_pki::{ClientAuth, ClientVerifier};
use windlass_telemetry::Metrics;

use super::access::{self, Surroundings};
use super::encryption::Keeper as Encryption;
use super::keys::{FRONT_PROXY_CLIENT, Keys};
use super::kubeconfig;
use crate::error::Failure;
use crate::settings::Settings;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// How long the end waits for audit events that have not been delivered.
const AUDIT_PATIENCE: Duration = Duration::from_secs(10);

/// A control plane that runs.
pub(crate) struct ControlPlane {
    pub server: Arc<Server>,
    auditor: Option<Arc<Auditor>>,
    pub encryption: Arc<Encryption>,
    pub keys: Keys,
    pub kubeconfig: PathBuf,
    stop: watch::Sender<bool>,
    listener: JoinHandle<()>,
    /// Look after the cluster's first objects, after definitions of custom resources, after APIServices, after FlowSchemas, and after
    /// configurations.
    keepers: Vec<JoinHandle<()>>,
}

impl ControlPlane {
    /// Starts everything; when this returns, clients are answered.
    pub(crate) async fn start(
        settings: &Settings,
        node_ip: Ipv4Addr,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, Failure> {
        make_data_dir(&settings.data_dir)?;
        let keys = Keys::load_or_create(&settings.data_dir, clock)?;
        let port = settings.https_port;
        let admission = windlass_admission::plugins::Options {
            allow_service_external_ips: settings.allow_service_external_ips,
            pod_security: settings.pod_security.clone(),
            metrics: metrics.clone(),
        };
        let issuer = format!("https://kubernetes.default.svc.{}", settings.cluster_domain);
        let advertised_address = format!("{node_ip}:{port}");
        let around = Surroundings { metrics: &metrics, clock, issuer: &issuer, identity: &advertised_address };
        let encryption = Arc::new(Encryption::new(settings, &around).await?);
        let store = encryption.open_store(&settings.data_dir.join("store"), clock).await?;
        let socket = listen(port)?;
        let authentication = access::authentication(&settings.authentication, &settings.authorization, &around)?;
        let authorization = access::authorization(&settings.authorization, &around)?;
        let auditor = super::audit::auditor(&settings.audit, clock, &metrics)?;
        let server = Server::new(Options {
            store,
            clock,
            chance: Chance::system(),
            resources: windlass_resources::all(),
            admission: windlass_admission::plugins::default_chain(Chance::system(), admission),
            tokens: Tokens::new(keys.service_accounts()?, Vec::new(), &issuer),
            authentication,
            authorization,
            auditor: auditor.clone(),
            metrics,
            service_cidr: settings.service_cidr,
            node_ports: 30000..=32767,
            advertised_address,
            kubelets: Some(kubelet_tls(&keys)?),
            front_proxy: Some(keys.front_proxy_client()?),
            // Beside the quarter of the open files that is for clients, half as many go on to somebody else.
            outgoing_max: Limits::of_open_files(super::open_files::max()).connections_max / 2,
        });
        settings.flags().into_iter().for_each(|(name, value)| server.flags().set(name, value));
        let bootstrapped = Arc::new(AtomicBool::new(false));
        let done = bootstrapped.clone();
        let is_done = move || done.load(Ordering::Acquire).then_some(()).ok_or_else(|| "not finished".to_owned());
        for of in ["rbac/bootstrap-roles", "scheduling/bootstrap-system-priority-classes", "bootstrap-controller"] {
            server.health().add(&format!("poststarthook/{of}"), Box::new(is_done.clone()));
        }
        let (stop, mut stopped) = watch::channel(false);
        let listener = Listener {
            socket,
            tls: Arc::new(server_tls(&keys, settings, node_ip)?),
            peer_user: peer_user(&keys, clock)?,
            limits: Limits::of_open_files(super::open_files::max()),
        };
        let frontend = Arc::new(Frontend::new(server.clone(), server.metrics(), REQUEST_TIMEOUT));
        let listener = tokio::spawn(serve(frontend, listener, async move {
            // An error means that the sender has gone, which is the same.
            let _ = stopped.wait_for(|stopped| *stopped).await;
        }));
        let facts = ApiServer {
            address: IpAddr::V4(node_ip),
            port,
            client_ca_pem: keys.ca.certificate().to_pem(),
            front_proxy_ca_pem: keys.front_proxy_ca.certificate().to_pem(),
        };
        let first = FirstObjects::new(&server, &facts);
        first
            .provide()
            .await
            .map_err(|status| Failure::during("the cluster's first objects cannot be made", status))?;
        bootstrapped.store(true, Ordering::Release);
        let mut keepers = access::follow(&server, &settings.authentication, &settings.authorization);
        keepers.extend(encryption.keep(&server));
        keepers.extend([
            tokio::spawn(first.keep()),
            tokio::spawn(Definitions::new(&server).keep()),
            tokio::spawn(ApiServices::new(&server).keep()),
            tokio::spawn(FlowSchemas::new(&server).keep()),
        ]);
        let kubeconfig = write_kubeconfigs(settings, &keys)?;
        Ok(Self { server, auditor, encryption, keys, kubeconfig, stop, listener, keepers })
    }

    /// Lets requests finish, then closes the store.
    pub(crate) async fn stop(self) {
        self.keepers.iter().for_each(JoinHandle::abort);
        self.stop.send_replace(true);
        if let Err(error) = self.listener.await {
            tracing::warn!(%error, "the listener ended badly");
        }
        if let Some(auditor) = self.auditor {
            auditor.flush(AUDIT_PATIENCE).await;
        }
        self.server.store().close().await;
    }
}

/// The data directory belongs to root alone: it holds keys.
fn make_data_dir(path: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::during(format!("the data directory {} cannot be used", path.display()), error)
            .hint("run as root, or choose another with --data-dir")
    };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(failed)
}

/// Listens on all addresses, of both families where the machine has both.
fn listen(port: u16) -> Result<TcpListener, Failure> {
    let bind = |socket: std::io::Result<TcpSocket>, address: IpAddr| {
        let socket = socket?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::new(address, port))?;
        socket.listen(BACKLOG)
    };
    let both = bind(TcpSocket::new_v6(), IpAddr::from([0_u16; 8]));
    let listener = match both {
        Err(error) if error.kind() != std::io::ErrorKind::AddrInUse => {
            bind(TcpSocket::new_v4(), IpAddr::from(Ipv4Addr::UNSPECIFIED))
        }
        result => result,
    };
    listener.map_err(|error| {
        Failure::during(format!("the API server cannot listen on port {port}"), error)
            .hint("stop what uses it, or choose another with --https-port")
    })
}

fn server_tls(keys: &Keys, settings: &Settings, node_ip: Ipv4Addr) -> Result<rustls::ServerConfig, Failure> {
    let authorities = [&*keys.ca, &keys.front_proxy_ca].map(|ca| ca.certificate().der.clone()).to_vec();
    windlass_pki::server_config(keys.api_server(settings, node_ip)?, &ClientAuth::Request(authorities))
        .map_err(|error| Failure::during("TLS cannot be set up", error))
}

fn kubelet_tls(keys: &Keys) -> Result<rustls::ClientConfig, Failure> {
    let authorities = [keys.ca.certificate().der.clone()];
    windlass_pki::client_config(&authorities, Some(keys.kubelet_client()?))
        .map_err(|error| Failure::during("TLS towards kubelets cannot be set up", error))
}

/// Clients are who their certificates say, when our authority says so too. A front proxy, of whom its own authority says it, speaks for
/// others.
fn peer_user(keys: &Keys, clock: Clock) -> Result<PeerUser, Failure> {
    let verifier = |ca: &windlass_pki::Ca| {
        ClientVerifier::new([&ca.certificate().der])
            .map_err(|error| Failure::during("client certificates cannot be verified", error))
    };
    let (verifier, proxies) = (verifier(&keys.ca)?, verifier(&keys.front_proxy_ca)?);
    let is_proxy = move |chain: &[CertificateDer<'_>]| {
        let identity = proxies.verify(chain, clock.now()).ok().flatten();
        identity.is_some_and(|identity| identity.name == FRONT_PROXY_CLIENT)
    };
    Ok(Arc::new(move |chain: &[CertificateDer<'_>]| match verifier.verify(chain, clock.now()) {
        Err(_) if is_proxy(chain) => Peer::FrontProxy,
        Ok(Some(identity)) => {
            let mut user = User { name: identity.name, uid: identity.uid, groups: identity.groups, ..User::default() };
            user.groups.push(group::AUTHENTICATED.to_owned());
            user.extra.insert(extra::CREDENTIAL_ID.to_owned(), vec![identity.credential_id]);
            Peer::User(Arc::new(user))
        }
        Ok(None) => Peer::Unknown,
        Err(error) => {
            tracing::info!(%error, "a client certificate was refused");
            Peer::Refused
        }
    }))
}

/// Writes the administrator's kubeconfig into the data directory, and where else it is wanted.
fn write_kubeconfigs(settings: &Settings, keys: &Keys) -> Result<PathBuf, Failure> {
    let config = kubeconfig::of(keys.ca.certificate(), &keys.admin()?, settings.https_port);
    let text = windlass_machinery::yaml::write(&config);
    let path = settings.data_dir.join(kubeconfig::FILE);
    for path in std::iter::once(&path).chain(&settings.write_kubeconfig) {
        // A full disk keeps no cluster from starting that has started before.
        if std::fs::read(path).is_ok_and(|written| written == text.as_bytes()) {
            continue;
        }
        match windlass_pki::write_private(path, text.as_bytes()) {
            Err(error) if path.exists() => {
                tracing::warn!(path = %path.display(), %error, "the kubeconfig cannot be written anew and stays as it is");
            }
            written => written.map_err(|error| Failure::during("the kubeconfig cannot be written", error))?,
        }
    }
    Ok(path)
}
