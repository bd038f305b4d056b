//! What a level could have used over a period: the seats that were taken or waited for, weighted by how long.

use tokio::time::Instant;

/// A quantity over time.
#[derive(Debug)]
pub(crate) struct Integrator {
    value: f64,
    since: Instant,
    seconds: f64,
    sum: f64,
    squares: f64,
    most: f64,
}

/// A period's figures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Observed {
    pub average: f64,
    pub deviation: f64,
    pub most: f64,
}

impl Integrator {
    pub(crate) fn new() -> Self {
        Self { value: 0.0, since: Instant::now(), seconds: 0.0, sum: 0.0, squares: 0.0, most: 0.0 }
    }

    pub(crate) fn set(&mut self, value: f64, now: Instant) {
        self.pass(now);
        self.value = value;
        self.most = self.most.max(value);
    }

    fn pass(&mut self, now: Instant) {
        let passed = now.duration_since(self.since).as_secs_f64();
        self.since = now;
        self.seconds += passed;
        self.sum += passed * self.value;
        self.squares += passed * self.value * self.value;
    }

    /// The figures up to now; a new period begins.
    pub(crate) fn take(&mut self, now: Instant) -> Observed {
        self.pass(now);
        let average = if self.seconds > 0.0 { self.sum / self.seconds } else { self.value };
        let variance = if self.seconds > 0.0 { self.squares / self.seconds - average * average } else { 0.0 };
        let observed = Observed { average, deviation: variance.max(0.0).sqrt(), most: self.most };
        (self.seconds, self.sum, self.squares, self.most) = (0.0, 0.0, 0.0, self.value);
        observed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_weighs() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut seats = Integrator::new();
        seats.set(10.0, at(0));
        seats.set(0.0, at(5));
        let observed = seats.take(at(10));
        assert_eq!((observed.average, observed.deviation, observed.most), (5.0, 5.0, 10.0));
        seats.set(3.0, at(10));
        assert_eq!(seats.take(at(20)), Observed { average: 3.0, deviation: 0.0, most: 3.0 });
    }
}
