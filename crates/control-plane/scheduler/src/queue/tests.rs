use serde_json::json;

use super::*;
use crate::object::pod::tests::pod;

fn of(name: &str) -> Arc<Pod> {
    Arc::new(pod(json!({"metadata": {"name": name, "namespace": "ns", "uid": name}})))
}

fn labelled(name: &str, label: &str) -> Arc<Pod> {
    Arc::new(pod(json!({"metadata": {"name": name, "namespace": "ns", "uid": name, "labels": {"l": label}}})))
}

fn refused() -> PluginSet {
    let mut set = PluginSet::default();
    set.insert(1);
    set
}

fn names(queue: &mut Queue, now: Instant) -> Vec<String> {
    std::iter::from_fn(|| queue.take(now)).map(|attempt| attempt.pod.key.name.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn by_rank_and_then_by_time() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    for (name, rank) in [("a", 0), ("urgent", -10), ("b", 0), ("late", 10)] {
        queue.put(of(name), rank, false, now);
    }
    assert_eq!(names(&mut queue, now), ["urgent", "a", "b", "late"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_pod_waits_for_help() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    let pod = of("a");
    queue.put(pod.clone(), 0, false, now);
    queue.take(now).unwrap();
    queue.refused(&pod, refused(), false, now);
    assert!(queue.take(now).is_none());
    assert_eq!(queue.wake(now, |_, by| !by.contains(1)), 0);
    assert_eq!(queue.wake(now, |_, by| by.contains(1)), 1);
    assert_eq!(queue.lengths(), Lengths { back_off: 1, ..Lengths::default() });
    // Nobody else waits, so that the pause is cut short; but somebody else goes first.
    queue.put(of("b"), 0, false, now);
    assert_eq!(names(&mut queue, now), ["b", "a"]);
}

#[tokio::test(start_paused = true)]
async fn after_an_error_the_pause_is_kept() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    let pod = of("a");
    queue.put(pod.clone(), 0, false, now);
    for pause_seconds in [1, 2, 4, 8, 10, 10] {
        let now = Instant::now();
        queue.take(now).unwrap();
        queue.failed(&pod, now);
        assert!(queue.take(now).is_none());
        assert_eq!(queue.next_due(now), Some(now + Duration::from_secs(pause_seconds)));
        tokio::time::advance(Duration::from_secs(pause_seconds)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn changes_of_the_pod_itself() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    queue.put(of("a"), 0, true, now);
    assert_eq!(queue.lengths(), Lengths { gated: 1, ..Lengths::default() });
    queue.put(of("a"), 0, false, now);
    let attempt = queue.take(now).unwrap();
    queue.refused(&attempt.pod, refused(), false, now);
    // The same again does not wake it, something else does.
    queue.put(of("a"), 0, false, now);
    assert!(queue.take(now).is_none());
    queue.put(labelled("a", "x"), 0, false, now);
    let attempt = queue.take(now).unwrap();
    assert_eq!(attempt.number, 2);
    // A change while it is underway is not lost.
    queue.put(labelled("a", "y"), 0, false, now);
    queue.refused(&attempt.pod, refused(), false, now);
    assert_eq!(queue.take(now).unwrap().number, 3);
}

#[tokio::test(start_paused = true)]
async fn nothing_waits_for_ever() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    let pod = of("a");
    queue.put(pod.clone(), 0, false, now);
    queue.take(now).unwrap();
    queue.refused(&pod, refused(), true, now);
    assert_eq!(queue.wake(now, |_, _| true), 0, "it waits for its preemption");
    assert_eq!(queue.next_due(now), Some(now + FLUSH_PERIOD));
    tokio::time::advance(UNSCHEDULABLE_MAX).await;
    queue.flush(Instant::now());
    assert!(queue.take(Instant::now()).is_some());
}

#[tokio::test(start_paused = true)]
async fn another_pod_of_the_same_name_is_another() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    let first = of("a");
    queue.put(first.clone(), 0, false, now);
    queue.take(now).unwrap();
    let second = Arc::new(pod(json!({"metadata": {"name": "a", "namespace": "ns", "uid": "other"}})));
    queue.put(second, 0, false, now);
    queue.refused(&first, refused(), false, now);
    assert_eq!(queue.take(now).unwrap().number, 1);
    queue.remove(&first.key);
    assert_eq!(queue.lengths(), Lengths::default());
}
