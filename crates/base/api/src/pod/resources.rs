//! Requests and limits of whole pods.
//!
//! Regular containers and sidecars add up. Init containers run one after the other, each beside the sidecars that were started
//! before it: the most that is needed at any time counts. What is said of the pod as a whole stands above its containers; overhead
//! comes on top. While a resize is under way, what was asked for, allocated and put into force count with the greatest of them,
//! unless the node has said that the wish is infeasible. Source: component-helpers `resource/helpers.go`, KEPs 753, 1287, 2837.

use super::total::Total;
use super::view::{AnyContainer, AnyContainerStatus, AnyList, AnyPod, is_sidecar};
use crate::Quantity;

pub const CPU: &str = "cpu";
pub const MEMORY: &str = "memory";
pub const EPHEMERAL_STORAGE: &str = "ephemeral-storage";

/// Which parts count. By default ([`Options::SPEC`]) the specification alone does, with overhead and what is said of the pod as a
/// whole.
#[derive(Clone, Copy, Debug)]
pub struct Options<'o> {
    /// The statuses of containers count too: what is allocated to them and in force.
    pub use_status: bool,
    /// Beside `use_status`: so does the status of the pod as a whole.
    pub use_pod_level_status: bool,
    pub exclude_overhead: bool,
    pub skip_pod_level: bool,
    pub skip_containers: bool,
    /// What a container is taken to request of a resource that it does not name.
    pub missing: &'o [(&'static str, Quantity)],
}

impl Options<'_> {
    pub const SPEC: Self = Self {
        use_status: false,
        use_pod_level_status: false,
        exclude_overhead: false,
        skip_pod_level: false,
        skip_containers: false,
        missing: &[],
    };
    /// Statuses of containers count too.
    pub const STATUS: Self = Self { use_status: true, ..Self::SPEC };
}

/// Whether a resource can be asked for by a pod as a whole.
pub fn is_pod_level(name: &str) -> bool {
    matches!(name, CPU | MEMORY) || is_huge_pages(name)
}

pub fn is_huge_pages(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// Whether a pod as a whole requests or limits anything.
pub fn has_pod_level_resources<'a>(pod: impl AnyPod<'a>) -> bool {
    let own = pod.resources();
    names_any(own.requests) || names_any(own.limits)
}

pub fn has_pod_level_requests<'a>(pod: impl AnyPod<'a>) -> bool {
    names_any(pod.resources().requests)
}

fn names_any(list: Option<&impl AnyList>) -> bool {
    list.is_some_and(|list| list.amounts().any(|(name, _)| is_pod_level(name)))
}

/// What the pod requests.
pub fn requests<'a, P: AnyPod<'a>>(pod: P, options: Options<'_>) -> Total<'a> {
    let mut total = Total::default();
    if !options.skip_containers {
        total = container_requests(pod, options);
    }
    if !options.skip_pod_level && has_pod_level_requests(pod) {
        let statuses = [pod.resources_in_force().requests, pod.allocated()];
        put_pod_level(&mut total, &pod_level(pod, options, pod.resources().requests, &statuses));
    }
    if !options.exclude_overhead {
        total.add(pod.overhead());
    }
    total
}

/// What the pod is limited to; what is absent has no limit.
pub fn limits<'a, P: AnyPod<'a>>(pod: P, options: Options<'_>) -> Total<'a> {
    let mut total = container_limits(pod, options);
    if !options.skip_pod_level && has_pod_level_resources(pod) {
        let statuses = [pod.resources_in_force().limits];
        put_pod_level(&mut total, &pod_level(pod, options, pod.resources().limits, &statuses));
    }
    if !options.exclude_overhead {
        for (name, overhead) in pod.overhead().into_iter().flat_map(AnyList::amounts) {
            if !total.amount(name).is_zero() {
                total.merge(name, overhead, |have, more| have + more);
            }
        }
    }
    total
}

/// The limit that the pod's cgroup gets: it is declared when every container has one, or the pod as a whole. Source:
/// `ResourceConfigForPod` in kubelet `cm/helpers_linux.go`.
pub fn declared_limit<'a>(pod: impl AnyPod<'a>, name: &str) -> Option<Quantity> {
    let limits_it = |limits: Option<Quantity>| limits.is_some_and(|limit| !limit.is_zero());
    let of_pod = pod.resources().limits.and_then(|limits| limits.amount(name));
    let mut of_containers = pod.all_containers().map(|container| container.resources().limits?.amount(name));
    let is_declared = limits_it(of_pod) || of_containers.all(limits_it);
    limits(pod, Options::SPEC).get(name).filter(|_| is_declared)
}

/// What the containers request together.
pub fn container_requests<'a, P: AnyPod<'a>>(pod: P, options: Options<'_>) -> Total<'a> {
    let spec = aggregate(pod, options.missing, |container| container.resources().requests);
    let infeasible = is_resize_infeasible(pod);
    if !options.use_status || (!infeasible && !has_status(pod)) {
        return spec;
    }
    let wanted = |container: &'a P::Container| container.resources().requests.filter(|_| !infeasible);
    let mut total = if infeasible { Total::default() } else { spec };
    let of_pod = (pod.resources_in_force().requests, pod.allocated());
    if let (true, (Some(in_force), Some(allocated))) = (options.use_pod_level_status, of_pod) {
        total.raise(Some(in_force));
        total.raise(Some(allocated));
        return total;
    }
    let in_force = aggregate(pod, options.missing, |container| {
        let status = status_of(pod, container.name());
        let in_force = status.and_then(|status| status.resources().requests.or_else(|| status.allocated()));
        in_force.or_else(|| wanted(container))
    });
    let allocated = aggregate(pod, options.missing, |container| {
        status_of(pod, container.name()).and_then(AnyContainerStatus::allocated).or_else(|| wanted(container))
    });
    total.raise_total(&in_force);
    total.raise_total(&allocated);
    total
}

/// What the containers are limited to together, where any of them is.
pub fn container_limits<'a, P: AnyPod<'a>>(pod: P, options: Options<'_>) -> Total<'a> {
    let spec = aggregate(pod, &[], |container| container.resources().limits);
    let infeasible = is_resize_infeasible(pod);
    if !options.use_status || (!infeasible && !has_status(pod)) {
        return spec;
    }
    let mut total = if infeasible { Total::default() } else { spec };
    if let (true, Some(in_force)) = (options.use_pod_level_status, pod.resources_in_force().limits) {
        total.raise(Some(in_force));
        return total;
    }
    total.raise_total(&aggregate(pod, &[], |container| {
        let in_force = status_of(pod, container.name()).and_then(|status| status.resources().limits);
        in_force.or_else(|| container.resources().limits.filter(|_| !infeasible))
    }));
    total
}

/// Whether the node has said that it can never grant the resize that is asked for.
pub fn is_resize_infeasible<'a>(pod: impl AnyPod<'a>) -> bool {
    pod.resize_pending() == Some("Infeasible")
}

/// Pods that have not started yet say nothing, and are the most frequent ones to be looked at.
fn has_status<'a>(pod: impl AnyPod<'a>) -> bool {
    let in_force = pod.resources_in_force();
    let of_pod = pod.allocated().or(in_force.requests).or(in_force.limits);
    of_pod.is_some() || !pod.container_statuses().is_empty() || !pod.init_container_statuses().is_empty()
}

fn status_of<'a, P: AnyPod<'a>>(pod: P, name: &str) -> Option<&'a P::ContainerStatus> {
    pod.container_statuses().iter().chain(pod.init_container_statuses()).find(|status| status.name() == name)
}

/// The most of `of` that the containers take at any time.
fn aggregate<'a, P: AnyPod<'a>>(
    pod: P,
    missing: &[(&'static str, Quantity)],
    of: impl Fn(&'a P::Container) -> Option<&'a P::List>,
) -> Total<'a> {
    let add = |total: &mut Total<'a>, container: &'a P::Container| {
        let list = of(container);
        total.add(list);
        for (name, amount) in missing {
            if list.and_then(|list| list.amount(name)).is_none() {
                total.merge(name, *amount, |have, more| have + more);
            }
        }
    };
    let mut total = Total::default();
    for container in pod.containers() {
        add(&mut total, container);
    }
    if pod.init_containers().is_empty() {
        return total;
    }
    let (mut sidecars, mut peak) = (Total::default(), Total::default());
    for container in pod.init_containers() {
        if is_sidecar(container) {
            add(&mut total, container);
            add(&mut sidecars, container);
            peak.raise_total(&sidecars);
        } else {
            let mut meanwhile = Total::default();
            add(&mut meanwhile, container);
            meanwhile.add_total(&sidecars);
            peak.raise_total(&meanwhile);
        }
    }
    total.raise_total(&peak);
    total
}

fn pod_level<'a, P: AnyPod<'a>>(
    pod: P,
    options: Options<'_>,
    spec: Option<&'a P::List>,
    statuses: &[Option<&'a P::List>],
) -> Total<'a> {
    let in_force = pod.resources_in_force();
    let has_status = in_force.requests.is_some() || in_force.limits.is_some();
    let mut total = Total::default();
    if !(options.use_status && options.use_pod_level_status && has_status) {
        total.add(spec);
        return total;
    }
    total.raise(spec.filter(|_| !is_resize_infeasible(pod)));
    for list in statuses {
        total.raise(*list);
    }
    total
}

fn put_pod_level<'a>(total: &mut Total<'a>, own: &Total<'a>) {
    for (name, amount) in own.iter().filter(|(name, _)| is_pod_level(name)) {
        total.set(name, amount);
    }
}

#[cfg(test)]
#[path = "resources_tests.rs"]
mod tests;
