//! Following a path through a tree.

use std::cmp::Ordering;

use serde_json::Value;

use super::{Filter, Slice, Step};
use crate::structural::go_print::Num;
use crate::structural::schema::sorted;

/// Values that a path may find on its way. Each `..` finds what is deep once for each level, so that some of them in a row would
/// find more than memory holds.
const FOUND_MAX: usize = 1 << 20;

/// What has been found, or what there was when the path could not be followed.
type Found<'a> = Result<Vec<&'a Value>, Vec<&'a Value>>;

pub(super) fn all<'a>(start: Vec<&'a Value>, steps: &'a [Step]) -> Found<'a> {
    steps.iter().try_fold(start, one)
}

fn one<'a>(input: Vec<&'a Value>, step: &'a Step) -> Found<'a> {
    match step {
        Step::Field(name) => Ok(input.into_iter().filter_map(|value| value.as_object()?.get(&**name)).collect()),
        Step::All => bounded(input.into_iter().flat_map(children)),
        Step::Descend => bounded(input.into_iter().flat_map(all_below)),
        Step::Slice(slice) => slices(input, *slice),
        Step::Union(branches) => {
            let mut found = Vec::new();
            for branch in branches {
                found.extend(all(input.clone(), branch).map_err(|_| input.clone())?);
                if found.len() > FOUND_MAX {
                    return Err(Vec::new());
                }
            }
            Ok(found)
        }
        Step::Filter(filter) => filtered(input, filter),
        Step::Literal(value) => Ok(input.iter().map(|_| value).collect()),
        Step::Text(text) => Ok(vec![text]),
        Step::Unknown => Err(input),
    }
}

/// All of these, unless they are too many.
fn bounded<'a>(values: impl Iterator<Item = &'a Value>) -> Found<'a> {
    let found: Vec<_> = values.take(FOUND_MAX + 1).collect();
    if found.len() > FOUND_MAX { Err(Vec::new()) } else { Ok(found) }
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Object(map) => sorted(map).map(|(_, value)| value).collect(),
        Value::Array(items) => items.iter().collect(),
        _ => Vec::new(),
    }
}

/// A value and what stands below it, each before what it contains, but for numbers, booleans, nulls and what is empty.
fn all_below(value: &Value) -> Vec<&Value> {
    let (mut found, mut left) = (Vec::new(), vec![value]);
    while let Some(value) = left.pop() {
        let below = children(value);
        if !below.is_empty() || value.as_str().is_some_and(|text| !text.is_empty()) {
            found.push(value);
        }
        left.extend(below.into_iter().rev());
    }
    found
}

fn slices(input: Vec<&Value>, slice: Slice) -> Found<'_> {
    let mut found = Vec::new();
    for value in &input {
        let items = match value {
            Value::Null => continue,
            Value::Array(items) => items,
            _ => return Err(input),
        };
        let len = items.len() as i64;
        let from_end = |place: i64, is_from_end: bool| if is_from_end { place.saturating_add(len) } else { place };
        let from = slice.from.map_or(0, |from| from_end(from, from < 0));
        let to = slice.to.map_or(len, |to| from_end(to, to < 0 || to == 0 && slice.is_single));
        if from == to {
            return Ok(found);
        }
        let step = slice.step.unwrap_or(1);
        if !(0..len).contains(&from) || !(0..=len).contains(&to) || from > to || step <= 0 {
            return Err(input);
        }
        found.extend(items[from as usize..to as usize].iter().step_by(step as usize));
        if found.len() > FOUND_MAX {
            return Err(Vec::new());
        }
    }
    Ok(found)
}

fn filtered<'a>(input: Vec<&'a Value>, filter: &'a Filter) -> Found<'a> {
    let mut found = Vec::new();
    for value in &input {
        let Value::Array(items) = value else { return Err(input) };
        for item in items {
            match passes(item, filter) {
                Some(true) => found.push(item),
                Some(false) => {}
                None => return Err(input),
            }
        }
    }
    Ok(found)
}

/// Whether a filter lets an item pass; `None` where its sides cannot be compared.
fn passes<'a>(item: &'a Value, filter: &'a Filter) -> Option<bool> {
    match filter {
        // As upstream has it, what was there when the path could not be followed does exist.
        Filter::Exists(steps) => Some(!all(vec![item], steps).unwrap_or_else(|found| found).is_empty()),
        Filter::Compare { left, operator, right } => {
            let left = all(vec![item], left).ok()?;
            let [left] = left[..] else { return left.is_empty().then_some(false) };
            let right = all(vec![item], right).ok()?;
            let [right] = right[..] else { return right.is_empty().then_some(false) };
            compare(left, operator, right)
        }
    }
}

fn compare(left: &Value, operator: &str, right: &Value) -> Option<bool> {
    let order = match (left, right) {
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Number(left), Value::Number(right)) => match (Num::of(left), Num::of(right)) {
            (Num::Int(left), Num::Int(right)) => Some(left.cmp(&right)),
            (Num::Float(left), Num::Float(right)) => left.partial_cmp(&right),
            // Integers and floats do not compare.
            _ => None,
        },
        (Value::Bool(left), Value::Bool(right)) => {
            return match operator {
                "==" => Some(left == right),
                "!=" => Some(left != right),
                _ => None,
            };
        }
        _ => None,
    }?;
    match operator {
        "==" => Some(order == Ordering::Equal),
        "!=" => Some(order != Ordering::Equal),
        "<" => Some(order == Ordering::Less),
        "<=" => Some(order != Ordering::Greater),
        ">" => Some(order == Ordering::Greater),
        ">=" => Some(order != Ordering::Less),
        _ => None,
    }
}
