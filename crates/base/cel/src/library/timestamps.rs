//! Parts of timestamps and durations.

use jiff::civil::DateTime;

use crate::error::Error;
use crate::functions::{Declared, declared};
use crate::value::Value;

type Outcome<'a> = Result<Value<'a>, Error>;

pub(super) const FUNCTIONS: &[Declared] = &[
    declared("timestamp_to_year", "getFullYear", "timestamp.() -> int", year),
    declared("timestamp_to_year_with_tz", "getFullYear", "timestamp.(string) -> int", year),
    declared("timestamp_to_month", "getMonth", "timestamp.() -> int", month),
    declared("timestamp_to_month_with_tz", "getMonth", "timestamp.(string) -> int", month),
    declared("timestamp_to_day_of_year", "getDayOfYear", "timestamp.() -> int", day_of_year),
    declared("timestamp_to_day_of_year_with_tz", "getDayOfYear", "timestamp.(string) -> int", day_of_year),
    declared("timestamp_to_day_of_month", "getDayOfMonth", "timestamp.() -> int", day_of_month),
    declared("timestamp_to_day_of_month_with_tz", "getDayOfMonth", "timestamp.(string) -> int", day_of_month),
    declared("timestamp_to_day_of_month_1_based", "getDate", "timestamp.() -> int", date),
    declared("timestamp_to_day_of_month_1_based_with_tz", "getDate", "timestamp.(string) -> int", date),
    declared("timestamp_to_day_of_week", "getDayOfWeek", "timestamp.() -> int", day_of_week),
    declared("timestamp_to_day_of_week_with_tz", "getDayOfWeek", "timestamp.(string) -> int", day_of_week),
    declared("timestamp_to_hours", "getHours", "timestamp.() -> int", hours),
    declared("timestamp_to_hours_with_tz", "getHours", "timestamp.(string) -> int", hours),
    declared("duration_to_hours", "getHours", "duration.() -> int", hours),
    declared("timestamp_to_minutes", "getMinutes", "timestamp.() -> int", minutes),
    declared("timestamp_to_minutes_with_tz", "getMinutes", "timestamp.(string) -> int", minutes),
    declared("duration_to_minutes", "getMinutes", "duration.() -> int", minutes),
    declared("timestamp_to_seconds", "getSeconds", "timestamp.() -> int", seconds),
    declared("timestamp_to_seconds_tz", "getSeconds", "timestamp.(string) -> int", seconds),
    declared("duration_to_seconds", "getSeconds", "duration.() -> int", seconds),
    declared("timestamp_to_milliseconds", "getMilliseconds", "timestamp.() -> int", milliseconds),
    declared("timestamp_to_milliseconds_with_tz", "getMilliseconds", "timestamp.(string) -> int", milliseconds),
    declared("duration_to_milliseconds", "getMilliseconds", "duration.() -> int", milliseconds),
];

/// A part of a timestamp in a zone, or a duration in whole units.
fn part<'a>(args: &[Value<'a>], of: fn(DateTime) -> i64, unit_nanos: i64) -> Outcome<'a> {
    match args {
        [Value::Duration(nanos)] => Ok(Value::Int(nanos / unit_nanos)),
        [Value::Timestamp(at)] => Ok(Value::Int(of(at.civil(None)?))),
        [Value::Timestamp(at), Value::String(zone)] => Ok(Value::Int(of(at.civil(Some(zone.as_str()))?))),
        _ => Err(Error::NoSuchOverload),
    }
}

fn year<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    part(args, |at| at.year().into(), 1)
}

// Upstream counts months, days of the year and days of the month from 0.

fn month<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    part(args, |at| i64::from(at.month()) - 1, 1)
}

fn day_of_year<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    part(args, |at| i64::from(at.day_of_year()) - 1, 1)
}

fn day_of_month<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    part(args, |at| i64::from(at.day()) - 1, 1)
}

fn date<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    part(args, |at| at.day().into(), 1)
}

fn day_of_week<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    part(args, |at| at.weekday().to_sunday_zero_offset().into(), 1)
}

fn hours<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    part(args, |at| at.hour().into(), 3_600_000_000_000)
}

fn minutes<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    part(args, |at| at.minute().into(), 60_000_000_000)
}

fn seconds<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    part(args, |at| at.second().into(), 1_000_000_000)
}

fn milliseconds<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    part(args, |at| at.millisecond().into(), 1_000_000)
}
