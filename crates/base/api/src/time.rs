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
    text.parse().ok().or_else(|| a_year_earlier(text).map(|_| Timestamp::MAX))
}

/// Reads an instant and writes it anew, also where it comes after [`Timestamp::MAX`].
pub fn rewrite_rfc3339(text: &str, write: fn(Timestamp) -> String) -> Option<String> {
    let at = parse_rfc3339(text)?;
    if at < Timestamp::MAX {
        return Some(write(at));
    }
    Some(format!("9999{}", write(a_year_earlier(text)?).strip_prefix("9998")?))
}

/// The year 9999 ends a day later in RFC 3339 than in jiff, and people write its last second for "never".
fn a_year_earlier(text: &str) -> Option<Timestamp> {
    format!("9998{}", text.strip_prefix("9999")?).parse().ok()
}

/// Reads a duration as Go writes it: `1h5m0.5s`, `300ms`, `-2s`; nanoseconds.
pub fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || whole.len() > 19 {
            return None;
        }
        total += whole.parse::<i128>().unwrap_or(0) * unit;
        let fraction = &fraction[..fraction.len().min(18)];
        if !fraction.is_empty() {
            total += fraction.parse::<i128>().ok()? * unit / 10_i128.pow(fraction.len() as u32);
        }
        rest = after;
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

/// Writes a duration of nanoseconds as Go does: `1h5m0.5s`, `300ms`, `0s`.
pub fn format_duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let decimal = |value: u64, unit: u64| {
        let text = format!("{}.{:0width$}", value / unit, value % unit, width = unit.ilog10() as usize);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{nanos}ns"),
        1_000..1_000_000 => format!("{sign}{}µs", decimal(nanos, 1_000)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", decimal(nanos, 1_000_000)),
        _ => {
            let minutes = nanos / 60_000_000_000;
            let seconds = decimal(nanos % 60_000_000_000, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
            }
        }
    }
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
        for (text, anew) in [
            ("9999-12-31T23:59:59.999999Z", Some("9999-12-31T23:59:59Z")),
            ("9999-12-31T23:00:00+01:00", Some("9999-12-31T22:00:00Z")),
            ("9999-12-30T10:00:00Z", Some("9999-12-30T10:00:00Z")),
            ("9999-12-32T00:00:00Z", None),
            ("9999-02-29T00:00:00Z", None),
        ] {
            assert_eq!(rewrite_rfc3339(text, rfc3339).as_deref(), anew, "{text}");
            assert_eq!(parse_rfc3339(text).is_some(), anew.is_some(), "{text}");
        }
        assert_eq!(parse_rfc3339("9999-12-31T23:59:59Z"), Some(Timestamp::MAX));
        assert!(parse_rfc3339("2026-11-21").is_none());
        assert!(parse_rfc3339("2026-11-21 06:20:00Z").is_none());
    }

    #[test]
    fn durations() {
        for text in ["0s", "1ns", "1.5µs", "300ms", "1s", "1m0s", "1h5m0.5s", "-2s", "24h0m0s"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
        assert_eq!(parse_duration("1.5h"), Some(5_400_000_000_000));
        for bad in ["", "1", "s", "1x", "1.2.3s", "--1s", "99999999999h"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_clock_follows_tokio() {
        let origin = parse_rfc3339("2026-11-21T06:20:00Z").unwrap();
        let clock = Clock::paused(origin);
        tokio::time::advance(std::time::Duration::from_secs(90)).await;
        assert_eq!(clock.now_rfc3339(), "2026-11-21T06:21:30Z");
    }
}
