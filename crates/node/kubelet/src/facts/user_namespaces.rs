//! Ranges of user IDs for pods with a user namespace of their own: 65,536 IDs each, none shared. Which pod has which range stands in
//! the pod's directory, so that a restart finds it again.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use parking_lot::Mutex;
use windlass_cri::{IdMapping, UserNamespace};
use windlass_tree::Loss;

const LENGTH: u32 = 65_536;
/// The first range belongs to the node.
const FIRST: u32 = 1;
const RANGES_MAX: u32 = 1024;
const FILE: &str = "userns";

#[derive(Debug, Default)]
pub(crate) struct UserNamespaces {
    /// By the pod's UID; `None` where a pod has a range, and it cannot be read which.
    taken: Mutex<HashMap<String, Option<u32>>>,
}

fn mapping(range: u32) -> UserNamespace {
    let mapping = IdMapping { host_id: range * LENGTH, container_id: 0, length: LENGTH };
    UserNamespace { uids: vec![mapping], gids: vec![mapping] }
}

/// Reads a pod's range: none, one, or one that is not known.
fn read(file: &Path) -> Option<Option<u32>> {
    match std::fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(_) => Some(None),
        Ok(text) => Some(text.trim().parse().ok().filter(|range| (FIRST..=RANGES_MAX).contains(range))),
    }
}

impl UserNamespaces {
    /// Reads what pods below `pods` have.
    pub(crate) fn recall(pods: &Path) -> Self {
        let mut taken = HashMap::new();
        for entry in std::fs::read_dir(pods).into_iter().flatten().flatten() {
            let (Ok(uid), Some(range)) = (entry.file_name().into_string(), read(&entry.path().join(FILE))) else {
                continue;
            };
            if range.is_none() {
                tracing::warn!(
                    pod = uid,
                    "the pod's range of user IDs cannot be read; no other pod gets one while this one is there"
                );
            }
            taken.insert(uid, range);
        }
        Self { taken: Mutex::new(taken) }
    }

    /// The pod's range, a new one when it has none.
    pub(crate) async fn allocate(&self, uid: &str, directory: &Path) -> io::Result<UserNamespace> {
        let range = {
            let mut taken = self.taken.lock();
            match taken.get(uid) {
                Some(Some(range)) => return Ok(mapping(*range)),
                Some(None) => return Err(io::Error::other("the pod's range of user IDs cannot be read")),
                None => {}
            }
            if taken.values().any(Option::is_none) {
                return Err(io::Error::other(
                    "another pod's range of user IDs cannot be read, so that none is known to be free",
                ));
            }
            let free = (FIRST..=RANGES_MAX).find(|range| !taken.values().any(|known| *known == Some(*range)));
            let range = free.ok_or_else(|| io::Error::other("all ranges of user IDs are taken"))?;
            taken.insert(uid.to_owned(), Some(range));
            range
        };
        // Containers run with it from now on: it may not be forgotten.
        let file = directory.join(FILE);
        let write = move || windlass_tree::replace(&file, range.to_string().as_bytes(), 0o644, Loss::Unbearable);
        let written = tokio::task::spawn_blocking(write).await.unwrap_or_else(|error| Err(io::Error::other(error)));
        if written.is_err() {
            self.release(uid);
        }
        written.map(|()| mapping(range))
    }

    pub(crate) fn release(&self, uid: &str) {
        self.taken.lock().remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ranges_are_kept_and_not_shared() {
        let pods = tempfile::tempdir().unwrap();
        let directory = |uid: &str| {
            let path = pods.path().join(uid);
            std::fs::create_dir_all(&path).unwrap();
            path
        };
        let all = UserNamespaces::recall(pods.path());
        let a = all.allocate("a", &directory("a")).await.unwrap();
        let b = all.allocate("b", &directory("b")).await.unwrap();
        assert_eq!((a.uids[0].host_id, b.uids[0].host_id), (65_536, 131_072));
        let again = UserNamespaces::recall(pods.path());
        assert_eq!(again.allocate("b", &directory("b")).await.unwrap(), b);
        again.release("a");
        assert_eq!(again.allocate("c", &directory("c")).await.unwrap(), a);
    }
    #[tokio::test]
    async fn a_range_that_cannot_be_read_is_not_taken_for_free() {
        let pods = tempfile::tempdir().unwrap();
        for uid in ["a", "b", "c"] {
            std::fs::create_dir(pods.path().join(uid)).unwrap();
        }
        for damage in ["", "x", "0", "70000"] {
            std::fs::write(pods.path().join("a").join(FILE), damage).unwrap();
            let all = UserNamespaces::recall(pods.path());
            for uid in ["a", "b"] {
                all.allocate(uid, &pods.path().join(uid)).await.unwrap_err();
            }
            all.release("a");
            assert_eq!(all.allocate("b", &pods.path().join("b")).await.unwrap(), mapping(1));
            std::fs::remove_file(pods.path().join("b").join(FILE)).unwrap();
        }
        // One that could not be written is free again.
        let all = UserNamespaces::default();
        all.allocate("d", &pods.path().join("absent")).await.unwrap_err();
        assert_eq!(all.allocate("c", &pods.path().join("c")).await.unwrap(), mapping(1));
        // One that is known is not written again.
        std::fs::remove_file(pods.path().join("c").join(FILE)).unwrap();
        assert_eq!(all.allocate("c", &pods.path().join("c")).await.unwrap(), mapping(1));
        assert!(!pods.path().join("c").join(FILE).exists());
    }
}
