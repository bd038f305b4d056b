//! The seeded simulation of the whole control plane: store, API server, controllers, scheduler and kubelets on paper, on virtual time and one
//! thread for each seed, while users work and things go wrong.
//!
//! A seed decides everything, so one that fails tells its story and can be had again: `cargo xtask simulate --seeds N..N+1`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "the story of a seed is for people to read")]

mod always;
mod custom;
mod finally;
mod seed;
mod users;
mod world;

use std::ops::Range;
use std::process::Command;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::runtime::Runtime;
use windlass_testing::Cluster;
use windlass_testing::repeatable::{Runtimes, seed_thread};

/// The seeds that every run of the tests tries.
const SEEDS: Range<u64> = 0..300;
/// Debug builds put large futures on the stack.
const STACK_BYTES: usize = 16 << 20;
/// The runtimes before those of the seeds: of the first cluster, and of the run that warms up.
const RUNTIMES_BEFORE: u64 = 2;
const SEEDS_VARIABLE: &str = "WINDLASS_SEEDS";

/// Seeds still to be run, and the runtimes for them.
struct Rest {
    seeds: Range<u64>,
    runtimes: Runtimes,
}

#[test]
fn seeds_find_nothing() {
    let given = seeds_of_environment();
    let tells = given.is_some();
    let seeds = given.unwrap_or(SEEDS);
    let mut runtimes = Runtimes::first();
    let base = first_cluster(&mut runtimes);
    let rest = Mutex::new(Rest { seeds: seeds.clone(), runtimes });
    let next = || {
        let mut rest = rest.lock();
        let seed = rest.seeds.next()?;
        Some((seed, rest.runtimes.numbered(RUNTIMES_BEFORE + seed)))
    };
    let work = || {
        let mut failed = Vec::new();
        while let Some((seed, runtime)) = next() {
            match in_a_thread(&base, runtime, seed) {
                Ok(digest) if tells => eprintln!("seed {seed}: {digest:016x}"),
                Ok(_) => {}
                Err(story) => {
                    let again = seed + 1;
                    eprintln!(
                        "{story}\nseed {seed} failed; to have it again: cargo xtask simulate --seeds {seed}..{again}"
                    );
                    failed.push(seed);
                }
            }
        }
        failed
    };
    let workers = std::thread::available_parallelism().map_or(1, |count| count.get().min(8));
    let failed: Vec<u64> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(failed.is_empty(), "of the seeds {seeds:?} these failed: {failed:?}");
}

/// A seed does the same alone and after others.
#[test]
fn a_seed_does_the_same_again() {
    let digest = |seeds: &str| {
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new(program);
        let output =
            command.args(["--exact", "--nocapture", "seeds_find_nothing"]).env(SEEDS_VARIABLE, seeds).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        text.lines().find(|line| line.starts_with("seed 12:")).unwrap_or_else(|| panic!("{text}")).to_owned()
    };
    assert_eq!(digest("12..13"), digest("10..13"));
}

/// `WINDLASS_SEEDS=A..B`, as `cargo xtask simulate` sets it.
fn seeds_of_environment() -> Option<Range<u64>> {
    #[expect(clippy::disallowed_methods, reason = "a test harness hands nothing else in")]
    let text = std::env::var(SEEDS_VARIABLE).ok()?;
    let (start, end) = text.split_once("..").expect("WINDLASS_SEEDS is A..B");
    Some(start.parse().unwrap()..end.parse().unwrap())
}

/// The cluster that every seed begins with. What is computed once in a process and costs hash keys (schemas, the attributes of the first
/// objects) has been computed by a first run when this returns, so that it makes no difference to a seed whether others ran before.
fn first_cluster(runtimes: &mut Runtimes) -> Arc<Cluster> {
    let runtime = runtimes.numbered(0);
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
        seed_thread(0);
        runtime.block_on(Cluster::start())
    });
    let base = Arc::new(thread.unwrap().join().unwrap());
    // Whether it goes well is of no interest here.
    drop(in_a_thread(&base, runtimes.numbered(1), u64::MAX));
    base
}

/// A thread of its own has hash keys of its own.
fn in_a_thread(base: &Arc<Cluster>, runtime: Runtime, seed: u64) -> Result<u64, String> {
    let base = base.clone();
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).name(format!("seed-{seed}"));
    let thread = thread.spawn(move || seed::run(&base, &runtime, seed)).unwrap();
    thread.join().unwrap_or_else(|_| Err("it panicked".to_owned()))
}
