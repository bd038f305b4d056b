//! The small rules that validation of all kinds is made of. Each adds what is wrong to a list of errors.

use std::net::IpAddr;

use serde_json::{Map, Value};
use windlass_api::field::{Error, Errors, Path, complaints};
use windlass_api::names;
use windlass_api::text::quoted;
use windlass_machinery::tree::{items, text};

use crate::address;
use crate::go_form::invalid_structure;

/// A rule of [`names`]: the complaints about a text.
pub(crate) type NameRule = fn(&str) -> Vec<String>;

pub(crate) const NOT_NEGATIVE: &str = "must be greater than or equal to 0";
pub(crate) const IMMUTABLE: &str = "field is immutable";

/// A field that is there and not null.
pub(crate) fn at<'a>(owner: &'a Value, field: &str) -> Option<&'a Value> {
    owner.get(field).filter(|value| !value.is_null())
}

/// A field that is an object.
pub(crate) fn object_at<'a>(owner: &'a Value, field: &str) -> Option<&'a Value> {
    owner.get(field).filter(|value| value.is_object())
}

pub(crate) fn is_true(owner: &Value, field: &str) -> bool {
    owner.get(field) == Some(&Value::Bool(true))
}

pub(crate) fn map_at<'a>(owner: &'a Value, field: &str) -> Option<&'a Map<String, Value>> {
    owner.get(field).and_then(Value::as_object)
}

/// The texts of a list.
pub(crate) fn texts<'a>(owner: &'a Value, field: &str) -> impl Iterator<Item = &'a str> {
    items(owner, field).map(|item| item.as_str().unwrap_or(""))
}

/// A text field that must not be empty; whether it is there.
pub(crate) fn required(errors: &mut Errors, owner: &Value, path: &Path<'_>, field: &str) -> bool {
    let is_there = !text(owner, field).is_empty();
    if !is_there {
        errors.push(Error::required(&path.child(field), ""));
    }
    is_there
}

/// Adds the complaints of a rule of [`names`].
pub(crate) fn complain(errors: &mut Errors, path: &Path<'_>, value: &str, problems: Vec<String>) {
    if !problems.is_empty() {
        errors.extend(complaints(path, value, problems));
    }
}

/// One of the words that are allowed.
pub(crate) fn supported(errors: &mut Errors, path: &Path<'_>, value: &str, allowed: &[&str]) {
    if !allowed.contains(&value) {
        errors.push(Error::not_supported(path, value, allowed));
    }
}

/// One of the words that are allowed, or nothing, which is another complaint.
pub(crate) fn required_of(errors: &mut Errors, path: &Path<'_>, value: &str, allowed: &[&str]) {
    if value.is_empty() {
        errors.push(Error::required(path, ""));
    } else {
        supported(errors, path, value, allowed);
    }
}

pub(crate) fn non_negative(errors: &mut Errors, path: &Path<'_>, value: i64) {
    if value < 0 {
        errors.push(Error::invalid(path, value, NOT_NEGATIVE));
    }
}

pub(crate) fn within(errors: &mut Errors, path: &Path<'_>, value: i64, least: i64, most: i64) {
    if !(least..=most).contains(&value) {
        errors.push(Error::invalid(path, value, format!("must be between {least} and {most}, inclusive")));
    }
}

/// The id of a user or group.
pub(crate) fn user_id(errors: &mut Errors, path: &Path<'_>, owner: &Value, field: &str) {
    if let Some(id) = owner.get(field).and_then(Value::as_i64) {
        within(errors, &path.child(field), id, 0, i64::from(i32::MAX));
    }
}

/// A port by number or by name.
pub(crate) fn port(errors: &mut Errors, path: &Path<'_>, value: Option<&Value>) {
    match value {
        Some(Value::String(name)) => complain(errors, path, name, names::port_name(name)),
        value => {
            let number = value.and_then(Value::as_i64).unwrap_or(0);
            port_number(errors, path, number);
        }
    }
}

pub(crate) fn port_number(errors: &mut Errors, path: &Path<'_>, number: i64) {
    for detail in names::port_number(number) {
        errors.push(Error::invalid(path, number, detail));
    }
}

/// The key of a label.
pub(crate) fn label_name(errors: &mut Errors, path: &Path<'_>, key: &str) {
    complain(errors, path, key, names::qualified_name(key));
}

/// Labels of something, or selectors that are plain labels.
pub(crate) fn labels(errors: &mut Errors, path: &Path<'_>, owner: &Value, field: &str) {
    if let Some(map) = map_at(owner, field) {
        let path = path.child(field);
        for (key, value) in map {
            label_name(errors, &path, key);
            let value = value.as_str().unwrap_or_default();
            complain(errors, &path, value, names::label_value(value));
        }
    }
}

/// What annotations may have together.
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

/// What is wrong with the labels and annotations of `metadata`.
pub(crate) fn labels_and_annotations(errors: &mut Errors, metadata: &Value, path: &Path<'_>) {
    labels(errors, path, metadata, "labels");
    let annotations = path.child("annotations");
    let mut size = 0;
    for (key, value) in metadata.get("annotations").and_then(Value::as_object).into_iter().flatten() {
        complain(errors, &annotations, key, names::qualified_name(&key.to_lowercase()));
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > ANNOTATIONS_BYTES_MAX {
        errors.push(Error::too_long(&annotations, ANNOTATIONS_BYTES_MAX));
    }
}

/// Whether a requirement of a selector has values where its operator wants them. Others than these four are not judged.
pub fn requirement_values(errors: &mut Errors, requirement: &Value, path: &Path<'_>) {
    let count = items(requirement, "values").count();
    match text(requirement, "operator") {
        "In" | "NotIn" if count == 0 => {
            let detail = "must be specified when `operator` is 'In' or 'NotIn'";
            errors.push(Error::required(&path.child("values"), detail));
        }
        "Exists" | "DoesNotExist" if count > 0 => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(Error::forbidden(&path.child("values"), detail));
        }
        _ => {}
    }
}

/// A label selector structure.
pub(crate) fn label_selector(errors: &mut Errors, path: &Path<'_>, selector: Option<&Value>) {
    let Some(selector) = selector.filter(|selector| selector.is_object()) else { return };
    labels(errors, path, selector, "matchLabels");
    let expressions = path.child("matchExpressions");
    for (index, requirement) in items(selector, "matchExpressions").enumerate() {
        let path = expressions.index(index);
        requirement_values(errors, requirement, &path);
        match text(requirement, "operator") {
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => {
                errors.push(Error::invalid(&path.child("operator"), other, "not a valid selector operator"));
            }
        }
        label_name(errors, &path.child("key"), text(requirement, "key"));
        let values = path.child("values");
        for (at, value) in texts(requirement, "values").enumerate() {
            complain(errors, &values.index(at), value, names::label_value(value));
        }
    }
}

/// Whether a selector structure selects everything: it is there and empty.
pub(crate) fn is_empty_selector(selector: Option<&Value>) -> bool {
    let is_empty = |selector: &Value, field: &str| match selector.get(field) {
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        _ => true,
    };
    selector.is_some_and(|s| s.is_object() && is_empty(s, "matchLabels") && is_empty(s, "matchExpressions"))
}

/// An address. An old field takes one that is not in its canonical spelling ([`address::warning`]).
pub(crate) fn ip(errors: &mut Errors, path: &Path<'_>, value: &str) -> Option<IpAddr> {
    let detail = match (value.parse::<IpAddr>(), address::sloppy(value)) {
        (Ok(address), _) if address.to_canonical() == address => return Some(address),
        (Ok(_), _) => "must not be an IPv4-mapped IPv6 address",
        (Err(_), Some(_)) => "must not have leading 0s",
        (Err(_), None) => "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
    };
    errors.push(Error::invalid(path, value, detail));
    None
}

/// An address in its canonical spelling.
pub(crate) fn canonical_ip(errors: &mut Errors, path: &Path<'_>, value: &str) -> Option<IpAddr> {
    let address = ip(errors, path, value)?;
    if address.to_string() != value {
        errors.push(Error::invalid(path, value, format!("must be in canonical form (\"{address}\")")));
    }
    Some(address)
}

/// An address that endpoints may have: not one that means something else on every machine.
pub(crate) fn endpoint_ip(errors: &mut Errors, path: &Path<'_>, value: &str) {
    let Ok(address) = value.parse::<IpAddr>() else {
        // Leading zeros are complained of already.
        if value.split('.').count() != 4 || value.split('.').any(|part| part.parse::<u8>().is_err()) {
            errors.push(Error::invalid(path, value, "must be a valid IP address"));
        }
        return;
    };
    let (link_local, local_multicast) = match address {
        IpAddr::V4(v4) => (v4.is_link_local(), v4.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(v6) => (v6.is_unicast_link_local(), v6.segments()[0] & 0xff0f == 0xff02),
    };
    let details = [
        (address.is_unspecified(), format!("may not be unspecified ({value})")),
        (address.is_loopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned()),
        (link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned()),
        (local_multicast, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned()),
    ];
    errors
        .extend(details.into_iter().filter(|(holds, _)| *holds).map(|(_, detail)| Error::invalid(path, value, detail)));
}

/// A range of addresses. An old field takes one that is not in its canonical spelling ([`address::range_warning`]).
pub(crate) fn cidr(errors: &mut Errors, path: &Path<'_>, value: &str) -> Option<ipnet::IpNet> {
    let (written, length) = value.split_once('/').unwrap_or((value, ""));
    let has_zeros = written.parse::<IpAddr>().is_err() || address::has_leading_zeros(length);
    let detail = match value.parse::<ipnet::IpNet>() {
        Ok(_) if has_zeros => "must not have leading 0s in IP or prefix length",
        Ok(net) if net.addr().to_canonical() != net.addr() => "must not have an IPv4-mapped IPv6 address",
        Ok(net) if net.trunc() == net => return Some(net),
        Ok(_) => "must not have bits set beyond the prefix length",
        Err(_) => "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
    };
    errors.push(Error::invalid(path, value, detail));
    None
}

/// The port of a Service's or an endpoint's list: a name where there are several, a number, a protocol.
pub(crate) fn named_port(errors: &mut Errors, port: &Value, path: &Path<'_>, needs_name: bool, name_rule: NameRule) {
    let name = text(port, "name");
    if needs_name && name.is_empty() {
        errors.push(Error::required(&path.child("name"), ""));
    } else if !name.is_empty() {
        complain(errors, &path.child("name"), name, name_rule(name));
    }
    port_number(errors, &path.child("port"), windlass_machinery::tree::number(port, "port"));
    required_of(errors, &path.child("protocol"), text(port, "protocol"), &["SCTP", "TCP", "UDP"]);
}

pub(crate) fn app_protocol(errors: &mut Errors, port: &Value, path: &Path<'_>) {
    if let Some(protocol) = at(port, "appProtocol").and_then(Value::as_str) {
        complain(errors, &path.child("appProtocol"), protocol, names::qualified_name(protocol));
    }
}

/// Something that an update may not change.
pub(crate) fn immutable(errors: &mut Errors, path: &Path<'_>, new: Option<&Value>, old: Option<&Value>) {
    let (new, old) = (new.unwrap_or(&Value::Null), old.unwrap_or(&Value::Null));
    if new != old {
        errors.push(Error::invalid(path, new.clone(), IMMUTABLE));
    }
}

/// The name of a driver of devices or storage, where the rules that are declared with the API's types look at it.
pub(crate) fn driver_name(errors: &mut Errors, name: &str, path: &Path<'_>) {
    const CHARACTERS_MAX: usize = 63;
    if name.is_empty() {
        errors.push(Error::required(path, ""));
        return;
    }
    complain(errors, path, name, names::long_name(name, true));
    if name.chars().count() > CHARACTERS_MAX {
        let detail = format!("may not be more than {CHARACTERS_MAX} characters");
        errors.push(Error { detail, ..Error::too_long(path, CHARACTERS_MAX) });
    }
}

/// A structure that an update may not change; a complaint shows it whole, as [`invalid_structure`] does.
pub(crate) fn immutable_structure(
    errors: &mut Errors,
    path: &Path<'_>,
    type_name: &str,
    new: Option<&Value>,
    old: Option<&Value>,
) {
    if new.unwrap_or(&Value::Null) != old.unwrap_or(&Value::Null) {
        errors.push(invalid_structure(path, type_name, new.unwrap_or(&Value::Null), IMMUTABLE));
    }
}

/// Annotations have the keys of labels, whatever their case.
pub(crate) fn annotations(errors: &mut Errors, path: &Path<'_>, owner: &Value) {
    let path = path.child("annotations");
    for (key, _) in map_at(owner, "annotations").into_iter().flatten() {
        complain(errors, &path, key, names::qualified_name(&key.to_lowercase()));
    }
}

/// The name of a signer of certificates, `domain/path`: a domain of at least two labels, and a path of subdomains.
pub(crate) fn signer_name(errors: &mut Errors, path: &Path<'_>, name: &str) {
    const DOMAIN_BYTES_MAX: usize = 253;
    /// A domain, a namespace and the name of an object in it.
    const BYTES_MAX: usize = 253 + 1 + 63 + 1 + 253;
    if name.is_empty() {
        errors.push(Error::required(path, ""));
        return;
    }
    let Some((domain, rest)) = name.split_once('/').filter(|(_, rest)| !rest.contains('/')) else {
        let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.push(Error::invalid(path, name, detail));
        return;
    };
    if domain.len() > DOMAIN_BYTES_MAX {
        errors.push(Error::too_long(path, DOMAIN_BYTES_MAX));
    }
    first_bad_label(errors, path, domain, names::dns1123_label);
    if !domain.contains('.') {
        errors.push(Error::invalid(path, domain, "should be a domain with at least two segments separated by dots"));
    }
    first_bad_label(errors, path, rest, names::dns1123_subdomain);
    if name.len() > BYTES_MAX {
        errors.push(Error::too_long(path, BYTES_MAX));
    }
}

/// Complains about the first label that is not valid; more would say the same.
fn first_bad_label(errors: &mut Errors, path: &Path<'_>, text: &str, rule: NameRule) {
    let first = text.split('.').map(|label| (label, rule(label))).find(|(_, problems)| !problems.is_empty());
    let Some((label, problems)) = first else { return };
    for problem in problems {
        errors.push(Error::invalid(path, text, format!("validating label {}: {problem}", quoted(label))));
    }
}

/// A path that stays below where it starts.
pub(crate) fn no_backsteps(errors: &mut Errors, path: &Path<'_>, value: &str) {
    if value.split('/').any(|part| part == "..") {
        errors.push(Error::invalid(path, value, "must not contain '..'"));
    }
}

pub(crate) fn descending_path(errors: &mut Errors, path: &Path<'_>, value: &str) {
    if value.starts_with('/') {
        errors.push(Error::invalid(path, value, "must be a relative path"));
    }
    no_backsteps(errors, path, value);
}

/// A path whose first part does not look like the names that volumes use themselves.
pub(crate) fn unreserved_path(errors: &mut Errors, path: &Path<'_>, value: &str) {
    descending_path(errors, path, value);
    if value.starts_with("..") && !value.starts_with("../") {
        errors.push(Error::invalid(path, value, "must not start with '..'"));
    }
}

/// A value that is invalid for reasons that its text would not show.
pub(crate) fn invalid_whole(path: &Path<'_>, detail: impl Into<String>) -> Error {
    Error { value: None, ..Error::invalid(path, Value::Null, detail) }
}

/// The numbers in fields of an object that must not be negative.
pub(crate) fn non_negative_fields(errors: &mut Errors, owner: &Value, path: &Path<'_>, fields: &[&str]) {
    for field in fields {
        if let Some(value) = owner.get(*field).and_then(Value::as_i64) {
            non_negative(errors, &path.child(field), value);
        }
    }
}

/// A name below a domain: `example.com/name`.
pub(crate) fn domain_prefixed_path(errors: &mut Errors, path: &Path<'_>, value: &str) {
    if value.is_empty() {
        errors.push(Error::required(path, ""));
        return;
    }
    let problems = names::domain_prefixed_path(value);
    errors.extend(problems.into_iter().map(|(part, detail)| Error::invalid(path, part, detail)));
}

/// A text that is there and can be a part of a path.
pub(crate) fn path_segment(errors: &mut Errors, owner: &Value, path: &Path<'_>, field: &str) {
    if required(errors, owner, path, field) {
        let value = text(owner, field);
        complain(errors, &path.child(field), value, names::path_segment(value));
    }
}

/// A text that has to follow a rule if it is there.
pub(crate) fn optional(errors: &mut Errors, owner: &Value, path: &Path<'_>, field: &str, rule: NameRule) {
    if let Some(value) = at(owner, field).and_then(Value::as_str) {
        complain(errors, &path.child(field), value, rule(value));
    }
}

/// Something that an update may not change, as upstream's generated validation says it.
pub(crate) fn unchanged(errors: &mut Errors, path: &Path<'_>, new: Option<&Value>, old: Option<&Value>) {
    if new.unwrap_or(&Value::Null) != old.unwrap_or(&Value::Null) {
        errors.push(Error::invalid(path, Value::Null, IMMUTABLE));
    }
}
