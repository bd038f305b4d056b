//! When a CronJob is due: the five fields of cron, or `@daily` and its like, or `@every 1h30m`, in a time zone. Pure.
//!
//! Source: github.com/robfig/cron v3, the standard parser. The API server has refused what cannot be read, so errors are short here.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{ToSpan, Zoned};
use windlass_api::Timestamp;
use windlass_api::time::parse_duration;

/// What never comes within this time never comes.
const YEARS_MAX: i16 = 5;

#[derive(Clone, Debug)]
pub(super) struct Schedule {
    zone: TimeZone,
    when: When,
}

#[derive(Clone, Debug)]
enum When {
    Fields(Box<Fields>),
    Every(Duration),
}

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

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreadable(String);

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Schedule {
    /// Reads a schedule. A zone that it names itself goes before `zone`.
    pub(super) fn parse(text: &str, zone: TimeZone) -> Result<Self, Unreadable> {
        let named = text.strip_prefix("TZ=").or_else(|| text.strip_prefix("CRON_TZ="));
        let (zone, rest) = match named.map(|named| named.split_once(' ').unwrap_or((named, ""))) {
            None => (zone, text),
            Some((name, rest)) => {
                let bad = |_| Unreadable(format!("provided bad location {name}"));
                (time_zone(name).map_err(bad)?, rest.trim())
            }
        };
        Ok(Self { zone, when: When::parse(rest)? })
    }

    /// The first time after `after`; `None` when there is none, as for the 31st of February.
    pub(super) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.when {
            When::Every(interval) => after.checked_add(*interval).ok().map(whole_second),
            When::Fields(fields) => fields.next(&after.to_zoned(self.zone.clone())),
        }
    }
}

fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

pub(super) fn time_zone(name: &str) -> Result<TimeZone, jiff::Error> {
    match name {
        "" | "UTC" => Ok(TimeZone::UTC),
        name => TimeZone::get(name),
    }
}

impl When {
    fn parse(text: &str) -> Result<Self, Unreadable> {
        let fields = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            text => match text.strip_prefix("@every ") {
                Some(interval) => return Self::every(interval),
                None => text,
            },
        };
        Fields::parse(fields).map(|fields| Self::Fields(Box::new(fields)))
    }

    /// Whole seconds, and one at least.
    fn every(interval: &str) -> Result<Self, Unreadable> {
        let nanos =
            parse_duration(interval).ok_or_else(|| Unreadable(format!("failed to parse duration {interval}")))?;
        let seconds = u64::try_from(nanos / 1_000_000_000).unwrap_or(0).max(1);
        Ok(Self::Every(Duration::from_secs(seconds)))
    }
}

impl Fields {
    fn parse(text: &str) -> Result<Self, Unreadable> {
        const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
        const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
        let words: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = words[..] else {
            return Err(Unreadable(format!("expected exactly 5 fields, found {}: [{}]", words.len(), words.join(" "))));
        };
        let is_star = |text: &str| text.split(',').any(|part| matches!(part, "*" | "?" | "*/1" | "?/1"));
        Ok(Self {
            minutes: field(minutes, 0, 59, &[])?,
            hours: field(hours, 0, 23, &[])?,
            days: field(days, 1, 31, &[])?,
            months: field(months, 1, 12, MONTHS)?,
            weekdays: field(weekdays, 0, 6, DAYS)?,
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

/// The numbers of a field, as bits.
fn field(text: &str, least: u64, most: u64, names: &[&str]) -> Result<u64, Unreadable> {
    let mut set = 0;
    for range in text.split(',').filter(|range| !range.is_empty()) {
        set |= bits(range, least, most, names).ok_or_else(|| Unreadable(format!("failed to parse range: {range}")))?;
    }
    Ok(set)
}

fn bits(range: &str, least: u64, most: u64, names: &[&str]) -> Option<u64> {
    let number = |text: &str| {
        let named = names.iter().zip(least..).find(|(name, _)| name.eq_ignore_ascii_case(text));
        named.map(|(_, number)| number).or_else(|| text.parse().ok())
    };
    let (limits, step) = match range.split_once('/') {
        Some((limits, step)) => (limits, Some(step.parse::<usize>().ok().filter(|step| *step > 0)?)),
        None => (range, None),
    };
    let (start, end) = match limits.split_once('-') {
        _ if limits.starts_with(['*', '?']) => (least, most),
        Some((start, end)) => (number(start)?, number(end)?),
        // `5/10` means from 5 on.
        None if step.is_some() => (number(limits)?, most),
        None => (number(limits)?, number(limits)?),
    };
    let is_valid = least <= start && start <= end && end <= most;
    is_valid.then(|| (start..=end).step_by(step.unwrap_or(1)).fold(0, |set, number| set | 1 << number))
}

#[cfg(test)]
mod tests {
    use windlass_api::time::{parse_rfc3339, rfc3339};

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
        for schedule in
            ["", "* * * *", "60 * * * *", "* * 0 * *", "5-2 * * * *", "*/0 * * * *", "@now", "TZ=X/Y * * * * *"]
        {
            assert!(Schedule::parse(schedule, TimeZone::UTC).is_err(), "{schedule}");
        }
    }
}
