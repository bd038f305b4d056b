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
    pub fn of(resource: &GroupResource) -> Self {
        match (&*resource.group, &*resource.resource) {
            ("", "pods") => Self::Pods,
            ("", "services") => Self::Services,
            ("", "persistentvolumeclaims") => Self::PersistentVolumeClaims,
            ("resource.k8s.io", "resourceclaims") => Self::ResourceClaims,
            _ => Self::Objects(resource.clone()),
        }
    }

    /// The name of the objects' number: `count/deployments.apps`.
    fn count_name(&self) -> String {
        match self {
            Self::Pods => "count/pods".to_owned(),
            Self::Services => "count/services".to_owned(),
            Self::PersistentVolumeClaims => "count/persistentvolumeclaims".to_owned(),
            Self::ResourceClaims => "count/resourceclaims.resource.k8s.io".to_owned(),
            Self::Objects(resource) => format!("count/{resource}"),
        }
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

/// The resource whose objects add to a figure; `None` when nothing does.
pub fn resource_counted_by(name: &str) -> Option<GroupResource> {
    let core = |resource: &str| Some(GroupResource { group: "".into(), resource: resource.to_owned().into() });
    if let Some(counted) = name.strip_prefix("count/") {
        let (resource, group) = counted.split_once('.').unwrap_or((counted, ""));
        return Some(GroupResource { group: group.to_owned().into(), resource: resource.to_owned().into() });
    }
    let special = [Evaluator::Services, Evaluator::PersistentVolumeClaims, Evaluator::ResourceClaims, Evaluator::Pods];
    let by = special.iter().find(|evaluator| evaluator.counts(name));
    match by {
        Some(Evaluator::Services) => core("services"),
        Some(Evaluator::PersistentVolumeClaims) => core("persistentvolumeclaims"),
        Some(Evaluator::ResourceClaims) => {
            Some(GroupResource { group: "resource.k8s.io".into(), resource: "resourceclaims".into() })
        }
        Some(_) => core("pods"),
        None if OLD_NAMES.contains(&name) => core(name),
        None => None,
    }
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
            let resource = resource_counted_by(name).unwrap();
            assert_eq!(resource.to_string(), expected, "{name}");
            assert!(Evaluator::of(&resource).counts(name), "{name}");
        }
        assert_eq!(resource_counted_by("deployments"), None);
    }
}
