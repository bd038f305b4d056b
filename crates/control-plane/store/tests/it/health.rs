//! A store that cannot write any more says so, to everybody who waits.

use std::time::Duration;

use super::model::{Content, Write, open_paper, put, runtime};
use super::paper::{Call, Image, Kind, PaperDisk, Verdict};
use super::*;

/// A store whose disk does `verdict` to the next call of a kind after its first commit, and what it holds.
async fn struck(kind: Kind, verdict: Verdict) -> (PaperDisk, Arc<Store>, Content) {
    let is_armed = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let armed = is_armed.clone();
    let judge = move |call: &Call| {
        let strikes = call.kind == kind && armed.swap(false, std::sync::atomic::Ordering::Relaxed);
        if strikes { verdict } else { Verdict::Succeed }
    };
    let disk = PaperDisk::new(Image::new()).judged_by(judge);
    let store = open_paper(&disk, Clock::system()).unwrap();
    store.commit(Content::default().txn(&[put("pods", "a/first", "1")])).await.unwrap();
    is_armed.store(true, std::sync::atomic::Ordering::Relaxed);
    let content = Content::of(&store);
    (disk, store, content)
}

fn writes(number: usize) -> [Write; 1] {
    [put("pods", &format!("a/{number}"), "2")]
}

/// Everybody hears of the failure: who waited for a write, who comes later, who looks, and who waits for just this.
async fn everybody_hears(kind: Kind, verdict: Verdict, text: &str) {
    let (_disk, store, content) = struck(kind, verdict).await;
    assert_eq!(store.health(), Ok(()));
    let failed = tokio::spawn({
        let store = store.clone();
        async move { store.failed().await }
    });
    let pending: Vec<_> = (0..5)
        .map(|number| {
            let (store, txn) = (store.clone(), content.txn(&writes(number)));
            tokio::spawn(async move { store.commit(txn).await })
        })
        .collect();
    let mut answers = Vec::new();
    for answer in pending {
        answers.push(answer.await.unwrap());
    }
    answers.push(store.commit(content.txn(&writes(9))).await);
    let failure = store.health().unwrap_err();
    assert!(failure.to_string().contains(text), "{failure}");
    for answer in answers {
        assert!(matches!(answer, Err(CommitError::Broken(reason)) if reason == failure));
    }
    assert_eq!(failed.await.unwrap(), failure);
    // Reads go on, and show nothing that is not on the disk for certain.
    assert_eq!(Content::of(&store), content);
    store.close().await;
    assert_eq!(store.health(), Err(failure));
}

#[test]
fn a_sync_that_fails_is_the_end() {
    let failed = Verdict::FailSync { durable: 0 };
    runtime().block_on(everybody_hears(
        Kind::SyncData,
        failed,
        "/data/store/log-0000000000000000 failed: Input/output error",
    ));
}

#[test]
fn a_write_that_fails_is_the_end() {
    let failed = Verdict::Fail(nix::errno::Errno::EIO);
    runtime().block_on(everybody_hears(Kind::Write, failed, "Input/output error"));
}

#[test]
fn a_panic_is_the_end() {
    runtime().block_on(everybody_hears(Kind::Write, Verdict::Panic, "the committer panicked: the disk has panicked"));
}

#[test]
fn a_sync_that_finds_the_disk_full_is_the_end_as_well() {
    let failed = Verdict::Fail(nix::errno::Errno::ENOSPC);
    runtime().block_on(everybody_hears(Kind::SyncData, failed, "No space left on device"));
}

#[test]
fn a_full_disk_and_an_end_in_order_are_no_failures() {
    runtime().block_on(async {
        let (disk, store, content) = struck(Kind::Write, Verdict::Fail(nix::errno::Errno::ENOSPC)).await;
        let large = [put("pods", "a/large", &"x".repeat(5000))];
        // The zeros ahead were refused; the frame alone was not.
        store.commit(content.txn(&large)).await.unwrap();
        assert_eq!(store.health(), Ok(()));
        disk.finish_background();
        store.close().await;
        assert!(matches!(store.commit(content.txn(&writes(1))).await, Err(CommitError::Closed)));
        assert_eq!(store.health(), Ok(()));
        assert!(tokio::time::timeout(Duration::from_secs(3600), store.failed()).await.is_err());
    });
}
