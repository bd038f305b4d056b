//! The queues of a level: fair queuing by seats.
//!
//! Each queue keeps a *virtual start*: when its next request would begin if all queues were served at once, each as fast as the others. Virtual
//! time passes as fast as seats are used, divided by the queues that use or want them. The queue whose next request would be done first
//! is served first. How long a request takes is only known afterwards; until then a usual time is assumed, and made good at its end.
//!
//! Source: KEP-1040; apiserver `pkg/util/flowcontrol/fairqueuing/queueset`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::demand::{Integrator, Observed};
use crate::figures::{FlowFigures, Rejection};
use crate::shard;
use crate::width::Width;

/// How long a request is assumed to take, in seconds.
const USUAL_SECONDS: f64 = 0.003;

/// How requests wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Queuing {
    /// They never have to.
    Exempt,
    /// They are turned away instead.
    #[default]
    None,
    Queues {
        queues: usize,
        /// Queues of one flow.
        hand_size: usize,
        length_max: usize,
    },
}

/// Whose request it is.
#[derive(Clone)]
pub(crate) struct Who {
    pub flow: Arc<str>,
    pub distinguisher: Arc<str>,
    pub figures: Arc<FlowFigures>,
}

pub(crate) struct QueueSet {
    state: Mutex<State>,
}

struct State {
    queuing: Queuing,
    limit: usize,
    queues: Vec<Queue>,
    /// The queue that was served last.
    robin: usize,
    enqueued: usize,
    /// Virtual time, in seat-seconds of a queue, and when it was computed.
    virtual_now: f64,
    at: Instant,
    /// Queues that have requests waiting or at work.
    active: usize,
    seats_in_use: usize,
    seats_waiting: usize,
    waiting: usize,
    executing: usize,
    next_id: u64,
    demand: Integrator,
    pub counts: Counts,
}

/// What has become of requests so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub dispatched: u64,
    pub rejected: u64,
    pub cancelled: u64,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    executing: usize,
    seats_in_use: usize,
    work_waiting: f64,
    virtual_start: f64,
}

struct Waiting {
    id: u64,
    who: Who,
    width: Width,
    arrived: f64,
    at: Instant,
    go: oneshot::Sender<Instant>,
}

/// A request's place: in a queue first, and then at work. Whoever drops it gives it up.
pub struct Seat {
    _place: Place,
}

struct Place {
    set: Arc<QueueSet>,
    id: u64,
    who: Who,
    width: Width,
    queue: Option<usize>,
    /// Says when the request leaves its queue; `None` once it has.
    waits: Option<oneshot::Receiver<Instant>>,
    /// When work began; unknown while it waits.
    begun: Option<Instant>,
}

impl Width {
    /// Seats by the time that they are taken for.
    fn work(self) -> f64 {
        self.seats as f64 * USUAL_SECONDS + self.seats_after as f64 * self.after.as_secs_f64()
    }
}

impl QueueSet {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                queuing: Queuing::None,
                limit: 0,
                queues: Vec::new(),
                robin: 0,
                enqueued: 0,
                virtual_now: 0.0,
                at: Instant::now(),
                active: 0,
                seats_in_use: 0,
                seats_waiting: 0,
                waiting: 0,
                executing: 0,
                next_id: 0,
                demand: Integrator::new(),
                counts: Counts::default(),
            }),
        }
    }

    pub(crate) fn configure(&self, queuing: Queuing) {
        let mut state = self.state.lock();
        state.queuing = queuing;
        if let Queuing::Queues { queues, .. } = queuing {
            // Those that are too many get nothing new, and stay until they are empty.
            let kept = state.queues.iter().rposition(|queue| queue.is_active()).map_or(0, |last| last + 1);
            let count = queues.max(kept);
            state.queues.resize_with(count, Queue::default);
        }
        state.dispatch();
    }

    pub(crate) fn set_limit(&self, seats: usize) {
        let mut state = self.state.lock();
        state.pass();
        state.limit = seats;
        state.dispatch();
    }

    /// The queues of a flow; `None` when requests do not queue.
    pub(crate) fn hand_size(&self) -> Option<usize> {
        match self.state.lock().queuing {
            Queuing::Queues { hand_size, .. } => Some(hand_size),
            Queuing::Exempt | Queuing::None => None,
        }
    }

    /// The demand for seats since this was asked last.
    pub(crate) fn demand(&self, now: Instant) -> Observed {
        self.state.lock().demand.take(now)
    }

    /// Takes a seat, when it is this request's turn.
    pub(crate) async fn take(
        self: &Arc<Self>,
        who: Who,
        width: Width,
        hash: u64,
        deadline: Instant,
    ) -> Result<Seat, Rejection> {
        let mut place = self.arrive(who, width, hash)?;
        let Some(turn) = place.waits.as_mut() else { return Ok(Seat { _place: place }) };
        let queued = Instant::now();
        let turn = timeout_at(deadline, turn).await;
        let figures = place.who.figures.clone();
        match turn {
            Ok(Ok(begun)) => {
                (place.waits, place.begun) = (None, Some(begun));
                figures.waited(queued.elapsed(), true);
                Ok(Seat { _place: place })
            }
            // Dropping the place takes it out of its queue.
            Ok(Err(_)) | Err(_) => {
                figures.waited(queued.elapsed(), false);
                Err(Rejection::TooLate)
            }
        }
    }

    fn arrive(self: &Arc<Self>, who: Who, width: Width, hash: u64) -> Result<Place, Rejection> {
        let mut state = self.state.lock();
        let now = state.pass();
        let id = state.next_id;
        state.next_id += 1;
        let place = |queue, waits, begun| Place { set: self.clone(), id, who: who.clone(), width, queue, waits, begun };
        let Queuing::Queues { queues, hand_size, length_max } = state.queuing else {
            if state.queuing == Queuing::None && !state.has_room(width) {
                state.counts.rejected += 1;
                return Err(Rejection::NoSeat);
            }
            state.begin(None, width, &who.figures);
            return Ok(place(None, None, Some(now)));
        };
        let queue = state.shortest(shard::hand(hash, queues, hand_size), hand_size);
        if state.seats_in_use >= state.limit && state.queues[queue].waiting.len() >= length_max {
            state.counts.rejected += 1;
            return Err(Rejection::QueueFull);
        }
        if !state.queues[queue].is_active() {
            state.queues[queue].virtual_start = state.virtual_now;
            state.active += 1;
        }
        // Nobody waits, and there is room: the queue would be left at once.
        if state.waiting == 0 && state.has_room(width) {
            state.begin(Some(queue), width, &who.figures);
            return Ok(place(Some(queue), None, Some(now)));
        }
        let (go, waits) = oneshot::channel();
        let arrived = state.virtual_now;
        who.figures.queued(width.seats_held() as i64, state.queues[queue].waiting.len() + 1);
        state.queues[queue].work_waiting += width.work();
        state.queues[queue].waiting.push_back(Waiting { id, who: who.clone(), width, arrived, at: now, go });
        state.waiting += 1;
        state.seats_waiting += width.seats_held();
        state.note_demand(now);
        state.dispatch();
        Ok(place(Some(queue), Some(waits), None))
    }
}

impl State {
    /// Lets virtual time pass.
    fn pass(&mut self) -> Instant {
        let now = Instant::now();
        if self.active > 0 {
            let used = (self.seats_in_use + self.seats_waiting).min(self.limit) as f64;
            self.virtual_now += now.duration_since(self.at).as_secs_f64() * used / self.active as f64;
        }
        self.at = now;
        now
    }

    fn note_demand(&mut self, now: Instant) {
        let seats = (self.seats_in_use + self.seats_waiting) as f64;
        self.demand.set(seats, now);
    }

    fn has_room(&self, width: Width) -> bool {
        let seats = width.seats_held();
        match self.queuing {
            Queuing::Exempt => true,
            // One that is wider than the level is alone there.
            _ if seats > self.limit => self.executing == 0,
            _ => self.seats_in_use + seats <= self.limit,
        }
    }

    /// Of a flow's queues the one with the least work before it; the first looked at changes, so that none is preferred.
    fn shortest(&mut self, hand: impl Iterator<Item = usize> + Clone, size: usize) -> usize {
        let first = self.enqueued % size;
        self.enqueued = self.enqueued.wrapping_add(1);
        let turned = hand.clone().skip(first).chain(hand.take(first));
        turned.min_by(|a, b| self.queues[*a].work_waiting.total_cmp(&self.queues[*b].work_waiting)).unwrap_or(0)
    }

    /// A request goes to work.
    fn begin(&mut self, queue: Option<usize>, width: Width, figures: &FlowFigures) {
        self.executing += 1;
        self.seats_in_use += width.seats_held();
        self.counts.dispatched += 1;
        if let Some(queue) = queue.map(|index| &mut self.queues[index]) {
            queue.executing += 1;
            queue.seats_in_use += width.seats_held();
            queue.virtual_start += width.work();
        }
        figures.begun(width.seats_held() as i64);
        let now = self.at;
        self.note_demand(now);
    }

    /// Lets as many go to work as there is room for.
    fn dispatch(&mut self) {
        while self.waiting > 0 && (self.seats_in_use < self.limit || self.queuing == Queuing::Exempt) {
            let Some(index) = self.next() else { return };
            // Nobody overtakes a wide one, or it would wait for ever.
            if !self.queues[index].waiting.front().is_some_and(|first| self.has_room(first.width)) {
                return;
            }
            let queue = &mut self.queues[index];
            let Some(first) = queue.waiting.pop_front() else { return };
            queue.work_waiting = if queue.waiting.is_empty() { 0.0 } else { queue.work_waiting - first.width.work() };
            self.robin = index;
            self.waiting -= 1;
            self.seats_waiting -= first.width.seats_held();
            first.who.figures.left_queue(first.width.seats_held() as i64);
            if first.go.send(self.at).is_ok() {
                self.begin(Some(index), first.width, &first.who.figures);
            } else {
                self.leave(index);
            }
            self.bound_start(index);
        }
    }

    /// The queue whose next request would be done first; those after the one that was served last come first among equals.
    fn next(&self) -> Option<usize> {
        let count = self.queues.len();
        let indices = (1..=count).map(|step| (self.robin + step) % count);
        let waiting = indices.filter_map(|index| {
            let queue = &self.queues[index];
            queue.waiting.front().map(|first| (index, queue.virtual_start + first.width.work()))
        });
        waiting.min_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(index, _)| index)
    }

    /// No request begins before it has come, in virtual time either: who was idle has saved nothing up.
    fn bound_start(&mut self, index: usize) {
        let queue = &mut self.queues[index];
        if let Some(first) = queue.waiting.front() {
            queue.virtual_start = queue.virtual_start.max(first.arrived);
        }
    }

    /// A queue has become one that nobody uses, perhaps.
    fn leave(&mut self, index: usize) {
        if !self.queues[index].is_active() {
            self.active -= 1;
        }
    }

    /// A request has given up waiting.
    fn give_up(&mut self, index: usize, id: u64) -> bool {
        let queue = &mut self.queues[index];
        let Some(position) = queue.waiting.iter().position(|waiting| waiting.id == id) else { return false };
        let Some(gone) = queue.waiting.remove(position) else { return false };
        queue.work_waiting = if queue.waiting.is_empty() { 0.0 } else { queue.work_waiting - gone.width.work() };
        self.waiting -= 1;
        self.seats_waiting -= gone.width.seats_held();
        self.counts.cancelled += 1;
        gone.who.figures.left_queue(gone.width.seats_held() as i64);
        let now = self.at;
        self.note_demand(now);
        self.leave(index);
        self.bound_start(index);
        // It may have been the wide one that everybody waited for.
        self.dispatch();
        true
    }

    /// A request's work is done; its seats may still be taken.
    fn finish(&mut self, place: &Place, took: Duration) {
        self.executing -= 1;
        if let Some(index) = place.queue {
            let queue = &mut self.queues[index];
            queue.executing -= 1;
            queue.virtual_start -= place.width.seats as f64 * (USUAL_SECONDS - took.as_secs_f64());
            self.bound_start(index);
        }
    }

    fn free(&mut self, queue: Option<usize>, width: Width) {
        self.seats_in_use -= width.seats_held();
        if let Some(index) = queue {
            self.queues[index].seats_in_use -= width.seats_held();
            self.leave(index);
        }
        let now = self.at;
        self.note_demand(now);
        self.dispatch();
    }
}

impl Queue {
    fn is_active(&self) -> bool {
        !self.waiting.is_empty() || self.seats_in_use > 0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.set.state.lock();
        let now = state.pass();
        if let (Some(waits), Some(queue)) = (&mut self.waits, self.queue) {
            // It may have been called at this very moment.
            match waits.try_recv() {
                Ok(begun) => self.begun = Some(begun),
                Err(_) => {
                    state.give_up(queue, self.id);
                    return;
                }
            }
        }
        let took = self.begun.map(|begun| now.duration_since(begun)).unwrap_or_default();
        state.finish(self, took);
        self.who.figures.ended(took);
        let (queue, width, figures) = (self.queue, self.width, self.who.figures.clone());
        let has_more = state.queuing != Queuing::Exempt && !width.after.is_zero();
        let lingers = has_more.then(tokio::runtime::Handle::try_current).and_then(Result::ok);
        match lingers {
            None => {
                figures.freed(width.seats_held() as i64);
                state.free(queue, width);
            }
            Some(runtime) => {
                let set = self.set.clone();
                runtime.spawn(async move {
                    tokio::time::sleep(width.after).await;
                    let mut state = set.state.lock();
                    state.pass();
                    figures.freed(width.seats_held() as i64);
                    state.free(queue, width);
                });
            }
        }
    }
}

/// What people see who look into a level.
pub(crate) struct Snapshot {
    pub waiting: usize,
    pub executing: usize,
    pub counts: Counts,
    pub queues: Vec<QueueSnapshot>,
}

pub(crate) struct QueueSnapshot {
    pub waiting: usize,
    pub executing: usize,
    pub seats_in_use: usize,
    pub seats_waiting: usize,
    pub virtual_start: f64,
    pub work_waiting: f64,
    pub requests: Vec<RequestSnapshot>,
}

pub(crate) struct RequestSnapshot {
    pub flow: Arc<str>,
    pub distinguisher: Arc<str>,
    pub width: Width,
    pub waits_for: Duration,
}

impl QueueSet {
    pub(crate) fn snapshot(&self) -> Snapshot {
        let state = self.state.lock();
        let request = |waiting: &Waiting| RequestSnapshot {
            flow: waiting.who.flow.clone(),
            distinguisher: waiting.who.distinguisher.clone(),
            width: waiting.width,
            waits_for: waiting.at.elapsed(),
        };
        let queue = |queue: &Queue| QueueSnapshot {
            waiting: queue.waiting.len(),
            executing: queue.executing,
            seats_in_use: queue.seats_in_use,
            seats_waiting: queue.waiting.iter().map(|waiting| waiting.width.seats_held()).sum(),
            virtual_start: queue.virtual_start,
            work_waiting: queue.work_waiting,
            requests: queue.waiting.iter().map(request).collect(),
        };
        Snapshot {
            waiting: state.waiting,
            executing: state.executing,
            counts: state.counts,
            queues: state.queues.iter().map(queue).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
