//! When to try again, and how long to wait before.

use std::time::Duration;

/// Exponential backoff with a bound for the number of attempts and for one wait.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    pub base: Duration,
    pub max: Duration,
    /// How often one request is sent at most; a download that has moved on since counts anew.
    pub attempts_max: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_millis(500), max: Duration::from_secs(20), attempts_max: 5 }
    }
}

impl Backoff {
    /// How long to wait after the `attempt`-th failure (counted from 1), or `None` to give up. `random` spreads clients that
    /// failed at the same time over the second half of the wait. A server's own wish (`Retry-After`) is honoured up to `max`.
    pub fn delay(&self, attempt: u32, retry_after_seconds: Option<u64>, random: u8) -> Option<Duration> {
        if attempt >= self.attempts_max {
            return None;
        }
        let exponential = self.base.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(self.max);
        let spread = exponential / 2 + exponential.mul_f64(f64::from(random) / 512.0);
        Some(retry_after_seconds.map_or(spread, |wish| Duration::from_secs(wish).min(self.max).max(spread)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays() {
        let backoff = Backoff { base: Duration::from_millis(100), max: Duration::from_secs(1), attempts_max: 6 };
        let ms = |attempt, wish, random| backoff.delay(attempt, wish, random).map(|d| d.as_millis());
        assert_eq!(ms(1, None, 0), Some(50));
        assert_eq!(ms(1, None, 255), Some(99));
        assert_eq!(ms(3, None, 0), Some(200));
        assert_eq!(ms(5, None, 255), Some(998), "never more than the maximum");
        assert_eq!(ms(6, None, 0), None);
        assert_eq!(ms(1, Some(0), 0), Some(50));
        assert_eq!(ms(1, Some(9999), 0), Some(1000));
    }
}
