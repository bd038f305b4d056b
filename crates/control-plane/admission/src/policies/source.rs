//! The policies in the store, each with its bindings.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::Value;

use super::binding::Binding;
use super::policy::Policy;
use crate::matching::Followed;
use crate::review::Cluster;

/// The policies of one kind that have bindings, as they are stored now.
///
/// Cost when nothing has changed: two revisions compared.
pub(crate) struct Policies<E> {
    tables: [&'static str; 2],
    policies: Followed<Policy<E>>,
    bindings: Followed<Binding>,
    joined: ArcSwap<Joined<E>>,
}

struct Joined<E> {
    revisions: [u64; 2],
    hooks: Arc<[Hook<E>]>,
}

/// A policy with its bindings.
pub(crate) struct Hook<E> {
    pub policy: Arc<Policy<E>>,
    pub bindings: Vec<Arc<Binding>>,
}

impl<E> Policies<E> {
    /// Follows two tables: of the policies and of their bindings.
    pub(crate) fn new(
        policies: &'static str,
        bindings: &'static str,
        compile: impl Fn(&Value) -> Policy<E> + Send + Sync + 'static,
    ) -> Self {
        Self {
            tables: [policies, bindings],
            policies: Followed::new(policies, compile),
            bindings: Followed::new(bindings, Binding::read),
            joined: ArcSwap::from_pointee(Joined { revisions: [0, 0], hooks: Arc::new([]) }),
        }
    }

    /// The policies that have bindings, by name; the bindings of each by name as well.
    pub(crate) fn hooks(&self, cluster: &dyn Cluster) -> Arc<[Hook<E>]> {
        let revisions = self.tables.map(|table| cluster.revision(table));
        let joined = self.joined.load();
        if joined.revisions == revisions {
            return joined.hooks.clone();
        }
        drop(joined);
        self.join(cluster, revisions)
    }

    #[cold]
    fn join(&self, cluster: &dyn Cluster, revisions: [u64; 2]) -> Arc<[Hook<E>]> {
        let mut by_policy: HashMap<String, Vec<Arc<Binding>>> = HashMap::new();
        for (_, binding) in self.bindings.all(cluster).iter() {
            by_policy.entry(binding.policy.clone()).or_default().push(binding.clone());
        }
        let policies = self.policies.all(cluster);
        let hooks: Arc<[Hook<E>]> = policies
            .iter()
            .filter_map(|(name, policy)| Some(Hook { policy: policy.clone(), bindings: by_policy.remove(name)? }))
            .collect();
        // Whoever has read an older state gives way to a newer one.
        self.joined.rcu(|joined| match joined.revisions.iter().zip(&revisions).any(|(theirs, own)| theirs > own) {
            true => joined.clone(),
            false => Arc::new(Joined { revisions, hooks: hooks.clone() }),
        });
        hooks
    }
}
