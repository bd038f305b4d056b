//! How a set of endpoints is spread over EndpointSlices.
//!
//! The slices that are there are changed as little as possible, since every change goes to every node: endpoints that stay, stay where
//! they are; new ones fill slices that change anyway, then those with room, then new slices.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use windlass_api::resource::ENDPOINT_SLICES;
use windlass_api::text::null_is_default;
use windlass_api::well_known::label::{ENDPOINTSLICE_MANAGED_BY, SERVICE_NAME};
use windlass_api::{Meta, ObjectKey, OwnerReference, Status};
use windlass_client::{Client, DeleteOptions, Informer, OBJECT};

use super::desired::{Endpoint, Family, Port};
use crate::write::{delete, modify};

const BY_SERVICE: &str = "service";
/// Endpoints in a slice.
pub(super) const MAX: usize = 100;

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Slice {
    pub metadata: Meta,
    pub address_type: String,
    #[serde(deserialize_with = "null_is_default")]
    pub endpoints: Vec<Endpoint>,
    #[serde(deserialize_with = "null_is_default")]
    pub ports: Vec<Port>,
}

/// Endpoints with the same ports and of the same family.
pub(super) type Group = (Family, Vec<Port>);

/// What the slices of a Service should hold and carry.
pub(super) struct Wanted {
    pub endpoints: BTreeMap<Group, Vec<Endpoint>>,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// Families that need a slice even when there are no endpoints, so that readers see that there are none.
    pub families: Vec<Family>,
}

#[derive(Debug, PartialEq)]
pub(super) enum Action {
    Create {
        family: Family,
        ports: Vec<Port>,
        endpoints: Vec<Endpoint>,
    },
    /// Of the slice with this index.
    Update {
        index: usize,
        endpoints: Vec<Endpoint>,
    },
    Delete {
        index: usize,
    },
}

fn identity(endpoint: &Endpoint) -> (Option<&str>, &[String]) {
    (endpoint.target_ref.as_ref().map(|target| target.uid.as_str()), &endpoint.addresses)
}

/// What to do so that `existing` hold what is wanted.
pub(super) fn plan(wanted: &Wanted, existing: &[Slice]) -> Vec<Action> {
    let mut groups = wanted.endpoints.clone();
    for &family in &wanted.families {
        if !groups.keys().any(|(of, _)| *of == family) {
            groups.insert((family, Vec::new()), Vec::new());
        }
    }
    let mut actions = Vec::new();
    let mut left: Vec<usize> = Vec::new();
    let mut of_group: BTreeMap<Group, Vec<usize>> = BTreeMap::new();
    for (index, slice) in existing.iter().enumerate() {
        let mut ports = slice.ports.clone();
        ports.sort();
        let family = if slice.address_type == Family::Ipv6.name() { Family::Ipv6 } else { Family::Ipv4 };
        let known = groups.contains_key(&(family, ports.clone())) && slice.address_type == family.name();
        if known { of_group.entry((family, ports)).or_default().push(index) } else { left.push(index) }
    }
    for (group, endpoints) in groups {
        let slices = of_group.remove(&group).unwrap_or_default();
        plan_group(wanted, existing, group, endpoints, &slices, &mut actions);
    }
    actions.extend(left.into_iter().map(|index| Action::Delete { index }));
    actions
}

fn plan_group(
    wanted: &Wanted,
    existing: &[Slice],
    (family, ports): Group,
    mut endpoints: Vec<Endpoint>,
    slices: &[usize],
    actions: &mut Vec<Action>,
) {
    let placeholder = endpoints.is_empty();
    // What each slice keeps, with the endpoints as they are now.
    let mut kept: Vec<(usize, Vec<Endpoint>)> = Vec::new();
    for &index in slices {
        let mut stays = Vec::new();
        for old in &existing[index].endpoints {
            if let Some(position) = endpoints.iter().position(|new| identity(new) == identity(old)) {
                stays.push(endpoints.swap_remove(position));
            }
        }
        kept.push((index, stays));
    }
    let changes = |index: usize, content: &Vec<Endpoint>| existing[index].endpoints != *content;
    // New ones go first where something changes anyway, then where there is most already.
    let mut order: Vec<usize> = (0..kept.len()).collect();
    order.sort_by_key(|&at| (!changes(kept[at].0, &kept[at].1), std::cmp::Reverse(kept[at].1.len())));
    endpoints.sort_by(|a, b| a.addresses.cmp(&b.addresses));
    let mut new = endpoints.into_iter().peekable();
    for at in order {
        while kept[at].1.len() < MAX && new.peek().is_some() {
            kept[at].1.extend(new.next());
        }
    }
    let mut has_slice = false;
    for (index, content) in kept {
        if content.is_empty() && (!placeholder || has_slice) {
            actions.push(Action::Delete { index });
            continue;
        }
        has_slice = true;
        if changes(index, &content) || !carries(&existing[index].metadata, wanted) {
            actions.push(Action::Update { index, endpoints: content });
        }
    }
    while new.peek().is_some() || (placeholder && !has_slice) {
        has_slice = true;
        let endpoints = new.by_ref().take(MAX).collect();
        actions.push(Action::Create { family, ports: ports.clone(), endpoints });
    }
}

/// Whether a slice has the labels that it should; the trigger time alone is no reason to write.
fn carries(meta: &Meta, wanted: &Wanted) -> bool {
    use windlass_api::well_known::annotation::ENDPOINTS_LAST_CHANGE;
    let same = |wanted: &BTreeMap<String, String>, now: &BTreeMap<String, String>| {
        let relevant = |map: &BTreeMap<String, String>| {
            map.iter().filter(|(name, _)| *name != ENDPOINTS_LAST_CHANGE).map(|(k, v)| (k.clone(), v.clone())).collect()
        };
        let (a, b): (BTreeMap<_, _>, BTreeMap<_, _>) = (relevant(wanted), relevant(now));
        a == b
    };
    same(&wanted.labels, &meta.labels) && same(&wanted.annotations, &meta.annotations)
}

/// Lets slices be found by their Service and who manages them.
pub(super) fn index(slices: &Informer) {
    slices.add_index(BY_SERVICE, |object| {
        let Ok(object) = object.decode::<windlass_api::meta::PartialObject>() else { return Vec::new() };
        let labels = &object.metadata.labels;
        match (labels.get(SERVICE_NAME), labels.get(ENDPOINTSLICE_MANAGED_BY)) {
            (Some(service), Some(manager)) => vec![format!("{manager}/{}/{service}", object.metadata.namespace)],
            _ => Vec::new(),
        }
    });
}

/// The slices of a Service that `manager` manages, which are not about to go, in the order of their names.
pub(super) fn of_service(slices: &Informer, manager: &str, service: &ObjectKey) -> Vec<Slice> {
    let found = slices.by_index(BY_SERVICE, &format!("{manager}/{}/{}", service.namespace, service.name));
    let decoded = found.into_iter().filter_map(|object| object.decode::<Slice>().ok());
    decoded.filter(|slice| !slice.metadata.is_deleting()).collect()
}

/// Writes the slices of one Service.
pub(super) struct Writer<'a> {
    pub client: &'a Client,
    pub slices: &'a Informer,
    pub service: &'a ObjectKey,
    pub owner: OwnerReference,
}

impl Writer<'_> {
    /// Carries out a plan, and returns when the cache shows it.
    pub(super) async fn apply(&self, actions: Vec<Action>, existing: &[Slice], wanted: &Wanted) -> Result<(), Status> {
        for action in actions {
            match action {
                Action::Create { family, ports, endpoints } => self.create(wanted, family, &ports, &endpoints).await?,
                Action::Update { index, endpoints } => {
                    self.update(wanted, &existing[index].metadata, &endpoints).await?;
                }
                Action::Delete { index } => self.delete(&existing[index].metadata).await?,
            }
        }
        Ok(())
    }

    async fn create(
        &self,
        wanted: &Wanted,
        family: Family,
        ports: &[Port],
        endpoints: &[Endpoint],
    ) -> Result<(), Status> {
        let slice = json!({
            "metadata": {
                "generateName": format!("{}-", self.service.name),
                "namespace": self.service.namespace,
                "labels": wanted.labels,
                "annotations": wanted.annotations,
                "ownerReferences": [self.owner],
            },
            "addressType": family.name(),
            "endpoints": endpoints,
            "ports": ports,
        });
        match self.client.create(&ENDPOINT_SLICES, &self.service.namespace, &slice).await {
            Ok(created) => self.slices.reached(created.revision).await,
            Err(status) if status.is_namespace_terminating() => {}
            Err(status) => return Err(status),
        }
        Ok(())
    }

    async fn update(&self, wanted: &Wanted, slice: &Meta, endpoints: &[Endpoint]) -> Result<(), Status> {
        let replace = |wanted: &BTreeMap<String, String>, now: &BTreeMap<String, String>| -> Value {
            let gone = now.keys().filter(|name| !wanted.contains_key(*name)).map(|name| (name.clone(), Value::Null));
            gone.chain(wanted.iter().map(|(name, value)| (name.clone(), json!(value)))).collect()
        };
        let patch = json!({
            "metadata": {
                "uid": slice.uid,
                "resourceVersion": slice.resource_version,
                "labels": replace(&wanted.labels, &slice.labels),
                "annotations": replace(&wanted.annotations, &slice.annotations),
            },
            "endpoints": endpoints,
        });
        modify(self.client, self.slices, &ENDPOINT_SLICES, &slice.key(), OBJECT, &patch).await.map(drop)
    }

    async fn delete(&self, slice: &Meta) -> Result<(), Status> {
        let key = slice.key();
        delete(self.client, &ENDPOINT_SLICES, &key, &DeleteOptions::of_uid(slice.uid.clone())).await?;
        self.slices.until(|slices| slices.read::<Slice>(&key).is_none_or(|now| now.metadata.uid != slice.uid)).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(number: usize) -> Endpoint {
        Endpoint { addresses: vec![format!("10.0.{}.{}", number / 250, number % 250)], ..Endpoint::default() }
    }

    fn port(number: i32) -> Vec<Port> {
        vec![Port { port: Some(number), ..Port::default() }]
    }

    fn wanted(numbers: std::ops::Range<usize>) -> Wanted {
        let mut endpoints = BTreeMap::new();
        if !numbers.is_empty() {
            endpoints.insert((Family::Ipv4, port(80)), numbers.map(endpoint).collect());
        }
        Wanted { endpoints, labels: BTreeMap::new(), annotations: BTreeMap::new(), families: vec![Family::Ipv4] }
    }

    fn slice(numbers: std::ops::Range<usize>) -> Slice {
        Slice {
            address_type: "IPv4".to_owned(),
            endpoints: numbers.map(endpoint).collect(),
            ports: port(80),
            ..Slice::default()
        }
    }

    #[test]
    fn nothing_is_a_slice_too() {
        let created = plan(&wanted(0..0), &[]);
        assert_eq!(created, [Action::Create { family: Family::Ipv4, ports: vec![], endpoints: vec![] }]);
        let placeholder = Slice { address_type: "IPv4".to_owned(), ..Slice::default() };
        assert_eq!(plan(&wanted(0..0), std::slice::from_ref(&placeholder)), []);
        let actions = plan(&wanted(0..1), &[placeholder]);
        assert!(matches!(actions.as_slice(), [Action::Create { .. }, Action::Delete { index: 0 }]), "{actions:?}");
    }

    #[test]
    fn new_ones_fill_up() {
        assert_eq!(plan(&wanted(0..3), &[slice(0..3)]), []);
        let actions = plan(&wanted(0..5), &[slice(0..3)]);
        assert!(matches!(&actions[..], [Action::Update { index: 0, endpoints }] if endpoints.len() == 5));
        let actions = plan(&wanted(0..250), &[slice(0..100)]);
        let sizes: Vec<usize> = actions
            .iter()
            .map(|action| match action {
                Action::Create { endpoints, .. } => endpoints.len(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(sizes, [100, 50]);
    }

    #[test]
    fn slices_that_empty_go() {
        let actions = plan(&wanted(0..3), &[slice(0..3), slice(3..6)]);
        assert_eq!(actions, [Action::Delete { index: 1 }]);
        let mut changed = wanted(0..3);
        changed.labels.insert("a".to_owned(), "b".to_owned());
        assert!(matches!(&plan(&changed, &[slice(0..3)])[..], [Action::Update { index: 0, .. }]));
    }
}
