//! Pods, pod specifications and templates as trees.

use serde_json::Value;

use super::view::{AnyContainer, AnyContainerStatus, AnyList, AnyPod, Lists};
use crate::well_known::annotation;
use crate::{Quantity, condition};

/// A pod, of which the specification alone may be at hand.
#[derive(Clone, Copy, Debug)]
pub struct PodTree<'a> {
    spec: &'a Value,
    status: &'a Value,
}

impl<'a> PodTree<'a> {
    pub fn of(pod: &'a Value) -> Self {
        Self { spec: &pod["spec"], status: &pod["status"] }
    }

    /// A pod of this specification that nobody has said anything about.
    pub fn of_spec(spec: &'a Value) -> Self {
        Self { spec, status: &Value::Null }
    }
}

fn items<'a>(object: &'a Value, field: &str) -> &'a [Value] {
    object.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn list<'a>(object: &'a Value, field: &str) -> Option<&'a Value> {
    object.get(field).filter(|list| list.is_object())
}

fn lists(object: &Value) -> Lists<'_, Value> {
    let resources = &object["resources"];
    Lists { requests: list(resources, "requests"), limits: list(resources, "limits") }
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}

impl<'a> AnyPod<'a> for PodTree<'a> {
    type List = Value;
    type Container = Value;
    type ContainerStatus = Value;

    fn containers(self) -> &'a [Value] {
        items(self.spec, "containers")
    }

    fn init_containers(self) -> &'a [Value] {
        items(self.spec, "initContainers")
    }

    fn overhead(self) -> Option<&'a Value> {
        list(self.spec, "overhead")
    }

    fn resources(self) -> Lists<'a, Value> {
        lists(self.spec)
    }

    fn container_statuses(self) -> &'a [Value] {
        items(self.status, "containerStatuses")
    }

    fn init_container_statuses(self) -> &'a [Value] {
        items(self.status, "initContainerStatuses")
    }

    fn allocated(self) -> Option<&'a Value> {
        list(self.status, "allocatedResources")
    }

    fn resources_in_force(self) -> Lists<'a, Value> {
        lists(self.status)
    }

    fn resize_pending(self) -> Option<&'a str> {
        condition::find(condition::list(self.status), "PodResizePending").map(|pending| text(pending, "reason"))
    }
}

impl AnyContainer for Value {
    type List = Self;

    fn name(&self) -> &str {
        text(self, "name")
    }

    fn restart_policy(&self) -> &str {
        text(self, "restartPolicy")
    }

    fn resources(&self) -> Lists<'_, Self> {
        lists(self)
    }
}

impl AnyContainerStatus for Value {
    type List = Self;

    fn name(&self) -> &str {
        text(self, "name")
    }

    fn allocated(&self) -> Option<&Self> {
        list(self, "allocatedResources")
    }

    fn resources(&self) -> Lists<'_, Self> {
        lists(self)
    }
}

impl AnyList for Value {
    fn amounts(&self) -> impl Iterator<Item = (&str, Quantity)> {
        let all = self.as_object().into_iter().flatten();
        all.filter_map(|(name, text)| Some((name.as_str(), text.as_str()?.parse().ok()?)))
    }

    fn amount(&self, name: &str) -> Option<Quantity> {
        self.get(name)?.as_str()?.parse().ok()
    }
}

/// Whether a pod stands in the API for a static one of a node.
pub fn is_mirror(pod: &Value) -> bool {
    pod["metadata"]["annotations"].get(annotation::CONFIG_MIRROR).is_some()
}
