//! Domains of a topology: the values that a label has on nodes, numbered.
//!
//! Spreading and affinity count pods by domain, for every pod anew; with numbers that is an index into a list instead of looking
//! up labels of every node.

use std::collections::HashMap;

use super::node_info::{NodeId, NodeInfo};

const NONE: u32 = u32::MAX;

/// One label key.
#[derive(Debug)]
pub(crate) struct Topology {
    of_node: Vec<u32>,
    /// How many values there are.
    pub domains: usize,
}

impl Topology {
    pub(super) fn of(key: &str, nodes: &[Option<NodeInfo>]) -> Self {
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        let of_node = nodes
            .iter()
            .map(|node| {
                let Some(value) = node.as_ref().and_then(|node| node.label(key)) else { return NONE };
                let next = u32::try_from(numbers.len()).unwrap_or(NONE);
                *numbers.entry(value).or_insert(next)
            })
            .collect();
        Self { of_node, domains: numbers.len() }
    }

    /// The domain that a node is in, if it has the label.
    pub(crate) fn domain(&self, node: NodeId) -> Option<usize> {
        self.of_node.get(node.index()).filter(|domain| **domain != NONE).map(|domain| *domain as usize)
    }
}
