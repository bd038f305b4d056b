//! Schedules of cron: when they are due, and what is wrong with those that cannot be read.
//!
//! Five fields, or `@daily` and its like, or `@every 1h30m`, in a time zone. Source: github.com/robfig/cron v3, the standard parser,
//! whose words the errors have.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

use crate::time::parse_duration;

/// What never comes within this time never comes.
const YEARS_MAX: i16 = 5;

#[derive(Clone, Debug)]
pub struct Schedule {
    zone: TimeZone,
    when: When,
}

#[derive(Clone, Debug)]
enum When {
    Fields(Box<Fields>),
    Every(Duration),
}

/// The numbers that each field allows, as bits.
#[derive(Clone, Debug)]
struct Fields {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Both kinds of day must match: one of the two was a star. Otherwise one is enough.
    all_days: bool,
}

/// Why a text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("expected exactly 5 fields, found {}: [{}]", .0.len(), .0.join(" "))]
    Count(Vec<String>),
    #[error("unrecognized descriptor: {0}")]
    Descriptor(String),
    #[error("failed to parse duration {text}: time: invalid duration {interval:?}")]
    Interval { text: String, interval: String },
    #[error("provided bad location {zone}: {source}")]
    Location { zone: String, source: UnknownZone },
    #[error("failed to parse int from {0}: strconv.Atoi: parsing {0:?}: invalid syntax")]
    Number(String),
    #[error("negative number ({number}) not allowed: {text}")]
    Negative { number: i64, text: String },
    #[error("too many hyphens: {0}")]
    Hyphens(String),
    #[error("too many slashes: {0}")]
    Slashes(String),
    #[error("beginning of range ({start}) below minimum ({least}): {text}")]
    Low { start: u64, least: u64, text: String },
    #[error("end of range ({end}) above maximum ({most}): {text}")]
    High { end: u64, most: u64, text: String },
    #[error("beginning of range ({start}) beyond end of range ({end}): {text}")]
    Backwards { start: u64, end: u64, text: String },
    #[error("step of range should be a positive number: {0}")]
    Step(String),
}

/// A name that the database of time zones does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown time zone {0}")]
pub struct UnknownZone(pub String);

/// The time zone of a name; an empty one is UTC, as for Go.
pub fn time_zone(name: &str) -> Result<TimeZone, UnknownZone> {
    match name {
        "" | "UTC" => Ok(TimeZone::UTC),
        name => TimeZone::get(name).map_err(|_| UnknownZone(name.to_owned())),
    }
}

/// What a field may say.
struct Field {
    least: u64,
    most: u64,
    /// Names of the numbers, starting with the least.
    names: &'static [&'static str],
}

const MINUTES: Field = Field { least: 0, most: 59, names: &[] };
const HOURS: Field = Field { least: 0, most: 23, names: &[] };
const DAYS: Field = Field { least: 1, most: 31, names: &[] };
const MONTHS: Field = Field {
    least: 1,
    most: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const WEEKDAYS: Field = Field { least: 0, most: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

impl Schedule {
    /// Reads a schedule. A zone that it names itself goes before `zone`.
    pub fn parse(text: &str, zone: TimeZone) -> Result<Self, ParseError> {
        let named = text.strip_prefix("TZ=").or_else(|| text.strip_prefix("CRON_TZ="));
        let (zone, rest) = match named.map(|named| named.split_once(' ').unwrap_or((named, ""))) {
            None => (zone, text),
            Some((name, rest)) => {
                let bad = |source| ParseError::Location { zone: name.to_owned(), source };
                (time_zone(name).map_err(bad)?, rest.trim())
            }
        };
        Ok(Self { zone, when: When::parse(rest)? })
    }

    /// The first time after `after`; `None` when there is none, as for the 31st of February.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.when {
            When::Every(interval) => after.checked_add(*interval).ok().map(whole_second),
            When::Fields(fields) => fields.next(&after.to_zoned(self.zone.clone())),
        }
    }
}

fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

impl When {
    fn parse(text: &str) -> Result<Self, ParseError> {
        let fields = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            text if text.starts_with('@') => match text.strip_prefix("@every ") {
                Some(interval) => return Self::every(text, interval),
                None => return Err(ParseError::Descriptor(text.to_owned())),
            },
            text => text,
        };
        Fields::parse(fields).map(|fields| Self::Fields(Box::new(fields)))
    }

    /// Whole seconds, and one at least.
    fn every(text: &str, interval: &str) -> Result<Self, ParseError> {
        let bad = || ParseError::Interval { text: text.to_owned(), interval: interval.to_owned() };
        let nanos = parse_duration(interval).ok_or_else(bad)?;
        let seconds = u64::try_from(nanos / 1_000_000_000).unwrap_or(0).max(1);
        Ok(Self::Every(Duration::from_secs(seconds)))
    }
}

impl Fields {
    fn parse(text: &str) -> Result<Self, ParseError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = words[..] else {
            return Err(ParseError::Count(words.into_iter().map(str::to_owned).collect()));
        };
        let is_star = |text: &str| text.split(',').any(|part| matches!(part, "*" | "?" | "*/1" | "?/1"));
        Ok(Self {
            minutes: MINUTES.parse(minutes)?,
            hours: HOURS.parse(hours)?,
            days: DAYS.parse(days)?,
            months: MONTHS.parse(months)?,
            weekdays: WEEKDAYS.parse(weekdays)?,
            all_days: is_star(days) || is_star(weekdays),
        })
    }

    fn has_day(&self, at: &Zoned) -> bool {
        let of_month = has(self.days, at.day());
        let of_week = has(self.weekdays, at.weekday().to_sunday_zero_offset());
        if self.all_days { of_month && of_week } else { of_month || of_week }
    }

    /// Steps over what does not match, the longest stretches first.
    fn next(&self, after: &Zoned) -> Option<Timestamp> {
        let start_of_minute = after.with().second(0).subsec_nanosecond(0).build().ok()?;
        let mut at = start_of_minute.checked_add(1.minute()).ok()?;
        let last_year = after.year() + YEARS_MAX;
        while at.year() <= last_year {
            at = if !has(self.months, at.month()) {
                at.first_of_month().ok()?.checked_add(1.month()).ok()?.start_of_day().ok()?
            } else if !self.has_day(&at) {
                at.tomorrow().ok()?.start_of_day().ok()?
            } else if !has(self.hours, at.hour()) {
                // In absolute time, so that an hour that a clock change repeats is not lost.
                at.checked_sub(i64::from(at.minute()).minutes()).ok()?.checked_add(1.hour()).ok()?
            } else if !has(self.minutes, at.minute()) {
                at.checked_add(1.minute()).ok()?
            } else {
                return Some(at.timestamp());
            };
        }
        None
    }
}

fn has(set: u64, number: i8) -> bool {
    u32::try_from(number).is_ok_and(|number| set.checked_shr(number).is_some_and(|rest| rest & 1 == 1))
}

impl Field {
    /// The numbers that a text allows, as bits.
    fn parse(&self, text: &str) -> Result<u64, ParseError> {
        let ranges = text.split(',').filter(|range| !range.is_empty());
        ranges.map(|range| self.range(range)).try_fold(0, |set, bits| Ok(set | bits?))
    }

    fn range(&self, text: &str) -> Result<u64, ParseError> {
        let parts: Vec<&str> = text.split('/').collect();
        let limits: Vec<&str> = parts[0].split('-').collect();
        let (start, mut end) = match limits[..] {
            ["*" | "?", ..] => (self.least, self.most),
            [only] => {
                let only = self.number(only)?;
                (only, only)
            }
            [start, end] => (self.number(start)?, self.number(end)?),
            _ => {
                self.number(limits[0])?;
                return Err(ParseError::Hyphens(text.to_owned()));
            }
        };
        let step = match parts[..] {
            [_] => 1,
            [_, step] => {
                let step = number(step)?;
                // `5/10` means from 5 on.
                if limits.len() == 1 {
                    end = self.most;
                }
                step
            }
            _ => return Err(ParseError::Slashes(text.to_owned())),
        };
        let text = || text.to_owned();
        if start < self.least {
            return Err(ParseError::Low { start, least: self.least, text: text() });
        }
        if end > self.most {
            return Err(ParseError::High { end, most: self.most, text: text() });
        }
        if start > end {
            return Err(ParseError::Backwards { start, end, text: text() });
        }
        let step = usize::try_from(step).ok().filter(|step| *step > 0).ok_or_else(|| ParseError::Step(text()))?;
        Ok((start..=end).step_by(step).fold(0, |set, number| set | 1 << number))
    }

    fn number(&self, text: &str) -> Result<u64, ParseError> {
        let named = self.names.iter().zip(self.least..).find(|(name, _)| name.eq_ignore_ascii_case(text));
        named.map_or_else(|| number(text), |(_, number)| Ok(number))
    }
}

fn number(text: &str) -> Result<u64, ParseError> {
    let number: i64 = text.parse().map_err(|_| ParseError::Number(text.to_owned()))?;
    u64::try_from(number).map_err(|_| ParseError::Negative { number, text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use crate::time::{parse_rfc3339, rfc3339};

    use super::*;

    fn next(schedule: &str, zone: &str, after: &str) -> Option<String> {
        let schedule = Schedule::parse(schedule, time_zone(zone).unwrap()).unwrap();
        schedule.next(parse_rfc3339(after).unwrap()).map(rfc3339)
    }

    #[test]
    fn times() {
        for (schedule, zone, after, expected) in [
            ("* * * * *", "", "2026-11-21T06:00:00Z", "2026-11-21T06:01:00Z"),
            ("*/15 * * * *", "", "2026-11-21T06:46:10Z", "2026-11-21T07:00:00Z"),
            ("5/20 * * * *", "", "2026-11-21T06:46:00Z", "2026-11-21T07:05:00Z"),
            ("0 9 * * mon-fri", "", "2026-11-21T06:00:00Z", "2026-11-23T09:00:00Z"),
            ("0 0 1 jan *", "", "2026-11-21T06:00:00Z", "2027-01-01T00:00:00Z"),
            ("0 0 13 * fri", "", "2026-11-21T06:00:00Z", "2026-11-27T00:00:00Z"),
            ("0 0 29 2 *", "", "2026-11-21T06:00:00Z", "2028-02-29T00:00:00Z"),
            ("@hourly", "", "2026-11-21T06:30:00Z", "2026-11-21T07:00:00Z"),
            ("@every 90s", "", "2026-11-21T06:00:00Z", "2026-11-21T06:01:30Z"),
            ("0 9 * * *", "Europe/Berlin", "2026-11-21T08:30:00Z", "2026-11-22T08:00:00Z"),
            ("TZ=Asia/Kolkata 30 0 * * *", "", "2026-11-21T06:00:00Z", "2026-11-21T19:00:00Z"),
            // There is no 02:30 on the day when summer time begins.
            ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-30T00:30:00Z"),
        ] {
            assert_eq!(next(schedule, zone, after).as_deref(), Some(expected), "{schedule} {zone} {after}");
        }
        assert_eq!(next("59 23 31 2 *", "", "2026-11-21T06:00:00Z"), None);
    }

    #[test]
    fn unreadable() {
        for schedule in ["* * * * *", "*/5 0-6 1,15 jan MON-fri", "@daily", "@every 1h30m", "TZ=UTC 0 0 * * ?"] {
            assert!(Schedule::parse(schedule, TimeZone::UTC).is_ok(), "{schedule}");
        }
        for (schedule, problem) in [
            ("", "expected exactly 5 fields, found 0: []"),
            ("* *", "expected exactly 5 fields, found 2: [* *]"),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("5-2 * * * *", "beginning of range (5) beyond end of range (2): 5-2"),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
            ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
            ("1/2/3 * * * *", "too many slashes: 1/2/3"),
            ("-1 * * * *", "failed to parse int from : strconv.Atoi: parsing \"\": invalid syntax"),
            ("x * * * *", "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax"),
            ("@now", "unrecognized descriptor: @now"),
            ("@every x", "failed to parse duration @every x: time: invalid duration \"x\""),
            ("TZ=X/Y * * * * *", "provided bad location X/Y: unknown time zone X/Y"),
        ] {
            assert_eq!(Schedule::parse(schedule, TimeZone::UTC).unwrap_err().to_string(), problem, "{schedule}");
        }
    }
}
