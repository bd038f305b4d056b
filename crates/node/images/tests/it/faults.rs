//! Registries that break off, lie, refuse and send elsewhere.

use windlass_cri::{AuthConfig, Code, ImageService, ImageSpec};
use windlass_images::unpack::{Limits, Reserve};
use windlass_images::{Digest, Endpoint, ImageStore, Options, Registries, RegistryConfig};

use crate::support::image::{Image, Layer};
use crate::support::server::{Reply, Server, once_each};
use crate::support::{Directory, directory, leftovers, options, store};

fn sample() -> Image {
    Image::new(vec![Layer::new().noise("base", 500_000, 11)])
}

async fn pull(store: &ImageStore, name: &str) -> windlass_cri::Result<String> {
    store.pull_image(&ImageSpec::new(name), None, None).await
}

struct Case {
    dir: Directory,
    server: Server,
    store: ImageStore,
    image: Image,
    layer: String,
}

impl Case {
    async fn new() -> Self {
        let dir = directory();
        let server = Server::start().await;
        let image = sample();
        server.add("a", "1", &image);
        let store = store(&dir).await;
        let layer = Digest::of(&image.layers[0]).to_string();
        Self { dir, server, store, image, layer }
    }

    async fn pull(&self) -> windlass_cri::Result<String> {
        pull(&self.store, &self.server.name("a:1")).await
    }

    fn ranges(&self) -> Vec<Option<String>> {
        self.server.seen(&self.layer).into_iter().map(|seen| seen.range).collect()
    }

    fn untouched(&self) {
        assert!(leftovers(&self.dir).is_empty());
        assert!(crate::support::list(&self.dir.path().join("images/layers")).is_empty());
    }
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_was() {
    let case = Case::new().await;
    case.server.rule(once_each(&case.layer, vec![Reply::Cut(100_000), Reply::Cut(50_000)]));
    assert_eq!(case.pull().await.unwrap(), case.image.id().to_string());
    assert_eq!(case.ranges(), [None, Some("bytes=100000-".into()), Some("bytes=150000-".into())]);
    assert!(leftovers(&case.dir).is_empty());
}

#[tokio::test]
async fn a_server_without_ranges_is_read_again() {
    let case = Case::new().await;
    case.server.rule(once_each(&case.layer, vec![Reply::Cut(100_000), Reply::Whole]));
    assert_eq!(case.pull().await.unwrap(), case.image.id().to_string());
    assert_eq!(case.ranges(), [None, Some("bytes=100000-".into())]);
}

#[tokio::test]
async fn a_server_that_never_gets_anywhere_is_given_up() {
    let case = Case::new().await;
    case.server.rule(once_each(&case.layer, vec![Reply::Cut(0); 20]));
    let error = case.pull().await.unwrap_err();
    assert_eq!(error.code, Code::Unavailable);
    assert!(error.message.contains("broke off at byte 0 of"), "{}", error.message);
    assert_eq!(case.ranges().len(), 4, "as many attempts as the options allow");
    case.untouched();
}

#[tokio::test]
async fn busy_servers_are_asked_again() {
    let case = Case::new().await;
    let busy = || Reply::Status(429, vec![("retry-after", "0".into())], String::new());
    let failing = |status| Reply::Status(status, vec![], String::new());
    case.server.rule(once_each("manifests/1", vec![busy(), failing(503)]));
    case.server.rule(once_each("manifests/sha256", vec![failing(500)]));
    case.server.rule(once_each(&case.layer, vec![failing(502), busy(), failing(504)]));
    assert_eq!(case.pull().await.unwrap(), case.image.id().to_string());

    let case = Case::new().await;
    let body = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit"}]}"#;
    let limited = || Reply::Status(429, vec![], body.into());
    case.server.rule(once_each("manifests/1", vec![limited(); 20]));
    let error = case.pull().await.unwrap_err();
    assert_eq!(error.code, Code::Unavailable);
    assert!(error.message.contains("429 Too Many Requests"), "{}", error.message);
    assert_eq!(case.server.seen("manifests/1").len(), 4);
}

#[tokio::test]
async fn refusals_are_final_and_told() {
    let case = Case::new().await;
    let body = r#"{"errors":[{"code":"DENIED","message":"blocked by policy"}]}"#;
    case.server.rule(once_each("manifests/1", vec![Reply::Status(403, vec![], body.into()); 2]));
    let error = case.pull().await.unwrap_err();
    assert_eq!(error.code, Code::PermissionDenied);
    assert!(error.message.ends_with("403 Forbidden: denied: blocked by policy"), "{}", error.message);

    let case = Case::new().await;
    case.server.rule(once_each("manifests/1", vec![Reply::Status(401, vec![], String::new()); 2]));
    let error = case.pull().await.unwrap_err();
    assert!(error.message.contains("failed to authorize: failed to find supported auth scheme"), "{}", error.message);
}

#[tokio::test]
async fn wrong_contents_are_never_kept() {
    let case = Case::new().await;
    case.server.rule(once_each(&case.layer, vec![Reply::Wrong]));
    let error = case.pull().await.unwrap_err();
    assert!(error.message.contains("unexpected commit digest"), "{}", error.message);
    case.untouched();
    assert!(case.pull().await.is_ok(), "and the next pull is not hindered");

    let case = Case::new().await;
    case.server.rule(once_each("manifests/sha256", vec![Reply::Wrong]));
    assert!(case.pull().await.unwrap_err().message.contains("unexpected digest of the content"));

    let case = Case::new().await;
    case.server.rule(once_each("manifests/1", vec![Reply::Body(vec![b' '; 5 << 20]); 2]));
    assert!(case.pull().await.is_err(), "a manifest without end");
    case.untouched();
}

#[tokio::test]
async fn another_endpoint_has_the_right_contents() {
    let (dir, mirror, origin) = (directory(), Server::start().await, Server::start().await);
    let image = sample();
    mirror.add("a", "1", &image);
    origin.add("a", "1", &image);
    let endpoint = |server: &Server| Endpoint { address: format!("http://{}", server.address), ..Endpoint::default() };
    let config = RegistryConfig { mirrors: vec![endpoint(&mirror)], server: endpoint(&origin) };
    let registries = Registries { registries: [("r.example".into(), config)].into(), ..Registries::default() };
    let store = ImageStore::open(Options { registries, ..options(&dir) }).await.unwrap();
    let layer = Digest::of(&image.layers[0]).to_string();
    mirror.rule(once_each(&layer, vec![Reply::Wrong]));
    mirror.rule(once_each("manifests/sha256", vec![Reply::Wrong]));
    assert_eq!(pull(&store, "r.example/a:1").await.unwrap(), image.id().to_string());
    assert_eq!((mirror.seen(&layer).len(), origin.seen(&layer).len()), (1, 1));

    // A mirror that goes away in the middle: the origin sends the rest.
    store.remove_image(&ImageSpec::new("r.example/a:1")).await.unwrap();
    store.collect_garbage([]).await.unwrap();
    mirror.rule(once_each(&layer, vec![Reply::Cut(200_000), Reply::Cut(0), Reply::Cut(0)]));
    assert_eq!(pull(&store, "r.example/a:1").await.unwrap(), image.id().to_string());
    assert_eq!(origin.seen(&layer).last().unwrap().range.as_deref(), Some("bytes=200000-"));
}

#[tokio::test]
async fn redirects_do_not_carry_credentials_elsewhere() {
    let case = Case::new().await;
    let storage = Server::start().await;
    let blobs: Vec<(String, Vec<u8>)> =
        case.image.blobs().into_iter().map(|(digest, bytes)| (digest.to_string(), bytes)).collect();
    storage.rule(move |seen| {
        let (_, bytes) = blobs.iter().find(|(digest, _)| seen.target.contains(digest))?;
        Some(Reply::Body(bytes.clone()))
    });
    let location = format!("http://{}/storage", storage.address);
    case.server.rule(move |seen| {
        if seen.authorization.is_none() {
            let challenge = ("www-authenticate", "Basic realm=\"x\"".to_owned());
            return Some(Reply::Status(401, vec![challenge], String::new()));
        }
        let digest = seen.target.rsplit_once('/').map(|(_, digest)| digest.to_owned())?;
        let redirect = ("location", format!("{location}/{digest}?signature=secret"));
        seen.target.contains("/blobs/").then(|| Reply::Status(307, vec![redirect], String::new()))
    });
    let auth = AuthConfig { username: "u".into(), password: "p".into(), ..AuthConfig::default() };
    let spec = ImageSpec::new(case.server.name("a:1"));
    case.store.pull_image(&spec, Some(auth.clone()), None).await.unwrap();
    let seen = storage.seen("/storage");
    assert_eq!(seen.len(), 2, "configuration and layer");
    assert!(seen.iter().all(|seen| seen.authorization.is_none()));

    let looping = Case::new().await;
    let here = format!("http://{}/v2/a/manifests/1", looping.server.address);
    looping.server.rule(move |seen| {
        seen.target.contains("manifests").then(|| Reply::Status(302, vec![("location", here.clone())], String::new()))
    });
    assert!(looping.pull().await.unwrap_err().message.contains("stopped after 10 redirects"));
}

#[tokio::test]
async fn credentials_are_not_sent_to_a_token_server_without_tls() {
    let (dir, server) = (directory(), Server::start().await);
    server.rule(|_| {
        let challenge = ("www-authenticate", "Bearer realm=\"http://auth.example/token\"".to_owned());
        Some(Reply::Status(401, vec![challenge], String::new()))
    });
    // The port tells nothing, so the registry counts as one with TLS.
    let store = store(&dir).await;
    let auth = AuthConfig { username: "u".into(), password: "p".into(), ..AuthConfig::default() };
    let error = store.pull_image(&ImageSpec::new(server.name("a:1")), Some(auth), None).await.unwrap_err();
    assert!(error.message.contains("credentials are not sent to"), "{}", error.message);
}

#[tokio::test]
async fn a_full_disk_is_told_and_nothing_is_left() {
    let dir = directory();
    let server = Server::start().await;
    server.add("a", "1", &sample());
    let disk = Tmpfs::mount(dir.path(), "size=400k");
    let store = ImageStore::open(options(&dir)).await.unwrap();
    let name = server.name("a:1");
    let error = pull(&store, &name).await.unwrap_err();
    assert_eq!(error.code, Code::ResourceExhausted, "{}", error.message);
    assert!(error.message.ends_with("No space left on device (os error 28)"), "{}", error.message);
    assert!(leftovers(&dir).is_empty());
    rustix::mount::mount_remount(disk.0.as_path(), rustix::mount::MountFlags::empty(), c"size=4m").unwrap();
    assert!(pull(&store, &name).await.is_ok(), "with room it works");
    store.close().await.unwrap();
}

#[tokio::test]
async fn images_are_removed_from_a_full_disk() {
    let dir = directory();
    let server = Server::start().await;
    let image = Image::new(vec![Layer::new().noise("base", 2 << 20, 7)]);
    server.add("a", "1", &image);
    let disk = Tmpfs::mount(dir.path(), "size=4m");
    let store = ImageStore::open(options(&dir)).await.unwrap();
    let name = server.name("a:1");
    pull(&store, &name).await.unwrap();
    store.flush().await.unwrap();
    // Not a byte is left.
    let mut rest = std::fs::File::create(disk.0.join("rest")).unwrap();
    while std::io::Write::write(&mut rest, &[0; 4096]).is_ok_and(|wrote| wrote > 0) {}
    store.remove_image(&ImageSpec::new(&name)).await.unwrap();
    store.collect_garbage([]).await.unwrap();
    assert!(crate::support::list(&dir.path().join("images/layers")).is_empty());
    store.close().await.unwrap();
    let store = ImageStore::open(options(&dir)).await.unwrap();
    assert!(store.list_images(None).await.unwrap().is_empty());
    store.close().await.unwrap();
}

/// A small file system, gone at the end.
struct Tmpfs(std::path::PathBuf);

impl Tmpfs {
    fn mount(at: &std::path::Path, options: &str) -> Self {
        let options = std::ffi::CString::new(options).unwrap();
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("tmpfs", at, "tmpfs", flags, options.as_c_str()).unwrap();
        Self(at.to_owned())
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}

#[tokio::test]
async fn without_room_nothing_is_unpacked() {
    let (dir, server, image) = (directory(), Server::start().await, sample());
    server.add("a", "1", &image);
    let full = Reserve { percent: 100, bytes_max: u64::MAX };
    let limits = Limits { reserve: full, ..Limits::default() };
    let store = ImageStore::open(Options { limits, ..options(&dir) }).await.unwrap();
    let error = pull(&store, &server.name("a:1")).await.unwrap_err();
    assert_eq!(error.code, Code::ResourceExhausted);
    assert!(error.message.ends_with("remove images that nobody uses, or give it more room"), "{}", error.message);
    assert!(leftovers(&dir).is_empty());
}
