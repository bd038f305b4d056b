//! The seeded simulation of the whole control plane: store, API server, controllers, scheduler and kubelets on paper, on virtual time and one
//! thread for each seed, while users work and things go wrong.
//!
//! A seed decides everything, so one that fails tells its story and can be had again: `cargo xtask simulate --seeds N..N+1`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "the story of a seed is for people to read")]

mod always;
mod finally;
mod seed;
mod users;
mod world;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use windlass_testing::Cluster;

/// The seeds that every run of the tests tries.
const SEEDS: Range<u64> = 0..300;
/// Debug builds put large futures on the stack.
const STACK_BYTES: usize = 16 << 20;

#[test]
fn seeds_find_nothing() {
    let seeds = seeds_of_environment().unwrap_or(SEEDS);
    let base = first_cluster();
    let next = AtomicU64::new(seeds.start);
    let workers = std::thread::available_parallelism().map_or(1, |count| count.get().min(8));
    let failed: Vec<u64> = std::thread::scope(|scope| {
        let work = || {
            let mut failed = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds.end {
                    return failed;
                }
                if let Err(story) = in_a_thread(&base, seed) {
                    eprintln!("{story}\nseed {seed} failed; to have it again: cargo xtask simulate --seeds {seed}..{}", seed + 1);
                    failed.push(seed);
                }
            }
        };
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(failed.is_empty(), "of the seeds {seeds:?} these failed: {failed:?}");
}

#[test]
fn a_seed_does_the_same_again() {
    let base = first_cluster();
    let run = || in_a_thread(&base, 11).unwrap();
    let (one, other) = (run(), run());
    let difference = one.lines().zip(other.lines()).find(|(one, other)| one != other);
    assert_eq!(difference, None);
    assert_eq!(one.len(), other.len());
}

/// `WINDLASS_SEEDS=A..B`, as `cargo xtask simulate` sets it.
fn seeds_of_environment() -> Option<Range<u64>> {
    #[expect(clippy::disallowed_methods, reason = "a test harness hands nothing else in")]
    let text = std::env::var("WINDLASS_SEEDS").ok()?;
    let (start, end) = text.split_once("..").expect("WINDLASS_SEEDS is A..B");
    Some(start.parse().unwrap()..end.parse().unwrap())
}

/// The cluster that every seed begins with. What is computed once in a process and costs hash keys (schemas, the attributes of the first
/// objects) has been computed by a first run when this returns, so that it makes no difference to a seed whether others ran before.
fn first_cluster() -> Arc<Cluster> {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(|| {
        windlass_testing::hash_keys::seed_thread(0);
        seed::runtime().block_on(Cluster::start())
    });
    let base = Arc::new(thread.unwrap().join().unwrap());
    // Whether it goes well is of no interest here.
    drop(in_a_thread(&base, u64::MAX));
    base
}

/// A thread of its own has random numbers of its own.
fn in_a_thread(base: &Arc<Cluster>, seed: u64) -> Result<String, String> {
    let base = base.clone();
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).name(format!("seed-{seed}"));
    let thread = thread.spawn(move || seed::run(&base, seed)).unwrap();
    thread.join().unwrap_or_else(|_| Err("it panicked".to_owned()))
}
