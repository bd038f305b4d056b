//! What else of the cluster bears on placement: namespaces, Services, the owners of pods, disruption budgets, volumes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use serde::Deserialize;
use windlass_api::k8s::apimachinery::pkg::apis::meta::v1::LabelSelector;
use windlass_api::labels::Selector;
use windlass_api::{ObjectKey, OwnerReference};

use crate::object::Labels;
use crate::storage::Storage;

/// Finds what a pod's owner selects; a read of a cache.
pub(crate) trait Owners: Send + Sync {
    /// `None` when the owner is unknown or selects no pods.
    fn selector(&self, namespace: &str, owner: &OwnerReference) -> Option<LabelSelector>;
}

#[derive(Default)]
pub(crate) struct Surroundings {
    pub namespaces: HashMap<String, Labels>,
    /// The selectors of Services that have one, by namespace and name.
    pub services: HashMap<String, BTreeMap<String, Labels>>,
    pub budgets: BTreeMap<ObjectKey, Budget>,
    pub storage: Storage,
    pub owners: Option<Box<dyn Owners>>,
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings").finish_non_exhaustive()
    }
}

/// A PodDisruptionBudget.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    pub selector: Selector,
    pub allowed: i64,
    /// Pods that the budget has accounted for already.
    pub disrupted: BTreeSet<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RawBudget {
    spec: RawBudgetSpec,
    status: RawBudgetStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawBudgetSpec {
    selector: Option<LabelSelector>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawBudgetStatus {
    disruptions_allowed: i64,
    disrupted_pods: BTreeMap<String, serde::de::IgnoredAny>,
}

impl From<RawBudget> for Budget {
    fn from(raw: RawBudget) -> Self {
        let selector = Selector::from_structure(raw.spec.selector.as_ref()).unwrap_or_else(|_| Selector::nothing());
        Self {
            // For preemption, a budget without a selector is about no pod.
            selector: if selector.is_everything() { Selector::nothing() } else { selector },
            allowed: raw.status.disruptions_allowed,
            disrupted: raw.status.disrupted_pods.into_keys().collect(),
        }
    }
}

/// Any object of which only the metadata's labels and the spec's selector are of interest.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RawService {
    pub spec: RawServiceSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RawServiceSpec {
    pub selector: Labels,
}

impl Surroundings {
    pub(crate) fn set_service(&mut self, key: &ObjectKey, selector: Option<Labels>) {
        match selector.filter(|selector| !selector.is_empty()) {
            Some(selector) => {
                self.services.entry(key.namespace.clone()).or_default().insert(key.name.clone(), selector);
            }
            None => {
                if let Some(services) = self.services.get_mut(&key.namespace) {
                    services.remove(&key.name);
                }
            }
        }
    }

    /// What selects the pods that do the same work as this one: its Services and its owner. `None` when nothing does.
    pub(crate) fn default_selector(
        &self,
        namespace: &str,
        labels: &Labels,
        controller: Option<&OwnerReference>,
    ) -> Option<Selector> {
        let mut merged = LabelSelector::default();
        let services = self.services.get(namespace).into_iter().flat_map(BTreeMap::values);
        for selector in services.filter(|selector| selector.iter().all(|(key, value)| labels.get(key) == Some(value))) {
            merged.match_labels.get_or_insert_default().extend(selector.clone());
        }
        let owner = controller.zip(self.owners.as_ref()).and_then(|(owner, owners)| owners.selector(namespace, owner));
        if let Some(owner) = owner {
            merged.match_labels.get_or_insert_default().extend(owner.match_labels.unwrap_or_default());
            merged.match_expressions.get_or_insert_default().extend(owner.match_expressions.unwrap_or_default());
        }
        let selector = Selector::from_structure(Some(&merged)).ok()?;
        (!selector.is_everything()).then_some(selector)
    }
}
