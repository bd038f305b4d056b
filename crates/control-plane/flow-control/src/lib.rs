//! API priority and fairness: which requests are worked on now, which wait, and which are turned away.
//!
//! A FlowSchema says which requests are for it and to which PriorityLevelConfiguration they belong. Each level has a share of the server's
//! *seats* and lends those that it does not need. A request takes as many as its work is wide; where none is free it waits in one
//! of the level's queues. Requests of one *flow* (of a user, or of a namespace) share a few of these, so that one who asks a lot waits behind
//! himself: queues are served in the order in which they would be done if all were served at once, bit by bit.
//!
//! [`FlowControl::admit`] is all that a request sees of it. Source: KEP-1040; apiserver `pkg/util/flowcontrol`.

mod allocation;
mod demand;
mod dump;
mod figures;
mod flow;
mod level;
mod queue_set;
mod retry_after;
mod shard;
mod width;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::Instant;
use windlass_auth::Attributes;
use windlass_telemetry::Metrics;

pub use self::dump::Page;
use self::figures::{Figures, FlowFigures};
use self::flow::Flow;
use self::level::Level;
pub use self::queue_set::Seat;
pub use self::width::{ListWork, Width};

/// How often levels lend each other seats anew, as upstream.
const ADJUSTMENT: Duration = Duration::from_secs(10);

/// The seats of a server, and who may take them.
pub struct FlowControl {
    seats: usize,
    state: ArcSwap<State>,
    /// Held while the configuration or the lending of seats changes.
    changing: Mutex<Changing>,
    figures: Arc<Figures>,
    /// Which queues a flow has cannot be foreseen.
    hasher: RandomState,
}

struct Changing {
    adjusted: Instant,
}

/// The configuration of the moment.
#[derive(Default)]
struct State {
    /// In the order in which they are tried.
    flows: Vec<Flow>,
    levels: BTreeMap<String, Arc<Level>>,
}

/// What a request belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    pub flow_schema_uid: Arc<str>,
    pub priority_level_uid: Arc<str>,
}

/// A request is one too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnedAway {
    pub retry_after_seconds: u32,
}

impl FlowControl {
    /// A server that works on so many requests at once. Until [`Self::configure`] is called, it turns everybody away.
    pub fn new(seats: usize, metrics: &Metrics) -> Self {
        let changing = Mutex::new(Changing { adjusted: Instant::now() });
        let figures = Arc::new(Figures::new(metrics));
        #[expect(clippy::disallowed_methods, reason = "nobody can choose a queue to share with another flow")]
        let hasher = RandomState::new();
        Self { seats, state: ArcSwap::default(), changing, figures, hasher }
    }

    /// Takes in the FlowSchemas and PriorityLevelConfigurations that there are. Requests that have a seat or wait keep it.
    pub fn configure<'a>(
        &self,
        flow_schemas: impl Iterator<Item = &'a Value>,
        priority_levels: impl Iterator<Item = &'a Value>,
    ) {
        let mut changing = self.changing.lock();
        let before = self.state.load_full();
        let written: Vec<level::Written> = priority_levels.filter_map(level::Written::read).collect();
        let shares: u64 = written.iter().map(level::Written::shares).sum();
        let mut levels = BTreeMap::new();
        let mut is_shared_anew = written.len() != before.levels.len();
        for written in written {
            let bounds = level::Bounds::of(&written, self.seats, shares);
            let level = match before.levels.get(written.name()) {
                Some(level) => level.clone(),
                None => Arc::new(Level::new(written.name(), &self.figures)),
            };
            is_shared_anew |= level.configure(&written, bounds);
            levels.insert(written.name().to_owned(), level);
        }
        let read = |schema| Flow::read(schema, &levels, &self.figures);
        let mut flows: Vec<Flow> = flow_schemas.filter_map(read).collect();
        flows.sort_by(|a, b| (a.precedence, &a.name).cmp(&(b.precedence, &b.name)));
        // What levels have lent each other stays while their bounds do.
        if is_shared_anew {
            levels.values().for_each(|level| level.set_limit(level.begins_with()));
            changing.adjusted = Instant::now();
        }
        self.state.store(Arc::new(State { flows, levels }));
    }

    /// The flow that a request is for, and what tells the flows of its schema apart.
    pub fn classify(&self, asked: &Attributes<'_>) -> Option<Classified> {
        self.adjust();
        let state = self.state.load();
        let flow = state.flows.iter().find(|flow| flow.is_for(asked))?;
        let distinguisher = flow.distinguisher(asked);
        let hash = self.hasher.hash_one((&flow.name, distinguisher));
        Some(Classified {
            level: flow.level.clone(),
            figures: flow.figures.clone(),
            class: Class { flow_schema_uid: flow.uid.clone(), priority_level_uid: flow.level.uid() },
            flow: flow.name.clone(),
            distinguisher: distinguisher.into(),
            hash,
        })
    }

    /// Lends seats anew when it is time: those who ask do it, so that a server that nobody asks does nothing.
    fn adjust(&self) {
        let Some(mut changing) = self.changing.try_lock() else { return };
        let now = Instant::now();
        if now.duration_since(changing.adjusted) >= ADJUSTMENT {
            changing.adjusted = now;
            self.lend(&self.state.load().levels);
        }
    }

    /// Gives each level the seats that it has for the next period, by what it has wanted in the last.
    fn lend(&self, levels: &BTreeMap<String, Arc<Level>>) {
        let demands: Vec<allocation::Demand> = levels.values().map(|level| level.demand()).collect();
        let nominal: usize = levels.values().map(|level| level.nominal()).sum();
        let shares = allocation::allocate(nominal as f64, &demands);
        for (level, seats) in levels.values().zip(shares) {
            level.set_limit(seats.round() as usize);
        }
    }

    /// One of the pages for people who look into it.
    pub fn dump(&self, page: Page) -> String {
        dump::page(&self.state.load().levels, page)
    }
}

/// A request that knows where it belongs.
pub struct Classified {
    level: Arc<Level>,
    figures: Arc<FlowFigures>,
    pub class: Class,
    flow: Arc<str>,
    distinguisher: Arc<str>,
    hash: u64,
}

impl Classified {
    /// The most seats that one request of the level may take.
    pub fn seats_max(&self) -> usize {
        self.level.seats_max()
    }

    /// Takes a seat, or as many as the request is wide; waits for them until `deadline`. They are free again when the answer is
    /// dropped.
    pub async fn admit(self, width: Width, deadline: Instant) -> Result<Seat, TurnedAway> {
        let Self { level, figures, flow, distinguisher, hash, .. } = self;
        figures.estimated(width.seats);
        let who = queue_set::Who { flow: flow.clone(), distinguisher, figures: figures.clone() };
        match level.queues.take(who, width, hash, deadline).await {
            Ok(seat) => Ok(seat),
            Err(rejection) => {
                figures.rejected(rejection);
                Err(TurnedAway { retry_after_seconds: level.retry_after.turned_away() })
            }
        }
    }
}
