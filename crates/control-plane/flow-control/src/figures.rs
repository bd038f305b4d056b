//! What is measured, under upstream's names.

use std::time::Duration;

use windlass_telemetry::{Counter, CounterFamily, Gauge, GaugeFamily, Histogram, HistogramFamily, Metrics};

use crate::demand::Observed;

/// The families.
pub(crate) struct Figures {
    rejected: CounterFamily,
    dispatched: CounterFamily,
    waiting: GaugeFamily,
    waiting_seats: GaugeFamily,
    executing: GaugeFamily,
    executing_seats: GaugeFamily,
    lengths: HistogramFamily,
    waits: HistogramFamily,
    executions: HistogramFamily,
    estimates: HistogramFamily,
    of_levels: [GaugeFamily; 5],
}

/// What is measured of a level, in this order.
const OF_LEVELS: [(&str, &str); 5] = [
    (
        "apiserver_flowcontrol_nominal_limit_seats",
        "Nominal number of execution seats configured for each priority level",
    ),
    (
        "apiserver_flowcontrol_lower_limit_seats",
        "Configured lower bound on number of execution seats available to each priority level",
    ),
    (
        "apiserver_flowcontrol_upper_limit_seats",
        "Configured upper bound on number of execution seats available to each priority level",
    ),
    (
        "apiserver_flowcontrol_current_limit_seats",
        "current derived number of execution seats available to each priority level",
    ),
    (
        "apiserver_flowcontrol_demand_seats_high_watermark",
        "High watermark, over last adjustment period, of demand_seats",
    ),
];

const QUEUE_LENGTHS: [f64; 11] = [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0];
const SECONDS: [f64; 16] = [0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0];
const SEATS: [f64; 7] = [1.0, 2.0, 4.0, 10.0, 20.0, 50.0, 100.0];

impl Figures {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        const FLOW: [&str; 2] = ["priority_level", "flow_schema"];
        let gauges = |name, help| metrics.gauges(name, help, &FLOW);
        Self {
            rejected: metrics.counters(
                "apiserver_flowcontrol_rejected_requests_total",
                "Number of requests rejected by API Priority and Fairness subsystem",
                &["priority_level", "flow_schema", "reason"],
            ),
            dispatched: metrics.counters(
                "apiserver_flowcontrol_dispatched_requests_total",
                "Number of requests executed by API Priority and Fairness subsystem",
                &FLOW,
            ),
            waiting: gauges(
                "apiserver_flowcontrol_current_inqueue_requests",
                "Number of requests currently pending in queues of the API Priority and Fairness subsystem",
            ),
            waiting_seats: gauges(
                "apiserver_flowcontrol_current_inqueue_seats",
                "Number of seats currently pending in queues of the API Priority and Fairness subsystem",
            ),
            executing: gauges(
                "apiserver_flowcontrol_current_executing_requests",
                "Number of requests in initial (for a WATCH) or any (for a non-WATCH) execution stage in the API Priority and Fairness subsystem",
            ),
            executing_seats: gauges(
                "apiserver_flowcontrol_current_executing_seats",
                "Concurrency (number of seats) occupied by the currently executing (initial stage for a WATCH, any stage otherwise) requests in the API Priority and Fairness subsystem",
            ),
            lengths: metrics.histograms(
                "apiserver_flowcontrol_request_queue_length_after_enqueue",
                "Length of queue in the API Priority and Fairness subsystem, as seen by each request after it is enqueued",
                &FLOW,
                &QUEUE_LENGTHS,
            ),
            waits: metrics.histograms(
                "apiserver_flowcontrol_request_wait_duration_seconds",
                "Length of time a request spent waiting in its queue",
                &["priority_level", "flow_schema", "execute"],
                &SECONDS,
            ),
            executions: metrics.histograms(
                "apiserver_flowcontrol_request_execution_seconds",
                "Duration of initial stage (for a WATCH) or any (for a non-WATCH) stage of request execution in the API Priority and Fairness subsystem",
                &FLOW,
                &SECONDS,
            ),
            estimates: metrics.histograms(
                "apiserver_flowcontrol_work_estimated_seats",
                "Number of estimated seats (maximum of initial and final seats) associated with requests in API Priority and Fairness",
                &FLOW,
                &SEATS,
            ),
            of_levels: OF_LEVELS.map(|(name, help)| metrics.gauges(name, help, &["priority_level"])),
        }
    }
}

/// What is measured of a level.
pub(crate) struct LevelFigures([Gauge; 5]);

impl LevelFigures {
    pub(crate) fn new(figures: &Figures, level: &str) -> Self {
        Self(figures.of_levels.each_ref().map(|family| family.with_label_values(&[level])))
    }

    /// Of its own, and the least and the most that it may have.
    pub(crate) fn bounds(&self, seats: [usize; 3]) {
        for (gauge, seats) in self.0.iter().zip(seats) {
            gauge.set(seats as i64);
        }
    }

    pub(crate) fn limit(&self, seats: usize) {
        self.0[3].set(seats as i64);
    }

    pub(crate) fn demand(&self, observed: Observed) {
        self.0[4].set(observed.most as i64);
    }
}

/// Why a request got no seat, as metrics name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    NoSeat,
    QueueFull,
    TooLate,
}

/// What is measured of the requests of a FlowSchema.
pub(crate) struct FlowFigures {
    rejected: [Counter; 3],
    dispatched: Counter,
    waiting: Gauge,
    waiting_seats: Gauge,
    executing: Gauge,
    executing_seats: Gauge,
    lengths: Histogram,
    waits: [Histogram; 2],
    executions: Histogram,
    estimates: Histogram,
}

impl FlowFigures {
    pub(crate) fn new(figures: &Figures, level: &str, flow: &str) -> Self {
        let names = [level, flow];
        let rejected = |reason| figures.rejected.with_label_values(&[level, flow, reason]);
        Self {
            rejected: ["concurrency-limit", "queue-full", "time-out"].map(rejected),
            dispatched: figures.dispatched.with_label_values(&names),
            waiting: figures.waiting.with_label_values(&names),
            waiting_seats: figures.waiting_seats.with_label_values(&names),
            executing: figures.executing.with_label_values(&names),
            executing_seats: figures.executing_seats.with_label_values(&names),
            lengths: figures.lengths.with_label_values(&names),
            waits: ["false", "true"].map(|executed| figures.waits.with_label_values(&[level, flow, executed])),
            executions: figures.executions.with_label_values(&names),
            estimates: figures.estimates.with_label_values(&names),
        }
    }

    pub(crate) fn estimated(&self, seats: usize) {
        self.estimates.observe(seats as f64);
    }

    pub(crate) fn rejected(&self, why: Rejection) {
        self.rejected[why as usize].inc();
    }

    pub(crate) fn queued(&self, seats: i64, length: usize) {
        self.waiting.inc();
        self.waiting_seats.add(seats);
        self.lengths.observe(length as f64);
    }

    pub(crate) fn left_queue(&self, seats: i64) {
        self.waiting.dec();
        self.waiting_seats.sub(seats);
    }

    pub(crate) fn waited(&self, time: Duration, is_executed: bool) {
        self.waits[usize::from(is_executed)].observe(time.as_secs_f64());
    }

    pub(crate) fn begun(&self, seats: i64) {
        self.dispatched.inc();
        self.executing.inc();
        self.executing_seats.add(seats);
    }

    pub(crate) fn ended(&self, took: Duration) {
        self.executing.dec();
        self.executions.observe(took.as_secs_f64());
    }

    pub(crate) fn freed(&self, seats: i64) {
        self.executing_seats.sub(seats);
    }
}
