//! Random histories on a disk that fails, each decided by a seed: see [`world`](super::world).
//!
//! `cargo xtask simulate store --seeds A..B` runs others than those of the tests, or one again.

use std::ops::Range;

use parking_lot::Mutex;

use super::world::{self, Story};

/// The seeds that every run of the tests tries.
const SEEDS: Range<u64> = 0..300;
/// Lines of a story that are told of a seed that failed.
const LINES: usize = 120;

#[test]
#[allow(clippy::print_stderr, reason = "the story of a seed is for people to read")]
fn seeds_find_nothing() {
    let seeds = seeds_of_environment().unwrap_or(SEEDS);
    let rest = Mutex::new(seeds.clone());
    let work = || {
        let mut failed = Vec::new();
        let next = || rest.lock().next();
        while let Some(seed) = next() {
            let story = Story::default();
            let told = story.clone();
            if std::thread::spawn(move || world::run(seed, &told)).join().is_err() {
                let lines = story.lock();
                eprintln!("{}", lines[lines.len().saturating_sub(LINES)..].join("\n"));
                let again = seed + 1;
                eprintln!("seed {seed} failed; to have it again: cargo xtask simulate store --seeds {seed}..{again}");
                failed.push(seed);
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
    for seed in 12..17 {
        let tell = || {
            let story = Story::default();
            world::run(seed, &story);
            story.lock().clone()
        };
        assert_eq!(tell(), tell());
    }
}

/// `WINDLASS_SEEDS=A..B`, as `cargo xtask simulate` sets it.
fn seeds_of_environment() -> Option<Range<u64>> {
    #[expect(clippy::disallowed_methods, reason = "a test harness hands nothing else in")]
    let text = std::env::var("WINDLASS_SEEDS").ok()?;
    let (start, end) = text.split_once("..").expect("WINDLASS_SEEDS is A..B");
    Some(start.parse().unwrap()..end.parse().unwrap())
}
