//! Timestamps: instants that remember the offset they were written with.

use std::fmt;

use jiff::civil;
use jiff::tz::TimeZone;

use crate::error::Error;

/// The first second of the year 1.
const MIN_SECONDS: i64 = -62_135_596_800;
/// The last second of the year 9999.
const MAX_SECONDS: i64 = 253_402_300_799;
const NANOS: i64 = 1_000_000_000;
const DAY_SECONDS: i64 = 86_400;

/// An instant between the years 1 and 9999.
#[derive(Clone, Copy, Debug)]
pub struct Timestamp {
    seconds: i64,
    nanos: u32,
    /// In seconds east of UTC; only for showing it.
    offset: i32,
}

impl Timestamp {
    pub(crate) fn from_seconds(seconds: i64) -> Result<Self, Error> {
        Self::new(seconds, 0, 0)
    }

    fn new(seconds: i64, nanos: u32, offset: i32) -> Result<Self, Error> {
        if !(MIN_SECONDS..=MAX_SECONDS).contains(&seconds) {
            return Err(Error::TimestampOverflow);
        }
        Ok(Self { seconds, nanos, offset })
    }

    /// Reads RFC 3339 as Go does; `None` if it is none.
    pub(crate) fn parse(text: &str) -> Option<Result<Self, Error>> {
        let bytes = text.as_bytes();
        let number = |from: usize, to: usize| -> Option<i64> {
            let digits = bytes.get(from..to)?;
            digits.iter().all(u8::is_ascii_digit).then(|| text[from..to].parse().ok())?
        };
        let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
        if separators.iter().any(|(at, separator)| bytes.get(*at) != Some(separator)) {
            return None;
        }
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        let mut at = 19;
        let mut nanos = 0;
        if matches!(bytes.get(at), Some(b'.' | b',')) {
            let digits = bytes[at + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
            if digits == 0 {
                return None;
            }
            let kept = &text[at + 1..at + 1 + digits.min(9)];
            nanos = kept.parse::<u32>().ok()? * 10_u32.pow(9 - kept.len() as u32);
            at += 1 + digits;
        }
        let offset = match &bytes[at.min(bytes.len())..] {
            b"Z" => 0,
            [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
                let (hours, minutes) = (number(at + 1, at + 3)?, number(at + 4, at + 6)?);
                if hours > 24 || minutes > 60 {
                    return None;
                }
                (hours * 3600 + minutes * 60) * if *sign == b'-' { -1 } else { 1 }
            }
            _ => return None,
        };
        let date = civil::Date::new(year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?).ok()?;
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let days = i64::from(date.since(civil::date(1970, 1, 1)).ok()?.get_days());
        let seconds = days * DAY_SECONDS + hour * 3600 + minute * 60 + second - offset;
        Some(Self::new(seconds, nanos, offset as i32))
    }

    /// Returns midnight of a date: `2006-01-02`.
    pub(crate) fn parse_date(text: &str) -> Option<Self> {
        if text.len() != 10 {
            return None;
        }
        Self::parse(&format!("{text}T00:00:00Z"))?.ok()
    }

    pub fn seconds(&self) -> i64 {
        self.seconds
    }

    /// Whether this is the first instant of the year 1.
    pub(crate) fn is_zero(&self) -> bool {
        self.seconds == MIN_SECONDS && self.nanos == 0
    }

    /// What two timestamps are compared by.
    pub(crate) fn instant(&self) -> (i64, u32) {
        (self.seconds, self.nanos)
    }

    /// Adds a duration of nanoseconds.
    pub(crate) fn plus(&self, duration: i64) -> Result<Self, Error> {
        let nanos = i64::from(self.nanos) + duration % NANOS;
        let seconds = self.seconds + duration / NANOS + nanos.div_euclid(NANOS);
        Self::new(seconds, nanos.rem_euclid(NANOS) as u32, self.offset)
    }

    /// Returns the duration since an earlier timestamp, in nanoseconds.
    pub(crate) fn since(&self, earlier: &Self) -> Result<i64, Error> {
        let seconds = (self.seconds - earlier.seconds).checked_mul(NANOS).ok_or(Error::IntOverflow)?;
        seconds.checked_add(i64::from(self.nanos) - i64::from(earlier.nanos)).ok_or(Error::IntOverflow)
    }

    /// Returns date and time of day in a zone: an IANA name or `±HH:MM`; UTC without one.
    pub(crate) fn civil(&self, zone: Option<&str>) -> Result<civil::DateTime, Error> {
        let Some(zone) = zone else { return Ok(self.with_offset(0)) };
        if let Some((hours, minutes)) = zone.split_once(':') {
            return Ok(self.with_offset(offset_seconds(zone, hours, minutes)?));
        }
        if zone.is_empty() || zone == "UTC" {
            return Ok(self.with_offset(0));
        }
        if zone.contains("..") || zone.starts_with('/') || zone.contains('\\') {
            return Err(Error::Argument("time: invalid location name".to_owned()));
        }
        let zone = TimeZone::get(zone).map_err(|_| Error::Argument(format!("unknown time zone {zone}")))?;
        // The last days of the year 9999 are beyond what jiff looks up, and no zone changes there.
        let seconds = self.seconds.clamp(MIN_SECONDS, jiff::Timestamp::MAX.as_second());
        let instant = jiff::Timestamp::from_second(seconds).map_err(|_| Error::TimestampOverflow)?;
        Ok(self.with_offset(zone.to_offset(instant).seconds()))
    }

    /// Date and time of day with an offset; without it where the calendar ends.
    fn with_offset(&self, offset: i32) -> civil::DateTime {
        let at = |seconds: i64| {
            let days = seconds.div_euclid(DAY_SECONDS);
            let date = civil::date(1970, 1, 1).checked_add(jiff::Span::new().try_days(days).ok()?).ok()?;
            let second = seconds.rem_euclid(DAY_SECONDS) as i32;
            let time = civil::Time::new(
                (second / 3600) as i8,
                (second / 60 % 60) as i8,
                (second % 60) as i8,
                self.nanos as i32,
            );
            Some(date.to_datetime(time.ok()?))
        };
        at(self.seconds + i64::from(offset)).or_else(|| at(self.seconds)).unwrap_or(civil::DateTime::MIN)
    }
}

fn offset_seconds(zone: &str, hours: &str, minutes: &str) -> Result<i32, Error> {
    let number = |text: &str| {
        let wrong = |_| Error::Argument(format!("strconv.Atoi: parsing {text:?}: invalid syntax"));
        text.strip_prefix('+').unwrap_or(text).parse::<i32>().map_err(wrong)
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let minutes = if zone.starts_with('-') { -minutes } else { minutes };
    Ok(hours.saturating_mul(60).saturating_add(minutes).saturating_mul(60))
}

/// RFC 3339, with as many digits after the second as are not zero.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.with_offset(self.offset);
        let (date, time) = (at.date(), at.time());
        write!(f, "{:04}-{:02}-{:02}", date.year(), date.month(), date.day())?;
        write!(f, "T{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())?;
        if self.nanos > 0 {
            write!(f, ".{}", format!("{:09}", self.nanos).trim_end_matches('0'))?;
        }
        match self.offset / 60 {
            0 => f.write_str("Z"),
            minutes => {
                let sign = if minutes < 0 { '-' } else { '+' };
                write!(f, "{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_read_and_written() {
        for text in [
            "2020-01-01T00:00:00Z",
            "2020-02-29T23:59:59.000000001Z",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999999Z",
            "2020-01-01T01:00:00.5+02:30",
            "2020-01-01T01:00:00-07:00",
        ] {
            assert_eq!(Timestamp::parse(text).unwrap().unwrap().to_string(), text);
        }
        for text in [
            "2020-01-01",
            "2020-01-01t00:00:00Z",
            "2020-13-01T00:00:00Z",
            "2021-02-29T00:00:00Z",
            "x",
            "2020-01-01T24:00:00Z",
        ] {
            assert!(Timestamp::parse(text).is_none(), "{text}");
        }
        assert_eq!(Timestamp::parse("9999-12-31T23:59:59-01:00").unwrap().unwrap_err(), Error::TimestampOverflow);
    }

    #[test]
    fn arithmetic() {
        let at = Timestamp::parse("2020-01-01T00:00:00.5Z").unwrap().unwrap();
        assert_eq!(at.plus(-NANOS).unwrap().to_string(), "2019-12-31T23:59:59.5Z");
        assert_eq!(at.plus(600_000_000).unwrap().to_string(), "2020-01-01T00:00:01.1Z");
        assert_eq!(at.since(&at.plus(-1).unwrap()), Ok(1));
        assert_eq!(at.civil(Some("Europe/Berlin")).unwrap().time().hour(), 1);
        assert_eq!(at.civil(Some("-02:30")).unwrap().time().hour(), 21);
        assert!(at.civil(Some("No/Where")).is_err());
    }
}
