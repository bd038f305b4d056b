//! What is compiled of the objects of a table.

use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::Value;
use windlass_machinery::tree::text;

use crate::review::Cluster;

/// Something compiled of each object of a cluster-wide table, in the order of their names, as the table is now: an object counts from the
/// moment that it is stored. It is compiled once for each version of the object.
///
/// Cost when the table has not changed: a revision compared.
pub struct Followed<T> {
    table: &'static str,
    compile: Box<dyn Fn(&Value) -> T + Send + Sync>,
    kept: ArcSwap<Kept<T>>,
}

struct Kept<T> {
    /// 0 before the first reading.
    revision: u64,
    all: Arc<[Arc<Entry<T>>]>,
}

struct Entry<T> {
    name: String,
    version: String,
    compiled: Arc<T>,
}

impl<T> Followed<T> {
    pub fn new(table: &'static str, compile: impl Fn(&Value) -> T + Send + Sync + 'static) -> Self {
        let kept = Kept { revision: 0, all: Arc::new([]) };
        Self { table, compile: Box::new(compile), kept: ArcSwap::from_pointee(kept) }
    }

    /// What is compiled, as of now.
    pub fn all(&self, cluster: &dyn Cluster) -> All<T> {
        let revision = cluster.revision(self.table);
        let kept = self.kept.load();
        if kept.revision == revision {
            return All(kept.all.clone());
        }
        drop(kept);
        self.follow(cluster, revision)
    }

    /// Reads the table. Of several requests that find it changed, each may do so; what they read is at least as new as the revision.
    #[cold]
    fn follow(&self, cluster: &dyn Cluster, revision: u64) -> All<T> {
        let before = self.kept.load_full();
        // Both are sorted by name.
        let mut old = before.all.iter().peekable();
        let mut all = Vec::new();
        for object in cluster.objects(self.table, "") {
            let (name, version) = (text(&object["metadata"], "name"), text(&object["metadata"], "resourceVersion"));
            while old.next_if(|entry| *entry.name < *name).is_some() {}
            let same = old.next_if(|entry| entry.name == name && entry.version == version);
            all.push(same.cloned().unwrap_or_else(|| {
                let compiled = Arc::new((self.compile)(&object));
                Arc::new(Entry { name: name.to_owned(), version: version.to_owned(), compiled })
            }));
        }
        let all: Arc<[_]> = all.into();
        self.kept.rcu(|kept| match kept.revision > revision {
            true => kept.clone(),
            false => Arc::new(Kept { revision, all: all.clone() }),
        });
        All(all)
    }
}

/// All that is compiled of a table, at one moment.
pub struct All<T>(Arc<[Arc<Entry<T>>]>);

impl<T> All<T> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of the objects, with what is compiled of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<T>)> {
        self.0.iter().map(|entry| (&*entry.name, &entry.compiled))
    }

    /// What is compiled of the object with a name.
    pub fn get(&self, name: &str) -> Option<&Arc<T>> {
        let at = self.0.binary_search_by(|entry| (*entry.name).cmp(name)).ok()?;
        Some(&self.0[at].compiled)
    }
}
