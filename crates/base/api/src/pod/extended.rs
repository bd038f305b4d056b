//! Extended resources: what nodes offer and pods ask for beside Kubernetes' own resources, under a name with a domain.
//!
//! Upstream has two rules, and so have we. [`is_extended`] is about the names that API objects may use. [`is_charged`] is about what
//! quotas count and the scheduler fits: these, and the names that stand for a DeviceClass, which contain `kubernetes.io/` and are
//! nevertheless no native ones. Source: kubernetes `pkg/apis/core/v1/helper/helpers.go`, `pkg/scheduler/util/utils.go`.

use crate::names;

/// What the name of a quota for a request begins with.
const REQUESTS: &str = "requests.";
/// What the name of a resource that stands for a DeviceClass begins with.
const DEVICE_CLASS: &str = "deviceclass.resource.kubernetes.io/";

/// Whether a resource is Kubernetes' own: its name has no domain, or one of `kubernetes.io`.
pub fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// Whether a name is that of an extended resource: it is not native, and a quota for it has a valid name.
pub fn is_extended(name: &str) -> bool {
    !is_native(name) && !name.starts_with(REQUESTS) && names::qualified_name(&format!("{REQUESTS}{name}")).is_empty()
}

/// Whether a pod is charged for a resource as for an extended one: it is one, or stands for a DeviceClass.
pub fn is_charged(name: &str) -> bool {
    is_extended(name) || name.starts_with(DEVICE_CLASS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_rules() {
        let long = format!("{}.com/gpu", "a".repeat(245));
        // name, native, extended, charged as an extended one
        let cases = [
            ("cpu", true, false, false),
            ("hugepages-2Mi", true, false, false),
            ("kubernetes.io/batch", true, false, false),
            ("alpha.kubernetes.io/gpu", true, false, false),
            ("deviceclass.resource.kubernetes.io/gpu", true, false, true),
            ("nvidia.com/gpu", false, true, true),
            ("requests.nvidia.com/gpu", false, false, false),
            ("nvidia.com/", false, false, false),
            ("-/gpu", false, false, false),
            (long.as_str(), false, false, false),
        ];
        for (name, native, extended, charged) in cases {
            assert_eq!((is_native(name), is_extended(name), is_charged(name)), (native, extended, charged), "{name}");
        }
    }
}
