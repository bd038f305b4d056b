//! What belongs to which node: its pods, what they refer to, and what leads there by way of volumes.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::references::{Reference, of_pod};

/// An object as the graph knows it: resource, namespace, name.
fn reference(resource: &'static str, namespace: &str, name: &str) -> Reference {
    (resource, namespace.to_owned(), name.to_owned())
}

/// Fed with objects as they change; answers whether there is a way from an object to a node.
#[derive(Debug, Default)]
pub(super) struct Graph {
    /// An object that names its node, with the node and everything that leads there because of it.
    owners: HashMap<Reference, (String, BTreeSet<Reference>)>,
    /// How many owners on a node lead there from an object.
    nodes: HashMap<Reference, HashMap<String, usize>>,
    /// A volume's claim, and the secrets with which the kubelet mounts it.
    volumes: HashMap<String, (Reference, Vec<Reference>)>,
    /// The volumes that are mounted with a secret.
    volumes_of_secret: HashMap<Reference, BTreeSet<String>>,
}

impl Graph {
    /// Takes in a pod, or its end.
    pub(super) fn set_pod(&mut self, namespace: &str, name: &str, pod: Option<&Value>) {
        let node = pod.and_then(|pod| pod["spec"]["nodeName"].as_str()).filter(|node| !node.is_empty());
        let of_pod = node.zip(pod).map(|(node, pod)| {
            let mut references = of_pod(pod, namespace, name);
            references.insert(reference("pods", namespace, name));
            (node.to_owned(), references)
        });
        self.set(reference("pods", namespace, name), of_pod);
    }

    /// Takes in an object of which nothing matters but the node that it names, or its end.
    pub(super) fn set_named(&mut self, resource: &'static str, namespace: &str, name: &str, node: Option<&str>) {
        let own = reference(resource, namespace, name);
        let node = node.filter(|node| !node.is_empty());
        self.set(own.clone(), node.map(|node| (node.to_owned(), BTreeSet::from([own]))));
    }

    /// Takes in a persistent volume, or its end.
    pub(super) fn set_volume(&mut self, name: &str, volume: Option<&Value>) {
        if let Some((_, secrets)) = self.volumes.remove(name) {
            for secret in secrets {
                if let Some(volumes) = self.volumes_of_secret.get_mut(&secret) {
                    volumes.remove(name);
                    if volumes.is_empty() {
                        self.volumes_of_secret.remove(&secret);
                    }
                }
            }
        }
        let text = |pointer: &str| volume.and_then(|volume| volume.pointer(pointer)).and_then(Value::as_str);
        let (Some(namespace), Some(claim)) = (text("/spec/claimRef/namespace"), text("/spec/claimRef/name")) else {
            return;
        };
        let secrets: Vec<Reference> = super::references::SECRETS_OF_VOLUMES
            .iter()
            .filter_map(|pointer| {
                let name = text(&format!("{pointer}/name"))?;
                let of_claim = text(&format!("{pointer}/namespace")).filter(|namespace| !namespace.is_empty());
                Some(reference("secrets", of_claim.unwrap_or(namespace), name))
            })
            .collect();
        for secret in &secrets {
            self.volumes_of_secret.entry(secret.clone()).or_default().insert(name.to_owned());
        }
        self.volumes.insert(name.to_owned(), (reference("persistentvolumeclaims", namespace, claim), secrets));
    }

    /// Whether there is a way from the object to the node.
    pub(super) fn leads_to(&self, resource: &'static str, namespace: &str, name: &str, node: &str) -> bool {
        let direct = |object: &Reference| self.nodes.get(object).is_some_and(|nodes| nodes.contains_key(node));
        let by_volume = |volume: &str| self.volumes.get(volume).is_some_and(|(claim, _)| direct(claim));
        let object = reference(resource, namespace, name);
        direct(&object)
            || (resource == "persistentvolumes" && by_volume(name))
            || self.volumes_of_secret.get(&object).is_some_and(|volumes| volumes.iter().any(|volume| by_volume(volume)))
    }

    fn set(&mut self, owner: Reference, leads: Option<(String, BTreeSet<Reference>)>) {
        if let Some((node, references)) = self.owners.remove(&owner) {
            references.iter().for_each(|reference| self.release(reference, &node));
        }
        let Some((node, references)) = leads else { return };
        for reference in &references {
            *self.nodes.entry(reference.clone()).or_default().entry(node.clone()).or_default() += 1;
        }
        self.owners.insert(owner, (node, references));
    }

    fn release(&mut self, reference: &Reference, node: &str) {
        let Some(nodes) = self.nodes.get_mut(reference) else { return };
        if let Some(count) = nodes.get_mut(node) {
            *count -= 1;
            if *count == 0 {
                nodes.remove(node);
            }
        }
        if nodes.is_empty() {
            self.nodes.remove(reference);
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.volumes.is_empty() && self.volumes_of_secret.is_empty()
    }
}
