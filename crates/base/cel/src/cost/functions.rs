//! What calls of functions may cost, and how large their results may be.

use super::{CHECK, LIST_BASE, PATTERN_FACTOR, Range, STRING_FACTOR};
use crate::ast::operators::EQUALS;
use crate::ast::{Expr, Kind, Literal};
use crate::env::Env;
use crate::types::{LibraryType, Type};

/// The cost of a call, and the size of its result if that is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Estimate {
    pub(super) cost: Range,
    pub(super) size: Option<Range>,
}

/// What is known of an argument.
#[derive(Clone, Debug)]
pub(super) struct Arg<'a> {
    pub(super) expr: Option<&'a Expr>,
    pub(super) of: Type,
    pub(super) path: Option<Vec<String>>,
    pub(super) size: Option<Range>,
}

impl Arg<'_> {
    pub(super) fn known_size(&self) -> Range {
        self.size.unwrap_or(Range::UNKNOWN)
    }

    fn size(&self, env: &Env) -> Range {
        self.size.or_else(|| size_at(env, self.path.as_deref())).unwrap_or(Range::UNKNOWN)
    }

    /// The elements of a list, or what else the type is made of first.
    fn elements(&self) -> Option<Arg<'static>> {
        let [Some(of), _] = self.of.parameters() else { return None };
        let path = self.path.clone().map(|mut path| {
            path.push("@items".to_owned());
            path
        });
        Some(Arg { expr: None, of: of.clone(), path, size: None })
    }

    fn as_int(&self) -> Option<i64> {
        match self.expr.map(|expr| &expr.kind) {
            Some(Kind::Literal(Literal::Int(value))) => Some(*value),
            _ => None,
        }
    }

    /// A constant number, or else `otherwise`.
    fn as_uint(&self, otherwise: u64) -> u64 {
        self.as_int().map_or(otherwise, |value| value.max(0).unsigned_abs())
    }
}

fn costs(cost: Range) -> Option<Estimate> {
    Some(Estimate { cost, size: None })
}

fn makes(cost: Range, size: Range) -> Option<Estimate> {
    Some(Estimate { cost, size: Some(size) })
}

/// What libraries say of calls.
pub(super) fn call_cost(
    env: &Env,
    function: &str,
    overload: &str,
    target: Option<&Arg<'_>>,
    args: &[Arg<'_>],
) -> Option<Estimate> {
    list_cost(env, overload, target, args).or_else(|| match (function, target, args) {
        ("check", ..) => costs(Range::fixed(CHECK)),
        (
            "serviceAccount" | "path" | "group" | "resource" | "subresource" | "namespace" | "name" | "allowed"
            | "reason" | "error" | "errored",
            ..,
        ) => costs(Range::ONE),
        ("fieldSelector" | "labelSelector", _, [selector]) => {
            let length = selector.size(env);
            let requirements = length.scaled(0.5).scaled(50.0);
            costs(Range::fixed(LIST_BASE).plus(length.scaled(STRING_FACTOR)).plus(requirements))
        }
        ("isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" | "includes", Some(target), _) => {
            costs(traversal(env, function, target))
        }
        ("url" | "jsonpatch.escapeKey", _, [text]) => {
            let size = text.size(env);
            makes(size.scaled(STRING_FACTOR), size)
        }
        ("lowerAscii" | "upperAscii" | "substring" | "trim", Some(target), _) => {
            let size = target.size(env);
            makes(size.scaled(STRING_FACTOR), size)
        }
        ("replace", Some(target), [old, new, ..]) => replace(target.size(env), old.size(env), new.size(env)),
        ("split", Some(target), _) => {
            let size = target.size(env);
            let limit = args.get(1).and_then(Arg::as_int).map(|limit| limit as u64);
            makes(size.scaled(2.0 * STRING_FACTOR), Range::new(0, limit.unwrap_or(size.max)))
        }
        ("join", Some(target), _) => join(env, target, args.first()),
        ("find" | "findAll", Some(target), [pattern, ..]) => {
            let size = target.size(env);
            let text = size.plus(Range::ONE).scaled(STRING_FACTOR);
            makes(text.times(pattern.size(env).scaled(PATTERN_FACTOR)), Range::new(0, size.max))
        }
        (EQUALS, _, [left, right]) => equal(left, right),
        _ => network_cost(env, function, overload, args),
    })
}

fn network_cost(env: &Env, function: &str, overload: &str, args: &[Arg<'_>]) -> Option<Estimate> {
    let scan = |factor: f64| costs(args.first()?.size(env).scaled(factor * STRING_FACTOR));
    // An address has 4 or 16 bytes, and two of them are compared.
    let address = Range::new(4, 16);
    let compared = address.plus(address).scaled(STRING_FACTOR);
    let parsed = |parses: bool| match args.first() {
        Some(arg) if parses => arg.size(env).scaled(STRING_FACTOR),
        _ => Range::ZERO,
    };
    match function {
        "ip" if overload == "cidr_ip" => costs(Range::ONE),
        "cidr" | "isIP" | "isCIDR" | "ip" | "quantity" | "isQuantity" | "semver" | "isSemver" => scan(1.0),
        "ip.isCanonical" => scan(2.0),
        "masked"
        | "prefixLength"
        | "family"
        | "isUnspecified"
        | "isLoopback"
        | "isLinkLocalMulticast"
        | "isLinkLocalUnicast"
        | "isGlobalUnicast"
        | "format.named"
        | "sign"
        | "asInteger"
        | "isInteger"
        | "asApproximateFloat"
        | "isGreaterThan"
        | "isLessThan"
        | "compareTo"
        | "add"
        | "sub"
        | "major"
        | "minor"
        | "patch"
        | "getScheme"
        | "getHostname"
        | "getHost"
        | "getPort"
        | "getEscapedPath"
        | "getQuery" => costs(Range::ONE),
        "containsIP" if !args.is_empty() => costs(compared.plus(parsed(overload == "cidr_contains_ip_string"))),
        "containsCIDR" if !args.is_empty() => {
            let masked = address.scaled(STRING_FACTOR).plus(Range::ONE);
            costs(compared.plus(masked).plus(parsed(overload == "cidr_contains_cidr_string")))
        }
        // No pattern of a format is longer than 128 characters.
        "validate" => costs(args.first()?.size(env).scaled(STRING_FACTOR).scaled(128.0 * PATTERN_FACTOR)),
        _ => None,
    }
}

fn traversal(env: &Env, function: &str, target: &Arg<'_>) -> Range {
    let size = target.size(env);
    match target.elements() {
        Some(element) => {
            let mut each = Range::ONE;
            if matches!(element.of, Type::String | Type::Bytes) {
                each = each.plus(element.size(env).scaled(STRING_FACTOR));
            }
            size.times(each)
        }
        None if function == "includes" => size,
        None => size.scaled(STRING_FACTOR),
    }
}

fn replace(size: Range, old: Range, new: Range) -> Option<Estimate> {
    let (mut count, mut kept) = (Range::ZERO, Range::ZERO);
    // The longest result: nothing is replaced between all characters, or the shortest by the longest.
    if old.min == 0 {
        count.max = size.max.saturating_add(1);
        kept.max = size.max;
    } else if new.max <= old.min {
        kept.max = size.max;
    } else {
        count.max = (size.max as f64 / old.min as f64).ceil() as u64;
    }
    // The shortest one: the longest by the shortest.
    if old.max == 0 {
        count.min = size.min.saturating_add(1);
        kept.min = size.min;
    } else if old.max <= new.min {
        kept.min = size.min;
    } else {
        count.min = (size.min as f64 / old.max as f64).ceil() as u64;
    }
    makes(size.scaled(2.0 * STRING_FACTOR), count.times(new).plus(kept))
}

fn join(env: &Env, target: &Arg<'_>, separator: Option<&Arg<'_>>) -> Option<Estimate> {
    let list = target.size(env);
    let mut size = target.elements().map_or(Range::ZERO, |element| list.times(element.size(env)));
    if let Some(separator) = separator {
        let count = Range::new(list.min.saturating_sub(1), list.max.saturating_sub(1));
        size = size.plus(separator.size(env).times(count));
    }
    makes(size.scaled(STRING_FACTOR), size)
}

fn equal(left: &Arg<'_>, right: &Arg<'_>) -> Option<Estimate> {
    let (Type::Library(left), Type::Library(of_right)) = (&left.of, &right.of) else { return None };
    if left != of_right {
        return None;
    }
    match left {
        LibraryType::Format => costs(Range::new(1, 64).scaled(STRING_FACTOR)),
        LibraryType::Url => {
            let max = right.size.map_or(1, |size| size.max);
            costs(Range::new(1, max).scaled(STRING_FACTOR))
        }
        _ => costs(Range::ONE),
    }
}

/// What cel-go's libraries say of lists and sets.
fn list_cost(env: &Env, overload: &str, target: Option<&Arg<'_>>, args: &[Arg<'_>]) -> Option<Estimate> {
    let made = |factor: f64, size: Range| makes(size.scaled(factor).plus(Range::fixed(1 + LIST_BASE)), size);
    let sets = |factor: f64| match args {
        [left, right] => costs(left.size(env).times(right.size(env)).scaled(factor).plus(Range::ONE)),
        _ => None,
    };
    let sorted = |keys: &Arg<'_>| {
        let size = keys.size(env);
        let of_text = overload.starts_with("list_string") || overload.starts_with("list_bytes");
        made(if of_text { 2.0 + STRING_FACTOR } else { 2.0 }, size.times(size))
    };
    match (overload, target, args) {
        ("list_sets_contains_list" | "list_sets_intersects_list", ..) => sets(1.0),
        ("list_sets_equivalent_list", ..) => sets(2.0),
        ("list_slice", Some(target), [start, end]) => {
            let end = end.as_uint(target.size(env).max);
            made(1.0, Range::fixed(end.wrapping_sub(start.as_uint(0))))
        }
        ("lists_range", None, [count]) => made(1.0, Range::fixed(count.as_uint(u64::MAX))),
        ("list_reverse", Some(target), []) => made(1.0, target.size(env)),
        ("list_flatten", Some(target), []) => made(1.0, target.size(env)),
        ("list_flatten_int", Some(target), [depth]) => made(depth.as_uint(u64::MAX) as f64, target.size(env)),
        ("list_distinct", Some(target), []) => {
            let size = target.size(env);
            made(2.0, size.times(size))
        }
        (_, Some(target), []) if overload.starts_with("list_") && overload.ends_with("_sort") => sorted(target),
        (_, Some(_), [keys]) if overload.ends_with("_sortByAssociatedKeys") => sorted(keys),
        _ => None,
    }
}

/// What cel-go says of its own functions, by the overload.
pub(super) fn overload_cost(overload: &str, target: Option<&Arg<'_>>, args: &[Arg<'_>]) -> Option<Estimate> {
    let text = |arg: &Arg<'_>| arg.known_size().scaled(STRING_FACTOR);
    match (overload, target, args) {
        ("string_format", Some(target), _) => costs(text(target)),
        ("string_to_bytes", _, [arg]) => {
            let size = arg.known_size();
            // Upstream lets the product wrap around.
            makes(text(arg), Range::new(size.min, size.max.wrapping_mul(4)))
        }
        ("bytes_to_string", _, [arg]) => makes(text(arg), Range::new(arg.known_size().min / 4, arg.known_size().max)),
        ("strings_quote", _, [arg]) => {
            let size = arg.known_size();
            let max = size.max.wrapping_mul(2).wrapping_add(2);
            makes(text(arg), Range::new(size.min.wrapping_add(2), max))
        }
        ("starts_with_string" | "ends_with_string", _, [arg]) => costs(text(arg)),
        ("in_list", _, [_, list]) => costs(list.known_size().scaled(1.0)),
        ("matches_string", Some(subject), [pattern]) | ("matches", None, [subject, pattern]) => {
            let subject = subject.known_size().plus(Range::ONE).scaled(STRING_FACTOR);
            costs(subject.times(pattern.known_size().scaled(PATTERN_FACTOR)))
        }
        ("contains_string", Some(target), [part]) => costs(text(target).times(text(part))),
        (
            "less_string"
            | "greater_string"
            | "less_equals_string"
            | "greater_equals_string"
            | "less_bytes"
            | "greater_bytes"
            | "less_equals_bytes"
            | "greater_equals_bytes",
            _,
            [left, right],
        ) => {
            let max = left.known_size().max.min(right.known_size().max);
            costs(Range::new(u64::from(max > 0), max).scaled(STRING_FACTOR))
        }
        _ => None,
    }
}

/// The size of data at a path, if anybody knows it.
pub(super) fn size_at(env: &Env, path: Option<&[String]>) -> Option<Range> {
    let path: Vec<&str> = path?.iter().map(String::as_str).collect();
    if path.is_empty() {
        return None;
    }
    env.sizes.as_ref()?.size_max(&path).map(|max| Range::new(0, max))
}
