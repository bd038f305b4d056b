//! Upstream's default roles and bindings, which a new cluster starts with and an old one is brought up to, and those of what a cluster's
//! installer adds upstream.
//!
//! Upstream's list is derived by `cargo xtask facts`.

use serde_json::{Value, json};
use windlass_api::well_known::namespace::KUBE_SYSTEM;
use windlass_api::well_known::{annotation, label};

const GROUP: &str = "rbac.authorization.k8s.io";
const VERSION: &str = "rbac.authorization.k8s.io/v1";

/// Who the API server is to kubelets. It has a role, and not everything: where its requests go is what Nodes say of themselves.
pub const KUBELET_CLIENT: &str = "kube-apiserver-kubelet-client";

/// Who the cluster's DNS is.
pub const DNS: &str = "system:serviceaccount:kube-system:coredns";

/// ClusterRoles, ClusterRoleBindings, Roles and RoleBindings, in an order in which they can be created.
pub fn objects() -> Vec<Value> {
    include_str!("bootstrap.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a test reads every line that is compiled in"))
        .chain([kubelet_client()])
        .chain(dns())
        .collect()
}

/// Who the API server is to kubelets; upstream leaves that to whoever sets up a cluster.
fn kubelet_client() -> Value {
    let subject = json!({"apiGroup": GROUP, "kind": "User", "name": KUBELET_CLIENT});
    binding(
        "ClusterRoleBinding",
        metadata("windlass:apiserver-kubelet-client", ""),
        "system:kubelet-api-admin",
        subject,
    )
}

/// What the cluster's DNS reads, as kubeadm gives it to CoreDNS, and where it announces itself.
fn dns() -> [Value; 4] {
    let rule = |group: &str, resources: &[&str], verbs: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
    let reads = [
        rule("", &["endpoints", "services", "pods", "namespaces"], &["list", "watch"]),
        rule("discovery.k8s.io", &["endpointslices"], &["list", "watch"]),
    ];
    let writes = [
        rule("", &["services"], &["create", "get"]),
        rule("discovery.k8s.io", &["endpointslices"], &["create", "patch"]),
    ];
    let subject = || json!({"kind": "ServiceAccount", "name": "coredns", "namespace": KUBE_SYSTEM});
    [
        json!({"kind": "ClusterRole", "apiVersion": VERSION, "metadata": metadata("system:coredns", ""), "rules": reads}),
        binding("ClusterRoleBinding", metadata("system:coredns", ""), "system:coredns", subject()),
        json!({"kind": "Role", "apiVersion": VERSION, "metadata": metadata("windlass:dns", KUBE_SYSTEM), "rules": writes}),
        binding("RoleBinding", metadata("windlass:dns", KUBE_SYSTEM), "windlass:dns", subject()),
    ]
}

fn metadata(name: &str, namespace: &str) -> Value {
    let mut metadata = json!({
        "name": name,
        "labels": {(label::RBAC_BOOTSTRAPPING): "rbac-defaults"},
        "annotations": {(annotation::RBAC_AUTOUPDATE): "true"},
    });
    if !namespace.is_empty() {
        metadata["namespace"] = json!(namespace);
    }
    metadata
}

/// A binding of a subject to the role of its own scope.
fn binding(kind: &str, metadata: Value, role: &str, subject: Value) -> Value {
    let role = json!({"apiGroup": GROUP, "kind": kind.trim_end_matches("Binding"), "name": role});
    json!({"kind": kind, "apiVersion": VERSION, "metadata": metadata, "roleRef": role, "subjects": [subject]})
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
        let names: Vec<&str> = all.iter().filter_map(|object| object["metadata"]["name"].as_str()).collect();
        for binding in all.iter().filter(|object| object["roleRef"].is_object()) {
            assert!(names.contains(&binding["roleRef"]["name"].as_str().unwrap()), "{binding}");
        }
    }
}
