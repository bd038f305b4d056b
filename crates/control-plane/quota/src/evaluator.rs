//! Which figures of a quota an object of a resource adds to.

use serde_json::Value;
use windlass_api::{GroupResource, Quantity, Timestamp};

use crate::scopes::is_terminating;
use crate::{Amounts, Scope, claims, devices, pods, services};

/// Objects that could be counted by their bare name before there was `count/…`.
const OLD_NAMES: [&str; 5] = ["configmaps", "replicationcontrollers", "resourcequotas", "secrets", "services"];

/// How the objects of one resource are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evaluator {
    Pods,
    Services,
    PersistentVolumeClaims,
    ResourceClaims,
    /// Only their number counts.
    Objects(GroupResource),
}

impl Evaluator {
    /// `None` for what no quota counts: Events come and go in masses and are bounded in other ways; reviews are not stored.
    pub fn of(resource: &GroupResource) -> Option<Self> {
        let special = [Self::Pods, Self::Services, Self::PersistentVolumeClaims, Self::ResourceClaims];
        if let Some(known) = special.into_iter().find(|known| known.resource() == *resource) {
            return Some(known);
        }
        let is_ignored = resource.resource == "events"
            || matches!(&*resource.group, "authorization.k8s.io" | "authentication.k8s.io");
        (!is_ignored).then(|| Self::Objects(resource.clone()))
    }

    /// Whose objects are counted.
    pub fn resource(&self) -> GroupResource {
        match self {
            Self::Pods => GroupResource::of("", "pods"),
            Self::Services => GroupResource::of("", "services"),
            Self::PersistentVolumeClaims => GroupResource::of("", "persistentvolumeclaims"),
            Self::ResourceClaims => GroupResource::of("resource.k8s.io", "resourceclaims"),
            Self::Objects(resource) => resource.clone(),
        }
    }

    /// The name of the objects' number: `count/deployments.apps`.
    fn count_name(&self) -> String {
        format!("count/{}", self.resource())
    }

    /// Whether these objects add to the figure of this name.
    pub fn counts(&self, name: &str) -> bool {
        if name.starts_with("count/") {
            return name == self.count_name();
        }
        match self {
            Self::Pods => pods::is_counted(name),
            Self::Services => services::NAMES.contains(&name),
            Self::PersistentVolumeClaims => claims::is_counted(name),
            Self::ResourceClaims => name.ends_with(devices::CLASS_SUFFIX),
            Self::Objects(resource) => {
                resource.group.is_empty() && OLD_NAMES.contains(&name) && resource.resource == name
            }
        }
    }

    /// Whether an object is within all scopes of a quota.
    pub fn is_in_scope(&self, scopes: &[Scope], object: &Value) -> bool {
        scopes.iter().all(|scope| match self {
            Self::Pods => scope.has_pod(object),
            Self::PersistentVolumeClaims => scope.has_claim(object),
            _ => false,
        })
    }

    /// What an object adds to figures, whether a quota has them or not.
    pub fn usage(&self, object: &Value, now: Timestamp) -> Amounts {
        let mut used = match self {
            Self::Pods => pods::usage(object, now),
            Self::Services => services::usage(object),
            Self::PersistentVolumeClaims => claims::usage(object),
            Self::ResourceClaims => devices::usage(object),
            Self::Objects(resource) => {
                let name = &*resource.resource;
                let old = (resource.group.is_empty() && OLD_NAMES.contains(&name)).then(|| name.to_owned());
                old.into_iter().map(|name| (name, Quantity::from_units(1))).collect()
            }
        };
        used.insert(self.count_name(), Quantity::from_units(1));
        used
    }

    /// Refuses an object that leaves open what a quota bounds.
    pub fn check_said(&self, object: &Value, bounded: &[&str]) -> Result<(), String> {
        match self {
            Self::Pods => pods::check_said(object, bounded),
            _ => Ok(()),
        }
    }

    /// Whether an update of the object or one of its subresources can change what it counts.
    pub fn is_changed_by(&self, subresource: &str, new: &Value, old: &Value) -> bool {
        match (self, subresource) {
            (Self::Pods, "") => is_terminating(new) != is_terminating(old),
            (Self::Pods, "resize") => true,
            (Self::Services | Self::PersistentVolumeClaims | Self::ResourceClaims, "") => true,
            (Self::PersistentVolumeClaims, "status") => ["allocatedResources", "currentVolumeAttributesClassName"]
                .iter()
                .any(|field| new["status"].get(field) != old["status"].get(field)),
            _ => false,
        }
    }
}

/// Who counts the objects that add to a figure; `None` when nothing does.
pub fn counted_by(name: &str) -> Option<Evaluator> {
    if let Some(counted) = name.strip_prefix("count/") {
        let (resource, group) = counted.split_once('.').unwrap_or((counted, ""));
        return Evaluator::of(&GroupResource { group: group.to_owned().into(), resource: resource.to_owned().into() });
    }
    if let Some(old) = OLD_NAMES.iter().find(|old| **old == name) {
        return Evaluator::of(&GroupResource::of("", old));
    }
    [Evaluator::Services, Evaluator::PersistentVolumeClaims, Evaluator::ResourceClaims, Evaluator::Pods]
        .into_iter()
        .find(|evaluator| evaluator.counts(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_counts_what() {
        let cases = [
            ("pods", "pods"),
            ("requests.cpu", "pods"),
            ("requests.nvidia.com/gpu", "pods"),
            ("count/pods", "pods"),
            ("services.nodeports", "services"),
            ("count/services", "services"),
            ("requests.storage", "persistentvolumeclaims"),
            ("gold.storageclass.storage.k8s.io/persistentvolumeclaims", "persistentvolumeclaims"),
            ("gpu.deviceclass.resource.k8s.io/devices", "resourceclaims.resource.k8s.io"),
            ("secrets", "secrets"),
            ("count/secrets", "secrets"),
            ("count/deployments.apps", "deployments.apps"),
        ];
        for (name, expected) in cases {
            let evaluator = counted_by(name).unwrap();
            assert_eq!(evaluator.resource().to_string(), expected, "{name}");
            assert!(evaluator.counts(name), "{name}");
        }
        for name in ["deployments", "count/events", "count/events.events.k8s.io"] {
            assert_eq!(counted_by(name), None, "{name}");
        }
    }
}
