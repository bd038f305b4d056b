//! Replays what upstream's strategy said of definitions: `recorded.jsonl` has bases, and edits of them with the errors and warnings
//! that upstream's code gives for a create, an update (of the base with the edits `old`) or an update of the status.

use serde_json::{Value, json};
use windlass_api::Timestamp;
use windlass_machinery::decode;
use windlass_machinery::tree::{items, keep, put, text};

use super::custom_resource_definition::resource;
use crate::{Moment, Resource, metadata};

/// Sets or removes one value of a tree, as `[pointer]` or `[pointer, value]`.
fn change(object: &mut Value, edit: &Value) {
    let pointer = edit[0].as_str().unwrap();
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    let last = last.replace("~1", "/");
    let parent = parent.split('/').skip(1).fold(object, |at, step| match at {
        Value::Array(list) => &mut list[step.parse::<usize>().unwrap()],
        map => {
            if map[step].is_null() {
                map[step] = json!({});
            }
            &mut map[step]
        }
    });
    match (parent, edit.get(1).cloned()) {
        (Value::Array(list), Some(value)) if last.parse() == Ok(list.len()) => list.push(value),
        (Value::Array(list), Some(value)) => list[last.parse::<usize>().unwrap()] = value,
        (Value::Array(list), None) => drop(list.remove(last.parse().unwrap())),
        (map, Some(value)) => map[last] = value,
        (map, None) => drop(map.as_object_mut().unwrap().remove(&last)),
    }
}

/// A base with edits, decoded and with defaults.
fn edited(resource: &Resource, base: &Value, case: &Value, edits: &str) -> Value {
    let mut object = base.clone();
    items(case, edits).for_each(|edit| change(&mut object, edit));
    let mut object =
        decode::from_value(resource.object_type().schema, resource.object_type().id, object).unwrap().value;
    resource.strategy.set_defaults(&mut object);
    object
}

/// Our errors and warnings.
fn judged(resource: &Resource, base: &Value, case: &Value) -> (Vec<String>, Vec<String>) {
    let strategy = &resource.strategy;
    let moment = Moment { now: Timestamp::UNIX_EPOCH };
    let (mut new, mut old) = (edited(resource, base, case, "edit"), edited(resource, base, case, "old"));
    let (errors, warnings) = match text(case, "verb") {
        "create" => {
            put(&mut new, "status", resource.empty_status());
            strategy.prepare_create(&mut new, moment);
            let mut errors = metadata::validate(&new, resource);
            errors.extend(strategy.validate(&new));
            (errors, strategy.warnings(&new, None))
        }
        "update" => {
            keep(&mut new, &old, "status");
            strategy.prepare_update(&mut new, &old, moment);
            (strategy.validate_update(&new, &old), strategy.warnings(&new, Some(&old)))
        }
        _ => {
            put(&mut old, "status", new["status"].take());
            (strategy.validate_status(&old, &new), Vec::new())
        }
    };
    let errors =
        errors.iter().map(|error| format!("{} {}: {}", error.kind.reason(), error.field, error.body())).collect();
    (errors, warnings)
}

/// What one list has and the other has not.
fn missing(what: &str, ones: &[String], others: &[String]) -> String {
    let missing = ones.iter().filter(|one| !others.contains(one));
    missing.map(|one| format!("  {what} {}\n", one.chars().take(400).collect::<String>())).collect()
}

/// How our judgement of a case differs, if it does.
fn difference(resource: &Resource, base: &Value, case: &Value) -> Option<String> {
    let (mut errors, warnings) = judged(resource, base, case);
    let cause = |cause: &Value| {
        let [reason, field, message] = [0, 1, 2].map(|at: usize| cause[at].as_str().unwrap());
        format!("{reason} {field}: {message}")
    };
    let mut expected: Vec<String> = items(case, "causes").map(cause).collect();
    // Upstream walks some maps in an order of their own.
    if case["any_order"] == true {
        expected.sort();
        errors.sort();
    }
    let expected_warnings: Vec<&str> = items(case, "warnings").filter_map(Value::as_str).collect();
    if errors == expected && warnings == expected_warnings {
        return None;
    }
    Some(format!(
        "{} {} old {}\n{}{}  in the order {:?}\n  warnings {warnings:?}, expected {expected_warnings:?}\n",
        case["verb"],
        case["edit"],
        case["old"],
        missing("expected", &expected, &errors),
        missing("found", &errors, &expected),
        errors.iter().map(|error| error.chars().take(80).collect::<String>()).collect::<Vec<_>>(),
    ))
}

#[test]
fn upstream_says_the_same() {
    let resource = resource();
    let (mut bases, mut count) = (json!({}), 0);
    let mut differences = Vec::new();
    for line in include_str!("recorded.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        if let Some(body) = case.get("body") {
            put(&mut bases, text(&case, "base"), body.clone());
            continue;
        }
        count += 1;
        differences.extend(difference(&resource, &bases[text(&case, "base")], &case));
    }
    assert!(count > 800, "{count} cases");
    assert!(differences.is_empty(), "{} of {count} cases differ:\n{}", differences.len(), differences.concat());
}
