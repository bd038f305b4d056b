//! The view of a pod that everything here computes from.
//!
//! It is made of traits, so that nothing is copied: a form of pod is a cheap reference that shows its lists. What a form does not
//! have (the scheduler reads no limits) it shows as absent.

use std::collections::BTreeMap;

use crate::Quantity;

/// A list of quantities by resource name, in any form. Entries that are no quantities are left out: validation lets none in.
pub trait AnyList {
    fn amounts(&self) -> impl Iterator<Item = (&str, Quantity)>;
    fn amount(&self, name: &str) -> Option<Quantity>;
}

/// Requests and limits, where they are given.
#[derive(Debug)]
pub struct Lists<'a, L> {
    pub requests: Option<&'a L>,
    pub limits: Option<&'a L>,
}

pub trait AnyContainer {
    type List: AnyList;
    fn name(&self) -> &str;
    /// The container's own policy; empty without one.
    fn restart_policy(&self) -> &str;
    fn resources(&self) -> Lists<'_, Self::List>;
}

/// What the kubelet has said of a container.
pub trait AnyContainerStatus {
    type List: AnyList;
    fn name(&self) -> &str;
    /// Requests that the node has reserved for it.
    fn allocated(&self) -> Option<&Self::List>;
    /// What is in force.
    fn resources(&self) -> Lists<'_, Self::List>;
}

pub trait AnyPod<'a>: Copy {
    type List: AnyList + 'a;
    type Container: AnyContainer<List = Self::List> + 'a;
    type ContainerStatus: AnyContainerStatus<List = Self::List> + 'a;

    fn containers(self) -> &'a [Self::Container];
    fn init_containers(self) -> &'a [Self::Container];
    fn overhead(self) -> Option<&'a Self::List>;
    /// Requests and limits of the pod as a whole.
    fn resources(self) -> Lists<'a, Self::List>;

    fn container_statuses(self) -> &'a [Self::ContainerStatus];
    fn init_container_statuses(self) -> &'a [Self::ContainerStatus];
    /// Requests that the node has reserved for the pod as a whole.
    fn allocated(self) -> Option<&'a Self::List>;
    /// What is in force for the pod as a whole.
    fn resources_in_force(self) -> Lists<'a, Self::List>;
    /// The reason of the condition PodResizePending; `None` without it.
    fn resize_pending(self) -> Option<&'a str>;

    /// Containers that run all the time: the regular ones and the sidecars.
    fn long_running(self) -> impl Iterator<Item = &'a Self::Container> {
        self.containers().iter().chain(self.init_containers().iter().filter(|container| is_sidecar(*container)))
    }

    /// Init containers and regular ones; ephemeral ones take nothing of their own.
    fn all_containers(self) -> impl Iterator<Item = &'a Self::Container> {
        self.init_containers().iter().chain(self.containers())
    }
}

/// An init container that is restarted always, and so runs beside the others. Asked of regular containers it means nothing.
pub fn is_sidecar(container: &impl AnyContainer) -> bool {
    container.restart_policy() == "Always"
}

impl<C: AnyContainer> AnyContainer for &C {
    type List = C::List;

    fn name(&self) -> &str {
        (*self).name()
    }

    fn restart_policy(&self) -> &str {
        (*self).restart_policy()
    }

    fn resources(&self) -> Lists<'_, Self::List> {
        (*self).resources()
    }
}

impl<L> Clone for Lists<'_, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L> Copy for Lists<'_, L> {}

impl<L> Default for Lists<'_, L> {
    fn default() -> Self {
        Self { requests: None, limits: None }
    }
}

impl AnyList for BTreeMap<String, Quantity> {
    fn amounts(&self) -> impl Iterator<Item = (&str, Quantity)> {
        self.iter().map(|(name, quantity)| (name.as_str(), *quantity))
    }

    fn amount(&self, name: &str) -> Option<Quantity> {
        self.get(name).copied()
    }
}
