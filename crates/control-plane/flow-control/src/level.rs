//! PriorityLevelConfigurations: how many seats a level has, lends and borrows. Source: apiserver `pkg/util/flowcontrol/apf_controller.go`.

use std::sync::Arc;

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::allocation::Demand;
use crate::figures::{Figures, LevelFigures};
use crate::queue_set::{QueueSet, Queuing};
use crate::retry_after::RetryAfter;

/// What was wanted counts that much less with each period, as upstream.
const MEMORY: f64 = 0.977;
/// Of a level's seats one request takes at most this part, and never more than a bound of its kind.
const WIDEST: f64 = 0.15;

/// A level as it is written.
pub(crate) struct Written {
    name: String,
    uid: String,
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    #[serde(rename = "type")]
    kind: String,
    limited: Option<Shares>,
    exempt: Option<Shares>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Shares {
    nominal_concurrency_shares: Option<u64>,
    lendable_percent: Option<u64>,
    borrowing_limit_percent: Option<u64>,
    limit_response: Response,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Response {
    #[serde(rename = "type")]
    kind: String,
    queuing: Option<QueuingWritten>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct QueuingWritten {
    queues: usize,
    hand_size: usize,
    queue_length_limit: usize,
}

impl Default for QueuingWritten {
    fn default() -> Self {
        Self { queues: 64, hand_size: 8, queue_length_limit: 50 }
    }
}

impl Written {
    pub(crate) fn read(object: &Value) -> Option<Self> {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let name = text("name");
        let spec = serde_json::from_value(object["spec"].clone())
            .map_err(|error| tracing::error!(name, %error, "a PriorityLevelConfiguration cannot be read"))
            .ok()?;
        Some(Self { name, uid: text("uid"), spec })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn is_exempt(&self) -> bool {
        self.spec.kind == "Exempt"
    }

    fn of_kind(&self) -> Option<&Shares> {
        if self.is_exempt() { self.spec.exempt.as_ref() } else { self.spec.limited.as_ref() }
    }

    /// Its part of the server, beside the other levels' parts.
    pub(crate) fn shares(&self) -> u64 {
        let unsaid = if self.is_exempt() { 0 } else { 30 };
        self.of_kind().and_then(|shares| shares.nominal_concurrency_shares).unwrap_or(unsaid)
    }

    fn queuing(&self) -> Queuing {
        if self.is_exempt() {
            return Queuing::Exempt;
        }
        let response = self.spec.limited.as_ref().map(|limited| &limited.limit_response);
        match response.filter(|response| response.kind == "Queue").map(|response| response.queuing.as_ref()) {
            None => Queuing::None,
            Some(queuing) => {
                let unsaid = QueuingWritten::default();
                let QueuingWritten { queues, hand_size, queue_length_limit } = queuing.unwrap_or(&unsaid);
                Queuing::Queues {
                    queues: (*queues).max(1),
                    hand_size: (*hand_size).max(1),
                    length_max: *queue_length_limit,
                }
            }
        }
    }
}

/// The seats of a level: of its own, when it has lent what it may, when it has borrowed what it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub nominal: usize,
    pub low: usize,
    pub high: usize,
}

impl Bounds {
    /// Of `seats`, which all levels share by `shares` in all.
    pub(crate) fn of(written: &Written, seats: usize, shares: u64) -> Self {
        let nominal = match shares {
            0 => 0,
            shares => (seats as u64 * written.shares()).div_ceil(shares) as usize,
        };
        let percent = |of: usize, percent: u64| (of as f64 * percent as f64 / 100.0).round() as usize;
        let kind = written.of_kind();
        let lendable = percent(nominal, kind.and_then(|kind| kind.lendable_percent).unwrap_or(0).min(100));
        let borrowed = match kind.and_then(|kind| kind.borrowing_limit_percent) {
            Some(of_nominal) => percent(nominal, of_nominal),
            None => seats,
        };
        Self { nominal, low: nominal - lendable, high: nominal + borrowed }
    }
}

/// A level with its queues.
pub(crate) struct Level {
    pub name: Arc<str>,
    pub queues: Arc<QueueSet>,
    pub retry_after: RetryAfter,
    state: Mutex<Own>,
    figures: LevelFigures,
}

#[derive(Default)]
struct Own {
    uid: Arc<str>,
    bounds: Bounds,
    /// What it has wanted of late.
    smoothed: f64,
}

impl Level {
    pub(crate) fn new(name: &str, figures: &Figures) -> Self {
        Self {
            name: name.into(),
            queues: Arc::new(QueueSet::new()),
            retry_after: RetryAfter::new(),
            state: Mutex::default(),
            figures: LevelFigures::new(figures, name),
        }
    }

    /// Returns whether its seats are others than before.
    pub(crate) fn configure(&self, written: &Written, bounds: Bounds) -> bool {
        self.queues.configure(written.queuing());
        let mut own = self.state.lock();
        own.uid = written.uid.as_str().into();
        self.figures.bounds([bounds.nominal, bounds.low, bounds.high]);
        std::mem::replace(&mut own.bounds, bounds) != bounds
    }

    pub(crate) fn uid(&self) -> Arc<str> {
        self.state.lock().uid.clone()
    }

    pub(crate) fn nominal(&self) -> usize {
        self.state.lock().bounds.nominal
    }

    /// What it begins with: half of what it may lend is lent.
    pub(crate) fn begins_with(&self) -> usize {
        let Bounds { nominal, low, .. } = self.state.lock().bounds;
        nominal - (nominal - low) / 2
    }

    pub(crate) fn set_limit(&self, seats: usize) {
        self.figures.limit(seats);
        self.queues.set_limit(seats);
    }

    /// The most seats of one request; 0 for no bound of the level's own.
    pub(crate) fn seats_max(&self) -> usize {
        match self.queues.hand_size() {
            None => 0,
            // One request in each of a flow's queues shall find room.
            Some(hand) => ((self.nominal() as f64 * WIDEST).ceil() as usize).min(self.nominal() / hand).max(1),
        }
    }

    /// What it could use, by what it has wanted in the period that ends now.
    pub(crate) fn demand(&self) -> Demand {
        let mut own = self.state.lock();
        let Bounds { nominal, low, high } = own.bounds;
        let observed = self.queues.demand(Instant::now());
        let wanted = observed.average + observed.deviation;
        own.smoothed = wanted.max(MEMORY * own.smoothed + (1.0 - MEMORY) * wanted);
        let low = (low as f64).max((nominal as f64).min(observed.most));
        let target = low.max(own.smoothed);
        self.figures.demand(observed);
        Demand { low, high: high as f64, target }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(spec: Value) -> Written {
        Written::read(&json!({"metadata": {"name": "l", "uid": "u"}, "spec": spec})).unwrap()
    }

    #[test]
    fn what_a_level_has_lends_and_borrows() {
        let limited = |more: Value| {
            let mut limited = json!({"nominalConcurrencyShares": 40, "limitResponse": {"type": "Reject"}});
            limited.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            written(json!({"type": "Limited", "limited": limited}))
        };
        let bounds = |more: Value| {
            let Bounds { nominal, low, high } = Bounds::of(&limited(more), 600, 245);
            [nominal, low, high]
        };
        assert_eq!(bounds(json!({})), [98, 98, 698]);
        assert_eq!(bounds(json!({"lendablePercent": 50, "borrowingLimitPercent": 10})), [98, 49, 108]);
        assert_eq!(limited(json!({})).queuing(), Queuing::None);
        let exempt = written(json!({"type": "Exempt"}));
        assert_eq!((exempt.shares(), exempt.queuing()), (0, Queuing::Exempt));
        let queued = written(
            json!({"type": "Limited", "limited": {"limitResponse": {"type": "Queue", "queuing": {"queues": 8, "handSize": 2}}}}),
        );
        assert_eq!(
            (queued.shares(), queued.queuing()),
            (30, Queuing::Queues { queues: 8, hand_size: 2, length_max: 50 })
        );
    }
}
