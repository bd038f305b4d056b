//! When those who are turned away shall come again: the later, the more of them there are. Source: apiserver
//! `pkg/util/flowcontrol/dropped_requests_tracker.go`.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::time::Instant;

const SECONDS_MAX: u32 = 32;

pub(crate) struct RetryAfter {
    begun: Instant,
    state: Mutex<State>,
}

struct State {
    seconds: u32,
    changed: u64,
    /// How many were turned away in which second, the last at the end.
    history: VecDeque<(u64, u64)>,
}

impl RetryAfter {
    pub(crate) fn new() -> Self {
        let state = State { seconds: 1, changed: 0, history: VecDeque::new() };
        Self { begun: Instant::now(), state: Mutex::new(state) }
    }

    /// Counts one more, and says when he shall come again.
    pub(crate) fn turned_away(&self) -> u32 {
        let second = self.begun.elapsed().as_secs();
        let mut state = self.state.lock();
        match state.history.back_mut() {
            Some((last, count)) if *last == second => *count += 1,
            _ => state.begin(second),
        }
        state.seconds
    }
}

impl State {
    fn begin(&mut self, second: u64) {
        let wait = u64::from(self.seconds);
        let recent: u64 = self.history.iter().filter(|(at, _)| second - at <= wait).map(|(_, count)| count).sum();
        if second - self.changed >= wait && recent >= 3 * wait {
            self.seconds = (self.seconds * 2).min(SECONDS_MAX);
            self.changed = second;
        } else if recent < wait && self.seconds > 1 {
            self.seconds -= 1;
        }
        let kept = u64::from((2 * self.seconds).min(SECONDS_MAX));
        self.history.retain(|(at, _)| second - at <= kept);
        self.history.push_back((second, 1));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_grows_with_the_crowd_and_shrinks_again() {
        let retry = RetryAfter::new();
        for _ in 0..120 {
            for _ in 0..100 {
                retry.turned_away();
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(retry.turned_away(), 32);
        for _ in 0..100 {
            tokio::time::advance(Duration::from_secs(40)).await;
            retry.turned_away();
        }
        assert_eq!(retry.turned_away(), 1);
    }
}
