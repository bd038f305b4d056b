use windlass_telemetry::Metrics;

use super::*;
use crate::figures::Figures;

const QUEUES: Queuing = Queuing::Queues { queues: 8, hand_size: 2, length_max: 5 };

fn set(queuing: Queuing, seats: usize) -> Arc<QueueSet> {
    let set = Arc::new(QueueSet::new());
    set.configure(queuing);
    set.set_limit(seats);
    set
}

fn who(flow: &str) -> Who {
    let figures = Arc::new(FlowFigures::new(&Figures::new(&Metrics::default()), "level", flow));
    Who { flow: flow.into(), distinguisher: "".into(), figures }
}

fn wide(seats: usize) -> Width {
    Width { seats, ..Width::ONE }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(15)
}

async fn take(set: &Arc<QueueSet>, flow: &str, hash: u64) -> Result<Seat, Rejection> {
    set.take(who(flow), Width::ONE, hash, soon()).await
}

#[tokio::test(start_paused = true)]
async fn without_queues_one_too_many_is_turned_away() {
    let set = set(Queuing::None, 2);
    let first = take(&set, "a", 0).await.unwrap();
    let _second = take(&set, "a", 0).await.unwrap();
    assert_eq!(take(&set, "a", 0).await.err(), Some(Rejection::NoSeat));
    drop(first);
    assert!(take(&set, "a", 0).await.is_ok());
    let exempt = self::set(Queuing::Exempt, 0);
    let all: Vec<Seat> = seats(&exempt, 100).await;
    assert_eq!(all.len(), 100);
}

async fn seats(set: &Arc<QueueSet>, count: usize) -> Vec<Seat> {
    let mut seats = Vec::new();
    for _ in 0..count {
        seats.push(take(set, "a", 0).await.unwrap());
    }
    seats
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_served_or_comes_too_late() {
    let set = set(QUEUES, 1);
    let seat = take(&set, "a", 0).await.unwrap();
    let waiting = tokio::spawn({
        let set = set.clone();
        async move { take(&set, "a", 0).await.map(drop) }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(set.snapshot().waiting, 1);
    drop(seat);
    assert_eq!(waiting.await.unwrap(), Ok(()));
    let _seat = take(&set, "a", 0).await.unwrap();
    assert_eq!(take(&set, "a", 0).await.err(), Some(Rejection::TooLate));
    let seen = set.snapshot();
    assert_eq!((seen.waiting, seen.executing, seen.counts.cancelled), (0, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_leaves_nothing_behind() {
    let set = set(QUEUES, 1);
    let seat = take(&set, "a", 0).await.unwrap();
    for _ in 0..20 {
        let gone = tokio::time::timeout(Duration::from_millis(1), take(&set, "a", 0)).await;
        assert!(gone.is_err());
    }
    drop(seat);
    let seen = set.snapshot();
    assert_eq!((seen.waiting, seen.executing), (0, 0));
    assert!(seen.queues.iter().all(|queue| queue.seats_in_use == 0 && queue.work_waiting == 0.0));
    assert!(take(&set, "a", 0).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn full_queues_turn_away() {
    let set = set(QUEUES, 1);
    let _seat = take(&set, "a", 0).await.unwrap();
    let crowd: Vec<_> = (0..20)
        .map(|_| {
            let set = set.clone();
            tokio::spawn(async move { take(&set, "a", 0).await.map(drop).err() })
        })
        .collect();
    let mut full = 0;
    for one in crowd {
        full += usize::from(one.await.unwrap() == Some(Rejection::QueueFull));
    }
    // Two queues of five have room.
    assert_eq!(full, 10);
}

/// How many of each flow are served while one asks a hundred times as much as the other.
#[tokio::test(start_paused = true)]
async fn a_flood_delays_only_itself() {
    let set = set(Queuing::Queues { queues: 64, hand_size: 6, length_max: 50 }, 4);
    let served = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    let mut start = |flow: &'static str, hash: u64| {
        let (set, served) = (set.clone(), served.clone());
        tasks.push(tokio::spawn(async move {
            let Ok(_seat) = set.take(who(flow), Width::ONE, hash, Instant::now() + Duration::from_secs(600)).await
            else {
                return;
            };
            tokio::time::sleep(Duration::from_millis(100)).await;
            served.lock().push(flow);
        }));
    };
    for _ in 0..200 {
        start("flood", 1);
    }
    tokio::task::yield_now().await;
    for _ in 0..5 {
        start("other", 0x1234_5678_9ABC);
    }
    for task in tasks {
        task.await.unwrap();
    }
    let served = served.lock();
    let last = served.iter().rposition(|flow| *flow == "other").unwrap();
    assert!(last < 40, "the other flow's five requests were done after {last} others");
    assert_eq!(served.len(), 205);
}

#[tokio::test(start_paused = true)]
async fn wide_requests_have_their_turn() {
    let set = set(QUEUES, 8);
    let narrow = seats(&set, 6).await;
    let wide_one = tokio::spawn({
        let set = set.clone();
        async move { set.take(who("wide"), wide(3), 5, soon()).await.map(drop) }
    });
    tokio::task::yield_now().await;
    // There are two seats, but the wide one comes first.
    let next = tokio::time::timeout(Duration::from_secs(1), take(&set, "a", 0)).await;
    assert!(next.is_err());
    drop(narrow);
    assert_eq!(wide_one.await.unwrap(), Ok(()));
    // Wider than the level: alone.
    assert!(set.take(who("wide"), wide(9), 5, soon()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn seats_stay_taken_while_watchers_are_told() {
    let set = set(QUEUES, 2);
    let width = Width { seats: 1, seats_after: 2, after: Duration::from_millis(5) };
    drop(set.take(who("a"), width, 0, soon()).await.unwrap());
    assert_eq!(set.snapshot().executing, 0);
    let begun = Instant::now();
    drop(take(&set, "a", 0).await.unwrap());
    assert_eq!(begun.elapsed(), Duration::from_millis(5));
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_queues_loses_nobody() {
    let set = set(QUEUES, 1);
    let seat = take(&set, "a", 0).await.unwrap();
    let waiting = tokio::spawn({
        let set = set.clone();
        async move { take(&set, "b", 7).await.map(drop) }
    });
    tokio::task::yield_now().await;
    set.configure(Queuing::Queues { queues: 1, hand_size: 1, length_max: 5 });
    drop(seat);
    assert_eq!(waiting.await.unwrap(), Ok(()));
    set.configure(Queuing::None);
    assert!(take(&set, "a", 0).await.is_ok());
}
