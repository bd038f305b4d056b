//! Replays what upstream's API server answered (tests/golden, written by conformance/facts/golden/record.py) against our code:
//! decoding, and then the very life of a write that the API server runs, without admission.
//!
//! Cases that differ are listed in tests/golden/differs.txt. The list is a ratchet: a case that is not on it may not differ, and
//! one that no longer differs is taken off. `GOLDEN=pods cargo test -p windlass-resources golden -- --nocapture` shows the
//! differences of a kind; `GOLDEN_WRITE=1` writes the list anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_api::{Chance, Status};
use windlass_machinery::decode;
use windlass_machinery::tree::{child, put, remove};
use windlass_resources::life::{self, Checkpoints, Write};
use windlass_resources::{Moment, Resource, Subresource, all};

const NOW: &str = "2001-02-03T04:05:06Z";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

#[test]
fn golden() {
    let resources = all();
    let only = std::env::var("GOLDEN").ok();
    let (mut differing, mut cases) = (BTreeSet::new(), 0);
    let mut summary = String::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        if only.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        let found = replay(&resources, &std::fs::read_to_string(&path).unwrap());
        let all = found.len();
        let wrong: Vec<_> = found.into_iter().filter_map(|(id, difference)| Some((id, difference?))).collect();
        writeln!(summary, "{name}: {all} cases, {} differ", wrong.len()).unwrap();
        cases += all;
        for (id, difference) in wrong {
            if only.is_some() {
                println!("{id}\n{difference}");
            }
            differing.insert(format!("{name} {id}"));
        }
    }
    println!("{summary}{cases} cases, {} differ", differing.len());
    if only.is_some() {
        return;
    }
    let list = folder().join("differs.txt");
    if std::env::var("GOLDEN_WRITE").is_ok() {
        std::fs::write(&list, differing.iter().map(|id| format!("{id}\n")).collect::<String>()).unwrap();
    }
    let known = std::fs::read_to_string(&list).unwrap_or_default();
    let known: BTreeSet<String> = known.lines().map(str::to_owned).collect();
    let new: Vec<&String> = differing.difference(&known).collect();
    let gone: Vec<&String> = known.difference(&differing).collect();
    assert!(new.is_empty(), "answers differ from upstream's: {new:#?}");
    assert!(gone.is_empty(), "answers no longer differ, take them off the list: {gone:#?}");
}

/// Every case of a file, and how our answer differs if it does.
fn replay(resources: &[Resource], text: &str) -> Vec<(String, Option<String>)> {
    let mut results = Vec::new();
    let (mut base_name, mut body, mut answer, mut old) = (String::new(), Value::Null, Value::Null, Value::Null);
    let mut resource = None;
    for line in text.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        if let Some(stored) = case.get("old") {
            old = stored.clone();
            continue;
        }
        if let Some(name) = case.get("base") {
            base_name = name.as_str().unwrap().to_owned();
            body = case["body"].clone();
            answer = case["object"].clone();
            let named = |at: usize| case["resource"][at].as_str().unwrap();
            resource = resources.iter().find(|resource| {
                resource.kind.group == named(0) && resource.kind.version == named(1) && resource.plural == named(2)
            });
        }
        let resource = resource.unwrap_or_else(|| panic!("no resource for {}", case["resource"]));
        let edits = case.get("edit").cloned().unwrap_or_else(|| json!([]));
        let verb = case.get("verb").and_then(Value::as_str).unwrap_or("create");
        let source = if verb == "create" { &body } else { &old };
        let mut object = source.clone();
        for edit in edits.as_array().unwrap() {
            change(&mut object, edit);
        }
        let outcome = match verb {
            "create" => create(resource, object),
            verb => update(resource, object, &old, verb),
        };
        let before = if verb == "create" { &answer } else { &old };
        let id = format!("{base_name} {verb} {edits}").replace(&"x".repeat(254), "x…");
        results.push((id, compare(&case, outcome, before)));
    }
    results
}

/// One edit of a tree, as record.py makes it.
fn change(object: &mut Value, edit: &Value) {
    let pointer = edit[0].as_str().unwrap();
    let steps: Vec<String> = pointer.split('/').skip(1).map(|s| s.replace("~1", "/").replace("~0", "~")).collect();
    let Some((last, path)) = steps.split_last() else {
        *object = edit[1].clone();
        return;
    };
    let mut at = object;
    for (index, step) in path.iter().enumerate() {
        at = match at {
            Value::Array(list) => &mut list[step.parse::<usize>().unwrap()],
            map => {
                if map.get(step).is_none_or(Value::is_null) {
                    let is_index = steps[index + 1].parse::<usize>().is_ok();
                    map[step] = if is_index { json!([]) } else { json!({}) };
                }
                &mut map[step]
            }
        };
    }
    match (at, edit.get(1)) {
        (Value::Array(list), Some(value)) => {
            let index = last.parse::<usize>().unwrap();
            if index == list.len() { list.push(value.clone()) } else { list[index] = value.clone() }
        }
        (Value::Array(list), None) => {
            list.remove(last.parse::<usize>().unwrap());
        }
        (map, Some(value)) => map[last] = value.clone(),
        (map, None) => {
            map.as_object_mut().unwrap().remove(last);
        }
    }
}

type Outcome = Result<Value, Status>;

fn moment() -> Moment {
    Moment { now: NOW.parse::<Timestamp>().unwrap() }
}

fn decoded(resource: &Resource, object: Value) -> Value {
    decode::from_value(resource.object_type().schema, resource.object_type().id, object).unwrap().value
}

/// The life of a write with nothing beside it: no admission, no field management.
struct Alone;

impl Checkpoints for Alone {
    fn requester(&self) -> Value {
        Value::Null
    }

    fn record_ownership(&self, _new: &mut Value, _old: Option<&Value>) {}

    async fn admit(&self, _new: &mut Value, _old: Option<&Value>) -> Result<(), Status> {
        Ok(())
    }

    fn guard(&self, _new: &Value, _old: Option<&Value>) -> Result<(), Status> {
        Ok(())
    }

    async fn review(&self, _new: &mut Value, _old: Option<&Value>) -> Result<(), Status> {
        Ok(())
    }

    fn warn(&self, _text: String) {}
}

/// The result of a future that waits for nothing.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("a life without checkpoints waits"),
    }
}

fn create(resource: &Resource, object: Value) -> Outcome {
    let namespace = if resource.is_namespaced() { "default" } else { "" };
    let write = Write { resource, subresource: None, namespace, moment: moment(), chance: &Chance::system() };
    at_once(life::create(write, decoded(resource, object), &Alone)).map(|object| finish(resource, object))
}

fn update(resource: &Resource, mut object: Value, old: &Value, verb: &str) -> Outcome {
    let mut old = old.clone();
    for object in [&mut object, &mut old] {
        put(child(object, "metadata"), "uid", "UID");
        put(child(object, "metadata"), "creationTimestamp", NOW);
        *object = serde_json::from_str(&object.to_string().replace("\"NOW\"", &format!("{NOW:?}"))).unwrap();
    }
    let (object, old) = (decoded(resource, object), decoded(resource, old));
    let subresource = (verb == "status").then_some(Subresource::Status);
    let write = Write { resource, subresource, namespace: "default", moment: moment(), chance: &Chance::system() };
    at_once(life::update(write, object, &old, &Alone)).map(|object| finish(resource, object))
}

/// What a client gets: stored and read again, without what differs from run to run.
fn finish(resource: &Resource, mut object: Value) -> Value {
    resource.strategy.to_stored(&mut object);
    resource.strategy.to_served(&mut object);
    let metadata = child(&mut object, "metadata");
    let uid = remove(metadata, "uid").unwrap_or_default();
    for field in ["creationTimestamp", "resourceVersion", "managedFields"] {
        remove(metadata, field);
    }
    remove(&mut object, "kind");
    remove(&mut object, "apiVersion");
    let mut text = object.to_string().replace(&format!("{NOW:?}"), "\"NOW\"");
    if let Some(uid) = uid.as_str() {
        text = text.replace(uid, "UID");
    }
    let mut object: Value = serde_json::from_str(&text).unwrap();
    let spec = &object["spec"];
    if spec.get("clusterIPs").is_some() || spec.get("internalTrafficPolicy").is_some() {
        let spec = child(&mut object, "spec");
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort"] {
            remove(spec, field);
        }
        for port in windlass_machinery::tree::items_mut(spec, "ports") {
            remove(port, "nodePort");
        }
    }
    object
}

/// How our outcome differs from the recorded one.
fn compare(case: &Value, outcome: Outcome, before: &Value) -> Option<String> {
    let code = case["code"].as_u64().unwrap();
    match outcome {
        Ok(object) if code < 300 => {
            let mut expected = case.get("object").unwrap_or(before).clone();
            for edit in case.get("diff").and_then(Value::as_array).into_iter().flatten() {
                change(&mut expected, edit);
            }
            (object != expected).then(|| {
                let mut differences = String::new();
                list_differences(&expected, &object, "", &mut differences);
                differences
            })
        }
        Ok(_) => {
            Some(format!("  expected {}\n  found    no complaint", case.get("causes").unwrap_or(&case["message"])))
        }
        Err(status) if code < 300 => {
            Some(format!("  expected no complaint\n  found    {}", texts(&status).join("\n           ")))
        }
        Err(status) => {
            let expected: Vec<String> = case
                .get("causes")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .map(|cause| format!("{} {}: {}", field(cause, 0), field(cause, 1), readable(field(cause, 2))))
                .collect();
            let found = texts(&status);
            (found != expected).then(|| {
                format!("  expected {}\n  found    {}", expected.join("\n           "), found.join("\n           "))
            })
        }
    }
}

fn list_differences(expected: &Value, found: &Value, path: &str, to: &mut String) {
    match (expected, found) {
        _ if expected == found => {}
        (Value::Object(one), Value::Object(two)) => {
            let keys: BTreeSet<&String> = one.keys().chain(two.keys()).collect();
            for key in keys {
                list_differences(&expected[key], &found[key], &format!("{path}/{key}"), to);
            }
        }
        (Value::Array(one), Value::Array(two)) if one.len() == two.len() => {
            for (index, (one, two)) in one.iter().zip(two).enumerate() {
                list_differences(one, two, &format!("{path}/{index}"), to);
            }
        }
        _ => writeln!(to, "  object {path}: expected {expected}, found {found}").unwrap(),
    }
}

/// A message without what upstream prints of its own structures: the lines of a difference, and the order of the fields of a
/// value. UIDs that were made on the way are like each other.
fn readable(message: &str) -> String {
    let message = &without_uids(message.split('\n').next().unwrap_or_default());
    let Some(start) = message.find(": {").map(|at| at + 2) else { return message.to_owned() };
    let mut values = serde_json::Deserializer::from_str(&message[start..]).into_iter::<Value>();
    match values.next() {
        Some(Ok(value)) => format!("{}{value}{}", &message[..start], &message[start + values.byte_offset()..]),
        _ => message.to_owned(),
    }
}

fn without_uids(message: &str) -> String {
    let is_of_uid =
        |(at, byte): (usize, u8)| if matches!(at, 8 | 13 | 18 | 23) { byte == b'-' } else { byte.is_ascii_hexdigit() };
    let is_uid = |part: &str| part.len() == 36 && part.bytes().enumerate().all(is_of_uid);
    let parts: Vec<&str> = message.split('"').map(|part| if is_uid(part) { "UID" } else { part }).collect();
    parts.join("\"")
}

fn field(cause: &Value, at: usize) -> &str {
    cause[at].as_str().unwrap_or_default()
}

/// The complaints of a refusal, each once.
fn texts(status: &Status) -> Vec<String> {
    let Some(details) = &status.details else { return vec![status.message.clone()] };
    let mut texts: Vec<String> = Vec::new();
    for cause in &details.causes {
        let text = format!("{} {}: {}", cause.reason, cause.field, readable(&cause.message));
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts
}
