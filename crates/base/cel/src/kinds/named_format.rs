//! Formats by name, and what they say of texts.

use std::sync::LazyLock;

use windlass_api::names;
use windlass_regexp::{Limits, Pattern, PatternError};

use super::url;
use crate::kinds::timestamp::Timestamp;

/// A format: its name in expressions, its title, what it says of a text, and how long upstream takes its pattern to be.
#[derive(Debug)]
pub struct NamedFormat {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) validate: fn(&str) -> Vec<String>,
    pub(crate) pattern_length: u64,
}

const fn format(
    name: &'static str,
    title: &'static str,
    length: u64,
    validate: fn(&str) -> Vec<String>,
) -> NamedFormat {
    NamedFormat { name, title, validate, pattern_length: length }
}

pub(crate) static FORMATS: [NamedFormat; 13] = [
    format("dns1123Label", "DNS1123Label", 30, names::dns1123_label),
    format("dns1123Subdomain", "DNS1123Subdomain", 60, names::dns1123_subdomain),
    format("dns1035Label", "DNS1035Label", 30, names::dns1035_label),
    format("qualifiedName", "QualifiedName", 60, names::qualified_name),
    format("dns1123LabelPrefix", "DNS1123LabelPrefix", 30, |text| names::prefix_of(names::dns1123_label, text)),
    format("dns1123SubdomainPrefix", "DNS1123SubdomainPrefix", 60, |text| {
        names::prefix_of(names::dns1123_subdomain, text)
    }),
    format("dns1035LabelPrefix", "DNS1035LabelPrefix", 30, |text| names::prefix_of(names::dns1035_label, text)),
    format("labelValue", "LabelValue", 40, names::label_value),
    format("uri", "URI", 1103, |text| url::why_not_a_request_uri(text).into_iter().collect()),
    format("uuid", "uuid", 70, |text| unless(is_uuid(text), "does not match the UUID format")),
    format("byte", "byte", 84, |text| unless(is_base64(text), "invalid base64")),
    format("date", "date", 71, |text| unless(Timestamp::parse_date(text).is_some(), "invalid date")),
    format("datetime", "datetime", 71, |text| unless(is_date_time(text), "invalid datetime")),
];

fn unless(holds: bool, problem: &str) -> Vec<String> {
    if holds { Vec::new() } else { vec![problem.to_owned()] }
}

fn is_uuid(text: &str) -> bool {
    // Five groups, with or without the dashes between them.
    let mut rest = text;
    for (index, length) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if index > 0 {
            rest = rest.strip_prefix('-').unwrap_or(rest);
        }
        let Some(group) = rest.get(..length) else { return false };
        if !group.bytes().all(|b| b.is_ascii_hexdigit()) {
            return false;
        }
        rest = &rest[length..];
    }
    rest.is_empty()
}

fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !text.is_empty()
        && text.len().is_multiple_of(4)
        && text.len() - body.len() <= 2
        && body.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
}

static TIME: LazyLock<Result<Pattern, PatternError>> = LazyLock::new(|| {
    let time = "^([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))$";
    Pattern::parse(time, Limits::OF_EXPRESSIONS.each)
});

fn is_date_time(text: &str) -> bool {
    let lower = text.to_lowercase();
    let mut parts = lower.split('t');
    let (Some(date), Some(time)) = (parts.next(), parts.next()) else { return false };
    Timestamp::parse_date(date).is_some()
        && TIME.as_ref().is_ok_and(|pattern| pattern.is_match(time) == Ok(true))
        && time[..2] <= *"23"
        && time[3..5] <= *"59"
        && time[6..8] <= *"59"
}
