//! Puts a load on a store, for comparison with etcd: `bench/run.sh` runs this and bench/peer/upstream/etcdload beside each other.
//!
//! Objects of a kilobyte are created and changed by many writers, each change on condition of the revision that it was made from,
//! and read in pages. One JSON line for each phase. CPU and memory are those of this process, which makes the load as well.
//!
//!     cargo run --release -p windlass-store --example load -- DIRECTORY

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measuring program: it reads clocks and arguments, prints, and may fail loudly"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::json;
use windlass_api::time::Clock;
use windlass_machinery::json::Template;
use windlass_store::{Expect, Options, Page, Plaintext, Range, Store, Txn};

const TABLE: &str = "load";
const WRITERS: usize = 64;
const OBJECTS: usize = 20_000;
const ROUNDS: usize = 20;
const PAGE: usize = 500;

#[tokio::main]
async fn main() {
    let directory = PathBuf::from(std::env::args_os().nth(1).expect("usage: load DIRECTORY"));
    let options = Options { directory: directory.clone(), clock: Clock::system(), encryption: Arc::new(Plaintext) };
    let store = Store::open(options).unwrap();
    let revisions: Arc<Vec<AtomicU64>> = Arc::new((0..OBJECTS).map(|_| AtomicU64::new(0)).collect());
    for (name, version) in [("store-create", 1), ("store-update", 2)] {
        let measured = Measured::start();
        write_all(&store, &revisions, version).await;
        measured.print(name, OBJECTS);
    }
    let measured = Measured::start();
    read_all(&store).await;
    measured.print("store-range", OBJECTS.div_ceil(PAGE) * ROUNDS);
    store.close().await;

    let measured = Measured::start();
    let options = Options { directory, clock: Clock::system(), encryption: Arc::new(Plaintext) };
    assert_eq!(Store::open(options).unwrap().table(TABLE).state().len(), OBJECTS);
    measured.print("store-open", 1);
}

fn key(number: usize) -> String {
    format!("default/object-{number:06}")
}

async fn write_all(store: &Arc<Store>, revisions: &Arc<Vec<AtomicU64>>, version: u32) {
    let next = Arc::new(AtomicUsize::new(0));
    let writers = (0..WRITERS).map(|_| {
        let (store, revisions, next) = (store.clone(), revisions.clone(), next.clone());
        tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(revision) = revisions.get(number) else { return };
                let known = revision.load(Ordering::Relaxed);
                let expect = if known == 0 { Expect::Absent } else { Expect::Revision(known) };
                let data = format!("{version} {}", "x".repeat(1000));
                let object = json!({"metadata": {"name": format!("object-{number:06}")}, "data": data});
                let txn = Txn::put(&TABLE.into(), &key(number), expect, Template::new(&object));
                revision.store(store.commit(txn).await.unwrap().revision, Ordering::Relaxed);
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
}

/// Pages are copied out, as an answer to a client is.
async fn read_all(store: &Arc<Store>) {
    let readers = (0..ROUNDS).map(|_| {
        let table = store.table(TABLE);
        tokio::spawn(async move {
            let (mut read, mut after) = (0, None::<String>);
            loop {
                let state = table.state();
                let page = Page::of(&state, &Range { prefix: "default/", after: after.as_deref() }, PAGE, |_| true);
                let mut answer = Vec::new();
                page.items.iter().for_each(|item| answer.extend_from_slice(&item.value));
                assert!(answer.len() > page.items.len() * 1000);
                read += page.items.len();
                match page.items.last() {
                    Some(last) if page.remaining > 0 => after = Some(last.key.to_string()),
                    _ => break,
                }
            }
            assert_eq!(read, OBJECTS);
        })
    });
    for reader in readers.collect::<Vec<_>>() {
        reader.await.unwrap();
    }
}

struct Measured {
    start: Instant,
    cpu_s: f64,
}

impl Measured {
    fn start() -> Self {
        Self { start: Instant::now(), cpu_s: usage().0 }
    }

    fn print(self, phase: &str, count: usize) {
        let wall = self.start.elapsed().as_secs_f64();
        let (cpu, rss) = usage();
        let each = (cpu - self.cpu_s) * 1e6 / count as f64;
        println!(
            "{}",
            json!({"label": "windlass", "phase": phase, "wall_s": wall, "per_s": count as f64 / wall, "cpu_us_each": each, "rss_mb": rss})
        );
    }
}

/// CPU seconds and resident megabytes of this process.
fn usage() -> (f64, f64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<f64> =
        stat.rsplit(')').next().unwrap().split_whitespace().map(|field| field.parse().unwrap_or(0.0)).collect();
    ((fields[11] + fields[12]) / 100.0, fields[21] * 4096.0 / f64::from(1 << 20))
}
