//! Priority and fairness over the store: [`windlass_flow_control`], told of what has changed since the last request. So an object counts
//! from the moment that its creation is acknowledged, and nothing runs in the background.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde_json::Value;
use windlass_auth::Attributes;
use windlass_client::Verb;
use windlass_flow_control::{Classified, FlowControl, ListWork, Page, Width};
use windlass_resources::flowcontrol::fixed;
use windlass_store::{Range, Store, Table};
use windlass_telemetry::Metrics;

use crate::registry::Served;

/// Requests that may be worked on at once, beside those that run for long; as many as kube-apiserver allows.
const SEATS: usize = 600;

/// Of so many objects the size is taken for that of all.
const SAMPLE: usize = 16;

const FLOW_SCHEMAS: (&str, &str) = ("FlowSchema", "flowschemas.flowcontrol.apiserver.k8s.io");
const PRIORITY_LEVELS: (&str, &str) =
    ("PriorityLevelConfiguration", "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io");

pub(crate) struct Fairness {
    control: FlowControl,
    sources: [Source; 2],
    /// Held while the configuration is read.
    reading: Mutex<()>,
}

/// The objects of a kind.
struct Source {
    kind: &'static str,
    table: Arc<Table>,
    /// The revision that has been read; none at first.
    seen: AtomicU64,
}

const NEVER: u64 = u64::MAX;

impl Fairness {
    pub(crate) fn new(store: &Store, metrics: &Metrics) -> Self {
        let source = |(kind, table)| Source { kind, table: store.table(table), seen: AtomicU64::new(NEVER) };
        let sources = [FLOW_SCHEMAS, PRIORITY_LEVELS].map(source);
        Self { control: FlowControl::new(SEATS, metrics), sources, reading: Mutex::new(()) }
    }

    /// Where a request belongs. Every request belongs somewhere, since nobody can delete what is fixed for long.
    pub(crate) fn classify(&self, asked: &Attributes<'_>) -> Option<Classified> {
        if self.sources.iter().any(Source::has_changed) {
            self.read();
        }
        self.control.classify(asked)
    }

    pub(crate) fn dump(&self, page: Page) -> String {
        self.control.dump(page)
    }

    fn read(&self) {
        let _alone = self.reading.lock();
        let [schemas, levels] = self.sources.each_ref().map(Source::read);
        self.control.configure(schemas.iter(), levels.iter());
    }
}

impl Source {
    fn has_changed(&self) -> bool {
        self.table.last() != self.seen.load(Ordering::Acquire)
    }

    /// The objects that there are, and those that there always are.
    fn read(&self) -> Vec<Value> {
        let state = self.table.state();
        let read = |item: &Arc<windlass_store::Item>| serde_json::from_slice(&item.value).ok();
        let mut all: Vec<Value> = state.iter(&Range::default()).filter_map(read).collect();
        let has = |all: &[Value], name: &Value| all.iter().any(|object| object["metadata"]["name"] == *name);
        for object in fixed(self.kind) {
            if !has(&all, &object["metadata"]["name"]) {
                all.push(object.clone());
            }
        }
        self.seen.store(state.last(), Ordering::Release);
        all
    }
}

/// How wide a request for a resource is.
pub(crate) fn width(verb: Verb, served: &Served, request: &windlass_client::Request, seats_max: usize) -> Width {
    match verb {
        Verb::List | Verb::Watch => {
            let state = served.table.state();
            let sample: Vec<usize> = state.iter(&Range::default()).take(SAMPLE).map(|item| item.value.len()).collect();
            let work = ListWork {
                objects: state.len(),
                bytes_each: sample.iter().sum::<usize>().checked_div(sample.len()).unwrap_or_default(),
                limit: request.options.limit,
                is_of_one: request.options.fields.required_value("metadata.name").is_some(),
            };
            Width::of_list(work, seats_max)
        }
        Verb::Get => Width::ONE,
        _ => Width::of_write(served.table.watchers(), seats_max),
    }
}
