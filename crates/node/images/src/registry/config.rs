//! Which endpoints serve a registry, in which order, with which TLS settings and credentials.
//!
//! Configuration names mirrors for each registry; without any, containerd's `certs.d` layout is looked at; the registry
//! itself comes last. [`Registries::plan`] is a pure function from all that to the list of [`Host`]s to try.
//!
//! A pull secret is meant for the registry that the reference names: it is sent there and nowhere else. A mirror gets
//! the credentials that the node's configuration has for the mirror's own address.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use serde::Deserialize;
use windlass_cri::AuthConfig;

use super::error::{ConfigError, RegistryError};
use crate::reference::DEFAULT_DOMAIN;

/// Where Docker Hub's registry is.
const DOCKER_HUB_HOST: &str = "registry-1.docker.io";
const DIAL_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// What the node's administrator says about registries.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Registries {
    /// By the registry's name as it stands in references (`docker.io`, `registry.example:5000`); `*` is for all others.
    pub registries: BTreeMap<String, RegistryConfig>,
    /// Directories in containerd's layout (`/etc/containerd/certs.d`), asked in order for registries not named above.
    pub config_paths: Vec<PathBuf>,
    /// The node's own credentials by address (`host` or `host:port`), for pulls without a pull secret and for mirrors.
    pub credentials: BTreeMap<String, Credentials>,
    pub proxy: Proxy,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct RegistryConfig {
    /// Tried in order before the registry itself.
    pub mirrors: Vec<Endpoint>,
    /// How to reach the registry itself; its `address` may be empty for the one that follows from the name.
    pub server: Endpoint,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Endpoint {
    /// `https://host`, `http://host:port`, with a path if the API is not at its root.
    pub address: String,
    /// Empty means everything.
    pub capabilities: Vec<Capability>,
    pub tls: Tls,
    pub headers: BTreeMap<String, Vec<String>>,
    /// The address' path is the API's root as it stands; else `/v2` is put behind it.
    pub override_path: bool,
    pub dial_timeout_seconds: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Capability {
    /// Contents by digest.
    Pull,
    /// Tags: what the endpoint says a tag means is trusted.
    Resolve,
    Push,
    Referrers,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Tls {
    /// PEM files, trusted besides the system's roots.
    pub ca_files: Vec<PathBuf>,
    pub client_certificates: Vec<ClientCertificate>,
    /// Do not verify the server's certificate.
    pub skip_verify: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientCertificate {
    /// PEM.
    pub certificate: PathBuf,
    /// PEM; absent when the certificate's file holds the key too.
    #[serde(default)]
    pub key: Option<PathBuf>,
}

/// Credentials in the fields that Docker's configuration has.
#[derive(Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Credentials {
    pub username: String,
    pub password: String,
    pub auth: String,
    pub identity_token: String,
    pub registry_token: String,
}

/// Proxies as the environment variables of the same names describe them; empty for none.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Proxy {
    pub http_proxy: String,
    pub https_proxy: String,
    pub no_proxy: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// Credentials in the form that the protocol needs.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Secret {
    Password {
        username: String,
        password: String,
    },
    /// Exchanged for a token at the registry's token server.
    IdentityToken(String),
    /// Sent as it is.
    RegistryToken(String),
}

impl Secret {
    /// The first of user, identity token, `auth` and registry token that is there, as containerd chooses; `None` for empty
    /// credentials, which are valid and mean nobody.
    pub(super) fn from_auth(auth: &AuthConfig) -> Result<Option<Self>, ConfigError> {
        if !auth.username.is_empty() {
            return Ok(Some(Self::Password { username: auth.username.clone(), password: auth.password.clone() }));
        }
        if !auth.identity_token.is_empty() {
            return Ok(Some(Self::IdentityToken(auth.identity_token.clone())));
        }
        if !auth.auth.is_empty() {
            let decoded = base64::engine::general_purpose::STANDARD
                .decode(auth.auth.trim())
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .ok_or(ConfigError::Auth)?;
            let (username, password) = decoded.split_once(':').ok_or(ConfigError::Auth)?;
            let password = password.trim_matches('\0').to_owned();
            return Ok(Some(Self::Password { username: username.to_owned(), password }));
        }
        if !auth.registry_token.is_empty() {
            return Ok(Some(Self::RegistryToken(auth.registry_token.clone())));
        }
        Ok(None)
    }

    fn from_config(config: &Credentials) -> Result<Option<Self>, ConfigError> {
        let config = config.clone();
        Self::from_auth(&AuthConfig {
            username: config.username,
            password: config.password,
            auth: config.auth,
            identity_token: config.identity_token,
            registry_token: config.registry_token,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
    /// A registry on this machine at a port that tells nothing: TLS first, plain where the other side does not speak it.
    HttpsElseHttp,
}

/// One endpoint, ready to be asked.
#[derive(Clone)]
pub(super) struct Host {
    pub(super) scheme: Scheme,
    pub(super) authority: String,
    /// The API's root, without a slash at its end.
    pub(super) path: String,
    pub(super) pull: bool,
    pub(super) resolve: bool,
    pub(super) tls: Tls,
    pub(super) headers: Vec<(String, String)>,
    pub(super) dial_timeout: Duration,
    pub(super) secret: Option<Secret>,
    /// Which registry a mirror is asked to stand for.
    pub(super) namespace: Option<String>,
}

impl Registries {
    /// The endpoints of `domain`, to be tried in order. `from_certs_d` is what [`super::hosts_toml`] found.
    pub(super) fn plan(
        &self,
        domain: &str,
        from_certs_d: Option<RegistryConfig>,
        pull_secret: Option<&AuthConfig>,
    ) -> Result<Vec<Host>, RegistryError> {
        let fail = |source| RegistryError::Config { domain: domain.to_owned(), source };
        let default = RegistryConfig::default();
        let config = self
            .registries
            .get(domain)
            .or(from_certs_d.as_ref())
            .or_else(|| self.registries.get("*"))
            .unwrap_or(&default);
        let mut origin = host(&config.server, Some(domain)).map_err(fail)?;
        let pull_secret = match pull_secret {
            Some(auth) => Secret::from_auth(auth).map_err(fail)?,
            None => None,
        };
        let own = |authority: &str| self.credentials.get(authority).map_or(Ok(None), Secret::from_config).map_err(fail);
        origin.secret = match &pull_secret {
            Some(secret) => Some(secret.clone()),
            None => match own(domain)? {
                Some(secret) => Some(secret),
                None => own(&origin.authority)?,
            },
        };
        let mut hosts = Vec::with_capacity(config.mirrors.len() + 1);
        for mirror in &config.mirrors {
            let mut mirror = host(mirror, None).map_err(fail)?;
            mirror.secret =
                if mirror.authority == origin.authority { origin.secret.clone() } else { own(&mirror.authority)? };
            hosts.push(mirror);
        }
        hosts.push(origin);
        for host in &mut hosts {
            let is_origin = host.authority == domain || (domain == DEFAULT_DOMAIN && host.authority == DOCKER_HUB_HOST);
            host.namespace = (!is_origin).then(|| domain.to_owned());
        }
        Ok(hosts)
    }
}

/// `domain` is given for the registry itself, whose address may follow from its name.
fn host(endpoint: &Endpoint, domain: Option<&str>) -> Result<Host, ConfigError> {
    let mut tls = endpoint.tls.clone();
    let (scheme, authority, path) = match domain {
        Some(domain) if endpoint.address.is_empty() => {
            let (scheme, authority) = default_address(domain);
            if scheme == Scheme::HttpsElseHttp {
                tls.skip_verify.get_or_insert(true);
            }
            (scheme, authority.to_owned(), "/v2".to_owned())
        }
        _ => parse_address(&endpoint.address, endpoint.override_path)?,
    };
    let can = |what| endpoint.capabilities.is_empty() || endpoint.capabilities.contains(&what);
    let headers = endpoint.headers.iter().flat_map(|(name, values)| values.iter().map(|v| (name.clone(), v.clone())));
    Ok(Host {
        scheme,
        authority,
        path,
        pull: can(Capability::Pull),
        resolve: can(Capability::Resolve),
        tls,
        headers: headers.collect(),
        dial_timeout: endpoint.dial_timeout_seconds.map_or(DIAL_TIMEOUT_DEFAULT, Duration::from_secs),
        secret: None,
        namespace: None,
    })
}

fn default_address(domain: &str) -> (Scheme, &str) {
    if domain == DEFAULT_DOMAIN {
        return (Scheme::Https, DOCKER_HUB_HOST);
    }
    let (name, port) = match domain.rsplit_once(':') {
        Some((name, port)) if !name.ends_with(':') && port.bytes().all(|b| b.is_ascii_digit()) => (name, Some(port)),
        _ => (domain, None),
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let local = name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let scheme = match port {
        Some("80") if local => Scheme::Http,
        Some(port) if local && port != "443" => Scheme::HttpsElseHttp,
        _ => Scheme::Https,
    };
    (scheme, domain)
}

fn parse_address(address: &str, override_path: bool) -> Result<(Scheme, String, String), ConfigError> {
    let bad = || ConfigError::Address(address.to_owned());
    let full = if address.contains("://") { address.to_owned() } else { format!("https://{address}") };
    let uri: http::Uri = full.parse().map_err(|_| bad())?;
    let scheme = match uri.scheme_str() {
        Some("https") => Scheme::Https,
        Some("http") => Scheme::Http,
        _ => return Err(bad()),
    };
    let authority = uri.authority().map(|a| a.as_str()).filter(|a| !a.contains('@')).ok_or_else(bad)?;
    if uri.query().is_some() {
        return Err(bad());
    }
    let path = uri.path().trim_end_matches('/');
    let path = if override_path || path.ends_with("/v2") { path.to_owned() } else { format!("{path}/v2") };
    Ok((scheme, authority.to_owned(), path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(hosts: &[Host]) -> Vec<String> {
        let scheme = |host: &Host| match host.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::HttpsElseHttp => "https|http",
        };
        let namespace = |host: &Host| host.namespace.as_ref().map(|ns| format!("?ns={ns}")).unwrap_or_default();
        hosts.iter().map(|h| format!("{}://{}{}{}", scheme(h), h.authority, h.path, namespace(h))).collect()
    }

    fn endpoint(address: &str) -> Endpoint {
        Endpoint { address: address.into(), ..Endpoint::default() }
    }

    #[test]
    fn addresses_that_follow_from_the_name() {
        let cases = [
            ("docker.io", "https://registry-1.docker.io/v2"),
            ("registry.k8s.io", "https://registry.k8s.io/v2"),
            ("registry.example:5000", "https://registry.example:5000/v2"),
            ("localhost", "https://localhost/v2"),
            ("localhost:443", "https://localhost:443/v2"),
            ("localhost:80", "http://localhost:80/v2"),
            ("localhost:5000", "https|http://localhost:5000/v2"),
            ("127.0.0.3:5000", "https|http://127.0.0.3:5000/v2"),
            ("[::1]:5000", "https|http://[::1]:5000/v2"),
            ("[2001:db8::1]:5000", "https://[2001:db8::1]:5000/v2"),
        ];
        for (domain, expected) in cases {
            assert_eq!(shown(&Registries::default().plan(domain, None, None).unwrap()), [expected]);
        }
    }

    #[test]
    fn mirrors_come_first_and_say_whom_they_stand_for() {
        let mirrors = vec![endpoint("http://10.0.0.1:5000"), endpoint("mirror.example/hub/")];
        let config = RegistryConfig { mirrors, server: Endpoint::default() };
        let registries = Registries { registries: [("docker.io".into(), config)].into(), ..Registries::default() };
        let hosts = registries.plan("docker.io", None, None).unwrap();
        assert_eq!(
            shown(&hosts),
            [
                "http://10.0.0.1:5000/v2?ns=docker.io",
                "https://mirror.example/hub/v2?ns=docker.io",
                "https://registry-1.docker.io/v2"
            ]
        );
        assert_eq!(shown(&registries.plan("quay.io", None, None).unwrap()), ["https://quay.io/v2"]);
    }

    #[test]
    fn configured_goes_before_certs_d_and_that_before_the_wildcard() {
        let with = |address: &str| RegistryConfig { mirrors: vec![endpoint(address)], server: Endpoint::default() };
        let registries = Registries {
            registries: [("a.example".into(), with("one")), ("*".into(), with("any"))].into(),
            ..Registries::default()
        };
        let first = |domain, certs| shown(&registries.plan(domain, certs, None).unwrap())[0].clone();
        assert_eq!(first("a.example", Some(with("two"))), "https://one/v2?ns=a.example");
        assert_eq!(first("b.example", Some(with("two"))), "https://two/v2?ns=b.example");
        assert_eq!(first("b.example", None), "https://any/v2?ns=b.example");
    }

    #[test]
    fn secrets_go_where_they_belong() {
        let config = RegistryConfig {
            mirrors: vec![endpoint("https://mirror.example"), endpoint("https://r.example/other")],
            server: Endpoint::default(),
        };
        let credentials = |user: &str| Credentials { username: user.into(), ..Credentials::default() };
        let registries = Registries {
            registries: [("r.example".into(), config)].into(),
            credentials: [("mirror.example".into(), credentials("m")), ("r.example".into(), credentials("node"))]
                .into(),
            ..Registries::default()
        };
        let users = |pull_secret: Option<&AuthConfig>| -> Vec<String> {
            let hosts = registries.plan("r.example", None, pull_secret).unwrap();
            let user = |host: &Host| match &host.secret {
                Some(Secret::Password { username, .. }) => username.clone(),
                _ => "-".into(),
            };
            hosts.iter().map(user).collect()
        };
        assert_eq!(users(None), ["m", "node", "node"]);
        let auth = base64::engine::general_purpose::STANDARD.encode("pod:secret");
        assert_eq!(users(Some(&AuthConfig { auth, ..AuthConfig::default() })), ["m", "pod", "pod"]);
        assert_eq!(users(Some(&AuthConfig::default())), ["m", "node", "node"]);
        let bad = AuthConfig { auth: "%%".into(), ..AuthConfig::default() };
        assert!(registries.plan("r.example", None, Some(&bad)).is_err());
    }

    #[test]
    fn addresses() {
        let parse = |address: &str, override_path| {
            parse_address(address, override_path).map(|(_, authority, path)| format!("{authority}{path}")).ok()
        };
        assert_eq!(parse("https://h/v2/", false).as_deref(), Some("h/v2"));
        assert_eq!(parse("https://h/api", true).as_deref(), Some("h/api"));
        assert_eq!(parse("h:1", true).as_deref(), Some("h:1"));
        for bad in ["", "ftp://h", "https://", "https://user:pw@h", "https://h?x=y", "ht tp://h"] {
            assert_eq!(parse(bad, false), None, "{bad}");
        }
    }
}
