//! The pauses before pods that failed are replaced: 10 s, doubled with each failure since the last success, 10 min at most.

use std::time::Duration;

use windlass_api::Timestamp;

use super::view::finished_at;
use crate::pods::Pod;

const FIRST: Duration = Duration::from_secs(10);
const MAX: Duration = Duration::from_secs(10 * 60);

/// How a job's pods fared lately. It is remembered by the controller only: a new process starts afresh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Backoff {
    failures: i64,
    last_failure: Option<Timestamp>,
}

impl Backoff {
    /// With pods that have ended since.
    pub(super) fn after(self, succeeded: &[&Pod], failed: &[&Pod]) -> Self {
        let last_success = succeeded.iter().filter_map(|pod| finished_at(pod)).max();
        let failures: Vec<Option<Timestamp>> = failed.iter().map(|pod| finished_at(pod)).collect();
        if succeeded.is_empty() {
            let last_failure = failures.iter().flatten().max().copied().max(self.last_failure);
            return Self { failures: self.failures + count(&failures), last_failure };
        }
        let later: Vec<Option<Timestamp>> = failures.into_iter().filter(|at| *at > last_success).collect();
        Self { failures: count(&later), last_failure: later.into_iter().flatten().max() }
    }

    pub(super) fn remaining(self, now: Timestamp) -> Duration {
        remaining(self.failures, self.last_failure, now)
    }
}

fn count(failures: &[Option<Timestamp>]) -> i64 {
    i64::try_from(failures.len()).unwrap_or(i64::MAX)
}

/// What is left of the pause after so many failures, the last of them at a time.
pub(super) fn remaining(failures: i64, last_failure: Option<Timestamp>, now: Timestamp) -> Duration {
    let (Some(last_failure), 1..) = (last_failure, failures) else { return Duration::ZERO };
    let doublings = u32::try_from(failures - 1).unwrap_or(u32::MAX);
    let pause = 2_u32.checked_pow(doublings).map_or(MAX, |factor| FIRST.saturating_mul(factor)).min(MAX);
    let elapsed = Duration::try_from(now.duration_since(last_failure)).unwrap_or_default();
    pause.saturating_sub(elapsed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use windlass_api::time::parse_rfc3339;

    use super::*;

    fn pod(second: u32) -> Pod {
        let at = format!("2026-11-21T06:00:{second:02}Z");
        serde_json::from_value(
            json!({"status": {"containerStatuses": [{"state": {"terminated": {"finishedAt": at}}}]}}),
        )
        .unwrap()
    }

    #[test]
    fn pauses_grow_until_a_success() {
        let now = parse_rfc3339("2026-11-21T06:00:30Z").unwrap();
        let (early, late, success) = (pod(10), pod(25), pod(15));
        let once = Backoff::default().after(&[], &[&late]);
        assert_eq!(once.remaining(now), Duration::from_secs(5));
        assert_eq!(once.after(&[], &[&early]).remaining(now), Duration::from_secs(15));
        assert_eq!(once.after(&[&success], &[&early]).remaining(now), Duration::ZERO);
        assert_eq!(once.after(&[&success], &[&early, &late]).remaining(now), Duration::from_secs(5));
        assert_eq!(Backoff::default().remaining(now), Duration::ZERO);
        assert_eq!(remaining(100, Some(now), now), MAX);
    }
}
