//! Reading what the node has left.

use std::collections::BTreeMap;

use crate::facts::machine;
use crate::options::{Options, Signal};

/// Of a signal: what there is in all, and what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) capacity: i64,
    pub(super) available: i64,
}

pub(super) type Observations = BTreeMap<Signal, Left>;

fn left(capacity: u64, available: u64) -> Left {
    let count = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    Left { capacity: count(capacity), available: count(available) }
}

/// Blocks for some reads. What cannot be read is left out, and so never evicts anybody.
pub(super) fn read(options: &Options) -> Observations {
    let mut all = Observations::new();
    if let Some((capacity, available)) = machine::available_memory() {
        all.insert(Signal::MemoryAvailable, Left { capacity, available });
    }
    for (directory, bytes, inodes) in [
        (&options.root, Signal::NodeFsAvailable, Signal::NodeFsInodesFree),
        (&options.image_gc.directory, Signal::ImageFsAvailable, Signal::ImageFsInodesFree),
    ] {
        let Ok(it) = windlass_tree::file_system(directory) else { continue };
        // Of what can be used at all: a file system may keep much of itself back.
        all.insert(bytes, left(it.used_bytes + it.available_bytes, it.available_bytes));
        // Some file systems make inodes as they need them, and say that there are none.
        if it.inodes > 0 {
            all.insert(inodes, left(it.inodes, it.inodes_free));
        }
    }
    if let Some((capacity, used)) = machine::processes() {
        all.insert(Signal::PidAvailable, Left { capacity, available: capacity - used });
    }
    all
}
