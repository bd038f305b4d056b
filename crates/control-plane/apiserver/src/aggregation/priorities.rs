//! Where the built-in group versions stand in discovery.
//!
//! Source: kubernetes `pkg/controlplane/apiserver/aggregator.go`, `cmd/kube-apiserver/app/aggregator.go`.

use super::api_service::Priority;

/// The group of APIServices themselves, which no APIService is for, and which stands before all others.
pub(crate) const OWN_GROUP: &str = "apiregistration.k8s.io";

/// That of group versions that a definition adds.
pub(crate) const OF_CUSTOM: Priority = Priority { group: 1000, version: 100 };

/// Versions with their priorities.
type Versions = &'static [(&'static str, i32)];

/// Group, priority of the group, versions with theirs.
const BUILTIN: [(&str, i32, Versions); 23] = [
    ("", 18000, &[("v1", 1)]),
    ("apps", 17800, &[("v1", 15)]),
    ("events.k8s.io", 17750, &[("v1", 15), ("v1beta1", 5)]),
    ("authentication.k8s.io", 17700, &[("v1", 15), ("v1beta1", 9), ("v1alpha1", 1)]),
    ("authorization.k8s.io", 17600, &[("v1", 15)]),
    ("autoscaling", 17500, &[("v2", 30), ("v1", 15), ("v2beta1", 9), ("v2beta2", 1)]),
    ("batch", 17400, &[("v1", 15), ("v1beta1", 9), ("v2alpha1", 9)]),
    ("certificates.k8s.io", 17300, &[("v1", 15), ("v1beta1", 9), ("v1alpha1", 1)]),
    ("networking.k8s.io", 17200, &[("v1", 15), ("v1beta1", 9)]),
    ("policy", 17100, &[("v1", 15), ("v1beta1", 9)]),
    ("rbac.authorization.k8s.io", 17000, &[("v1", 15)]),
    ("storage.k8s.io", 16800, &[("v1", 15), ("v1beta1", 9), ("v1alpha1", 1)]),
    ("admissionregistration.k8s.io", 16700, &[("v1", 15), ("v1beta1", 12), ("v1alpha1", 9)]),
    ("apiextensions.k8s.io", 16700, &[("v1", 15)]),
    ("scheduling.k8s.io", 16600, &[("v1", 15), ("v1beta1", 9), ("v1alpha3", 3)]),
    ("coordination.k8s.io", 16500, &[("v1", 15), ("v1beta1", 13), ("v1alpha2", 12)]),
    ("node.k8s.io", 16300, &[("v1", 15), ("v1beta1", 9), ("v1alpha1", 1)]),
    ("discovery.k8s.io", 16200, &[("v1", 15), ("v1beta1", 12)]),
    ("resource.k8s.io", 16200, &[("v1", 21), ("v1beta2", 15), ("v1beta1", 9), ("v1alpha3", 1)]),
    (
        "flowcontrol.apiserver.k8s.io",
        16100,
        &[("v1", 21), ("v1beta3", 18), ("v1beta2", 15), ("v1beta1", 12), ("v1alpha1", 9)],
    ),
    ("internal.apiserver.k8s.io", 16000, &[("v1alpha1", 9)]),
    ("storagemigration.k8s.io", 15800, &[("v1", 15), ("v1beta1", 9)]),
    ("lifecycle.k8s.io", 15700, &[("v1alpha1", 1)]),
];

/// The priority of a built-in group version that gets an APIService.
pub(crate) fn of_builtin(group: &str, version: &str) -> Option<Priority> {
    let (_, group, versions) = BUILTIN.iter().find(|(name, ..)| *name == group)?;
    let (_, version) = versions.iter().find(|(name, _)| *name == version)?;
    Some(Priority { group: *group, version: *version })
}

/// The priority of a built-in group version in aggregated discovery.
pub(crate) fn in_discovery(group: &str, version: &str) -> Priority {
    match of_builtin(group, version) {
        Some(priority) => priority,
        None if group == OWN_GROUP => Priority { group: 20_001, version: 0 },
        None => Priority { group: 1000, version: 15 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_group_version_has_a_priority() {
        for resource in windlass_resources::all() {
            let (group, version) = (&*resource.kind.group, &*resource.kind.version);
            assert!(group == OWN_GROUP || of_builtin(group, version).is_some(), "{group}/{version}");
        }
        assert_eq!(of_builtin("apps", "v1"), Some(Priority { group: 17800, version: 15 }));
        assert_eq!(in_discovery(OWN_GROUP, "v1").group, 20_001);
        assert_eq!(of_builtin(OWN_GROUP, "v1"), None);
    }
}
