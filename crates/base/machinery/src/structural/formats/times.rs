//! Dates, times and durations.

use windlass_api::time::parse_duration;

/// `2006-01-02`, a day that there is.
pub(super) fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return false;
    }
    let number = |from: usize, to: usize| {
        let digits = &bytes[from..to];
        let value = digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit.wrapping_sub(b'0')));
        digits.iter().all(u8::is_ascii_digit).then_some(value)
    };
    let (Some(year), Some(month), Some(day)) = (number(0, 4), number(5, 7), number(8, 10)) else { return false };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => return false,
    };
    (1..=days).contains(&day)
}

/// `2006-01-02T15:04:05.999Z`. Of the offset only the digits are looked at, and of what follows on a second `t`, nothing.
pub(super) fn is_date_time(text: &str) -> bool {
    let text = text.to_lowercase();
    let mut parts = text.split('t');
    let (Some(date), Some(time)) = (parts.next(), parts.next()) else { return false };
    is_date(date) && is_time(time)
}

fn is_time(text: &str) -> bool {
    let Some((clock, rest)) = text.split_at_checked(8) else { return false };
    let shaped = clock.bytes().enumerate().all(|(place, byte)| match place {
        2 | 5 => byte == b':',
        _ => byte.is_ascii_digit(),
    });
    if !shaped || &clock[..2] > "23" || &clock[3..5] > "59" || &clock[6..] > "59" {
        return false;
    }
    is_zone(rest) || is_zone(after_fraction(rest))
}

/// What follows on a fraction, which any character may begin.
fn after_fraction(text: &str) -> &str {
    let mut chars = text.chars();
    if chars.next() == Some('\n') {
        return "";
    }
    let digits = chars.as_str();
    let rest = digits.trim_start_matches(|c: char| c.is_ascii_digit());
    if rest.len() == digits.len() { "" } else { rest }
}

fn is_zone(text: &str) -> bool {
    let is_offset = |text: &str| {
        text.len() == 6
            && text.bytes().enumerate().all(|(place, byte)| match place {
                0 => matches!(byte, b'+' | b'-'),
                3 => byte == b':',
                _ => byte.is_ascii_digit(),
            })
    };
    text == "z" || is_offset(text)
}

const UNITS: [&[&str]; 8] = [
    &["ns", "nano"],
    &["us", "µs", "micro"],
    &["ms", "milli"],
    &["s", "sec"],
    &["m", "min"],
    &["h", "hr", "hour"],
    &["d", "day"],
    &["w", "wk", "week"],
];

/// A duration as Go writes it, or any text with a number and a unit (`3 days`). What follows on the unit's name does not count.
pub(super) fn is_duration(text: &str) -> bool {
    // A sign alone is no duration.
    let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
    if has_digit && parse_duration(text).is_some() {
        return true;
    }
    let mut found = false;
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        rest = &rest[start..];
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let number = &rest[..rest.len() - after.len()];
        let word = after.trim_start_matches(['\t', '\n', '\x0c', '\r', ' ']);
        rest = word.trim_start_matches(|c: char| c.is_ascii_alphabetic() || c == 'µ');
        let unit = word[..word.len() - rest.len()].to_lowercase();
        if unit.is_empty() {
            continue;
        }
        if number.parse::<i64>().is_err() {
            return false;
        }
        found |= UNITS.iter().any(|names| {
            names.contains(&unit.as_str()) || names.last().is_some_and(|longest| unit.starts_with(longest))
        });
    }
    found
}
