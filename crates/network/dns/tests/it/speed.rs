//! Questions for each second of processor time. Prints, asserts nothing about time.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;
use windlass_api::time::Clock;
use windlass_dns::{Dns, Options};

use super::world::{question, set_endpoints, set_service};

const SERVICES: u32 = 10_000;
const IN_FLIGHT: usize = 32;

/// The processor time of the thread that calls.
fn thread_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}

#[test]
#[ignore = "a measurement, for a release build on a quiet machine"]
#[expect(clippy::print_stdout, reason = "a measurement prints")]
fn questions_for_each_second_of_processor_time() {
    let dns = Dns::new(&Options::new("cluster.local"), Clock::system(), &windlass_telemetry::Metrics::default());
    let start = Instant::now();
    for number in 0..SERVICES {
        let [_, _, c, d] = number.to_be_bytes();
        set_service(&dns, &format!("svc-{number}"), &format!(r#"{{"clusterIP":"10.96.{c}.{d}"}}"#));
        set_endpoints(&dns, &format!("svc-{number}"), [Ipv4Addr::new(10, 244, c, d), Ipv4Addr::new(10, 245, c, d)]);
    }
    dns.initialized();
    println!("{SERVICES} services handed in (with JSON) in {:?}", start.elapsed());
    for (what, name, kind) in [
        ("A", "svc-%.default.svc.cluster.local.", RecordType::A),
        ("NXDOMAIN", "svc-%.default.svc.cluster.local.default.svc.cluster.local.", RecordType::A),
        ("AAAA without records", "svc-%.default.svc.cluster.local.", RecordType::AAAA),
    ] {
        let (served, wall, cpu) = measure(&dns, name, kind);
        let (per_wall, per_cpu) = (served as f64 / wall.as_secs_f64(), served as f64 / cpu.as_secs_f64());
        println!("{what}: {per_wall:.0} in a second, {per_cpu:.0} in a second of processor time");
    }
}

fn measure(dns: &Dns, name: &str, kind: RecordType) -> (u64, Duration, Duration) {
    let stop = AtomicBool::new(false);
    let served = AtomicU64::new(0);
    let (address_sender, address) = std::sync::mpsc::channel::<SocketAddr>();
    let (stop_server, server_stopped) = tokio::sync::oneshot::channel::<()>();
    std::thread::scope(|scope| {
        let server = scope.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let udp = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
                address_sender.send(udp.local_addr().unwrap()).unwrap();
                dns.run(vec![udp], Vec::new(), async { drop(server_stopped.await) }).await;
            });
            thread_cpu()
        });
        let address = address.recv().unwrap();
        let packets: Vec<Vec<u8>> = (0..1000)
            .map(|number| question(&name.replace('%', &(number * 7).to_string()), kind, Some(1232)).to_vec().unwrap())
            .collect();
        let (stop, served) = (&stop, &served);
        let client = scope.spawn(move || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(address).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let mut buffer = [0; 2048];
            let mut next = packets.iter().cycle();
            for packet in next.by_ref().take(IN_FLIGHT) {
                socket.send(packet).unwrap();
            }
            while !stop.load(Ordering::Relaxed) {
                socket.recv(&mut buffer).unwrap();
                served.fetch_add(1, Ordering::Relaxed);
                socket.send(next.next().unwrap()).unwrap();
            }
        });
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(3) {
            std::thread::yield_now();
            std::thread::park_timeout(Duration::from_millis(50));
        }
        stop.store(true, Ordering::Relaxed);
        client.join().unwrap();
        let wall = start.elapsed();
        stop_server.send(()).unwrap();
        let cpu = server.join().unwrap();
        (served.load(Ordering::Relaxed), wall, cpu)
    })
}
