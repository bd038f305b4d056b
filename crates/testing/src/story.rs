//! What happened in a run, in order, for whoever has to understand a failure.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Lines that are kept; of a longer story the beginning is dropped.
const LINES_MAX: usize = 4000;

/// A list of what happened, with the time since the start; cloning shares it.
#[derive(Clone, Debug)]
pub struct Story {
    start: Instant,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Default for Story {
    fn default() -> Self {
        Self { start: Instant::now(), lines: Arc::default() }
    }
}

impl Story {
    pub fn tell(&self, what: impl fmt::Display) {
        let mut lines = self.lines.lock();
        if lines.len() >= LINES_MAX {
            lines.drain(..LINES_MAX / 2);
        }
        lines.push(format!("{:>10.3} s  {what}", self.start.elapsed().as_secs_f64()));
    }
}

impl fmt::Display for Story {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.lines.lock();
        lines.iter().try_for_each(|line| writeln!(formatter, "{line}"))
    }
}
