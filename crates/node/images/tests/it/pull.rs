//! Pulls from docker-registry: every way to be let in, and what a pulled image is.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use serde_json::json;
use windlass_cri::{AuthConfig, Code, ImageService, ImageSource, ImageSpec};
use windlass_images::{Credentials, Digest, Endpoint, ImageStore, Options, Proxy, Registries, RegistryConfig};

use crate::support::http::{push, push_manifest};
use crate::support::image::{DOCKER_MANIFEST, INDEX, Image, Layer};
use crate::support::registry::{BASIC, PASSWORD, Registry, USER};
use crate::support::server::{Reply, Server};
use crate::support::{directory, leftovers, options, store};

fn sample(text: &str) -> Image {
    Image::new(vec![Layer::new().noise("base", 300_000, 3), Layer::new().file("file", text)])
}

async fn pull(store: &ImageStore, name: &str, auth: Option<AuthConfig>) -> windlass_cri::Result<String> {
    store.pull_image(&ImageSpec::new(name), auth, None).await
}

fn password(username: &str, password: &str) -> Option<AuthConfig> {
    Some(AuthConfig { username: username.into(), password: password.into(), ..AuthConfig::default() })
}

#[tokio::test]
async fn by_tag_and_by_digest_from_an_open_registry() {
    let (dir, registry) = (directory(), Registry::open());
    let store = store(&dir).await;
    let image = sample("one");
    push(registry.address, "team/app", "v1", &image, None);
    let repository = format!("{}/team/app", registry.address);
    let name = format!("{repository}:v1");

    let id = pull(&store, &name, None).await.unwrap();
    assert_eq!(id, image.id().to_string());
    let found = store.image_status(&ImageSpec::new(&name)).await.unwrap().unwrap();
    assert_eq!(found.repo_tags, std::slice::from_ref(&name));
    assert_eq!(found.repo_digests, [format!("{repository}@{}", image.digest())]);
    assert_eq!((found.uid, found.pinned), (Some(65534), false));
    let rootfs = store.rootfs(&id).await.unwrap();
    assert_eq!(rootfs.image_ref, format!("{repository}@{}", image.digest()));
    assert_eq!(std::fs::read_to_string(rootfs.layers[1].join("file")).unwrap(), "one");

    let by_digest = format!("{repository}:ignored@{}", image.digest());
    assert_eq!(pull(&store, &by_digest, None).await.unwrap(), id);
    assert_eq!(store.list_images(None).await.unwrap().len(), 1);
    assert_eq!(store.list_images(Some(&ImageSpec::new(&name))).await.unwrap().len(), 1);
    assert!(store.list_images(Some(&ImageSpec::new("other:1"))).await.unwrap().is_empty());

    // The tag moves on; the layer that both have is there already.
    let newer = sample("two");
    push(registry.address, "team/app", "v1", &newer, None);
    assert_eq!(pull(&store, &name, None).await.unwrap(), newer.id().to_string());
    let images = store.list_images(None).await.unwrap();
    let older = images.iter().find(|i| i.id == id).unwrap();
    assert_eq!((images.len(), older.repo_tags.len(), older.repo_digests.len()), (2, 0, 1));
    let newer = store.rootfs(newer.id().as_str()).await.unwrap();
    assert_eq!(newer.layers[0], rootfs.layers[0]);
    assert!(leftovers(&dir).is_empty());
}

#[tokio::test]
async fn what_the_registry_does_not_have() {
    let (dir, registry) = (directory(), Registry::open());
    let store = store(&dir).await;
    let name = format!("{}/nothing:here", registry.address);
    let error = pull(&store, &name, None).await.unwrap_err();
    assert_eq!(error.code, Code::NotFound);
    assert_eq!(
        error.message,
        format!(
            "failed to pull and unpack image \"{name}\": failed to resolve reference \"{name}\": {name}: not found"
        )
    );
    let missing = format!("{}/nothing@{}", registry.address, Digest::of(b"x"));
    assert_eq!(pull(&store, &missing, None).await.unwrap_err().code, Code::NotFound);

    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = pull(&store, &format!("{closed}/a:b"), None).await.unwrap_err();
    assert_eq!(error.code, Code::Unavailable);
    let tail = format!(
        "failed to do request: Head \"https://{closed}/v2/a/manifests/b\": dial tcp {closed}: connect: connection refused"
    );
    assert!(error.message.ends_with(&tail), "{}", error.message);
    let error = pull(&store, "name.that.does.not.exist.invalid/a:b", None).await.unwrap_err();
    assert!(error.message.contains("dial tcp: lookup name.that.does.not.exist.invalid: "), "{}", error.message);
    let error = pull(&store, "UPPER", None).await.unwrap_err();
    assert_eq!(error.code, Code::InvalidArgument);
    assert!(error.message.starts_with("failed to parse image reference \"UPPER\": invalid reference format"));
}

#[tokio::test]
async fn manifests_of_docker_and_indexes() {
    let (dir, registry) = (directory(), Registry::open());
    let store = store(&dir).await;
    let docker = sample("docker").docker();
    assert_eq!(docker.media_type, DOCKER_MANIFEST);
    push(registry.address, "a", "docker", &docker, None);
    assert_eq!(pull(&store, &format!("{}/a:docker", registry.address), None).await.unwrap(), docker.id().to_string());

    let (mine, other) = (sample("mine"), sample("other"));
    push(registry.address, "a", "mine", &mine, None);
    push(registry.address, "a", "other", &other, None);
    let own = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let index = |entries: serde_json::Value| {
        serde_json::to_vec(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})).unwrap()
    };
    let both = index(json!([other.entry("s390x"), mine.entry(own)]));
    push_manifest(registry.address, "a", "multi", INDEX, &both, None);
    let name = format!("{}/a:multi", registry.address);
    assert_eq!(pull(&store, &name, None).await.unwrap(), mine.id().to_string());
    let image = store.image_status(&ImageSpec::new(&name)).await.unwrap().unwrap();
    assert_eq!(image.repo_digests, [format!("{}/a@{}", registry.address, Digest::of(&both))]);

    push_manifest(registry.address, "a", "foreign", INDEX, &index(json!([other.entry("s390x")])), None);
    let error = pull(&store, &format!("{}/a:foreign", registry.address), None).await.unwrap_err();
    assert_eq!(error.code, Code::NotFound);
    assert!(error.message.contains("no match for platform linux/"), "{}", error.message);
}

#[tokio::test]
async fn a_password() {
    let (dir, registry) = (directory(), Registry::with_password());
    let image = sample("secret");
    push(registry.address, "private", "1", &image, Some(BASIC));
    let name = format!("{}/private:1", registry.address);
    let id = image.id().to_string();
    let store1 = store(&dir).await;

    let nobody = pull(&store1, &name, None).await.unwrap_err();
    assert_eq!(nobody.code, Code::PermissionDenied);
    assert!(
        nobody.message.contains("pull access denied, repository does not exist or may require authorization"),
        "{}",
        nobody.message
    );
    let wrong = pull(&store1, &name, password(USER, "wrong")).await.unwrap_err();
    assert_eq!(wrong.code, Code::PermissionDenied);
    assert!(wrong.message.ends_with("/v2/private/manifests/1: 401 Unauthorized"), "{}", wrong.message);
    assert_eq!(pull(&store1, &name, password(USER, PASSWORD)).await.unwrap(), id);

    // Having the image is no right to it: others are asked for their credentials all the same.
    assert!(pull(&store1, &name, None).await.is_err());
    assert!(pull(&store1, &format!("{}/private@{}", registry.address, image.digest()), None).await.is_err());

    let encoded = AuthConfig { auth: STANDARD.encode(format!("{USER}:{PASSWORD}")), ..AuthConfig::default() };
    assert_eq!(pull(&store1, &name, Some(encoded)).await.unwrap(), id);

    let dir = directory();
    let node = Credentials { username: USER.into(), password: PASSWORD.into(), ..Credentials::default() };
    let credentials = [(registry.address.to_string(), node)].into();
    let registries = Registries { credentials, ..Registries::default() };
    let store2 = ImageStore::open(Options { registries, ..options(&dir) }).await.unwrap();
    assert_eq!(pull(&store2, &name, None).await.unwrap(), id, "the node's own credentials");
}

/// A token server: whoever comes gets a token for what they ask, but `private` only for [`USER`].
struct Granter {
    key: rcgen::KeyPair,
    certificate: rcgen::Certificate,
}

impl Granter {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["token".into()]).unwrap().self_signed(&key).unwrap();
        Self { key, certificate }
    }

    fn token(&self, access: &serde_json::Value) -> String {
        use rcgen::SigningKey;
        let header = json!({"typ": "JWT", "alg": "ES256", "x5c": [STANDARD.encode(self.certificate.der())]});
        let claims = json!({
            "iss": "test-issuer", "aud": "test-registry", "sub": "x", "jti": "1",
            "exp": 4_000_000_000_u64, "nbf": 1, "iat": 1, "access": access,
        });
        let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).unwrap());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = self.key.sign(signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(der_to_fixed(&signature)))
    }
}

/// An ECDSA signature's two numbers, each in 32 bytes.
fn der_to_fixed(der: &[u8]) -> Vec<u8> {
    let mut rest = &der[2..];
    let mut fixed = Vec::with_capacity(64);
    for _ in 0..2 {
        let length = usize::from(rest[1]);
        let number = &rest[2..2 + length];
        let number = &number[number.len().saturating_sub(32)..];
        fixed.extend(std::iter::repeat_n(0, 32 - number.len()));
        fixed.extend_from_slice(number);
        rest = &rest[2 + length..];
    }
    fixed
}

#[tokio::test]
async fn tokens() {
    let dir = directory();
    let granter = Granter::new();
    let server = Server::start().await;
    let registry = Registry::with_tokens(&format!("http://{}/token?x=y", server.address), &granter.certificate.pem());
    let all = |name: &str| json!([{"type": "repository", "name": name, "actions": ["pull", "push"]}]);
    let image = sample("token");
    for repository in ["public", "private"] {
        let push_token = format!("Bearer {}", granter.token(&all(repository)));
        push(registry.address, repository, "1", &image, Some(&push_token));
    }
    let basic = BASIC.to_owned();
    server.rule(move |seen| {
        if !seen.target.starts_with("/token") {
            return None;
        }
        let public = seen.target.contains("scope=repository%3Apublic%3Apull");
        let may = public
            || seen.authorization.as_deref() == Some(&basic)
            || seen.target.contains("refresh_token=the-identity-token");
        let access = if may { all(if public { "public" } else { "private" }) } else { json!([]) };
        Some(Reply::Body(serde_json::to_vec(&json!({"token": granter.token(&access), "expires_in": 300})).unwrap()))
    });
    let store = store(&dir).await;
    let name = |repository: &str| format!("{}/{repository}:1", registry.address);

    assert_eq!(pull(&store, &name("public"), None).await.unwrap(), image.id().to_string());
    let asked = server.seen("/token");
    assert_eq!(asked.len(), 1, "one token serves the whole pull");
    assert!(asked[0].target.starts_with("/token?x=y&service=test-registry&scope="), "{}", asked[0].target);

    let denied = pull(&store, &name("private"), None).await.unwrap_err();
    assert_eq!(denied.code, Code::PermissionDenied);
    assert!(
        denied.message.ends_with(
            "pull access denied, repository does not exist or may require authorization: server message: \
             insufficient_scope: authorization failed"
        ),
        "{}",
        denied.message
    );
    assert!(pull(&store, &name("private"), password(USER, PASSWORD)).await.is_ok());
    let identity = AuthConfig { identity_token: "the-identity-token".into(), ..AuthConfig::default() };
    assert!(pull(&store, &name("private"), Some(identity)).await.is_ok());
    let posted = server.seen("grant_type=refresh_token");
    assert_eq!((posted.len(), posted[0].method.as_str()), (1, "POST"));
}

#[tokio::test]
async fn a_registry_token_is_sent_as_it_is() {
    let (dir, server) = (directory(), Server::start().await);
    let image = sample("x");
    server.add("a", "1", &image);
    server.rule(|seen| {
        let challenge = ("www-authenticate", "Bearer realm=\"http://127.0.0.1:1/\"".to_owned());
        (seen.authorization.as_deref() != Some("Bearer ready-made"))
            .then(|| Reply::Status(401, vec![challenge], String::new()))
    });
    let store = store(&dir).await;
    let auth = |token: &str| Some(AuthConfig { registry_token: token.into(), ..AuthConfig::default() });
    assert!(pull(&store, &server.name("a:1"), auth("ready-made")).await.is_ok());
    let error = pull(&store, &server.name("a:1"), auth("expired")).await.unwrap_err();
    assert_eq!(error.code, Code::PermissionDenied);
}

#[tokio::test]
async fn tls_with_a_configured_authority() {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(vec![]).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_certificate = authority.self_signed(&authority_key).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let issuer = rcgen::Issuer::from_params(&authority, &authority_key);
    let certificate =
        rcgen::CertificateParams::new(vec!["127.0.0.1".into()]).unwrap().signed_by(&key, &issuer).unwrap();
    let registry = Registry::with_tls(&certificate.pem(), &key.serialize_pem());
    let (dir, certs) = (directory(), directory());

    // A name that is not taken for this machine, so that TLS is verified.
    let host = format!("registry.test:{}", registry.address.port());
    let layout = certs.path().join(host.replace(':', "_") + "_");
    std::fs::create_dir(&layout).unwrap();
    let hosts = |extra: &str| {
        std::fs::write(layout.join("hosts.toml"), format!("server = \"https://{}\"\n{extra}", registry.address))
            .unwrap();
    };
    let registries = Registries { config_paths: vec![certs.path().to_owned()], ..Registries::default() };
    let store = ImageStore::open(Options { registries, ..options(&dir) }).await.unwrap();
    let name = format!("{host}/nothing:1");
    hosts("");
    let error = pull(&store, &name, None).await.unwrap_err();
    assert!(
        error.message.ends_with("tls: failed to verify certificate: x509: certificate signed by unknown authority"),
        "{}",
        error.message
    );
    // The change counts for the next pull, without a restart.
    std::fs::write(layout.join("ca.pem"), authority_certificate.pem()).unwrap();
    hosts("ca = \"ca.pem\"");
    assert_eq!(pull(&store, &name, None).await.unwrap_err().code, Code::NotFound, "the registry answers");
    hosts("skip_verify = true");
    assert_eq!(pull(&store, &name, None).await.unwrap_err().code, Code::NotFound);
    // Without configuration a registry on this machine is tried with TLS that nobody verifies.
    assert_eq!(pull(&store, &format!("{}/nothing:1", registry.address), None).await.unwrap_err().code, Code::NotFound);
}

#[tokio::test]
async fn a_server_with_its_own_authority_certificate() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".into()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    let registry = Registry::with_tls(&certificate.pem(), &key.serialize_pem());
    let (dir, certs) = (directory(), directory());
    let layout = certs.path().join("registry.test");
    std::fs::create_dir(&layout).unwrap();
    std::fs::write(layout.join("ca.pem"), certificate.pem()).unwrap();
    let hosts = |host: &str| {
        let text = format!("server = \"https://{host}:{}\"\nca = \"ca.pem\"\n", registry.address.port());
        std::fs::write(layout.join("hosts.toml"), text).unwrap();
    };
    let registries = Registries { config_paths: vec![certs.path().to_owned()], ..Registries::default() };
    let store = ImageStore::open(Options { registries, ..options(&dir) }).await.unwrap();
    hosts("127.0.0.1");
    assert_eq!(pull(&store, "registry.test/a:1", None).await.unwrap_err().code, Code::NotFound);
    hosts("localhost");
    let error = pull(&store, "registry.test/a:1", None).await.unwrap_err();
    let words = "x509: certificate is not valid for any names, but wanted to match localhost";
    assert!(error.message.ends_with(words), "{}", error.message);
}

#[tokio::test]
async fn mirrors_come_first_and_the_registry_itself_last() {
    let (dir, certs) = (directory(), directory());
    let (mirror, origin) = (Server::start().await, Server::start().await);
    let image = sample("mirrored");
    mirror.add("library/app", "1", &image);
    origin.add("library/app", "2", &image);
    let layout = certs.path().join("docker.io");
    std::fs::create_dir(&layout).unwrap();
    let hosts = format!(
        "server = \"http://{}\"\n[host.\"http://{}\"]\ncapabilities = [\"pull\", \"resolve\"]\n[host.\"http://{}\".header]\nx-mirror = \"yes\"\n",
        origin.address, mirror.address, mirror.address
    );
    std::fs::write(layout.join("hosts.toml"), hosts).unwrap();
    let registries = Registries { config_paths: vec![certs.path().to_owned()], ..Registries::default() };
    let store = ImageStore::open(Options { registries, ..options(&dir) }).await.unwrap();

    pull(&store, "app:1", password("u", "p")).await.unwrap();
    assert!(origin.seen("").is_empty());
    let seen = mirror.seen("manifests/1");
    assert_eq!(seen[0].target, "/v2/library/app/manifests/1?ns=docker.io");
    assert_eq!(seen[0].headers["x-mirror"], "yes");
    let image_names = store.image_status(&ImageSpec::new("app:1")).await.unwrap().unwrap();
    assert_eq!(image_names.repo_tags, ["docker.io/library/app:1"]);

    // What the mirror does not have comes from the registry; the layers that are here already from nowhere.
    pull(&store, "app:2", None).await.unwrap();
    assert_eq!(mirror.seen("manifests/2").len(), 1);
    assert_eq!(origin.seen("manifests/2").len(), 1);
    assert!(origin.seen("blobs").is_empty());
    assert!(origin.seen("")[0].headers.get("x-mirror").is_none());
}

#[tokio::test]
async fn pulls_of_one_image_at_the_same_time_are_one() {
    let (dir, server) = (directory(), Server::start().await);
    let image = sample("popular");
    let cousin = Image::new(vec![Layer::new().noise("base", 300_000, 3), Layer::new().file("cousin", "")]);
    server.add("a", "1", &image);
    server.add("a", "2", &cousin);
    let store = store(&dir).await;
    let told = Arc::new(Mutex::new(0));
    let (name, other) = (ImageSpec::new(server.name("a:1")), ImageSpec::new(server.name("a:2")));
    let pulls = (0..8).map(|_| {
        let told = told.clone();
        store.pull_image(&name, None, Some(Arc::new(move |_| *told.lock() += 1)))
    });
    let (same, cousin_id) = futures::join!(futures::future::join_all(pulls), store.pull_image(&other, None, None));
    for id in same {
        assert_eq!(id.unwrap(), image.id().to_string());
    }
    assert_eq!(cousin_id.unwrap(), cousin.id().to_string());
    assert_eq!(server.seen("manifests/1").len(), 1, "one HEAD for the tag");
    let base = Digest::of(&image.layers[0]);
    assert_eq!(server.seen(base.as_str()).len(), 1, "the layer that both images have is fetched once");
    assert!(*told.lock() >= 8);
}

#[tokio::test]
async fn a_pull_that_nobody_waits_for_ends_and_cleans_up() {
    let (dir, server) = (directory(), Server::start().await);
    let image = sample("cancelled");
    server.add("a", "1", &image);
    let base = Digest::of(&image.layers[0]).to_string();
    let (sender, mut waiting) = tokio::sync::mpsc::unbounded_channel();
    let held = base.clone();
    let mut first = true;
    server.rule(move |seen| {
        if !seen.target.contains(&held) || !std::mem::take(&mut first) {
            return None;
        }
        sender.send(()).unwrap();
        Some(Reply::Hang)
    });
    let store = store(&dir).await;
    let name = server.name("a:1");
    {
        let mut cancelled = Box::pin(pull(&store, &name, None));
        tokio::select! {
            _ = &mut cancelled => panic!("the layer never comes"),
            _ = waiting.recv() => {}
        }
    }
    assert_eq!(pull(&store, &name, None).await.unwrap(), image.id().to_string());
    store.close().await.unwrap();
    assert!(leftovers(&dir).is_empty());
}

#[tokio::test]
async fn by_way_of_a_proxy() {
    let dir = directory();
    let proxy = Server::start().await;
    let image = sample("far away");
    proxy.add("a", "1", &image);
    let server = Endpoint { address: "http://registry.invalid".into(), ..Endpoint::default() };
    let config = RegistryConfig { server, ..RegistryConfig::default() };
    let proxy_url = format!("http://user:pass@{}", proxy.address);
    let registries = Registries {
        registries: [("registry.invalid".into(), config)].into(),
        proxy: Proxy { http_proxy: proxy_url.clone(), https_proxy: proxy_url, no_proxy: "direct.invalid".into() },
        ..Registries::default()
    };
    let store = ImageStore::open(Options { registries, ..options(&dir) }).await.unwrap();
    // A name that does not exist: only the proxy can know it.
    assert_eq!(pull(&store, "registry.invalid/a:1", None).await.unwrap(), image.id().to_string());
    let seen = proxy.seen("manifests/1");
    assert_eq!(seen[0].headers["host"], "registry.invalid");
    assert_eq!(seen[0].headers["proxy-authorization"], "Basic dXNlcjpwYXNz");

    // TLS goes through a tunnel, which this proxy refuses.
    let error = pull(&store, "secure.invalid/a:1", None).await.unwrap_err();
    assert!(error.message.contains("proxyconnect tcp: "), "{}", error.message);
    assert!(!error.message.contains("pass"), "{}", error.message);
    assert_eq!(proxy.seen("").last().unwrap().method.as_str(), "CONNECT");
    let error = pull(&store, "direct.invalid/a:1", None).await.unwrap_err();
    assert!(error.message.contains("lookup direct.invalid"), "{}", error.message);
}

#[tokio::test]
async fn garbage_is_not_taken_from_a_running_pull() {
    let (dir, server) = (directory(), Server::start().await);
    let image = sample("half");
    server.add("a", "1", &image);
    let permits = Arc::new(tokio::sync::Semaphore::new(0));
    let (held, late) = (permits.clone(), Digest::of(&image.layers[1]).to_string());
    server.rule(move |seen| seen.target.contains(&late).then(|| Reply::After(held.clone())));
    let store = store(&dir).await;
    let name = server.name("a:1");
    let layers = dir.path().join("images/layers");
    let meanwhile = async {
        while crate::support::list(&layers).is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(store.collect_garbage([]).await.unwrap().layers, 0);
        permits.add_permits(1);
    };
    let (pulled, ()) = tokio::join!(pull(&store, &name, None), meanwhile);
    assert_eq!(pulled.unwrap(), image.id().to_string());
    assert!(store.rootfs(&name).await.unwrap().layers.iter().all(|layer| layer.is_dir()));
}
