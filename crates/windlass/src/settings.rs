//! Settings: from flags, then the environment (`WINDLASS_…`), then the configuration file, then defaults.

pub(crate) mod access;
pub(crate) mod audit;
mod duration;
pub(crate) mod encryption;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use clap::Args;
use ipnet::Ipv4Net;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use windlass_admission::plugins::PodSecurityConfiguration;
use windlass_api::Quantity;
use windlass_images::Registries;

use self::access::{AuthenticationFlags, AuthorizationFlags};
use self::audit::AuditFlags;
use self::encryption::EncryptionFlags;
use crate::error::Failure;

/// Where data lives unless somebody says otherwise.
pub(crate) const DATA_DIR: &str = "/var/lib/windlass";
/// Settings for registries in containerd's layout.
const CERTS_D: [&str; 2] = ["/etc/containerd/certs.d", "/etc/docker/certs.d"];

/// Flags of `server`; each is a key of the configuration file as well.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct ServerFlags {
    /// Configuration file (YAML); its keys are these flags without the dashes in front, and `images`, which names mirrors.
    #[arg(long, env = "WINDLASS_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Where everything is kept [default: /var/lib/windlass].
    #[arg(long, env = "WINDLASS_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Components that do not run: controllers, scheduler, node, service-proxy, dns.
    #[arg(long, env = "WINDLASS_DISABLE", value_name = "LIST", value_delimiter = ',')]
    pub disable: Option<Vec<Component>>,
    /// The node's name [default: the host's].
    #[arg(long, env = "WINDLASS_NODE_NAME", value_name = "NAME")]
    pub node_name: Option<String>,
    /// The node's address [default: the one that the default route uses].
    #[arg(long, env = "WINDLASS_NODE_IP", value_name = "IP")]
    pub node_ip: Option<Ipv4Addr>,
    /// Port of the API server [default: 6443].
    #[arg(long, env = "WINDLASS_HTTPS_PORT", value_name = "PORT")]
    pub https_port: Option<u16>,
    /// Where pods get their addresses from [default: 10.244.0.0/16].
    #[arg(long, env = "WINDLASS_CLUSTER_CIDR", value_name = "CIDR")]
    pub cluster_cidr: Option<Ipv4Net>,
    /// Where Services get their addresses from [default: 10.96.0.0/16].
    #[arg(long, env = "WINDLASS_SERVICE_CIDR", value_name = "CIDR")]
    pub service_cidr: Option<Ipv4Net>,
    /// Let Services take over addresses of the outside (spec.externalIPs), which are refused otherwise.
    #[arg(long, env = "WINDLASS_ALLOW_SERVICE_EXTERNAL_IPS", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub allow_service_external_ips: Option<bool>,
    /// A file with an AdmissionConfiguration: the levels and exemptions of PodSecurity.
    #[arg(long, env = "WINDLASS_ADMISSION_CONTROL_CONFIG_FILE", value_name = "FILE")]
    pub admission_control_config_file: Option<PathBuf>,
    /// The cluster's DNS domain [default: cluster.local].
    #[arg(long, env = "WINDLASS_CLUSTER_DOMAIN", value_name = "DOMAIN")]
    pub cluster_domain: Option<String>,
    /// Pods that the node takes [default: 110].
    #[arg(long, env = "WINDLASS_MAX_PODS", value_name = "NUMBER")]
    pub max_pods: Option<u32>,
    /// Processes and threads that a pod may have; -1 for any number [default: 4096].
    #[arg(long, env = "WINDLASS_POD_MAX_PIDS", value_name = "NUMBER", allow_negative_numbers = true)]
    pub pod_max_pids: Option<i64>,
    /// Size at which a container's log is rotated; a negative one for never [default: 10Mi].
    #[arg(long, env = "WINDLASS_CONTAINER_LOG_MAX_SIZE", value_name = "SIZE", allow_negative_numbers = true)]
    pub container_log_max_size: Option<String>,
    /// Files that a container's log has at most [default: 5].
    #[arg(long, env = "WINDLASS_CONTAINER_LOG_MAX_FILES", value_name = "NUMBER")]
    pub container_log_max_files: Option<usize>,
    /// Also write the administrator's kubeconfig here.
    #[arg(long, env = "WINDLASS_WRITE_KUBECONFIG", value_name = "FILE")]
    pub write_kubeconfig: Option<PathBuf>,
    /// What is logged: a level, and levels for single parts (info,windlass_kubelet=debug) [default: info].
    #[arg(long, env = "WINDLASS_LOG_LEVEL", value_name = "LEVELS")]
    pub log_level: Option<String>,
    #[command(flatten)]
    pub authentication: AuthenticationFlags,
    #[command(flatten)]
    pub authorization: AuthorizationFlags,
    #[command(flatten)]
    pub audit: AuditFlags,
    #[command(flatten)]
    pub encryption: EncryptionFlags,
    /// Registries, their mirrors and credentials. Only in the file.
    #[arg(skip)]
    #[serde(skip_serializing)]
    pub images: Option<Registries>,
}

/// Which cluster a command is about.
#[derive(Args, Clone, Debug)]
pub(crate) struct DataDir {
    /// Where the cluster keeps everything [default: /var/lib/windlass].
    #[arg(long = "data-dir", env = "WINDLASS_DATA_DIR", value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
}

impl DataDir {
    pub(crate) fn path(&self) -> Result<PathBuf, Failure> {
        absolute(self.data_dir.clone().unwrap_or_else(|| DATA_DIR.into()))
    }
}

/// What can be left out of a server.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Component {
    Controllers,
    Scheduler,
    Node,
    ServiceProxy,
    Dns,
}

impl Component {
    pub(crate) const ALL: [Self; 5] = [Self::Controllers, Self::Scheduler, Self::Node, Self::ServiceProxy, Self::Dns];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Controllers => "controllers",
            Self::Scheduler => "scheduler",
            Self::Node => "node",
            Self::ServiceProxy => "service-proxy",
            Self::Dns => "dns",
        }
    }
}

/// Everything that a server is told.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub data_dir: PathBuf,
    pub disable: Vec<Component>,
    pub node_name: String,
    pub node_ip: Option<Ipv4Addr>,
    pub https_port: u16,
    pub cluster_cidr: Ipv4Net,
    pub service_cidr: Ipv4Net,
    pub allow_service_external_ips: bool,
    pub pod_security: PodSecurityConfiguration,
    pub cluster_domain: String,
    pub max_pods: Option<u32>,
    pub pod_max_pids: Option<i64>,
    pub container_log_max_size: Option<Quantity>,
    pub container_log_max_files: Option<usize>,
    pub write_kubeconfig: Option<PathBuf>,
    pub log_level: String,
    pub authentication: AuthenticationFlags,
    pub authorization: AuthorizationFlags,
    pub audit: AuditFlags,
    pub encryption: EncryptionFlags,
    pub registries: Registries,
}

impl ServerFlags {
    /// What is set here, and for the rest what `file` says.
    fn or(self, file: Self) -> Result<Self, Failure> {
        let both = merged(&self, &file)?;
        Ok(Self { config: self.config, images: file.images, ..both })
    }
}

/// What is set in `flags`, and for the rest what `file` says.
fn merged<T: Serialize + DeserializeOwned>(flags: &T, file: &T) -> Result<T, Failure> {
    let both = || -> Result<T, serde_json::Error> {
        let mut both = serde_json::to_value(flags)?;
        fill(&mut both, serde_json::to_value(file)?);
        serde_json::from_value(both)
    };
    both().map_err(|error| Failure::during("the settings cannot be used", error))
}

/// Sets what is not set.
fn fill(settings: &mut Value, others: Value) {
    match (settings, others) {
        (Value::Object(settings), Value::Object(others)) => {
            others.into_iter().for_each(|(key, other)| fill(settings.entry(key).or_insert(Value::Null), other));
        }
        (setting @ Value::Null, other) => *setting = other,
        _ => {}
    }
}

fn read_file(path: &Path) -> Result<ServerFlags, Failure> {
    let what = format!("the configuration file {} cannot be read", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| Failure::during(&what, error))?;
    if text.trim().is_empty() {
        return Ok(ServerFlags::default());
    }
    serde_saphyr::from_str(&text).map_err(|error: serde_saphyr::Error| {
        Failure::during(what, error.without_snippet().to_string())
            .hint("its keys are the flags that `windlass server --help` lists")
    })
}

impl Settings {
    pub(crate) fn of(flags: ServerFlags) -> Result<Self, Failure> {
        let flags = match &flags.config {
            Some(path) => {
                let file = read_file(path)?;
                flags.or(file)?
            }
            None => flags,
        };
        let settings = Self {
            data_dir: absolute(flags.data_dir.unwrap_or_else(|| DATA_DIR.into()))?,
            disable: flags.disable.unwrap_or_default(),
            node_name: flags.node_name.map_or_else(host_name, Ok)?,
            node_ip: flags.node_ip,
            https_port: flags.https_port.unwrap_or(6443),
            cluster_cidr: flags.cluster_cidr.unwrap_or_else(|| net(Ipv4Addr::new(10, 244, 0, 0), 16)),
            service_cidr: flags.service_cidr.unwrap_or_else(|| net(Ipv4Addr::new(10, 96, 0, 0), 16)),
            allow_service_external_ips: flags.allow_service_external_ips.unwrap_or(false),
            pod_security: flags
                .admission_control_config_file
                .as_deref()
                .map(pod_security)
                .transpose()?
                .unwrap_or_default(),
            cluster_domain: flags.cluster_domain.unwrap_or_else(|| "cluster.local".to_owned()),
            max_pods: flags.max_pods,
            pod_max_pids: flags.pod_max_pids,
            container_log_max_size: flags.container_log_max_size.as_deref().map(size).transpose()?,
            container_log_max_files: flags.container_log_max_files,
            write_kubeconfig: flags.write_kubeconfig.map(absolute).transpose()?,
            log_level: flags.log_level.unwrap_or_else(|| "info".to_owned()),
            authentication: flags.authentication,
            authorization: flags.authorization,
            audit: flags.audit,
            encryption: flags.encryption,
            registries: registries(flags.images.unwrap_or_default()),
        };
        settings.check()?;
        Ok(settings)
    }

    /// The flags as they are set, by the names of `windlass server --help`, for `/flagz`. What a file holds is not shown, only where it is.
    pub(crate) fn flags(&self) -> Vec<(&'static str, String)> {
        let path = |path: &Option<PathBuf>| path.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
        let number = |number: Option<String>| number.unwrap_or_default();
        let disabled: Vec<&str> = self.disable.iter().map(|component| component.name()).collect();
        vec![
            ("data-dir", self.data_dir.display().to_string()),
            ("disable", format!("[{}]", disabled.join(","))),
            ("node-name", self.node_name.clone()),
            ("node-ip", self.node_ip.map(|ip| ip.to_string()).unwrap_or_default()),
            ("https-port", self.https_port.to_string()),
            ("cluster-cidr", self.cluster_cidr.to_string()),
            ("cluster-domain", self.cluster_domain.clone()),
            ("allow-service-external-ips", self.allow_service_external_ips.to_string()),
            ("max-pods", number(self.max_pods.map(|max| max.to_string()))),
            ("pod-max-pids", number(self.pod_max_pids.map(|max| max.to_string()))),
            ("container-log-max-files", number(self.container_log_max_files.map(|max| max.to_string()))),
            ("write-kubeconfig", path(&self.write_kubeconfig)),
            ("log-level", self.log_level.clone()),
            ("authentication-config", path(&self.authentication.config)),
            ("authentication-token-webhook-config-file", path(&self.authentication.token_webhook_config_file)),
            ("oidc-issuer-url", self.authentication.oidc.issuer_url.clone().unwrap_or_default()),
            ("authorization-config", path(&self.authorization.config)),
            ("authorization-mode", self.authorization.mode.clone().unwrap_or_default().join(",")),
            ("audit-policy-file", path(&self.audit.policy_file)),
            ("audit-log-path", path(&self.audit.log.path)),
            ("audit-webhook-config-file", path(&self.audit.webhook.config_file)),
            ("encryption-provider-config", path(&self.encryption.provider_config)),
            ("encryption-provider-config-automatic-reload", self.encryption.is_followed().to_string()),
        ]
    }

    /// Refuses what could only fail later.
    fn check(&self) -> Result<(), Failure> {
        for (flag, name) in [("--node-name", &self.node_name), ("--cluster-domain", &self.cluster_domain)] {
            if let Some(problem) = windlass_api::names::dns1123_subdomain(name).into_iter().next() {
                return Err(Failure::new(format!("{flag} {name:?} is no DNS name: {problem}")));
            }
        }
        self.authentication.check()?;
        self.authorization.check()?;
        let (pods, services) = (self.cluster_cidr, self.service_cidr);
        if pods.contains(&services) || services.contains(&pods) {
            return Err(Failure::new(format!("--cluster-cidr {pods} and --service-cidr {services} overlap"))
                .hint("pods and Services need ranges of their own"));
        }
        if !(8..=24).contains(&services.prefix_len()) {
            return Err(Failure::new(format!("--service-cidr {services} is too large or too small"))
                .hint("choose a prefix between /8 and /24"));
        }
        if !(8..=24).contains(&pods.prefix_len()) {
            return Err(Failure::new(format!("--cluster-cidr {pods} is too large or too small"))
                .hint("each node takes a /24 of it: choose a prefix between /8 and /24"));
        }
        if let Some(pids) = self.pod_max_pids.filter(|pids| *pids < -1 || *pids == 0) {
            return Err(Failure::new(format!("--pod-max-pids {pids} would let no pod start"))
                .hint("choose a number above 0, or -1 for no limit"));
        }
        if let Some(files) = self.container_log_max_files.filter(|files| *files < 2) {
            return Err(Failure::new(format!("--container-log-max-files {files} must be greater than 1"))
                .hint("one file is written, and at least one is kept behind it"));
        }
        if let Some(ip) = self.node_ip.filter(|ip| ip.is_loopback() || ip.is_unspecified() || ip.is_multicast()) {
            return Err(Failure::new(format!("--node-ip {ip} is no address that pods could reach")));
        }
        Ok(())
    }

    pub(crate) fn runs(&self, component: Component) -> bool {
        !self.disable.contains(&component)
    }
}

fn size(text: &str) -> Result<Quantity, Failure> {
    text.parse().map_err(|error| {
        Failure::during(format!("--container-log-max-size {text:?} is no size"), error).hint("write 10Mi, for example")
    })
}

/// Reads an AdmissionConfiguration; files that it names lie beside it.
fn pod_security(path: &Path) -> Result<PodSecurityConfiguration, Failure> {
    let what = format!("the admission configuration {} cannot be used", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| Failure::during(&what, error))?;
    let beside = path.parent().unwrap_or(Path::new(""));
    windlass_admission::configuration::parse(&text, |name| std::fs::read_to_string(beside.join(name)))
        .map_err(|error| Failure::during(what, error))
}

/// Without a word about where hosts' settings are, they are where containerd has them.
fn registries(given: Registries) -> Registries {
    if !given.config_paths.is_empty() {
        return given;
    }
    Registries { config_paths: CERTS_D.map(PathBuf::from).to_vec(), ..given }
}

fn net(address: Ipv4Addr, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(address, prefix)
}

fn absolute(path: PathBuf) -> Result<PathBuf, Failure> {
    std::path::absolute(&path)
        .map_err(|error| Failure::during(format!("the path {} cannot be used", path.display()), error))
}

/// The host's name, as the kubelet uses it: in lower case.
fn host_name() -> Result<String, Failure> {
    let name = nix::unistd::gethostname().map_err(|error| Failure::during("the host's name cannot be read", error))?;
    Ok(name.to_string_lossy().trim().to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(yaml: &str) -> ServerFlags {
        serde_saphyr::from_str(yaml).unwrap()
    }

    #[test]
    fn flags_come_before_the_file_and_the_file_before_defaults() {
        let given = ServerFlags { https_port: Some(1), node_name: Some("n".to_owned()), ..ServerFlags::default() };
        let file = flags("https-port: 2\ncluster-domain: example.org\ndisable: [dns, service-proxy]\n");
        let settings = Settings::of(given.or(file).unwrap()).unwrap();
        assert_eq!((settings.https_port, settings.cluster_domain.as_str()), (1, "example.org"));
        assert!(!settings.runs(Component::Dns) && settings.runs(Component::Node));
        assert_eq!(settings.service_cidr.to_string(), "10.96.0.0/16");
        assert_eq!(settings.registries.config_paths[0], Path::new("/etc/containerd/certs.d"));
        assert!(!settings.allow_service_external_ips);
        let file = flags("node-name: n\nallow-service-external-ips: true\n");
        assert!(Settings::of(file).unwrap().allow_service_external_ips);
    }

    #[test]
    fn flags_are_told_from_each_other() {
        use clap::CommandFactory as _;
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            flags: ServerFlags,
        }
        // Arguments of one name would be one argument.
        Line::command().debug_assert();
        let line =
            ["windlass", "--authentication-config=/a", "--authorization-mode=RBAC,Webhook", "--anonymous-auth=false"];
        let flags = <Line as clap::Parser>::try_parse_from(line).unwrap().flags;
        assert_eq!((flags.config, flags.authorization.config), (None, None));
        assert_eq!(flags.authentication.config.as_deref(), Some(Path::new("/a")));
        assert_eq!(flags.authorization.mode.unwrap(), ["RBAC", "Webhook"]);
        assert_eq!(flags.authentication.anonymous_auth, Some(false));
    }

    #[test]
    fn mirrors_stand_in_the_file() {
        let file = flags(
            "node-name: n\nimages:\n  registries:\n    docker.io:\n      mirrors: [{address: http://10.0.0.5:5000}]\n  \
             configPaths: [/etc/own]\n  credentials: {\"10.0.0.5:5000\": {username: u, password: p}}\n",
        );
        let registries = Settings::of(file).unwrap().registries;
        assert_eq!(registries.registries["docker.io"].mirrors[0].address, "http://10.0.0.5:5000");
        assert_eq!(registries.config_paths, [Path::new("/etc/own")]);
        assert!(serde_saphyr::from_str::<ServerFlags>("images: {mirrors: {}}").is_err());
    }

    #[test]
    fn what_could_only_fail_later_is_refused() {
        for (yaml, reason) in [
            ("node-name: A_B", "no DNS name"),
            ("service-cidr: 10.244.3.0/24", "overlap"),
            ("service-cidr: 10.0.0.0/30", "too small"),
            ("cluster-cidr: 10.244.0.0/28", "too small"),
            ("node-ip: 127.0.0.1", "no address"),
            ("pod-max-pids: 0", "no pod start"),
            ("pod-max-pids: -2", "no pod start"),
            ("container-log-max-size: 10Mb", "is no size"),
            ("container-log-max-files: 1", "greater than 1"),
            ("admission-control-config-file: /absent/file", "cannot be used"),
            ("authentication: {config: /f, oidc: {client-id: c}}", "mutually exclusive"),
            ("authentication: {oidc: {client-id: c}}", "must be specified together"),
            ("authorization: {config: /f, mode: [RBAC]}", "--authorization-config can not be specified when"),
        ] {
            let given = flags(yaml);
            let given = ServerFlags { node_name: given.node_name.clone().or(Some("n".to_owned())), ..given };
            let failure = Settings::of(given).unwrap_err().to_string();
            assert!(failure.contains(reason), "{yaml}: {failure}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "no-such-key: 1\n").unwrap();
        let failure = read_file(file.path()).unwrap_err().to_string();
        assert!(failure.contains("unknown field `no-such-key`") && failure.lines().count() == 1, "{failure}");
    }
}
