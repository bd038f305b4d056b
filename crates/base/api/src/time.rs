//! Instants as the API writes them, and the clock that components are given.
//!
//! No component reads the time by itself: it is handed a [`Clock`], so that a test can hold time still or move it. For
//! waiting, tokio's timers serve, which a test can pause as well; [`Clock::paused`] follows them.

use jiff::Timestamp;

/// Where the time of day comes from.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Source);

#[derive(Clone, Copy, Debug)]
enum Source {
    System,
    /// Wall-clock time that advances exactly as tokio's clock does since `start`.
    Tokio {
        origin: Timestamp,
        start: tokio::time::Instant,
    },
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock for tests under tokio's paused time: it reads `origin` now and moves only as tokio's timers do.
    pub fn paused(origin: Timestamp) -> Self {
        Self(Source::Tokio { origin, start: tokio::time::Instant::now() })
    }

    pub fn now(&self) -> Timestamp {
        match self.0 {
            #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else is given")]
            Source::System => Timestamp::now(),
            Source::Tokio { origin, start } => origin + start.elapsed(),
        }
    }

    /// Nanoseconds since the epoch, as the CRI counts.
    pub fn now_nanos(&self) -> i64 {
        i64::try_from(self.now().as_nanosecond()).unwrap_or(i64::MAX)
    }

    /// Now in the form of `metav1.Time`.
    pub fn now_rfc3339(&self) -> String {
        rfc3339(self.now())
    }

    /// Now in the form of `metav1.MicroTime`.
    pub fn now_rfc3339_micro(&self) -> String {
        rfc3339_micro(self.now())
    }
}

/// `metav1.Time`: RFC 3339 in UTC, whole seconds (`2026-11-21T06:20:00Z`).
pub fn rfc3339(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `metav1.MicroTime`: RFC 3339 in UTC with six digits after the second.
pub fn rfc3339_micro(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// RFC 3339 with all nine digits and no trailing zeros, as Go's `RFC3339Nano` and CRI log lines have it.
pub fn rfc3339_nano(at: Timestamp) -> String {
    let mut text = at.strftime("%Y-%m-%dT%H:%M:%S.%9f").to_string();
    while text.ends_with('0') {
        text.pop();
    }
    if text.ends_with('.') {
        text.pop();
    }
    text.push('Z');
    text
}

/// Reads any RFC 3339 instant, with or without fraction and offset.
pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    // jiff also takes forms that RFC 3339 does not have, such as a date alone or a space for the T.
    let bytes = text.as_bytes();
    let shaped = bytes.len() >= 20 && bytes[4] == b'-' && bytes[7] == b'-' && matches!(bytes[10], b'T' | b't');
    if !shaped {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        let at = parse_rfc3339("2026-11-21T07:20:00.012030+01:00").unwrap();
        assert_eq!(rfc3339(at), "2026-11-21T06:20:00Z");
        assert_eq!(rfc3339_micro(at), "2026-11-21T06:20:00.012030Z");
        assert_eq!(rfc3339_nano(at), "2026-11-21T06:20:00.01203Z");
        assert_eq!(rfc3339_nano(parse_rfc3339("2026-11-21T06:20:00Z").unwrap()), "2026-11-21T06:20:00Z");
        assert!(parse_rfc3339("2026-11-21").is_none());
        assert!(parse_rfc3339("2026-11-21 06:20:00Z").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_clock_follows_tokio() {
        let origin = parse_rfc3339("2026-11-21T06:20:00Z").unwrap();
        let clock = Clock::paused(origin);
        tokio::time::advance(std::time::Duration::from_secs(90)).await;
        assert_eq!(clock.now_rfc3339(), "2026-11-21T06:21:30Z");
    }
}
