//! Why a pod does not fit, and how that is told.
//!
//! Source of the wording: `pkg/scheduler/framework/types.go`, `FitError`.

use std::collections::BTreeMap;

use crate::cache::NodeId;
use crate::rejection::Rejection;

/// Plugins of a profile, by their place in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PluginSet(u64);

impl PluginSet {
    pub(crate) fn insert(&mut self, plugin: usize) {
        self.0 |= 1 << plugin;
    }

    pub(crate) fn contains(self, plugin: usize) -> bool {
        self.0 & (1 << plugin) != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What was found out while looking for a node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Diagnosis {
    pub rejections: Vec<(NodeId, Rejection)>,
    /// The pod itself was refused, before any node was looked at.
    pub before_nodes: Option<Rejection>,
    /// Nodes that were not looked at, and why.
    pub absent_reason: String,
    pub plugins: PluginSet,
}

impl Diagnosis {
    pub(crate) fn reject(&mut self, node: NodeId, plugin: usize, rejection: Rejection) {
        self.plugins.insert(plugin);
        self.rejections.push((node, rejection));
    }

    /// The message of the condition and of the event, without what preemption adds.
    pub(crate) fn message(&self, node_count: usize) -> String {
        match &self.before_nodes {
            Some(rejection) => format!("0/{node_count} nodes are available: {}.", rejection.message()),
            None => fit_message(node_count, self.rejections.iter().map(|(_, r)| r), &self.absent_reason),
        }
    }
}

/// Counts reasons: `0/3 nodes are available: 1 Insufficient memory, 2 Insufficient cpu.`; nodes without a rejection count for
/// `absent_reason` unless it is empty.
pub(crate) fn fit_message<'a>(
    node_count: usize,
    rejections: impl Iterator<Item = &'a Rejection>,
    absent_reason: &str,
) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut explained = 0;
    for rejection in rejections {
        explained += 1;
        for reason in &rejection.reasons {
            *counts.entry(reason).or_default() += 1;
        }
    }
    if !absent_reason.is_empty() && explained < node_count {
        *counts.entry(absent_reason).or_default() += node_count - explained;
    }
    // Sorted as texts, number first, as upstream has it.
    let mut parts: Vec<String> = counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    parts.sort_unstable();
    let head = format!("0/{node_count} nodes are available:");
    if parts.is_empty() { head } else { format!("{head} {}.", parts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;

    #[test]
    fn wording() {
        let cpu = || Rejection::unschedulable("Insufficient cpu");
        let both = Rejection { reasons: smallvec!["Insufficient cpu".into(), "Too many pods".into()], ..cpu() };
        let taint = Rejection::unresolvable("node(s) had untolerated taint(s)");
        let cases = [
            (1, vec![cpu()], "", "0/1 nodes are available: 1 Insufficient cpu."),
            (
                12,
                [vec![taint; 10], vec![cpu(), both]].concat(),
                "",
                "0/12 nodes are available: 1 Too many pods, 10 node(s) had untolerated taint(s), 2 Insufficient cpu.",
            ),
            (3, vec![cpu()], "absent", "0/3 nodes are available: 1 Insufficient cpu, 2 absent."),
        ];
        for (nodes, rejections, absent, expected) in cases {
            assert_eq!(fit_message(nodes, rejections.iter(), absent), expected);
        }
        let before = Diagnosis { before_nodes: Some(Rejection::unresolvable("no")), ..Diagnosis::default() };
        assert_eq!(before.message(2), "0/2 nodes are available: no.");
    }
}
