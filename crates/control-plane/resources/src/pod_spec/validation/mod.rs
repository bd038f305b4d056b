//! What is valid in a pod's specification, in upstream's words and order (`pkg/apis/core/validation/validation.go`).
//!
//! A specification is validated the same way in a Pod and in every template; [`Subject`] says where it stands.

mod affinity;
mod claims;
mod containers;
mod environment;
mod images;
mod metadata;
mod mounts;
mod network;
mod probes;
mod resize;
pub(crate) mod resources;
mod scheduling;
mod security;
mod spec;
mod template;
mod update;
mod volume_sources;
mod volumes;
mod windows;

use std::collections::BTreeMap;

use serde_json::Value;
use windlass_api::field::Path;

pub(crate) use claims::validate_claim_spec;
pub(crate) use metadata::{validate_annotations, validate_profiles_match, validate_template_metadata};
pub(crate) use resize::validate_resize;
pub(crate) use scheduling::{validate_node_selector, validate_tolerations};
pub(crate) use spec::{validate_containers_of_pod, validate_spec};
pub(crate) use template::validate_template;
pub(crate) use update::{validate_ephemeral_containers_update, validate_pod_update, validate_status_update};
pub(crate) use volume_sources::{csi_driver_name, validate_source};

/// Where a specification stands.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// The metadata of the pod; a template's pods have no name yet.
    pub pod: Option<&'a Value>,
}

/// The valid volumes of a specification by name.
type Volumes<'a> = BTreeMap<&'a str, &'a Value>;

/// Calls `visit` for every container of a specification with its path, init containers first.
pub(super) fn for_each_container(spec: &Value, path: &Path<'_>, mut visit: impl FnMut(&Value, &Path<'_>)) {
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        let path = path.child(list);
        for (index, container) in windlass_machinery::tree::items(spec, list).enumerate() {
            visit(container, &path.index(index));
        }
    }
}
