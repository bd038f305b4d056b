//! What a store holds, worked out a second time: the tests of crashes compare with it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use windlass_store::Op;

use super::paper::{Image, PaperDisk};
use super::*;

pub(crate) const TABLES: [&str; 3] = ["events", "pods", "secrets"];

/// All objects: table and key, and then revision, end and data.
pub(crate) type Objects = BTreeMap<(&'static str, String), (u64, i64, String)>;

/// A store's content at a revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) revision: u64,
    pub(crate) objects: Objects,
}

/// One write: data to put, or nothing to delete.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) table: &'static str,
    pub(crate) key: String,
    pub(crate) put: Option<String>,
    pub(crate) expires: i64,
}

pub(crate) fn put(table: &'static str, key: &str, data: &str) -> Write {
    Write { table, key: key.to_owned(), put: Some(data.to_owned()), expires: 0 }
}

pub(crate) fn remove(table: &'static str, key: &str) -> Write {
    Write { table, key: key.to_owned(), put: None, expires: 0 }
}

impl Content {
    pub(crate) fn of(store: &Store) -> Self {
        let mut objects = Objects::new();
        for name in TABLES {
            for item in store.table(name).state().iter(&Range::default()) {
                objects.insert((name, item.key.to_string()), (item.revision, item.expires, data(item)));
            }
        }
        Self { revision: store.revision(), objects }
    }

    pub(crate) fn has(&self, write: &Write) -> bool {
        self.objects.contains_key(&(write.table, write.key.clone()))
    }

    /// The content after one more transaction, of which every write has a revision of its own.
    pub(crate) fn with(&self, writes: &[Write]) -> Self {
        let mut after = self.clone();
        for write in writes {
            after.revision += 1;
            let place = (write.table, write.key.clone());
            match &write.put {
                Some(data) => {
                    let kept = self.objects.get(&place).map_or(0, |(_, expires, _)| *expires);
                    let expires = if write.expires == 0 { kept } else { write.expires };
                    after.objects.insert(place, (after.revision, expires, data.clone()));
                }
                None => _ = after.objects.remove(&place),
            }
        }
        after
    }

    /// The writes as a transaction that goes ahead when this is the content.
    pub(crate) fn txn(&self, writes: &[Write]) -> Txn {
        let ops = writes.iter().map(|write| {
            let current = self.objects.get(&(write.table, write.key.clone()));
            Op {
                table: write.table.into(),
                key: write.key.clone(),
                expect: current.map_or(Expect::Absent, |(revision, ..)| Expect::Revision(*revision)),
                put: write.put.as_ref().map(|data| object(&write.key, data)),
                last: None,
                expires: write.expires,
            }
        });
        Txn { ops: ops.collect() }
    }
}

pub(crate) const DIRECTORY: &str = "/data/store";

/// Small, so that a few writes make a new file and a snapshot.
pub(crate) fn small_sizes() -> Sizes {
    Sizes { ahead_first_bytes: 300, ahead_bytes: 1000, log_bytes_min: 2500, snapshot_frame_bytes: 600 }
}

pub(crate) fn open_paper(disk: &PaperDisk, clock: Clock) -> Result<Arc<Store>, OpenError> {
    Store::open_on(Options { clock, ..options(Path::new(DIRECTORY)) }, disk.handle(), small_sizes())
}

/// A runtime that does the same again.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// Opens what is left, whose content must be one of those allowed. Returns the content.
pub(crate) fn check_once(image: &Image, allowed: &[Content], story: &dyn Fn() -> String) -> Content {
    runtime().block_on(async {
        // So long ago that nothing goes by itself.
        let disk = PaperDisk::new(image.clone());
        let store = open_paper(&disk, Clock::paused(Timestamp::UNIX_EPOCH))
            .unwrap_or_else(|error| panic!("{error}\n{}", story()));
        let found = Content::of(&store);
        assert!(allowed.contains(&found), "{found:?}\nis none of\n{allowed:?}\n{}", story());
        found
    })
}

/// The same, and opens it again, after a commit and without: faults of one start show at the next.
pub(crate) fn check(image: &Image, allowed: &[Content], story: &dyn Fn() -> String) -> Content {
    runtime().block_on(async {
        // So long ago that nothing goes by itself.
        let clock = Clock::paused(Timestamp::UNIX_EPOCH);
        let disk = PaperDisk::new(image.clone());
        let store = open_paper(&disk, clock).unwrap_or_else(|error| panic!("{error}\n{}", story()));
        let found = Content::of(&store);
        assert!(allowed.contains(&found), "{found:?}\nis none of\n{allowed:?}\n{}", story());
        // What can be read is not lost any more.
        let unplugged = disk.stop().power_off(|_| paper::Fate::Lost);
        let disk = PaperDisk::new(unplugged);
        let store = open_paper(&disk, clock).unwrap_or_else(|error| panic!("{error}, again\n{}", story()));
        assert_eq!(Content::of(&store), found, "{}", story());
        let write = [put("pods", "z/probe", "probe")];
        store.commit(found.txn(&write)).await.unwrap_or_else(|error| panic!("{error}\n{}", story()));
        disk.finish_background();
        store.close().await;
        let disk = PaperDisk::new(disk.stop().power_off(|_| paper::Fate::Lost));
        let store = open_paper(&disk, clock).unwrap_or_else(|error| panic!("{error}, after a commit\n{}", story()));
        assert_eq!(Content::of(&store), found.with(&write), "{}", story());
        store.close().await;
        found
    })
}
