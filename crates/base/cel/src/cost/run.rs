//! What runs cost.

use super::{CHECK, LIST_BASE, PATTERN_FACTOR, STRING_FACTOR};
use crate::error::Error;
use crate::value::{Opaque, Value};
use crate::work;

/// What may be spent, and what was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    spent: u64,
    max: u64,
}

impl Budget {
    pub(crate) fn new(max: u64) -> Self {
        Self { spent: 0, max }
    }

    pub(crate) fn spent(&self) -> u64 {
        self.spent
    }

    pub(crate) fn spend(&mut self, cost: u64) -> Result<(), Error> {
        self.spent = self.spent.saturating_add(cost);
        if self.spent > self.max || work::is_exhausted() { Err(Error::Budget) } else { Ok(()) }
    }
}

/// How the cost of a call follows from its arguments and its result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum CostRule {
    Fixed(u64),
    /// A selector is parsed into requirements.
    Selector,
    /// Each element of the first argument is looked at.
    Traverse,
    /// So much for each character of an argument.
    Scan(usize, f64),
    /// The string that was made.
    Join,
    /// A string is matched with a pattern.
    Pattern,
    ContainsIp {
        parses: bool,
    },
    ContainsCidr {
        parses: bool,
    },
    Validate,
    /// As many as the second argument has elements.
    Size,
    /// The smaller one is compared to its end.
    Compare,
    Concatenate,
    Contains,
    /// Each element of one list is looked for in the other.
    Sets(u64),
    /// The list that was made.
    ListMade,
    Flatten,
    /// Each element of a list is compared with each.
    SelfCompare(usize),
}

impl CostRule {
    pub(crate) fn of(function: &str, overload: &str) -> Self {
        let scan = |factor| Self::Scan(0, factor * STRING_FACTOR);
        let by_overload = match overload {
            "list_sets_contains_list" | "list_sets_intersects_list" => Some(Self::Sets(1)),
            "list_sets_equivalent_list" => Some(Self::Sets(2)),
            "list_slice" | "lists_range" | "list_reverse" => Some(Self::ListMade),
            "list_flatten" | "list_flatten_int" => Some(Self::Flatten),
            "list_distinct" => Some(Self::SelfCompare(0)),
            _ if overload.starts_with("list_") && overload.ends_with("_sort") => Some(Self::SelfCompare(0)),
            _ if overload.ends_with("_sortByAssociatedKeys") => Some(Self::SelfCompare(1)),
            _ => None,
        };
        if let Some(rule) = by_overload {
            return rule;
        }
        match function {
            "check" => Self::Fixed(CHECK),
            "fieldSelector" | "labelSelector" => Self::Selector,
            "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" | "includes" => Self::Traverse,
            "ip" if overload == "cidr_ip" => Self::Fixed(1),
            "url"
            | "lowerAscii"
            | "upperAscii"
            | "substring"
            | "trim"
            | "jsonpatch.escapeKey"
            | "cidr"
            | "isIP"
            | "isCIDR"
            | "ip"
            | "quantity"
            | "isQuantity"
            | "semver"
            | "isSemver" => scan(1.0),
            "replace" | "split" | "ip.isCanonical" => scan(2.0),
            "join" => Self::Join,
            "find" | "findAll" => Self::Pattern,
            "containsIP" => Self::ContainsIp { parses: overload == "cidr_contains_ip_string" },
            "containsCIDR" => Self::ContainsCidr { parses: overload == "cidr_contains_cidr_string" },
            "validate" => Self::Validate,
            _ => Self::of_overload(overload),
        }
    }

    /// What cel-go knows itself, by the overload.
    fn of_overload(overload: &str) -> Self {
        match overload {
            "starts_with_string" | "ends_with_string" => Self::Scan(1, STRING_FACTOR),
            "string_to_bytes" | "bytes_to_string" | "strings_quote" | "string_format" => Self::Scan(0, STRING_FACTOR),
            "in_list" => Self::Size,
            "less_string"
            | "greater_string"
            | "less_equals_string"
            | "greater_equals_string"
            | "less_bytes"
            | "greater_bytes"
            | "less_equals_bytes"
            | "greater_equals_bytes" => Self::Compare,
            "add_string" | "add_bytes" => Self::Concatenate,
            "matches" | "matches_string" => Self::Pattern,
            "contains_string" => Self::Contains,
            _ => Self::Fixed(1),
        }
    }

    /// The cost of one call. An error counts as one.
    pub(crate) fn cost(self, args: &[Result<Value<'_>, Error>], result: &Result<Value<'_>, Error>) -> u64 {
        let arg = |index: usize| args.get(index).map_or(1, size);
        match self {
            Self::Fixed(cost) => cost,
            Self::Selector => {
                let length = arg(1) as f64;
                let requirements = (length * 0.5).ceil();
                LIST_BASE + (length * STRING_FACTOR).ceil() as u64 + (requirements * 50.0).ceil() as u64
            }
            Self::Traverse => args.first().map_or(0, |arg| arg.as_ref().map_or(1, traversal)),
            Self::Scan(index, factor) => scaled(arg(index), factor),
            Self::Join => scaled(size(result), 2.0 * STRING_FACTOR),
            Self::Pattern => pattern(arg(0), arg(1)),
            Self::ContainsIp { parses } => {
                let parsed = if parses { scaled(arg(1), STRING_FACTOR) } else { 0 };
                scaled(2 * arg(0), STRING_FACTOR) + parsed
            }
            Self::ContainsCidr { parses } => {
                let parsed = if parses { scaled(arg(1), STRING_FACTOR) } else { 0 };
                scaled(2 * arg(0), STRING_FACTOR) + scaled(arg(0), STRING_FACTOR) + 1 + parsed
            }
            Self::Validate => match args.first() {
                Some(Ok(Value::Library(opaque))) => match &**opaque {
                    Opaque::Format(format) => pattern(arg(1), format.pattern_length),
                    _ => 1,
                },
                _ => 1,
            },
            Self::Size => arg(1),
            Self::Compare => scaled(arg(0).min(arg(1)), STRING_FACTOR),
            Self::Concatenate => scaled(arg(0).saturating_add(arg(1)), STRING_FACTOR),
            Self::Contains => scaled(arg(0), STRING_FACTOR).saturating_mul(scaled(arg(1), STRING_FACTOR)),
            Self::Sets(factor) => arg(0).saturating_mul(arg(1)).saturating_mul(factor).saturating_add(1),
            Self::ListMade => 1 + LIST_BASE + size(result),
            Self::Flatten => {
                let depth = match args.get(1) {
                    Some(Ok(Value::Int(depth))) if *depth >= 0 => *depth as f64,
                    _ => 1.0,
                };
                ((arg(0) as f64 * depth) as u64).saturating_add(1 + LIST_BASE)
            }
            Self::SelfCompare(index) => self_compare(args.get(index)),
        }
    }
}

/// What is counted as the size of a value: one, unless it has another.
fn size(outcome: &Result<Value<'_>, Error>) -> u64 {
    match outcome {
        Ok(Value::Optional(Some(value))) => of_value(value),
        Ok(value) => of_value(value),
        Err(_) => 1,
    }
}

fn of_value(value: &Value<'_>) -> u64 {
    match value {
        Value::Library(opaque) => match &**opaque {
            Opaque::Ip(ip) => {
                if ip.is_ipv4() {
                    4
                } else {
                    16
                }
            }
            Opaque::Cidr(cidr) => u64::from(cidr.bits).div_ceil(8),
            _ => 1,
        },
        Value::Optional(Some(value)) => of_value(value),
        value => value.size().unwrap_or(1),
    }
}

fn scaled(size: u64, factor: f64) -> u64 {
    (size as f64 * factor).ceil() as u64
}

fn pattern(text: u64, pattern: u64) -> u64 {
    // Matching an empty text costs as well.
    let text = ((1.0 + text as f64) * STRING_FACTOR).ceil() as u64;
    text.saturating_mul(scaled(pattern, PATTERN_FACTOR))
}

/// Of walking over a value and what is in it. Values nest no deeper than what recursion can take.
fn traversal(value: &Value<'_>) -> u64 {
    let of = |outcome: Result<Value<'_>, Error>| outcome.map_or(1, |value| traversal(&value));
    match value {
        Value::String(text) => (text.as_str().len() as f64 * STRING_FACTOR) as u64,
        Value::Bytes(bytes) => (bytes.as_bytes().len() as f64 * STRING_FACTOR) as u64,
        // What takes too much work is not gone into, and the run ends.
        Value::List(list) if work::spend(list.len()).is_ok() => list.iter().map(of).sum(),
        Value::Map(map) if work::spend(map.len()).is_ok() => {
            let entry = |key: &Value<'_>| traversal(key) + map.find(key).map_or(1, of);
            map.keys().iter().map(entry).sum()
        }
        _ => 1,
    }
}

fn self_compare(list: Option<&Result<Value<'_>, Error>>) -> u64 {
    let Some(Ok(Value::List(list))) = list else { return 1 + LIST_BASE };
    let size = list.len() as u64;
    let factor = match list.first() {
        Some(Value::String(_) | Value::Bytes(_)) => 2.0 + STRING_FACTOR,
        _ => 2.0,
    };
    ((size.saturating_mul(size) as f64 * factor) as u64).saturating_add(1 + LIST_BASE)
}

/// The cost of `==`.
pub(crate) fn equal_cost(left: &Result<Value<'_>, Error>, right: &Result<Value<'_>, Error>) -> u64 {
    match left {
        Ok(Value::Library(_) | Value::Check(_)) => 1,
        _ => not_equal_cost(left, right),
    }
}

/// The cost of `!=`.
pub(crate) fn not_equal_cost(left: &Result<Value<'_>, Error>, right: &Result<Value<'_>, Error>) -> u64 {
    scaled(size(left).min(size(right)), STRING_FACTOR)
}
