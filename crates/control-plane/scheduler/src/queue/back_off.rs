//! How long a pod pauses after it could not be scheduled.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const MAX: Duration = Duration::from_secs(10);

/// The pause after so many attempts.
pub(super) fn pause(attempts: u32) -> Duration {
    FIRST.saturating_mul(1 << attempts.saturating_sub(1).min(10)).min(MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double() {
        let seconds: Vec<u64> = (0..7).map(|attempts| pause(attempts).as_secs()).collect();
        assert_eq!(seconds, [1, 1, 2, 4, 8, 10, 10]);
    }
}
