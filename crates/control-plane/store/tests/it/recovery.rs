//! What is on the disk comes back, and damage is told from a torn tail.

use std::fs;
use std::path::PathBuf;

use tempfile::{TempDir, tempdir};

use super::*;

fn log_file(directory: &Path) -> PathBuf {
    let mut logs: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("log-"))
        .collect();
    logs.sort();
    logs.pop().unwrap()
}

/// A closed store with five small objects, and its log with the zeros behind it cut off.
async fn five() -> (TempDir, Vec<u8>) {
    let directory = tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    for n in 0..5 {
        create(&store, "pods", &format!("a/{n}"), &n.to_string()).await.unwrap();
    }
    store.close().await;
    let bytes = fs::read(log_file(directory.path())).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    (directory, bytes[..end].to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_comes_back() {
    let directory = tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    create(&store, "pods", "a/x", "1").await.unwrap();
    create(&store, "secrets", "a/s", "hidden").await.unwrap();
    let revision = create(&store, "pods", "a/y", "2").await.unwrap().revision;
    update(&store, "pods", "a/x", 1, "3").await.unwrap();
    delete(&store, "pods", "a/y", revision).await.unwrap();
    store.close().await;
    let raw = fs::read(log_file(directory.path())).unwrap();
    assert!(!raw.windows(6).any(|window| window == b"hidden"), "a secret stands on the disk as it is");

    let store = open(directory.path()).unwrap();
    assert_eq!(store.revision(), 5);
    assert_eq!(contents(&store, "pods"), [("a/x".to_owned(), "3".to_owned())]);
    assert_eq!(contents(&store, "secrets"), [("a/s".to_owned(), "hidden".to_owned())]);
    assert_eq!(store.table("pods").get("a/x").unwrap().created, 1);
    assert!(store.table("pods").watch(3).is_err(), "events from before the start are gone, and a watch must hear it");
    assert_eq!(create(&store, "pods", "a/z", "").await.unwrap().revision, 6);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_not_taken_for_a_torn_tail() {
    let (directory, bytes) = five().await;
    let path = log_file(directory.path());
    let last = 8 + 4 * (bytes.len() - 8) / 5;
    for bit in 8 * 8..bytes.len() * 8 {
        let (at, mask) = (bit / 8, 1 << (bit % 8));
        let mut damaged = bytes.clone();
        damaged[at] ^= mask;
        fs::write(&path, &damaged).unwrap();
        let error = open(directory.path()).err().unwrap_or_else(|| panic!("a flipped bit at {at} goes unnoticed"));
        let text = error.to_string();
        let OpenError::Damaged { path: named, offset, lost, .. } = error else { panic!("{text}") };
        assert_eq!(named, path);
        let frame = (at - 8) / ((bytes.len() - 8) / 5);
        assert_eq!(offset as usize, 8 + frame * (bytes.len() - 8) / 5, "{text}");
        let after = frame as u64;
        if at < last {
            assert_eq!(lost, Lost::Between { after, until: after + 1, sound_until: 5 }, "{text}");
            assert!(text.contains("Do not cut") && !text.contains("truncate"), "{text}");
        } else {
            assert_eq!(lost, Lost::Last { after: 4 }, "{text}");
            assert!(text.contains(&format!("truncate -s {offset} {}", path.display())), "{text}");
        }
    }
    // The advice for a damaged last record is good.
    fs::write(&path, &bytes[..last]).unwrap();
    let store = open(directory.path()).unwrap();
    assert_eq!(contents(&store, "pods").len(), 4);
    store.close().await;

    fs::write(&path, b"something else entirely").unwrap();
    assert!(matches!(open(directory.path()), Err(OpenError::Version { .. })));
    let mut headless = bytes.clone();
    headless[1] ^= 0x10;
    fs::write(&path, &headless).unwrap();
    assert!(matches!(open(directory.path()), Err(OpenError::Damaged { lost: Lost::Header, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_bound_the_log() {
    let directory = tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let text = "x".repeat(100_000);
    let mut revisions = [0; 20];
    for round in 0..80 {
        for (n, revision) in revisions.iter_mut().enumerate() {
            let key = format!("a/{n}");
            *revision = match *revision {
                0 => create(&store, "pods", &key, &text).await.unwrap().revision,
                at => update(&store, "pods", &key, at, &format!("{round}{text}")).await.unwrap().revision,
            };
        }
    }
    let before = contents(&store, "pods");
    store.close().await;
    let bytes: u64 = fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes < 120 << 20, "160 MB of writes to 2 MB of objects leave {bytes} bytes");
    let store = open(directory.path()).unwrap();
    assert_eq!(store.revision(), 1600);
    assert_eq!(contents(&store, "pods"), before);
    store.close().await;

    // A snapshot that is cut short, or a log that is missing, is damage.
    let snapshot = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("snapshot-"))
        .expect("160 MB of writes make a snapshot");
    let whole = fs::read(&snapshot).unwrap();
    fs::write(&snapshot, &whole[..whole.len() - 20]).unwrap();
    assert!(matches!(open(directory.path()), Err(OpenError::Damaged { .. })));
    fs::remove_file(&snapshot).unwrap();
    assert!(matches!(open(directory.path()), Err(OpenError::Damaged { .. })));
}
