//! Whether a text is a schedule of cron.
//!
//! Source: github.com/robfig/cron v3, `parser.go`, the standard parser.

use windlass_api::time::parse_duration;

struct Field {
    least: u64,
    most: u64,
    /// Names of the numbers, starting with the least.
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const FIELDS: [Field; 5] = [
    Field { least: 0, most: 59, names: &[] },
    Field { least: 0, most: 23, names: &[] },
    Field { least: 1, most: 31, names: &[] },
    Field { least: 1, most: 12, names: &MONTHS },
    Field { least: 0, most: 6, names: &DAYS },
];
const DESCRIPTORS: [&str; 7] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/// What is wrong with a schedule.
pub(super) fn check(schedule: &str) -> Result<(), String> {
    let mut rest = schedule;
    if schedule.starts_with("TZ=") || schedule.starts_with("CRON_TZ=") {
        let (zone, after) = schedule.split_once(' ').unwrap_or((schedule, ""));
        let zone = zone.split_once('=').map_or("", |(_, zone)| zone);
        super::validation::time_zone(zone).map_err(|problem| format!("provided bad location {zone}: {problem}"))?;
        rest = after.trim();
    }
    if rest.starts_with('@') {
        return descriptor(rest);
    }
    let fields: Vec<&str> = rest.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    }
    for (text, field) in fields.into_iter().zip(&FIELDS) {
        for range in text.split(',').filter(|range| !range.is_empty()) {
            check_range(range, field)?;
        }
    }
    Ok(())
}

fn descriptor(text: &str) -> Result<(), String> {
    if DESCRIPTORS.contains(&text) {
        return Ok(());
    }
    let Some(interval) = text.strip_prefix("@every ") else {
        return Err(format!("unrecognized descriptor: {text}"));
    };
    match parse_duration(interval) {
        Some(_) => Ok(()),
        None => Err(format!("failed to parse duration {text}: time: invalid duration {interval:?}")),
    }
}

fn check_range(text: &str, field: &Field) -> Result<(), String> {
    let parts: Vec<&str> = text.split('/').collect();
    let limits: Vec<&str> = parts[0].split('-').collect();
    let (start, mut end) = match limits[..] {
        ["*" | "?", ..] => (field.least, field.most),
        [only] => {
            let only = number_or_name(only, field)?;
            (only, only)
        }
        [start, end] => (number_or_name(start, field)?, number_or_name(end, field)?),
        _ => {
            number_or_name(limits[0], field)?;
            return Err(format!("too many hyphens: {text}"));
        }
    };
    let step = match parts[..] {
        [_] => 1,
        [_, step] => {
            let step = parse_number(step)?;
            if limits.len() == 1 {
                end = field.most;
            }
            step
        }
        _ => return Err(format!("too many slashes: {text}")),
    };
    if start < field.least {
        return Err(format!("beginning of range ({start}) below minimum ({}): {text}", field.least));
    }
    if end > field.most {
        return Err(format!("end of range ({end}) above maximum ({}): {text}", field.most));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {text}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    Ok(())
}

fn number_or_name(text: &str, field: &Field) -> Result<u64, String> {
    match field.names.iter().zip(field.least..).find(|(name, _)| name.eq_ignore_ascii_case(text)) {
        Some((_, number)) => Ok(number),
        None => parse_number(text),
    }
}

fn parse_number(text: &str) -> Result<u64, String> {
    let number: i64 = text
        .parse()
        .map_err(|_| format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax"))?;
    u64::try_from(number).map_err(|_| format!("negative number ({number}) not allowed: {text}"))
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn schedules() {
        for schedule in ["* * * * *", "*/5 0-6 1,15 jan MON-fri", "@daily", "@every 1h30m", "TZ=UTC 0 0 * * ?"] {
            assert_eq!(check(schedule), Ok(()), "{schedule}");
        }
        let problem = |schedule| check(schedule).unwrap_err();
        assert_eq!(problem("* *"), "expected exactly 5 fields, found 2: [* *]");
        assert_eq!(problem("60 * * * *"), "end of range (60) above maximum (59): 60");
        assert_eq!(problem("* * 0 * *"), "beginning of range (0) below minimum (1): 0");
        assert_eq!(problem("5-2 * * * *"), "beginning of range (5) beyond end of range (2): 5-2");
        assert_eq!(problem("*/0 * * * *"), "step of range should be a positive number: */0");
        assert_eq!(problem("x * * * *"), "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax");
        assert_eq!(problem("@now"), "unrecognized descriptor: @now");
    }
}
