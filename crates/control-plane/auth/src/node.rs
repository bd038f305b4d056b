//! The Node authorizer: a kubelet may read what the pods on its node need, and nothing else.
//!
//! What a node may do at all (its own Node, leases, events, pod status) is in the role `system:node`; this index adds the part that
//! depends on which pods run where: their ConfigMaps, Secrets, service accounts, claims and volumes.
//! Source: upstream `plugin/pkg/auth/authorizer/node`.

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;
use serde_json::Value;

use crate::rbac::Rule;
use crate::{Attributes, Decision};

/// Something that a pod refers to: resource, namespace, name.
type Reference = (&'static str, String, String);

/// The rules of the role `system:node`, and what the pods on each node refer to.
#[derive(Debug, Default)]
pub struct NodeAuthorizer {
    rules: Vec<Rule>,
    /// `namespace/name` of a pod to its node and references.
    pods: HashMap<String, (String, BTreeSet<Reference>)>,
    /// How many pods of a node refer to something.
    references: HashMap<Reference, HashMap<String, usize>>,
}

/// The part of a pod that matters here.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodSpec {
    node_name: String,
    service_account_name: String,
    image_pull_secrets: Vec<Named>,
    volumes: Vec<Value>,
    containers: Vec<Value>,
    init_containers: Vec<Value>,
    ephemeral_containers: Vec<Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
}

impl NodeAuthorizer {
    /// `rules` are those of the role `system:node`.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Takes in a pod's `spec`, or the pod's end.
    pub fn set_pod(&mut self, namespace: &str, name: &str, spec: Option<&Value>) {
        let key = format!("{namespace}/{name}");
        if let Some((node, references)) = self.pods.remove(&key) {
            for reference in references {
                self.release(&reference, &node);
            }
        }
        let spec: PodSpec = match spec.map(PodSpec::deserialize) {
            Some(Ok(spec)) => spec,
            _ => return,
        };
        if spec.node_name.is_empty() {
            return;
        }
        let references = references_of(&spec, namespace, name);
        for reference in &references {
            *self.references.entry(reference.clone()).or_default().entry(spec.node_name.clone()).or_default() += 1;
        }
        self.pods.insert(key, (spec.node_name, references));
    }

    fn release(&mut self, reference: &Reference, node: &str) {
        let Some(nodes) = self.references.get_mut(reference) else { return };
        if let Some(count) = nodes.get_mut(node) {
            *count -= 1;
            if *count == 0 {
                nodes.remove(node);
            }
        }
        if nodes.is_empty() {
            self.references.remove(reference);
        }
    }

    pub fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        let Some(node) = attributes.user.node() else { return Decision::NoOpinion(String::new()) };
        let resource = match (attributes.group, attributes.resource) {
            ("", "secrets") => "secrets",
            ("", "configmaps") => "configmaps",
            ("", "persistentvolumeclaims") => "persistentvolumeclaims",
            ("", "serviceaccounts") => "serviceaccounts",
            _ => {
                let allowed = self.rules.iter().any(|rule| rule.allows(attributes));
                return if allowed { Decision::Allow } else { Decision::NoOpinion(String::new()) };
            }
        };
        let reading = matches!(attributes.verb, "get" | "list" | "watch") && attributes.subresource.is_empty();
        let token = resource == "serviceaccounts" && attributes.verb == "create" && attributes.subresource == "token";
        if !reading && !token {
            let detail = format!(
                "can only read resources of this type{}",
                if resource == "serviceaccounts" { ", or create tokens" } else { "" }
            );
            return Decision::NoOpinion(detail);
        }
        if attributes.name.is_empty() {
            return Decision::NoOpinion("can only read namespaced object of this type".to_owned());
        }
        let reference = (resource, attributes.namespace.to_owned(), attributes.name.to_owned());
        if self.references.get(&reference).is_some_and(|nodes| nodes.contains_key(node)) {
            return Decision::Allow;
        }
        Decision::NoOpinion(format!("no relationship found between node {node:?} and this object"))
    }
}

fn references_of(spec: &PodSpec, namespace: &str, pod: &str) -> BTreeSet<Reference> {
    let mut references = BTreeSet::new();
    let mut add = |resource: &'static str, name: Option<&Value>| {
        if let Some(name) = name.and_then(Value::as_str).filter(|name| !name.is_empty()) {
            references.insert((resource, namespace.to_owned(), name.to_owned()));
        }
    };
    for secret in &spec.image_pull_secrets {
        add("secrets", Some(&Value::from(secret.name.as_str())));
    }
    add("serviceaccounts", Some(&Value::from(spec.service_account_name.as_str())));
    for container in spec.containers.iter().chain(&spec.init_containers).chain(&spec.ephemeral_containers) {
        for env in list(container, "/envFrom") {
            add("configmaps", env.pointer("/configMapRef/name"));
            add("secrets", env.pointer("/secretRef/name"));
        }
        for env in list(container, "/env") {
            add("configmaps", env.pointer("/valueFrom/configMapKeyRef/name"));
            add("secrets", env.pointer("/valueFrom/secretKeyRef/name"));
        }
    }
    for volume in &spec.volumes {
        add("configmaps", volume.pointer("/configMap/name"));
        add("secrets", volume.pointer("/secret/secretName"));
        add("persistentvolumeclaims", volume.pointer("/persistentVolumeClaim/claimName"));
        if volume.get("ephemeral").is_some() {
            let claim = format!("{pod}-{}", volume["name"].as_str().unwrap_or_default());
            add("persistentvolumeclaims", Some(&Value::from(claim)));
        }
        for pointer in
            ["/csi/nodePublishSecretRef/name", "/cephfs/secretRef/name", "/rbd/secretRef/name", "/iscsi/secretRef/name"]
        {
            add("secrets", volume.pointer(pointer));
        }
        for source in list(volume, "/projected/sources") {
            add("configmaps", source.pointer("/configMap/name"));
            add("secrets", source.pointer("/secret/name"));
        }
    }
    references
}

fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use windlass_api::well_known::group;

    use super::*;
    use crate::User;

    #[test]
    fn a_node_reads_what_its_pods_need() {
        let mut nodes = NodeAuthorizer::default();
        let spec = json!({"nodeName": "n1", "serviceAccountName": "sa",
            "containers": [{"envFrom": [{"secretRef": {"name": "s1"}}], "env": [{"valueFrom": {"configMapKeyRef": {"name": "c1"}}}]}],
            "volumes": [{"secret": {"secretName": "s2"}}, {"projected": {"sources": [{"configMap": {"name": "c2"}}]}}]});
        nodes.set_pod("ns", "p", Some(&spec));
        nodes.set_pod("ns", "q", Some(&spec));
        let may = |nodes: &NodeAuthorizer, node: &str, verb: &str, resource: &str, subresource: &str, name: &str| {
            let user = User::new(format!("system:node:{node}"), &[group::NODES]);
            let attributes = Attributes {
                user: &user,
                verb,
                group: "",
                version: "v1",
                resource,
                subresource,
                namespace: "ns",
                name,
                path: "",
            };
            nodes.authorize(&attributes).is_allowed()
        };
        for (resource, name) in [("secrets", "s1"), ("secrets", "s2"), ("configmaps", "c1"), ("configmaps", "c2")] {
            assert!(may(&nodes, "n1", "get", resource, "", name), "{name}");
            assert!(!may(&nodes, "n2", "get", resource, "", name), "{name}");
            assert!(!may(&nodes, "n1", "update", resource, "", name), "{name}");
        }
        assert!(may(&nodes, "n1", "create", "serviceaccounts", "token", "sa"));
        assert!(!may(&nodes, "n1", "list", "secrets", "", ""));
        nodes.set_pod("ns", "p", None);
        assert!(may(&nodes, "n1", "get", "secrets", "", "s1"));
        nodes.set_pod("ns", "q", None);
        assert!(!may(&nodes, "n1", "get", "secrets", "", "s1"));
        assert!(nodes.references.is_empty());
    }
}
