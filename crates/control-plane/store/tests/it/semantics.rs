//! What a client of the store may rely on.

use std::time::Duration;

use jiff::Timestamp;
use tempfile::tempdir;
use windlass_store::{EventKind, Expired, Op};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn revisions_and_conflicts() {
    let directory = tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    assert_eq!(store.revision(), 0);
    assert_eq!(create(&store, "pods", "a/x", "1").await.unwrap().revision, 1);
    let Err(CommitError::Conflict { current: Some(current), .. }) = create(&store, "pods", "a/x", "2").await else {
        panic!("a second create succeeds");
    };
    assert_eq!(current.revision, 1);
    let updated = update(&store, "pods", "a/x", 1, "2").await.unwrap();
    assert_eq!((updated.items[0].revision, updated.items[0].created), (2, 1));
    assert!(matches!(update(&store, "pods", "a/x", 1, "3").await, Err(CommitError::Conflict { .. })));
    assert!(matches!(update(&store, "pods", "a/y", 1, "3").await, Err(CommitError::Conflict { current: None, .. })));
    assert!(delete(&store, "pods", "a/x", 1).await.is_err());
    assert_eq!(delete(&store, "pods", "a/x", 2).await.unwrap().items[0].revision, 3);
    assert!(store.table("pods").get("a/x").is_none());
    assert_eq!(store.revision(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_all_or_nothing() {
    let directory = tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    create(&store, "ips", "10.0.0.1", "").await.unwrap();
    let put = |table: &str, key: &str| Txn::put(&table.into(), key, Expect::Absent, object(key, "")).ops.remove(0);
    let txn = Txn { ops: vec![put("services", "a/x"), put("ips", "10.0.0.1")] };
    assert!(matches!(store.commit(txn).await, Err(CommitError::Conflict { op: 1, .. })));
    assert!(store.table("services").get("a/x").is_none());
    let txn = Txn { ops: vec![put("services", "a/x"), put("ips", "10.0.0.2")] };
    let before = store.revision();
    let done = store.commit(txn).await.unwrap();
    let revisions: Vec<u64> = done.items.iter().map(|item| item.revision).collect();
    assert_eq!((revisions, done.revision), (vec![before + 1, before + 2], before + 2), "watchers can go on after each");
    let many: Vec<Op> = (0..200).map(|n| put("ips", &n.to_string())).collect();
    assert!(matches!(store.commit(Txn { ops: many }).await, Err(CommitError::TooManyOps(200))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_sees_everything_once_and_in_order() {
    let directory = tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    create(&store, "pods", "a/x", "0").await.unwrap();
    let mut watch = store.table("pods").watch(store.revision()).unwrap();
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let key = format!("a/w{writer}");
                let mut revision = create(&store, "pods", &key, "0").await.unwrap().revision;
                for n in 0..50 {
                    create(&store, "other", &format!("{key}-{n}"), "").await.unwrap();
                    revision = update(&store, "pods", &key, revision, &n.to_string()).await.unwrap().revision;
                }
                delete(&store, "pods", &key, revision).await.unwrap();
            })
        })
        .collect();
    let mut seen = Vec::new();
    while seen.len() < 8 * 52 {
        seen.extend(watch.next().await.unwrap());
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(watch.try_next().unwrap().is_empty());
    assert!(seen.windows(2).all(|pair| pair[0].revision() < pair[1].revision()));
    let count = |kind| seen.iter().filter(|event| event.kind == kind).count();
    assert_eq!((count(EventKind::Added), count(EventKind::Modified), count(EventKind::Deleted)), (8, 400, 8));
    for event in seen.iter().filter(|event| event.kind != EventKind::Added) {
        assert_eq!(event.before.as_ref().unwrap().key, event.item.key);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_can_be_read_until_it_is_compacted() {
    let directory = tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let table = store.table("pods");
    for n in 1..=300 {
        create(&store, "pods", &format!("{n:03}"), "").await.unwrap();
    }
    delete(&store, "pods", "001", 1).await.unwrap();
    let then = store.state_at(&table, 150).unwrap();
    assert_eq!(then.len(), 150);
    assert_eq!(store.state_at(&table, 300).unwrap().len(), 300);
    assert_eq!(store.state_at(&table, 400).err(), Some(Expired::TooLarge { asked: 400, current: 301 }));
    store.compact(200).await;
    create(&store, "pods", "x", "").await.unwrap();
    assert_eq!(store.state_at(&table, 150).err(), Some(Expired::TooOld { asked: 150, oldest: 200 }));
    assert_eq!(store.state_at(&table, 200).unwrap().len(), 200);
    assert!(table.watch(10).is_err());
    assert!(table.watch(250).is_ok());
}

#[tokio::test(start_paused = true)]
async fn five_minutes_of_the_past_are_kept() {
    let store = Store::in_memory(Clock::paused(Timestamp::from_second(1_000_000).unwrap()));
    create(&store, "pods", "a/p", "").await.unwrap();
    let (table, before) = (store.table("pods"), store.revision());
    create(&store, "pods", "a/q", "").await.unwrap();
    tokio::time::sleep(Duration::from_secs(299)).await;
    assert!(store.state_at(&table, before).is_ok());
    // A commit comes after what the committer had to do before it.
    tokio::time::sleep(Duration::from_secs(121)).await;
    create(&store, "services", "a/s", "").await.unwrap();
    assert!(store.state_at(&table, before).is_err());
    assert_eq!(store.state_at(&table, store.revision()).unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn objects_with_a_time_to_live_go_away() {
    let clock = Clock::paused(Timestamp::from_second(1_000_000).unwrap());
    let store = Store::in_memory(clock);
    create(&store, "events", "a/stays", "").await.unwrap();
    let mut watch = store.table("events").watch(store.revision()).unwrap();
    let expires = clock.now().as_second() + 100;
    for key in ["a/e", "a/f"] {
        let mut put = Txn::put(&"events".into(), key, Expect::Absent, object(key, ""));
        put.ops[0].expires = expires;
        store.commit(put).await.unwrap();
    }
    let mut seen = Vec::new();
    while seen.len() < 4 {
        seen.extend(watch.next().await.unwrap());
    }
    assert_eq!(clock.now().as_second(), expires);
    let deleted = seen.iter().filter(|event| event.kind == EventKind::Deleted);
    let mut deleted: Vec<(&str, u64)> = deleted.map(|event| (&*event.item.key, event.revision())).collect();
    // A watch that ends between the two goes on after the first one's revision, and must still see the second.
    assert!(deleted[0].1 < deleted[1].1, "{deleted:?}");
    deleted.sort_unstable();
    assert_eq!((deleted[0].0, deleted[1].0), ("a/e", "a/f"));
    assert!(store.table("events").get("a/stays").is_some());
}

fn leased(key: &str, revision: u64, expires: i64) -> Txn {
    let expect = if revision == 0 { Expect::Absent } else { Expect::Revision(revision) };
    let mut put = Txn::put(&"events".into(), key, expect, object(key, ""));
    put.ops[0].expires = expires;
    put
}

#[tokio::test(start_paused = true)]
async fn an_end_outlives_who_asked_for_it() {
    let clock = Clock::paused(Timestamp::from_second(1_000_000).unwrap());
    let store = Store::in_memory(clock);
    let events = store.table("events");
    let expires = clock.now().as_second() + 100;
    // The client goes away when its transaction is in the queue.
    tokio::select! {
        biased;
        _ = store.commit(leased("a/abandoned", 0, expires)) => panic!("it is not committed at once"),
        () = std::future::ready(()) => {}
    }
    // A write that says nothing of an end leaves it as it is, one that does sets another.
    store.commit(leased("a/kept", 0, expires)).await.unwrap();
    let kept = events.get("a/kept").unwrap();
    let kept = store.commit(leased("a/kept", kept.revision, 0)).await.unwrap();
    assert_eq!(kept.items[0].expires, expires);
    let later = store.commit(leased("a/later", 0, expires)).await.unwrap();
    store.commit(leased("a/later", later.revision, expires + 100)).await.unwrap();
    assert_eq!(events.state().len(), 3);
    let mut watch = events.watch(store.revision()).unwrap();
    while events.state().len() > 1 {
        watch.next().await.unwrap();
    }
    assert_eq!(clock.now().as_second(), expires);
    assert!(events.get("a/later").is_some());
    while !events.state().is_empty() {
        watch.next().await.unwrap();
    }
    assert_eq!(clock.now().as_second(), expires + 100);
}

#[tokio::test(start_paused = true)]
async fn transactions_are_bounded() {
    let store = Store::in_memory(Clock::system());
    let large = object("large", &"x".repeat(33 << 20));
    let refused = store.commit(Txn::put(&"pods".into(), "a/large", Expect::Absent, large)).await;
    assert!(matches!(refused, Err(CommitError::TooManyBytes(_))));
    // A transaction of nothing makes no revision that the next start would not know.
    assert_eq!(store.commit(Txn::default()).await.unwrap().revision, 0);
    assert_eq!(store.revision(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_at_a_time() {
    let directory = tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    assert!(matches!(open(directory.path()), Err(OpenError::InUse { .. })));
    store.close().await;
    open(directory.path()).unwrap();
}
