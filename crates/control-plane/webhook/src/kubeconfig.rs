//! A server of users that a kubeconfig names: where it is, whom to trust, and who we are to it. So kube-apiserver is told of the webhooks
//! that its flags name: of audit, authentication and authorization.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderValue};
use http::uri::Scheme;
use http::{Request, Uri};
use http_body_util::Full;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};
use windlass_http::dial;
use windlass_http::exchange::ExchangeError;
use windlass_http::pool::Pool;
use windlass_pki::{Identity, Rotating, Trust, client_config_of};

use crate::client::{Answer, read, request};
use crate::failure::CallError;

/// Why a kubeconfig leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    #[error("cannot read {}: {source}", .path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("it is no kubeconfig: {0}")]
    Syntax(String),
    #[error("{list} has no entry {name:?}, which {by} names")]
    Missing { list: &'static str, name: String, by: &'static str },
    #[error("the server {0:?} is no URL with http or https and a host")]
    Server(String),
    #[error("{field} cannot be used: {why}")]
    Field { field: &'static str, why: String },
    #[error("{0} is not supported here: give a certificate, a token, or a name and a password")]
    Unsupported(&'static str),
}

/// Such a server. Connections to it are kept.
pub struct Remote {
    url: Uri,
    pool: Pool<Full<Bytes>>,
    credential: Credential,
}

/// What is shown with each request, beside a certificate.
enum Credential {
    None,
    Header(HeaderValue),
    /// A file with a token, which is replaced from time to time.
    TokenFile(PathBuf),
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Kubeconfig {
    current_context: String,
    clusters: Vec<NamedCluster>,
    users: Vec<NamedUser>,
    contexts: Vec<NamedContext>,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    #[serde(default)]
    user: User,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    #[serde(default)]
    user: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Cluster {
    server: String,
    certificate_authority: PathBuf,
    certificate_authority_data: String,
    insecure_skip_tls_verify: bool,
    tls_server_name: String,
    proxy_url: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct User {
    client_certificate: PathBuf,
    client_certificate_data: String,
    client_key: PathBuf,
    client_key_data: String,
    token: String,
    #[serde(rename = "tokenFile")]
    token_file: PathBuf,
    username: String,
    password: String,
    exec: serde_json::Value,
    auth_provider: serde_json::Value,
}

impl Remote {
    /// Reads the file and those that it names.
    pub fn open(path: &Path) -> Result<Self, KubeconfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| KubeconfigError::Read { path: path.to_owned(), source })?;
        let config: Kubeconfig = serde_saphyr::from_str(&text)
            .map_err(|error: serde_saphyr::Error| KubeconfigError::Syntax(error.without_snippet().to_string()))?;
        config.remote(path.parent().unwrap_or(Path::new("")))
    }

    /// Sends JSON and returns what comes back within the time.
    pub async fn post(&self, body: Bytes, timeout: Duration) -> Result<Answer, CallError> {
        let deadline = Instant::now() + timeout;
        let failed = |cause| CallError::Exchange { url: self.url.to_string(), cause };
        let request = self.request(body).map_err(|error| failed(ExchangeError::Other(error.to_string())))?;
        let exchange = async { self.pool.send(request).await.map_err(failed) };
        let response = timeout_at(deadline, exchange).await.unwrap_or_else(|_| Err(failed(ExchangeError::Deadline)));
        read(response?, deadline, &self.url).await
    }

    fn request(&self, body: Bytes) -> std::io::Result<Request<Full<Bytes>>> {
        let mut request = request(&self.url, body);
        let shown = match &self.credential {
            Credential::None => return Ok(request),
            Credential::Header(value) => value.clone(),
            Credential::TokenFile(path) => {
                bearer(std::fs::read_to_string(path)?.trim()).map_err(std::io::Error::other)?
            }
        };
        request.headers_mut().insert(AUTHORIZATION, shown);
        Ok(request)
    }
}

impl Kubeconfig {
    /// The server of the current context. Paths are relative to `folder`.
    fn remote(self, folder: &Path) -> Result<Remote, KubeconfigError> {
        let missing = |list, name: &str, by| KubeconfigError::Missing { list, name: name.to_owned(), by };
        let current = &self.current_context;
        let context = self.contexts.into_iter().find(|context| context.name == *current);
        let Context { cluster, user } = context.ok_or_else(|| missing("contexts", current, "current-context"))?.context;
        let found = self.clusters.into_iter().find(|named| named.name == cluster);
        let found = found.ok_or_else(|| missing("clusters", &cluster, "the context"))?.cluster;
        let who = match user.as_str() {
            "" => User::default(),
            name => {
                let who = self.users.into_iter().find(|named| named.name == name);
                who.ok_or_else(|| missing("users", name, "the context"))?.user
            }
        };
        let pool_of = |url: &Uri| found.pool(url, who.identity(folder)?, folder);
        let url = found.url()?;
        Ok(Remote { pool: pool_of(&url)?, credential: who.credential(folder)?, url })
    }
}

impl Cluster {
    fn url(&self) -> Result<Uri, KubeconfigError> {
        if !self.proxy_url.is_empty() {
            return Err(KubeconfigError::Unsupported("proxy-url"));
        }
        let refused = || KubeconfigError::Server(self.server.clone());
        let text = if self.server.contains("://") { self.server.clone() } else { format!("https://{}", self.server) };
        let url: Uri = text.parse().map_err(|_| refused())?;
        let is_known = [&Scheme::HTTP, &Scheme::HTTPS].into_iter().any(|known| url.scheme() == Some(known));
        if is_known && url.host().is_some_and(|host| !host.is_empty()) { Ok(url) } else { Err(refused()) }
    }

    fn pool(
        &self,
        url: &Uri,
        identity: Option<Arc<Rotating>>,
        folder: &Path,
    ) -> Result<Pool<Full<Bytes>>, KubeconfigError> {
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
        if url.scheme() == Some(&Scheme::HTTP) {
            return Ok(Pool::plain());
        }
        let field = "certificate-authority";
        let trust = if self.insecure_skip_tls_verify {
            Trust::Anybody
        } else {
            let bundle = given(&self.certificate_authority, &self.certificate_authority_data, folder, field)?;
            let roots = dial::roots_of(&bundle).ok_or_else(|| refused(field, &"it holds no certificate"))?;
            Trust::Authorities(roots)
        };
        let tls = client_config_of(trust, identity).map_err(|error| refused(field, &error))?;
        let name = if self.tls_server_name.is_empty() { host } else { &self.tls_server_name };
        Ok(Pool::new(Arc::new(tls), name))
    }
}

impl User {
    fn identity(&self, folder: &Path) -> Result<Option<Arc<Rotating>>, KubeconfigError> {
        let field = "client-certificate";
        let certificates = given(&self.client_certificate, &self.client_certificate_data, folder, field)?;
        let key = given(&self.client_key, &self.client_key_data, folder, "client-key")?;
        if certificates.is_empty() && key.is_empty() {
            return Ok(None);
        }
        let identity = Identity::from_pem(&certificates, &key).and_then(|identity| Rotating::new(&identity));
        identity.map(Some).map_err(|error| refused(field, &error))
    }

    fn credential(&self, folder: &Path) -> Result<Credential, KubeconfigError> {
        if !self.exec.is_null() {
            return Err(KubeconfigError::Unsupported("exec"));
        }
        if !self.auth_provider.is_null() {
            return Err(KubeconfigError::Unsupported("auth-provider"));
        }
        if !self.token_file.as_os_str().is_empty() {
            return Ok(Credential::TokenFile(folder.join(&self.token_file)));
        }
        if !self.token.is_empty() {
            return bearer(&self.token).map(Credential::Header).map_err(|error| refused("token", &error));
        }
        if self.username.is_empty() && self.password.is_empty() {
            return Ok(Credential::None);
        }
        let encoded = BASE64.encode(format!("{}:{}", self.username, self.password));
        secret(&format!("Basic {encoded}")).map(Credential::Header).map_err(|error| refused("username", &error))
    }
}

/// What a field holds in base64, or the file that it names; nothing when neither is given.
fn given(path: &Path, data: &str, folder: &Path, field: &'static str) -> Result<Vec<u8>, KubeconfigError> {
    if !data.is_empty() {
        return BASE64.decode(data).map_err(|error| refused(field, &error));
    }
    if path.as_os_str().is_empty() {
        return Ok(Vec::new());
    }
    let path = folder.join(path);
    std::fs::read(&path).map_err(|source| KubeconfigError::Read { path, source })
}

fn refused(field: &'static str, why: &dyn Display) -> KubeconfigError {
    KubeconfigError::Field { field, why: why.to_string() }
}

fn bearer(token: &str) -> Result<HeaderValue, http::Error> {
    secret(&format!("Bearer {token}"))
}

/// A value that is shown to nobody else.
fn secret(text: &str) -> Result<HeaderValue, http::Error> {
    let mut value = HeaderValue::try_from(text)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn file(folder: &Path, server: &str, user: &str) -> PathBuf {
        let path = folder.join("config");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: k, cluster: {{server: \"{server}\"}}}}]\n\
             users: [{{name: u, user: {{{user}}}}}]\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n"
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    fn refusal(server: &str, user: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        Remote::open(&file(folder.path(), server, user)).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_leads_nowhere() {
        assert_eq!(refusal("https://h:1/a?b=c", "token: t"), "");
        assert_eq!(refusal("h:1", ""), "");
        assert_eq!(refusal("ftp://h", ""), "the server \"ftp://h\" is no URL with http or https and a host");
        assert!(refusal("https://h", "exec: {command: x}").starts_with("exec is not supported here"));
        assert!(
            refusal("https://h", "client-certificate-data: '!'").starts_with("client-certificate cannot be used: ")
        );
        assert!(refusal("https://h", "client-key: /nowhere").starts_with("cannot read /nowhere: "));
        assert!(refusal("https://h", "token: \"a\\nb\"").starts_with("token cannot be used: "));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config"), "current-context: c\n").unwrap();
        let error = Remote::open(&folder.path().join("config")).err().unwrap().to_string();
        assert_eq!(error, "contexts has no entry \"c\", which current-context names");
    }

    #[tokio::test]
    async fn a_token_is_read_anew_for_each_request() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let remote =
            Remote::open(&file(folder.path(), &format!("http://{address}/audit"), "tokenFile: token")).unwrap();
        for token in ["one", "two"] {
            std::fs::write(folder.path().join("token"), format!("{token}\n")).unwrap();
            let serving = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut read = Vec::new();
                while !read.ends_with(b"{\"a\":1}") {
                    stream.read_buf(&mut read).await.unwrap();
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}").await.unwrap();
                String::from_utf8(read).unwrap()
            };
            let (answer, head) =
                tokio::join!(remote.post(Bytes::from_static(b"{\"a\":1}"), Duration::from_secs(30)), serving);
            assert_eq!((answer.unwrap().code, head.starts_with("POST /audit ")), (200, true), "{head}");
            assert!(head.contains(&format!("authorization: Bearer {token}\r\n")), "{head}");
        }
    }
}
