//! Events that are delivered later, several at a time, while requests go on.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::sink::Sink;

/// How events are gathered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchOptions {
    /// Events that may wait; what comes when so many do is lost.
    pub buffer: usize,
    pub events_max: usize,
    /// How long a batch that is not full waits. One of a single event never does.
    pub wait_max: Duration,
    pub throttle: Option<Throttle>,
    /// Whether batches may be on their way side by side.
    pub side_by_side: bool,
}

/// How often a batch may be sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Throttle {
    pub per_second: f64,
    /// So many at once, after a while without any.
    pub burst: u32,
}

/// What is too large. Sizes are those of events as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncation {
    /// A larger event loses its objects, and if that is not enough, is not recorded.
    pub event_bytes_max: usize,
    /// A larger batch is sent as several.
    pub batch_bytes_max: usize,
}

enum Taken {
    Event(Vec<u8>),
    /// Whoever asks wants to know when all that came before has been delivered.
    Flush(oneshot::Sender<()>),
}

/// The way to the task that delivers.
pub(crate) struct Batcher {
    events: mpsc::Sender<Taken>,
}

impl Batcher {
    pub(crate) fn start(sink: Arc<Sink>, options: BatchOptions, truncation: Option<Truncation>) -> Self {
        let (events, taken) = mpsc::channel(options.buffer.max(1));
        let bytes_max = truncation.map_or(usize::MAX, |truncation| truncation.batch_bytes_max);
        let gatherer = Gatherer {
            sink,
            options,
            bytes_max,
            taken,
            pace: options.throttle.map(Pace::new),
            sending: JoinSet::new(),
        };
        tokio::spawn(gatherer.run());
        Self { events }
    }

    /// Takes an event, if there is room for it.
    pub(crate) fn take(&self, event: Vec<u8>) -> Result<(), &'static str> {
        self.events.try_send(Taken::Event(event)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => "audit buffer queue blocked",
            mpsc::error::TrySendError::Closed(_) => "audit backend shut down",
        })
    }

    pub(crate) async fn flush(&self) {
        let (done, is_done) = oneshot::channel();
        if self.events.send(Taken::Flush(done)).await.is_ok() {
            // An error means that the task has gone, and nothing can be waited for.
            let _ = is_done.await;
        }
    }
}

struct Gatherer {
    sink: Arc<Sink>,
    options: BatchOptions,
    bytes_max: usize,
    taken: mpsc::Receiver<Taken>,
    pace: Option<Pace>,
    sending: JoinSet<bool>,
}

impl Gatherer {
    async fn run(mut self) {
        loop {
            let (batch, end) = self.gather().await;
            self.send(batch).await;
            match end {
                End::Full => {}
                End::Flush(done) => {
                    while self.sending.join_next().await.is_some() {}
                    // Whoever asked may have lost patience.
                    let _ = done.send(());
                }
                End::Closed => break,
            }
        }
        while self.sending.join_next().await.is_some() {}
    }

    /// Gathers events until there are enough, or the first has waited long enough.
    async fn gather(&mut self) -> (Vec<Vec<u8>>, End) {
        let mut batch = Vec::new();
        let mut until = None;
        while batch.len() < self.options.events_max {
            let next = match until {
                None => self.taken.recv().await,
                Some(until) => match timeout_at(until, self.taken.recv()).await {
                    Ok(next) => next,
                    Err(_) => break,
                },
            };
            match next {
                Some(Taken::Event(event)) => batch.push(event),
                Some(Taken::Flush(done)) => return (batch, End::Flush(done)),
                None => return (batch, End::Closed),
            }
            until.get_or_insert_with(|| Instant::now() + self.options.wait_max);
        }
        (batch, End::Full)
    }

    async fn send(&mut self, batch: Vec<Vec<u8>>) {
        for part in parts(batch, self.bytes_max) {
            if let Some(pace) = &mut self.pace {
                pace.wait().await;
            }
            while self.sending.try_join_next().is_some() {}
            let sink = self.sink.clone();
            if self.options.side_by_side {
                self.sending.spawn(async move { sink.deliver(&part).await });
            } else {
                sink.deliver(&part).await;
            }
        }
    }
}

/// Why a batch ends.
enum End {
    Full,
    Flush(oneshot::Sender<()>),
    Closed,
}

/// A batch in parts that are not too large.
fn parts(batch: Vec<Vec<u8>>, bytes_max: usize) -> Vec<Vec<Vec<u8>>> {
    let mut parts: Vec<Vec<Vec<u8>>> = Vec::new();
    let mut bytes = 0;
    for event in batch {
        match parts.last_mut() {
            Some(part) if bytes + event.len() <= bytes_max => {
                bytes += event.len();
                part.push(event);
            }
            _ => {
                bytes = event.len();
                parts.push(vec![event]);
            }
        }
    }
    parts
}

/// A bucket of tokens.
struct Pace {
    throttle: Throttle,
    tokens: f64,
    at: Instant,
}

impl Pace {
    fn new(throttle: Throttle) -> Self {
        Self { throttle, tokens: f64::from(throttle.burst), at: Instant::now() }
    }

    /// Waits for a token, and takes it.
    async fn wait(&mut self) {
        let Throttle { per_second, burst } = self.throttle;
        let now = Instant::now();
        let gained = now.duration_since(self.at).as_secs_f64() * per_second;
        self.tokens = (self.tokens + gained).min(f64::from(burst)) - 1.0;
        self.at = now;
        if self.tokens < 0.0 {
            sleep_until(now + Duration::from_secs_f64(-self.tokens / per_second)).await;
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn options() -> BatchOptions {
        BatchOptions {
            buffer: 100,
            events_max: 2,
            wait_max: Duration::from_secs(30),
            throttle: None,
            side_by_side: false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_pace_is_kept() {
        let began = Instant::now();
        let mut pace = Pace::new(Throttle { per_second: 10.0, burst: 5 });
        for _ in 0..25 {
            pace.wait().await;
        }
        let took = began.elapsed().as_secs_f64();
        assert!((1.9..2.1).contains(&took), "{took}");
    }
}
