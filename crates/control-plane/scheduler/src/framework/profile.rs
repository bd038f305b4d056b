//! A profile: which plugins are asked, at which point, in which order.

use std::sync::Arc;

use super::diagnosis::Diagnosis;
use super::plugin::{
    Bind, Permit, PostBind, PostFilter, PreBind, PreEnqueue, PreFilter, PreFiltered, PreScore, PreparedFilter,
    QueueSort, Reserve,
};
use crate::cache::{Cluster, NodeInfo, Nominator};
use crate::object::Pod;
use crate::rejection::Rejection;

/// The plugins of one scheduler name.
#[derive(Clone)]
pub(crate) struct Profile {
    pub name: String,
    pub pre_enqueue: Vec<Arc<dyn PreEnqueue>>,
    pub queue_sort: Arc<dyn QueueSort>,
    /// Asked in this order; a plugin is known by its place here.
    pub pre_filter: Vec<Arc<dyn PreFilter>>,
    pub post_filter: Vec<Arc<dyn PostFilter>>,
    pub pre_score: Vec<Arc<dyn PreScore>>,
    pub reserve: Vec<Arc<dyn Reserve>>,
    pub permit: Vec<Arc<dyn Permit>>,
    pub pre_bind: Vec<Arc<dyn PreBind>>,
    pub bind: Arc<dyn Bind>,
    pub post_bind: Vec<Arc<dyn PostBind>>,
}

/// The filters for a pod, and the nodes that they are to be asked about.
pub(crate) struct Prepared<'a> {
    pub filters: Vec<PreparedFilter<'a>>,
    /// `None` is all nodes.
    pub nodes: Option<std::collections::BTreeSet<String>>,
}

impl Profile {
    /// Asks every PreFilter; what refuses the pod as such ends up in `diagnosis`.
    pub(crate) fn prepare<'a>(
        &'a self,
        cluster: &'a Cluster,
        pod: &'a Pod,
        diagnosis: &mut Diagnosis,
    ) -> Option<Prepared<'a>> {
        let mut filters = Vec::with_capacity(self.pre_filter.len());
        let mut nodes: Option<std::collections::BTreeSet<String>> = None;
        let mut narrowed_by = Vec::new();
        for (plugin, pre_filter) in self.pre_filter.iter().enumerate() {
            match pre_filter.pre_filter(cluster, pod) {
                PreFiltered::Skip => {}
                PreFiltered::Reject(rejection) => {
                    diagnosis.plugins.insert(plugin);
                    diagnosis.before_nodes = Some(rejection);
                    return None;
                }
                PreFiltered::Filter { filter, nodes: only } => {
                    if let Some(only) = only {
                        narrowed_by.push(plugin);
                        nodes = Some(match nodes {
                            None => only,
                            Some(before) => before.intersection(&only).cloned().collect(),
                        });
                    }
                    filters.push(PreparedFilter { plugin, filter });
                }
            }
        }
        if let Some(nodes) = &nodes {
            let mut names: Vec<&str> = narrowed_by.iter().map(|plugin| self.pre_filter[*plugin].name()).collect();
            names.sort_unstable();
            narrowed_by.iter().for_each(|plugin| diagnosis.plugins.insert(*plugin));
            if nodes.is_empty() {
                let together = if names.len() > 1 { " simultaneously" } else { "" };
                let names =
                    if names.len() > 1 { format!("(s) [{}]", names.join(" ")) } else { format!(" {}", names.concat()) };
                let reason = format!("node(s) didn't satisfy plugin{names}{together}");
                diagnosis.before_nodes = Some(Rejection::unresolvable(reason));
                return None;
            }
            diagnosis.absent_reason = format!("node(s) didn't satisfy plugin(s) [{}]", names.join(" "));
        }
        Some(Prepared { filters, nodes })
    }
}

/// Asks the filters about a node, as it is.
fn ask(filters: &[PreparedFilter<'_>], node: &NodeInfo) -> Result<(), (usize, Rejection)> {
    for prepared in filters {
        prepared.filter.filter(node).map_err(|rejection| (prepared.plugin, rejection))?;
    }
    Ok(())
}

/// Asks the filters about a node, with those nominated pods on it that rank no lower, and also without them: they may never
/// arrive, and the pod must not depend on them.
pub(crate) fn check(
    filters: &mut [PreparedFilter<'_>],
    nominator: &Nominator,
    pod: &Pod,
    node: &NodeInfo,
) -> Result<(), (usize, Rejection)> {
    let nominated: Vec<&Arc<Pod>> = nominator
        .on(node.name())
        .iter()
        .filter(|other| other.priority >= pod.priority && other.key != pod.key)
        .collect();
    if !nominated.is_empty() {
        let mut with_them = node.clone();
        for other in &nominated {
            with_them.add((*other).clone());
            filters.iter_mut().for_each(|prepared| prepared.filter.add_pod(other, node));
        }
        let result = ask(filters, &with_them);
        for other in &nominated {
            filters.iter_mut().for_each(|prepared| prepared.filter.remove_pod(other, node));
        }
        result?;
    }
    ask(filters, node)
}
