//! Upstream's default roles and bindings, which a new cluster starts with and an old one is brought up to.
//!
//! The list is derived from upstream by `cargo xtask facts`.

use serde_json::{Value, json};
use windlass_api::well_known::{annotation, label};

/// Who the API server is to kubelets. It has a role, and not everything: where its requests go is what Nodes say of themselves.
pub const KUBELET_CLIENT: &str = "kube-apiserver-kubelet-client";

/// ClusterRoles, ClusterRoleBindings, Roles and RoleBindings, in an order in which they can be created.
pub fn objects() -> Vec<Value> {
    include_str!("bootstrap.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a test reads every line that is compiled in"))
        .chain([kubelet_client()])
        .collect()
}

/// The one binding that is not upstream's: there, who sets up a cluster says who the API server is to kubelets.
fn kubelet_client() -> Value {
    json!({
        "kind": "ClusterRoleBinding",
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "metadata": {
            "name": "windlass:apiserver-kubelet-client",
            "labels": {(label::RBAC_BOOTSTRAPPING): "rbac-defaults"},
            "annotations": {(annotation::RBAC_AUTOUPDATE): "true"},
        },
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:kubelet-api-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": KUBELET_CLIENT}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_compiled_in() {
        let all = objects();
        let count = |kind: &str| all.iter().filter(|object| object["kind"] == kind).count();
        assert!(count("ClusterRole") > 60 && count("ClusterRoleBinding") > 40);
        assert!(count("Role") > 5 && count("RoleBinding") > 5);
    }
}
