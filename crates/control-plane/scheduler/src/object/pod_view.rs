//! The narrow pod as what it takes is computed from it.

use std::collections::BTreeMap;

use windlass_api::Quantity;
use windlass_api::pod::ports::HasPorts;
use windlass_api::pod::{AnyContainer, AnyContainerStatus, AnyPod, HostPort, Lists};

use super::pod_raw::{Container, ContainerStatus, RawPod, Requirements};

type Amounts = BTreeMap<String, Quantity>;

fn requests(resources: Option<&Requirements>) -> Lists<'_, Amounts> {
    Lists { requests: resources.and_then(|resources| resources.requests.as_ref()), limits: None }
}

impl<'a> AnyPod<'a> for &'a RawPod {
    type List = Amounts;
    type Container = Container;
    type ContainerStatus = ContainerStatus;

    fn containers(self) -> &'a [Container] {
        &self.spec.containers
    }

    fn init_containers(self) -> &'a [Container] {
        &self.spec.init_containers
    }

    fn overhead(self) -> Option<&'a Amounts> {
        self.spec.overhead.as_ref()
    }

    fn resources(self) -> Lists<'a, Amounts> {
        requests(self.spec.resources.as_ref())
    }

    fn container_statuses(self) -> &'a [ContainerStatus] {
        &self.status.container_statuses
    }

    fn init_container_statuses(self) -> &'a [ContainerStatus] {
        &self.status.init_container_statuses
    }

    fn allocated(self) -> Option<&'a Amounts> {
        self.status.allocated_resources.as_ref()
    }

    fn resources_in_force(self) -> Lists<'a, Amounts> {
        requests(self.status.resources.as_ref())
    }

    fn resize_pending(self) -> Option<&'a str> {
        let pending = self.status.conditions.iter().find(|condition| condition.kind == "PodResizePending")?;
        Some(&pending.reason)
    }
}

impl AnyContainer for Container {
    type List = Amounts;

    fn name(&self) -> &str {
        &self.name
    }

    fn restart_policy(&self) -> &str {
        self.restart_policy.as_deref().unwrap_or_default()
    }

    fn resources(&self) -> Lists<'_, Amounts> {
        requests(Some(&self.resources))
    }
}

impl AnyContainerStatus for ContainerStatus {
    type List = Amounts;

    fn name(&self) -> &str {
        &self.name
    }

    fn allocated(&self) -> Option<&Amounts> {
        self.allocated_resources.as_ref()
    }

    fn resources(&self) -> Lists<'_, Amounts> {
        requests(self.resources.as_ref())
    }
}

impl HasPorts for Container {
    fn host_ports(&self) -> impl Iterator<Item = HostPort> {
        self.ports.iter().filter_map(|port| HostPort::new(&port.host_ip, &port.protocol, port.host_port.into()))
    }
}
