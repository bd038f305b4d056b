//! Faults between a component and the API, drawn by a seed.
//!
//! A call can be late on its way there or back; it can be refused, or meet a conflict that was none; its answer can be lost after what it
//! asked for was done; and the component can crash before or after it. A watch can lag behind those of other resources, be cut, and
//! expire. Everything that goes wrong is told in the [`Story`].

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use windlass_api::Status;
use windlass_client::{Request, Verb};

use crate::dice::Dice;
use crate::history::Acknowledged;
use crate::story::Story;
use crate::watched::Watched;

/// How probable each fault is: of calls, of watches that are opened, of events.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    /// A call is late, on its way or back, by so many milliseconds at most.
    pub late: f64,
    pub late_millis_max: u64,
    /// A call is refused: 429, 500, 503.
    pub refuse: f64,
    /// A change is refused as stale.
    pub conflict: f64,
    /// A call is carried out, and the client is told that it timed out.
    pub lose: f64,
    /// The component ends before or after a call.
    pub crash: f64,
    /// A watch lags.
    pub lag: f64,
    /// A watch ends at an event, which is not delivered by it.
    pub cut: f64,
    /// A watch expires there: 410.
    pub expire: f64,
}

impl Rates {
    /// What a bad day brings.
    pub const BAD: Self = Self {
        late: 0.05,
        late_millis_max: 2000,
        refuse: 0.02,
        conflict: 0.02,
        lose: 0.01,
        crash: 0.002,
        lag: 0.3,
        cut: 0.01,
        expire: 0.003,
    };

    pub fn scaled(self, by: f64) -> Self {
        Self {
            late: self.late * by,
            late_millis_max: self.late_millis_max,
            refuse: self.refuse * by,
            conflict: self.conflict * by,
            lose: self.lose * by,
            crash: self.crash * by,
            lag: (self.lag * by).min(1.0),
            cut: self.cut * by,
            expire: self.expire * by,
        }
    }
}

const LOST_MAX_MILLIS: u64 = 30_000;
/// How far the worst watch lags behind with each event.
const LAG_MAX_MILLIS: u64 = 10_000;
/// How long a component is away after a crash, at most.
const AWAY_MAX: Duration = Duration::from_secs(10);

/// The faults of a cluster; cloning shares them.
#[derive(Clone, Debug)]
pub struct Faults(Arc<Mutex<State>>);

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) dice: Dice,
    pub(crate) rates: Rates,
    pub(crate) story: Story,
    pub(crate) acknowledged: Vec<Acknowledged>,
    pub(crate) lost: Vec<Acknowledged>,
    pub(crate) watched: Vec<Watched>,
}

/// What becomes of a call.
pub(crate) enum Fate {
    Pass,
    Delay(Duration),
    Refuse(Status),
    Lose(Duration),
    Late(Duration),
    CrashBefore,
    CrashAfter,
}

/// What becomes of an event.
pub(crate) enum EventFate {
    Pass(Duration),
    Cut,
    Expire,
}

impl Faults {
    pub fn new(dice: Dice, rates: Rates, story: Story) -> Self {
        let state = State { dice, rates, story, acknowledged: Vec::new(), lost: Vec::new(), watched: Vec::new() };
        Self(Arc::new(Mutex::new(state)))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }

    /// Nothing goes wrong from now on.
    pub fn stop(&self) {
        self.set(Rates::default());
    }

    pub fn set(&self, rates: Rates) {
        self.state().rates = rates;
    }

    pub fn story(&self) -> Story {
        self.state().story.clone()
    }

    /// The writes that were acknowledged.
    pub fn acknowledged(&self) -> Vec<Acknowledged> {
        self.state().acknowledged.clone()
    }

    /// The writes that were done, and whose clients were told that they timed out.
    pub fn lost(&self) -> Vec<Acknowledged> {
        self.state().lost.clone()
    }

    /// What each watch was told by the server.
    pub fn watched(&self) -> Vec<Watched> {
        self.state().watched.clone()
    }

    pub(crate) fn pause_after_crash(&self) -> Duration {
        Duration::from_millis(self.state().dice.below(AWAY_MAX.as_millis() as u64))
    }

    pub(crate) fn fate(&self, request: &Request, mortal: bool) -> Fate {
        let state = &mut *self.state();
        let (dice, rates) = (&mut state.dice, state.rates);
        let changes = matches!(request.verb, Verb::Update | Verb::Patch(_));
        let millis = |dice: &Dice, max| Duration::from_millis(dice.below(max));
        if mortal && dice.happens(rates.crash) {
            return if dice.happens(0.5) { Fate::CrashBefore } else { Fate::CrashAfter };
        }
        if dice.happens(rates.refuse) {
            return Fate::Refuse(match dice.below(3) {
                0 => Status::too_many_requests("too many requests, please try again later", 1),
                1 => Status::internal("a fault on purpose"),
                _ => Status::service_unavailable("the server is currently unable to handle the request"),
            });
        }
        if changes && dice.happens(rates.conflict) {
            return Fate::Refuse(Status::stale(&request.resource.group_resource(), &request.name));
        }
        if !request.verb.is_read_only() && dice.happens(rates.lose) {
            return Fate::Lose(millis(dice, LOST_MAX_MILLIS));
        }
        if dice.happens(rates.late) {
            let wait = millis(dice, rates.late_millis_max);
            return if dice.happens(0.5) { Fate::Delay(wait) } else { Fate::Late(wait) };
        }
        Fate::Pass
    }

    /// How far a watch that is opened now lags with each event.
    pub(crate) fn lag(&self) -> u64 {
        let state = &mut *self.state();
        if state.dice.happens(state.rates.lag) { 1 << state.dice.below(LAG_MAX_MILLIS.ilog2().into()) } else { 0 }
    }

    pub(crate) fn event_fate(&self, lag: u64) -> EventFate {
        let state = &mut *self.state();
        let (dice, rates) = (&mut state.dice, state.rates);
        if dice.happens(rates.cut) {
            return EventFate::Cut;
        }
        if dice.happens(rates.expire) {
            return EventFate::Expire;
        }
        let lags = lag > 0 && rates.lag > 0.0;
        EventFate::Pass(Duration::from_millis(if lags { dice.below(lag) } else { 0 }))
    }

    pub(crate) fn tell(&self, component: &str, request: &Request, what: &str) {
        let Request { verb, resource, subresource, namespace, name, .. } = request;
        let verb = verb.name();
        self.state()
            .story
            .tell(format_args!("{component}: {verb} {}/{subresource} {namespace}/{name}: {what}", resource.resource));
    }
}
