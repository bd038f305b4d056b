//! The Node authorizer: a kubelet reads its own Node, the pods on it and what these need, writes their status, and nothing else.
//!
//! What has no owner among the nodes is in the role `system:node`. What a kubelet writes is looked at once more by the admission plugin
//! NodeRestriction, which sees the object.
//! Source: upstream `plugin/pkg/auth/authorizer/node`.

mod graph;
mod references;

use serde_json::Value;

use crate::rbac::Rule;
use crate::{Attributes, Decision};
use graph::Graph;

/// The rules of the role `system:node`, and what belongs to which node.
#[derive(Debug, Default)]
pub struct NodeAuthorizer {
    rules: Vec<Rule>,
    graph: Graph,
}

/// An answer: allowed, or why not.
type Answer = Result<(), String>;

fn refuse(why: &str) -> Answer {
    Err(why.to_owned())
}

impl NodeAuthorizer {
    /// `rules` are those of the role `system:node`.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules, graph: Graph::default() }
    }

    /// Takes in a pod, or its end.
    pub fn set_pod(&mut self, namespace: &str, name: &str, pod: Option<&Value>) {
        self.graph.set_pod(namespace, name, pod);
    }

    /// Takes in a PersistentVolume, or its end.
    pub fn set_volume(&mut self, name: &str, volume: Option<&Value>) {
        self.graph.set_volume(name, volume);
    }

    /// Takes in an object that belongs to the node that it names (a VolumeAttachment, a ResourceSlice), or its end.
    pub fn set_named(&mut self, resource: &'static str, namespace: &str, name: &str, node: Option<&str>) {
        self.graph.set_named(resource, namespace, name, node);
    }

    pub fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        let Some(node) = attributes.user.node() else { return Decision::NoOpinion(String::new()) };
        match self.answer(attributes, node) {
            Ok(()) => Decision::Allow,
            Err(why) => Decision::NoOpinion(why),
        }
    }

    fn answer(&self, attributes: &Attributes<'_>, node: &str) -> Answer {
        let related = |resource| self.related(resource, attributes, node);
        match (attributes.group, attributes.resource) {
            ("", "secrets") => read_one(attributes).and_then(|()| related("secrets")),
            ("", "configmaps") => read_one(attributes).and_then(|()| related("configmaps")),
            ("", "persistentvolumeclaims") if attributes.subresource == "status" => match attributes.verb {
                "update" | "patch" => related("persistentvolumeclaims"),
                _ => refuse("can only get/update/patch this type"),
            },
            ("", "persistentvolumeclaims") => get(attributes).and_then(|()| related("persistentvolumeclaims")),
            ("", "persistentvolumes") => get(attributes).and_then(|()| related("persistentvolumes")),
            ("resource.k8s.io", "resourceclaims") => get(attributes).and_then(|()| related("resourceclaims")),
            ("storage.k8s.io", "volumeattachments") => get(attributes).and_then(|()| related("volumeattachments")),
            ("", "serviceaccounts") => service_account(attributes).and_then(|()| related("serviceaccounts")),
            ("coordination.k8s.io", "leases") => lease(attributes, node),
            ("storage.k8s.io", "csinodes") => csi_node(attributes, node),
            ("resource.k8s.io", "resourceslices") => self.resource_slice(attributes, node),
            ("certificates.k8s.io", "podcertificaterequests") => self.pod_certificate_request(attributes, node),
            ("", "nodes") => own_node(attributes, node),
            ("", "pods") => self.pod(attributes, node),
            _ if self.rules.iter().any(|rule| rule.allows(attributes)) => Ok(()),
            _ => refuse(""),
        }
    }

    fn related(&self, resource: &'static str, attributes: &Attributes<'_>, node: &str) -> Answer {
        if attributes.name.is_empty() {
            return refuse("No Object name found");
        }
        match self.graph.leads_to(resource, attributes.namespace, attributes.name, node) {
            true => Ok(()),
            false => Err(format!("no relationship found between node '{node}' and this object")),
        }
    }

    fn pod(&self, attributes: &Attributes<'_>, node: &str) -> Answer {
        match (attributes.subresource, attributes.verb) {
            ("", "get") => self.related("pods", attributes, node),
            ("", "list" | "watch") if selects(attributes, "spec.nodeName", node) => Ok(()),
            ("", "list" | "watch") if !attributes.name.is_empty() => self.related("pods", attributes, node),
            ("", "list" | "watch") => refuse("can only list/watch pods with spec.nodeName field selector"),
            // Mirror pods, their status and evictions: NodeRestriction sees whose they are.
            ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create") => Ok(()),
            _ => refuse(""),
        }
    }

    fn resource_slice(&self, attributes: &Attributes<'_>, node: &str) -> Answer {
        match (attributes.subresource, attributes.verb) {
            ("", "create") => Ok(()),
            ("", "get" | "update" | "patch" | "delete") => self.related("resourceslices", attributes, node),
            ("", "watch" | "list" | "deletecollection") if selects(attributes, "spec.nodeName", node) => Ok(()),
            ("", "watch" | "list" | "deletecollection") => {
                refuse("can only list/watch/deletecollection resourceslices with nodeName field selector")
            }
            ("", _) => refuse(
                "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, \
                 deletecollection",
            ),
            _ => refuse("cannot authorize ResourceSlice subresources"),
        }
    }

    fn pod_certificate_request(&self, attributes: &Attributes<'_>, node: &str) -> Answer {
        match (attributes.subresource, attributes.verb) {
            ("", "create") => Ok(()),
            ("", "get") => self.related("podcertificaterequests", attributes, node),
            ("", "list" | "watch") if selects(attributes, "spec.nodeName", node) => Ok(()),
            ("", "list" | "watch") => refuse("can only list/watch podcertificaterequests with nodeName field selector"),
            ("", verb) => Err(format!("nodes may not {verb} podcertificaterequests")),
            _ => refuse("nodes may not access the status subresource of PodCertificateRequests"),
        }
    }
}

/// Whether a request is only about objects whose field has the value.
fn selects(attributes: &Attributes<'_>, field: &str, value: &str) -> bool {
    attributes.fields.is_some_and(|fields| fields.required_value(field) == Some(value))
}

/// Refuses what is more than reading one object of a namespace.
fn read_one(attributes: &Attributes<'_>) -> Answer {
    if !matches!(attributes.verb, "get" | "list" | "watch") {
        return refuse("can only read resources of this type");
    }
    if !attributes.subresource.is_empty() {
        return refuse("cannot read subresource");
    }
    if attributes.namespace.is_empty() {
        return refuse("can only read namespaced object of this type");
    }
    Ok(())
}

fn get(attributes: &Attributes<'_>) -> Answer {
    if attributes.verb != "get" {
        return refuse("can only get individual resources of this type");
    }
    if attributes.subresource.is_empty() { Ok(()) } else { refuse("cannot get subresource") }
}

fn service_account(attributes: &Attributes<'_>) -> Answer {
    if attributes.verb == "get" && attributes.subresource.is_empty() {
        return read_one(attributes);
    }
    if attributes.verb != "create" || attributes.name.is_empty() {
        return refuse("can only create tokens for individual service accounts");
    }
    match attributes.subresource {
        "token" => Ok(()),
        _ => refuse("can only create token subresource of serviceaccount"),
    }
}

fn lease(attributes: &Attributes<'_>, node: &str) -> Answer {
    const NAMESPACE: &str = windlass_api::well_known::namespace::KUBE_NODE_LEASE;
    if !matches!(attributes.verb, "get" | "create" | "update" | "patch" | "delete") {
        return refuse("can only get, create, update, patch, or delete a node lease");
    }
    if attributes.namespace != NAMESPACE {
        return Err(format!("can only access leases in the {NAMESPACE:?} system namespace"));
    }
    if attributes.verb != "create" && attributes.name != node {
        return refuse("can only access node lease with the same name as the requesting node");
    }
    Ok(())
}

fn csi_node(attributes: &Attributes<'_>, node: &str) -> Answer {
    if !attributes.subresource.is_empty() {
        return refuse("cannot authorize CSINode subresources");
    }
    if !matches!(attributes.verb, "get" | "create" | "update" | "patch" | "delete") {
        return refuse("can only get, create, update, patch, or delete a CSINode");
    }
    if attributes.verb != "create" && attributes.name != node {
        return refuse("can only access CSINode with the same name as the requesting node");
    }
    Ok(())
}

fn own_node(attributes: &Attributes<'_>, node: &str) -> Answer {
    match (attributes.subresource, attributes.verb, attributes.name) {
        ("", "create" | "update" | "patch", _) | ("status", "update" | "patch", _) => Ok(()),
        ("", "get" | "list" | "watch", name) if name == node => Ok(()),
        ("", "get" | "list" | "watch", "") => {
            Err(format!("node '{node}' cannot read all nodes, only its own Node object"))
        }
        ("", "get" | "list" | "watch", name) => {
            Err(format!("node '{node}' cannot read '{name}', only its own Node object"))
        }
        _ => refuse(""),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use windlass_api::fields::FieldSelector;
    use windlass_api::well_known::group;

    use super::*;
    use crate::User;

    struct Case {
        nodes: NodeAuthorizer,
    }

    impl Case {
        fn may(&self, node: &str, verb: &str, resource: &str, namespace: &str, name: &str) -> bool {
            self.may_selecting(node, verb, resource, namespace, name, None)
        }

        fn may_selecting(
            &self,
            node: &str,
            verb: &str,
            resource: &str,
            namespace: &str,
            name: &str,
            fields: Option<&FieldSelector>,
        ) -> bool {
            let user = User::new(format!("system:node:{node}"), &[group::NODES]);
            let (path, group) = resource.split_once('.').unwrap_or((resource, ""));
            let (resource, subresource) = path.split_once('/').unwrap_or((path, ""));
            let attributes =
                Attributes { group, resource, subresource, namespace, name, fields, ..Attributes::of(&user, verb) };
            self.nodes.authorize(&attributes).is_allowed()
        }
    }

    fn pod() -> Value {
        json!({"metadata": {}, "spec": {"nodeName": "n1", "serviceAccountName": "sa",
            "containers": [{"envFrom": [{"secretRef": {"name": "s1"}}], "env": [{"valueFrom": {"configMapKeyRef": {"name": "c1"}}}]}],
            "volumes": [{"secret": {"secretName": "s2"}}, {"projected": {"sources": [{"configMap": {"name": "c2"}}]}},
                {"persistentVolumeClaim": {"claimName": "claim"}}]}})
    }

    #[test]
    fn a_node_reads_what_its_pods_need() {
        let mut case = Case { nodes: NodeAuthorizer::default() };
        case.nodes.set_pod("ns", "p", Some(&pod()));
        case.nodes.set_pod("ns", "q", Some(&pod()));
        let volume = json!({"spec": {"claimRef": {"namespace": "ns", "name": "claim"},
            "csi": {"nodeStageSecretRef": {"namespace": "storage", "name": "key"}}}});
        case.nodes.set_volume("v", Some(&volume));
        for (resource, namespace, name) in [
            ("secrets", "ns", "s1"),
            ("secrets", "ns", "s2"),
            ("secrets", "storage", "key"),
            ("configmaps", "ns", "c1"),
            ("configmaps", "ns", "c2"),
            ("persistentvolumeclaims", "ns", "claim"),
            ("persistentvolumes", "", "v"),
            ("serviceaccounts", "ns", "sa"),
            ("pods", "ns", "p"),
        ] {
            assert!(case.may("n1", "get", resource, namespace, name), "{name}");
            assert!(!case.may("n2", "get", resource, namespace, name), "{name}");
            assert!(!case.may("n1", "update", resource, namespace, name), "{name}");
            assert!(!case.may("n1", "get", resource, "other", name) || namespace.is_empty(), "{name}");
        }
        assert!(case.may("n1", "create", "serviceaccounts/token", "ns", "sa"));
        assert!(!case.may("n1", "list", "secrets", "ns", ""));
        case.nodes.set_pod("ns", "p", None);
        assert!(case.may("n1", "get", "secrets", "ns", "s1"));
        case.nodes.set_pod("ns", "q", None);
        assert!(!case.may("n1", "get", "secrets", "ns", "s1") && !case.may("n1", "get", "persistentvolumes", "", "v"));
        case.nodes.set_volume("v", None);
        assert!(case.nodes.graph.is_empty());
    }

    #[test]
    fn a_mirror_pod_leads_nowhere() {
        let mut case = Case { nodes: NodeAuthorizer::default() };
        let mut mirror = pod();
        mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
        case.nodes.set_pod("ns", "p", Some(&mirror));
        assert!(case.may("n1", "get", "pods", "ns", "p"));
        assert!(!case.may("n1", "get", "secrets", "ns", "s1"));
        assert!(!case.may("n1", "create", "serviceaccounts/token", "ns", "sa"));
    }

    #[test]
    fn a_node_sees_itself_and_its_pods_only() {
        let mut case = Case { nodes: NodeAuthorizer::default() };
        case.nodes.set_named("volumeattachments", "", "a", Some("n1"));
        let own = FieldSelector::equal("spec.nodeName", "n1");
        assert!(case.may_selecting("n1", "list", "pods", "", "", Some(&own)));
        assert!(!case.may_selecting("n2", "list", "pods", "", "", Some(&own)));
        for (verb, resource, namespace, name, allowed) in [
            ("list", "pods", "", "", false),
            ("watch", "pods", "ns", "", false),
            ("update", "pods", "ns", "p", false),
            ("patch", "pods/status", "ns", "p", true),
            ("get", "nodes", "", "n1", true),
            ("get", "nodes", "", "n2", false),
            ("list", "nodes", "", "", false),
            ("watch", "nodes", "", "n1", true),
            ("get", "leases.coordination.k8s.io", "kube-node-lease", "n1", true),
            ("get", "leases.coordination.k8s.io", "kube-node-lease", "n2", false),
            ("get", "leases.coordination.k8s.io", "ns", "n1", false),
            ("get", "volumeattachments.storage.k8s.io", "", "a", true),
            ("get", "volumeattachments.storage.k8s.io", "", "b", false),
            ("delete", "csinodes.storage.k8s.io", "", "n2", false),
            ("get", "secrets", "", "", false),
        ] {
            assert_eq!(case.may("n1", verb, resource, namespace, name), allowed, "{verb} {resource} {name}");
        }
    }
}
