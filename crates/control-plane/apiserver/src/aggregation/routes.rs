//! Which group versions are served by whom, as the APIServices in the store say it at this moment.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};

use windlass_store::{EventKind, Item, Range, TableState};

use super::api_service::{ApiService, Listed, Priority, ServiceReference};
use super::priorities::OWN_GROUP;
use super::transport::{Transport, TransportError, TransportKey};

/// A group version that another server serves.
pub(crate) struct Remote {
    pub name: String,
    pub uid: String,
    pub group: String,
    pub version: String,
    pub service: ServiceReference,
    pub priority: Priority,
    pub is_available: bool,
    pub transport: Result<Arc<Transport>, TransportError>,
}

/// What is known of one APIService.
struct Known {
    group: String,
    version: String,
    priority: Priority,
    remote: Option<Arc<Remote>>,
}

/// All APIServices, by name.
#[derive(Default)]
pub(crate) struct Routes {
    /// The revision of the table that this follows.
    pub revision: u64,
    all: BTreeMap<Arc<str>, Arc<Known>>,
    /// Versions of each group that others serve.
    remote: HashMap<String, Vec<Arc<Remote>>>,
    /// The ways to them, by what they depend on.
    transports: HashMap<TransportKey, Weak<Transport>>,
}

/// Makes the way to a server.
pub(crate) type MakeTransport<'a> = &'a dyn Fn(&TransportKey) -> Result<Transport, TransportError>;

impl Routes {
    /// The routes that follow from the APIServices as they are now. It reads only what has changed since.
    pub(crate) fn following(&self, state: &TableState, make: MakeTransport<'_>) -> Self {
        let (all, transports) = (self.all.clone(), self.transports.clone());
        let mut routes = Self { revision: state.last(), all, remote: HashMap::new(), transports };
        match state.events_after(self.revision) {
            Ok(events) if self.revision > 0 => {
                for event in events {
                    let is_gone = event.kind == EventKind::Deleted;
                    routes.put(&event.item.key, (!is_gone).then_some(&*event.item), make);
                }
            }
            // The first reading, or one so late that nobody knows what has been deleted meanwhile.
            _ => {
                let present: BTreeMap<&str, &Arc<Item>> =
                    state.iter(&Range::default()).map(|item| (&*item.key, item)).collect();
                routes.all.retain(|name, _| present.contains_key(&**name));
                present.into_iter().for_each(|(name, item)| routes.put(name, Some(item), make));
            }
        }
        for remote in routes.all.values().filter_map(|known| known.remote.as_ref()) {
            routes.remote.entry(remote.group.clone()).or_default().push(remote.clone());
        }
        routes.transports.retain(|_, transport| transport.strong_count() > 0);
        routes
    }

    fn put(&mut self, name: &str, item: Option<&Item>, make: MakeTransport<'_>) {
        let object = item.and_then(|item| {
            let read = serde_json::from_slice::<ApiService>(&item.value);
            read.inspect_err(|error| tracing::error!(apiservice = name, %error, "an APIService cannot be read")).ok()
        });
        let known = object.map(|object| Arc::new(self.known(object, make)));
        match known {
            Some(known) => drop(self.all.insert(name.into(), known)),
            None => drop(self.all.remove(name)),
        }
    }

    fn known(&mut self, object: ApiService, make: MakeTransport<'_>) -> Known {
        let spec = &object.spec;
        let priority = Priority { group: spec.group_priority_minimum, version: spec.version_priority };
        // Nobody takes the place of APIServices themselves.
        let service = spec.service.as_ref().filter(|_| spec.group != OWN_GROUP);
        let remote = service.zip(TransportKey::of(spec)).map(|(service, key)| {
            Arc::new(Remote {
                name: object.metadata.name.clone(),
                uid: object.metadata.uid.clone(),
                group: spec.group.clone(),
                version: spec.version.clone(),
                service: service.clone(),
                priority,
                is_available: object.is_available(),
                transport: self.transport(key, make),
            })
        });
        Known { group: spec.group.clone(), version: spec.version.clone(), priority, remote }
    }

    /// The way to a server: that of another APIService with the same settings, if there is one.
    fn transport(&mut self, key: TransportKey, make: MakeTransport<'_>) -> Result<Arc<Transport>, TransportError> {
        if let Some(known) = self.transports.get(&key).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let made = Arc::new(make(&key)?);
        self.transports.insert(key, Arc::downgrade(&made));
        Ok(made)
    }

    /// Who else serves this group version; `None` when nobody does.
    pub(crate) fn find(&self, group: &str, version: &str) -> Option<&Arc<Remote>> {
        self.remote.get(group)?.iter().find(|remote| remote.version == version)
    }

    /// Whether no other server serves anything.
    pub(crate) fn is_local(&self) -> bool {
        self.remote.is_empty()
    }

    pub(crate) fn remotes(&self) -> impl Iterator<Item = &Arc<Remote>> {
        self.all.values().filter_map(|known| known.remote.as_ref())
    }

    pub(crate) fn remote(&self, name: &str) -> Option<&Arc<Remote>> {
        self.all.get(name)?.remote.as_ref()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.all.contains_key(name)
    }

    /// Every APIService with its place in discovery.
    pub(crate) fn listed(&self) -> impl Iterator<Item = Listed<()>> {
        self.all.values().map(|known| Listed {
            group: known.group.clone(),
            version: known.version.clone(),
            priority: known.priority,
            value: (),
        })
    }
}
