//! kill -9 under concurrent writers, many times over: nothing acknowledged is lost, nothing is half there.
//!
//! The child is this test program again, told by an environment variable to write until it is killed. It reports each
//! acknowledged write on a line of its own.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use tempfile::tempdir;

use super::*;

const DIRECTORY: &str = "WINDLASS_TEST_CRASH_DIRECTORY";
const KILLS: usize = 200;
const WRITERS: usize = 16;

/// The child's part: it does nothing when the test runner calls it.
#[tokio::test(flavor = "multi_thread")]
async fn writer_that_gets_killed() {
    #[expect(clippy::disallowed_methods, reason = "the parent tells the child where to write")]
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let store = open(Path::new(&directory)).unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let store = store.clone();
        writers.spawn(async move {
            let key = format!("a/{writer}");
            let mut count: u64 = store.table("pods").get(&key).map_or(0, |item| count_of(&data(&item)));
            loop {
                let current = store.table("pods").get(&key);
                count += 1;
                let text = payload(writer, count);
                let done = match current {
                    Some(item) if count.is_multiple_of(50) => {
                        delete(&store, "pods", &key, item.revision).await.unwrap()
                    }
                    Some(item) => update(&store, "pods", &key, item.revision, &text).await.unwrap(),
                    None => create(&store, "pods", &key, &text).await.unwrap(),
                };
                // One write system call for each line, so that a kill never cuts one in two.
                let line = format!("{writer} {count} {}\n", done.revision);
                std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                std::io::stdout().lock().flush().unwrap();
            }
        });
    }
    writers.join_all().await;
}

/// Data that tells who wrote it, when, and whether it is whole.
fn payload(writer: usize, count: u64) -> String {
    let filling = "x".repeat((count as usize * 37 + writer) % 900);
    format!("{count}:{filling}:{writer}.{count}")
}

fn count_of(data: &str) -> u64 {
    data.split(':').next().unwrap().parse().unwrap()
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_writes_survive_kills() {
    let directory = tempdir().unwrap();
    let mut acknowledged: HashMap<usize, (u64, u64)> = HashMap::new();
    let mut total = 0;
    for round in 0..KILLS {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::writer_that_gets_killed", "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut child = Killed(child);
        let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        // The kill comes after a number of writes that differs from round to round.
        let mut left = 20 + round * 7 % 400;
        let mut highest = 0;
        while let Some(Ok(line)) = lines.next() {
            let numbers: Vec<u64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
            let [writer, count, revision] = numbers[..] else { continue };
            acknowledged.insert(writer as usize, (count, revision));
            highest = highest.max(revision);
            total += 1;
            left = left.saturating_sub(1);
            if left == 0 {
                child.0.kill().unwrap();
            }
        }
        drop(child);
        let store = open(directory.path()).unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert!(store.revision() >= highest, "round {round}: acknowledged revisions are missing");
        for (writer, (count, revision)) in &acknowledged {
            let item = store.table("pods").get(&format!("a/{writer}"));
            let found = item.as_ref().map(|item| data(item));
            match found {
                // One more write may have become durable without being acknowledged.
                Some(text) => {
                    let found = count_of(&text);
                    assert_eq!(text, payload(*writer, found), "round {round}: half a write");
                    assert!(
                        item.unwrap().revision >= *revision && found >= *count,
                        "round {round}: {writer} went back"
                    );
                }
                None => assert!(
                    count.is_multiple_of(50) || (count + 1).is_multiple_of(50),
                    "round {round}: {writer} lost {count}"
                ),
            }
        }
        store.close().await;
        // A deleted writer starts to count again.
        acknowledged.retain(|_, (count, _)| !count.is_multiple_of(50) && !(*count + 1).is_multiple_of(50));
    }
    assert!(total > KILLS * 20, "only {total} writes in {KILLS} rounds");
}
