//! However slow and lossy the way to the API is, at most one candidate leads at any time, and there is a leader again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use windlass_api::ObjectKey;
use windlass_client::Client;
use windlass_client::leader_election::Candidate;
use windlass_testing::{Cluster, Dice, Faults, Life, Rates, Running, Story};

/// Who leads, and what went wrong.
#[derive(Default)]
struct Board {
    leading: AtomicUsize,
    ever: AtomicUsize,
    twice: AtomicUsize,
}

/// One lead, until it is dropped.
struct Lead<'a>(&'a Board);

impl<'a> Lead<'a> {
    fn begin(board: &'a Board) -> Self {
        board.ever.fetch_add(1, Ordering::SeqCst);
        if board.leading.fetch_add(1, Ordering::SeqCst) > 0 {
            board.twice.fetch_add(1, Ordering::SeqCst);
        }
        Self(board)
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        self.0.leading.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn compete(seed: u64, cluster: &Cluster) -> usize {
    let rates = Rates { late: 0.3, late_millis_max: 25_000, lose: 0.1, refuse: 0.1, conflict: 0.1, ..Rates::default() };
    let faults = Faults::new(Dice::new(seed), rates, Story::default());
    let board: Arc<Board> = Arc::default();
    let candidates: Vec<Running> = (0..3)
        .map(|n| {
            let candidate = Candidate {
                client: Client::new(
                    Life::immortal(&faults, &format!("c{n}")).over(cluster.way()(windlass_testing::admin(), "test")),
                ),
                clock: cluster.clock,
                lease: ObjectKey::new("default", format!("lease-{seed}")),
                identity: format!("c{n}"),
            };
            let (board, story) = (board.clone(), faults.story());
            Running::start(async move {
                loop {
                    let work = async || {
                        story.tell(format_args!("{} leads", candidate.identity));
                        let _lead = Lead::begin(&board);
                        std::future::pending::<()>().await;
                    };
                    candidate.lead(work).await;
                    story.tell(format_args!("{} leads no more", candidate.identity));
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(1800)).await;
    drop(candidates);
    assert_eq!(
        board.twice.load(Ordering::SeqCst),
        0,
        "seed {seed}: there were two leaders at once\n{}",
        faults.story()
    );
    board.ever.load(Ordering::SeqCst)
}

#[tokio::test(start_paused = true)]
async fn at_most_one_leads() {
    let cluster = Cluster::start().await;
    for seed in 0..20 {
        let leaders = compete(seed, &cluster).await;
        assert!(leaders > 1, "seed {seed}: the lead never changed in half an hour of faults");
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_vanishes_is_replaced_after_its_lease() {
    let cluster = Cluster::start().await;
    let candidate = |who: &str| Candidate {
        client: cluster.admin.clone(),
        clock: cluster.clock,
        lease: ObjectKey::new("default", "lease"),
        identity: who.to_owned(),
    };
    let (leads, led) = tokio::sync::oneshot::channel();
    let first = candidate("one");
    let running = Running::start(async move {
        let work = || async move {
            leads.send(()).unwrap();
            std::future::pending::<()>().await;
        };
        first.lead(work).await;
    });
    led.await.unwrap();
    running.stop().await;
    let begun = tokio::time::Instant::now();
    candidate("two").lead(|| async {}).await;
    assert!((15..=20).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}
