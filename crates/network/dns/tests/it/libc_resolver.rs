//! The resolver of the C library, as programs in pods use it: a search list, `ndots:5`, both families at once.
//!
//! `getent` runs in a network and a mount namespace of its own, where port 53 and /etc/resolv.conf are ours.

use std::process::Command;
use std::sync::Arc;

use windlass_api::time::Clock;
use windlass_dataplane::Netns;
use windlass_dataplane::route::{Requests, Rtnetlink};
use windlass_dns::{Dns, Options};

use super::world::{Manner, Upstream, World};

struct Resolver {
    netns: Arc<Netns>,
    file: std::path::PathBuf,
}

impl Drop for Resolver {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
        let _ = std::fs::remove_file(self.file.with_extension("nss"));
    }
}

impl Resolver {
    /// What `getent ahosts` prints of a name: its addresses, sorted; or that it has none.
    fn addresses(&self, name: &str) -> Vec<String> {
        let script = format!(
            "mount --bind {} /etc/resolv.conf && mount --bind {} /etc/nsswitch.conf && exec getent ahosts {name}",
            self.file.display(),
            self.file.with_extension("nss").display()
        );
        let output = Command::new("nsenter")
            .arg(format!("--net={}", self.netns.path().display()))
            .args(["unshare", "--mount", "sh", "-c", &script])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut addresses: Vec<String> =
            text.lines().filter_map(|line| line.split_whitespace().next()).map(ToOwned::to_owned).collect();
        addresses.sort();
        addresses.dedup();
        addresses
    }
}

#[test]
fn names_as_pods_use_them() {
    let netns = Arc::new(Netns::create().expect("this test makes a network namespace: run it as root"));
    let mut up = Requests::new();
    up.set_link_up(1);
    up.send(&mut Rtnetlink::open(&netns).unwrap()).unwrap();
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("resolv-{}.conf", std::process::id()));
    let search = "search default.svc.cluster.local svc.cluster.local cluster.local";
    std::fs::write(&file, format!("nameserver 127.0.0.53\n{search}\noptions ndots:5 timeout:5\n")).unwrap();
    std::fs::write(file.with_extension("nss"), "hosts: dns\n").unwrap();
    let resolver = Resolver { netns: Arc::clone(&netns), file };
    std::thread::scope(|scope| {
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server_netns = Arc::clone(&netns);
        // All of the runtime's threads are in the namespace.
        scope.spawn(move || {
            server_netns
                .run(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    runtime.block_on(serve(ready, stopped));
                })
                .unwrap();
        });
        is_ready.recv().unwrap();
        for (name, expected) in [
            ("web", &["10.96.0.1"][..]),
            ("web.default", &["10.96.0.1"]),
            ("web.default.svc", &["10.96.0.1"]),
            ("web.default.svc.cluster.local", &["10.96.0.1"]),
            ("web.default.svc.cluster.local.", &["10.96.0.1"]),
            ("alias", &["10.96.0.1"]),
            ("out", &["192.0.2.80"]),
            ("www.example.com", &["192.0.2.80"]),
            ("10-1-2-3.default.pod", &["10.1.2.3"]),
            ("nobody", &[]),
            ("nobody.example.com", &[]),
        ] {
            assert_eq!(resolver.addresses(name), expected, "{name}");
        }
        // Two hundred addresses do not fit into a datagram: the C library asks again over TCP.
        assert_eq!(resolver.addresses("many").len(), 200);
        stop.send(()).unwrap();
    });
}

async fn serve(ready: std::sync::mpsc::Sender<()>, stopped: tokio::sync::oneshot::Receiver<()>) {
    let upstream = Upstream::new(Manner::Answers).await;
    let options = Options { upstreams: vec![upstream.address], ..super::world::options() };
    let dns = Dns::new(&options, Clock::system(), &windlass_telemetry::Metrics::default());
    World::fill(&dns);
    let udp = tokio::net::UdpSocket::bind("127.0.0.53:53").await.unwrap();
    let tcp = tokio::net::TcpListener::bind("127.0.0.53:53").await.unwrap();
    ready.send(()).unwrap();
    dns.run(vec![udp], vec![tcp], async { drop(stopped.await) }).await;
}
