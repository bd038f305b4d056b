//! Ranges of user IDs for pods with a user namespace of their own: 65,536 IDs each, none shared. Which pod has which range stands in
//! the pod's directory, so that a restart finds it again.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use parking_lot::Mutex;
use windlass_cri::{IdMapping, UserNamespace};

const LENGTH: u32 = 65_536;
/// The first range belongs to the node.
const FIRST: u32 = 1;
const RANGES_MAX: u32 = 1024;
const FILE: &str = "userns";

#[derive(Debug, Default)]
pub(crate) struct UserNamespaces {
    taken: Mutex<HashMap<String, u32>>,
}

fn mapping(range: u32) -> UserNamespace {
    let mapping = IdMapping { host_id: range * LENGTH, container_id: 0, length: LENGTH };
    UserNamespace { uids: vec![mapping], gids: vec![mapping] }
}

impl UserNamespaces {
    /// Reads what pods below `pods` have.
    pub(crate) fn recall(pods: &Path) -> Self {
        let entries = std::fs::read_dir(pods).into_iter().flatten().flatten();
        let known = entries.filter_map(|entry| {
            let range = std::fs::read_to_string(entry.path().join(FILE)).ok()?.trim().parse().ok()?;
            Some((entry.file_name().into_string().ok()?, range))
        });
        Self { taken: Mutex::new(known.collect()) }
    }

    /// The pod's range, a new one when it has none.
    pub(crate) async fn allocate(&self, uid: &str, directory: &Path) -> io::Result<UserNamespace> {
        let range = {
            let mut taken = self.taken.lock();
            match taken.get(uid) {
                Some(range) => *range,
                None => {
                    let free = (FIRST..=RANGES_MAX).find(|range| !taken.values().any(|known| known == range));
                    let range = free.ok_or_else(|| io::Error::other("all ranges of user IDs are taken"))?;
                    taken.insert(uid.to_owned(), range);
                    range
                }
            }
        };
        tokio::fs::write(directory.join(FILE), range.to_string()).await?;
        Ok(mapping(range))
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
}
