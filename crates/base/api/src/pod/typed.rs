//! Pods as k8s-openapi has them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodSpec, PodStatus, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

use super::view::{AnyContainer, AnyContainerStatus, AnyList, AnyPod, Lists};
use crate::{Quantity, condition};

/// Quantities as k8s-openapi has them: texts.
pub type Texts = BTreeMap<String, Text>;

fn spec(pod: &Pod) -> Option<&PodSpec> {
    pod.spec.as_ref()
}

fn status(pod: &Pod) -> Option<&PodStatus> {
    pod.status.as_ref()
}

fn lists(resources: Option<&ResourceRequirements>) -> Lists<'_, Texts> {
    Lists {
        requests: resources.and_then(|resources| resources.requests.as_ref()),
        limits: resources.and_then(|resources| resources.limits.as_ref()),
    }
}

impl<'a> AnyPod<'a> for &'a Pod {
    type List = Texts;
    type Container = Container;
    type ContainerStatus = ContainerStatus;

    fn containers(self) -> &'a [Container] {
        spec(self).map_or(&[], |spec| &spec.containers)
    }

    fn init_containers(self) -> &'a [Container] {
        spec(self).and_then(|spec| spec.init_containers.as_deref()).unwrap_or_default()
    }

    fn overhead(self) -> Option<&'a Texts> {
        spec(self)?.overhead.as_ref()
    }

    fn resources(self) -> Lists<'a, Texts> {
        lists(spec(self).and_then(|spec| spec.resources.as_ref()))
    }

    fn container_statuses(self) -> &'a [ContainerStatus] {
        status(self).and_then(|status| status.container_statuses.as_deref()).unwrap_or_default()
    }

    fn init_container_statuses(self) -> &'a [ContainerStatus] {
        status(self).and_then(|status| status.init_container_statuses.as_deref()).unwrap_or_default()
    }

    fn allocated(self) -> Option<&'a Texts> {
        status(self)?.allocated_resources.as_ref()
    }

    fn resources_in_force(self) -> Lists<'a, Texts> {
        lists(status(self).and_then(|status| status.resources.as_ref()))
    }

    fn resize_pending(self) -> Option<&'a str> {
        let pending = condition::find(status(self)?.conditions.iter().flatten(), "PodResizePending")?;
        Some(pending.reason.as_deref().unwrap_or_default())
    }
}

impl AnyContainer for Container {
    type List = Texts;

    fn name(&self) -> &str {
        &self.name
    }

    fn restart_policy(&self) -> &str {
        self.restart_policy.as_deref().unwrap_or_default()
    }

    fn resources(&self) -> Lists<'_, Texts> {
        lists(self.resources.as_ref())
    }
}

impl AnyContainerStatus for ContainerStatus {
    type List = Texts;

    fn name(&self) -> &str {
        &self.name
    }

    fn allocated(&self) -> Option<&Texts> {
        self.allocated_resources.as_ref()
    }

    fn resources(&self) -> Lists<'_, Texts> {
        lists(self.resources.as_ref())
    }
}

impl AnyList for Texts {
    fn amounts(&self) -> impl Iterator<Item = (&str, Quantity)> {
        self.iter().filter_map(|(name, text)| Some((name.as_str(), text.0.parse().ok()?)))
    }

    fn amount(&self, name: &str) -> Option<Quantity> {
        self.get(name)?.0.parse().ok()
    }
}
