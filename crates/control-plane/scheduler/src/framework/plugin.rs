//! The extension points.
//!
//! Everything up to Reserve is a pure function of the cluster as it is seen and of the pod; PreBind and Bind speak to the API.

use std::collections::BTreeSet;

use async_trait::async_trait;
use windlass_api::Status;

use super::diagnosis::Diagnosis;
use super::event::Event;
use crate::cache::{Cluster, Nominator};
use crate::cache::{NodeId, NodeInfo};
use crate::object::Pod;
use crate::rejection::Rejection;

/// Scores are from 0 to this, after normalization.
pub(crate) const MAX_SCORE: i64 = 100;

pub(crate) trait Plugin: Send + Sync {
    /// As upstream's configuration names it.
    fn name(&self) -> &'static str;
}

/// May keep a pod out of the queue.
pub(crate) trait PreEnqueue: Plugin {
    fn pre_enqueue(&self, pod: &Pod) -> Result<(), Rejection>;
}

/// Which pod is first.
pub(crate) trait QueueSort: Plugin {
    /// The pod with the smaller rank comes first; among equals, the one that waits longer.
    fn rank(&self, pod: &Pod) -> i64;
}

/// When a pod that a plugin has refused is worth another try.
pub(crate) trait Requeue: Plugin {
    fn may_help(&self, pod: &Pod, event: &Event) -> bool;
}

/// What a plugin thinks of a pod before nodes are looked at.
pub(crate) enum PreFiltered<'a> {
    /// Nothing; it needs not be asked about nodes.
    Skip,
    /// It cannot be scheduled at all.
    Reject(Rejection),
    /// Nodes are to be asked about, and if `nodes` is there, no others than these can do.
    Filter { filter: Box<dyn Filter + 'a>, nodes: Option<BTreeSet<String>> },
}

impl<'a> PreFiltered<'a> {
    pub(crate) fn filter(filter: impl Filter + 'a) -> Self {
        Self::Filter { filter: Box::new(filter), nodes: None }
    }
}

pub(crate) trait PreFilter: Requeue {
    fn pre_filter<'a>(&'a self, cluster: &'a Cluster, pod: &'a Pod) -> PreFiltered<'a>;
}

/// Whether a node can take the pod.
pub(crate) trait Filter {
    fn filter(&self, node: &NodeInfo) -> Result<(), Rejection>;

    /// Thinks of a further pod on a node.
    fn add_pod(&mut self, _pod: &Pod, _node: &NodeInfo) {}

    /// Thinks of a pod as gone from a node.
    fn remove_pod(&mut self, _pod: &Pod, _node: &NodeInfo) {}
}

/// What can be done when no node can take the pod.
pub(crate) trait PostFilter: Plugin {
    fn post_filter(
        &self,
        cluster: &Cluster,
        nominator: &Nominator,
        pod: &Pod,
        filters: &mut [PreparedFilter<'_>],
        diagnosis: &Diagnosis,
        random: u64,
    ) -> PostFiltered;
}

/// What a PostFilter came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PostFiltered {
    /// Completes the message that says why the pod waits.
    pub message: String,
    /// Where the pod is nominated now: `Some("")` takes a nomination back, `None` leaves it.
    pub nominate: Option<String>,
    /// Pods that are to go.
    pub victims: Vec<windlass_api::ObjectKey>,
}

/// What is to be known of a pod before nodes are scored; `None` has no opinion.
pub(crate) trait PreScore: Plugin {
    fn weight(&self) -> i64;

    fn pre_score<'a>(&'a self, cluster: &'a Cluster, pod: &'a Pod, feasible: &[NodeId]) -> Option<Box<dyn Score + 'a>>;
}

/// How good a node is for the pod.
pub(crate) trait Score {
    fn score(&self, node: &NodeInfo) -> i64;

    /// Brings all scores into the range from 0 to [`MAX_SCORE`].
    fn normalize(&self, _scores: &mut [i64]) {}
}

/// Keeps what the pod will need on the node, besides what every pod takes.
pub(crate) trait Reserve: Plugin {
    fn reserve(&self, cluster: &mut Cluster, pod: &Pod, node: &str) -> Result<(), Rejection>;

    /// Must undo [`Reserve::reserve`], and may be called without it.
    fn unreserve(&self, cluster: &mut Cluster, pod: &Pod);
}

/// The last word before binding begins.
pub(crate) trait Permit: Plugin {
    fn permit(&self, cluster: &Cluster, pod: &Pod, node: &str) -> Result<(), Rejection>;
}

/// What must be true before the pod is bound, such as its volumes.
#[async_trait]
pub(crate) trait PreBind: Plugin {
    /// Whether there is anything to do for this pod.
    fn concerns(&self, pod: &Pod) -> bool;

    async fn pre_bind(&self, pod: &Pod, node: &str) -> Result<(), Status>;
}

#[async_trait]
pub(crate) trait Bind: Plugin {
    async fn bind(&self, pod: &Pod, node: &str) -> Result<(), Status>;
}

/// Is told that a pod was bound.
pub(crate) trait PostBind: Plugin {
    fn post_bind(&self, pod: &Pod, node: &str);
}

/// A plugin's filter for the pod in question.
pub(crate) struct PreparedFilter<'a> {
    pub plugin: usize,
    pub filter: Box<dyn Filter + 'a>,
}
