//! Debian's `docker-registry`, started on a loopback port.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::Directory;

pub(crate) struct Registry {
    pub(crate) address: SocketAddr,
    process: Child,
    _data: Directory,
}

pub(crate) const USER: &str = "alice";
pub(crate) const PASSWORD: &str = "secret";
/// bcrypt of [`PASSWORD`].
const HTPASSWD: &str = "alice:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

/// `Basic` with [`USER`] and [`PASSWORD`].
pub(crate) const BASIC: &str = "Basic YWxpY2U6c2VjcmV0";

impl Registry {
    pub(crate) fn open() -> Self {
        Self::start(|_| String::new(), "")
    }

    pub(crate) fn with_password() -> Self {
        Self::start(
            |dir| {
                let path = dir.join("htpasswd");
                std::fs::write(&path, HTPASSWD).unwrap();
                format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", path.display())
            },
            "",
        )
    }

    /// Tokens are granted by the server at `realm`, signed by the certificate.
    pub(crate) fn with_tokens(realm: &str, certificate_pem: &str) -> Self {
        let (realm, certificate_pem) = (realm.to_owned(), certificate_pem.to_owned());
        Self::start(
            move |dir| {
                let path = dir.join("token.pem");
                std::fs::write(&path, &certificate_pem).unwrap();
                format!(
                    "auth:\n  token:\n    realm: {realm}\n    service: test-registry\n    issuer: test-issuer\n    rootcertbundle: {}\n",
                    path.display()
                )
            },
            "",
        )
    }

    pub(crate) fn with_tls(certificate_pem: &str, key_pem: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        std::fs::write(&certificate, certificate_pem).unwrap();
        std::fs::write(&key, key_pem).unwrap();
        let tls = format!("  tls:\n    certificate: {}\n    key: {}\n", certificate.display(), key.display());
        // The files are read before the registry listens.
        Self::start(|_| String::new(), &tls)
    }

    fn start(auth: impl Fn(&Path) -> String, http: &str) -> Self {
        // Between choosing a port and listening on it another process may take it.
        for _ in 0..10 {
            let data = super::directory();
            let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let config = format!(
                "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}\n{}http:\n  addr: {address}\n  secret: test\n{http}",
                data.path().join("data").display(),
                auth(data.path()),
            );
            let path = data.path().join("config.yml");
            std::fs::write(&path, config).unwrap();
            let process = Command::new("docker-registry")
                .arg("serve")
                .arg(&path)
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .expect("docker-registry is installed (Debian's package docker-registry)");
            let mut registry = Self { address, process, _data: data };
            let mut output = BufReader::new(registry.process.stderr.take().unwrap());
            let mut line = String::new();
            while output.read_line(&mut line).unwrap() > 0 {
                if line.contains("listening on") {
                    // Nobody may keep the registry waiting with a full pipe.
                    std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
                    return registry;
                }
                line.clear();
            }
        }
        panic!("docker-registry does not start");
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
