//! Upstream's answers. Each line of `answers.jsonl` is an expression with its data, and what the API server's cel-go made of it: issues,
//! or the value or error, and what it cost and was estimated to cost. Those in `differs.txt` are known not to be the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use serde_json::Value as Json;
use windlass_cel::{
    Attributes, Authorizer, Decision, Env, LibraryType, Mode, PER_CALL_LIMIT, Schema, SchemaSizes, Target, Type, Value,
    declare,
};

use crate::render::render;

/// The recorder's authorizer.
#[derive(Debug)]
struct Verbs;

impl Authorizer for Verbs {
    fn authorize(&self, attributes: &Attributes) -> Decision {
        let user = match &attributes.service_account {
            Some((namespace, name)) => format!("system:serviceaccount:{namespace}:{name}"),
            None => "alice".to_owned(),
        };
        let denied = |reason: String| Decision { allowed: false, reason, error: None };
        match attributes.verb.as_str() {
            "get" => Decision { allowed: true, reason: format!("for {user}"), error: None },
            "err" => Decision { error: Some("cannot say".to_owned()), ..Decision::default() },
            "show" => match &attributes.target {
                Target::Path(path) => denied(format!("false \"\" \"\" \"\" \"\" \"\" {path:?} {user:?}")),
                Target::Resource(r) => denied(format!(
                    "true {:?} {:?} {:?} {:?} {:?} \"\" {user:?}",
                    r.group, r.resource, r.subresource, r.namespace, r.name
                )),
            },
            _ => denied("no".to_owned()),
        }
    }
}

/// What we make of a case, in the recorder's form.
pub(crate) fn answer(case: &Json) -> serde_json::Map<String, Json> {
    let mut answer = serde_json::Map::new();
    let mut say = |key: &str, value: Json| answer.insert(key.to_owned(), value);
    let expression = case["expr"].as_str().unwrap_or_default();
    let mode = if case["env"] == "stored" { Mode::Stored } else { Mode::New };
    let mut env = Env::new(mode).json_patch().variable("authorizer", Type::Library(LibraryType::Authorizer));
    let schema = case.get("schema");
    match schema {
        Some(schema) => {
            let schema: Arc<dyn Schema> = Arc::new(schema.clone());
            let sizes = SchemaSizes::default().variable("self", schema.clone());
            env = env.variable("self", declare(schema, "selfType").unwrap_or(Type::Dyn)).sizes(Arc::new(sizes));
        }
        None => env = env.variable("self", Type::Dyn),
    }
    let compiled = match env.compile(expression) {
        Ok(compiled) => compiled,
        Err(issues) => {
            say("compile", issues.to_string().into());
            return answer;
        }
    };
    say("type", compiled.output_type().describe().into());
    let program = match compiled.program() {
        Ok(program) => program,
        Err(error) => {
            say("plan", error.to_string().into());
            return answer;
        }
    };
    let estimate = compiled.estimate();
    say("min", estimate.min.to_string().into());
    say("max", estimate.max.to_string().into());
    let mut variables = vec![("authorizer", Value::authorizer(&Verbs))];
    if let Some(data) = case.get("self") {
        let value = Value::from_json(data, schema.map(|schema| schema as &dyn Schema));
        match value {
            Ok(value) => variables.push(("self", value)),
            Err(error) => {
                say("error", error.to_string().into());
                return answer;
            }
        }
    }
    let limit = case["limit"].as_u64().unwrap_or(PER_CALL_LIMIT);
    let evaluation = program.evaluate(&variables, limit);
    match evaluation.result {
        Ok(value) => say("value", render(&value).into()),
        Err(error) => say("error", error.to_string().into()),
    };
    say("cost", evaluation.cost.into());
    answer
}

const ANSWERS: &str = include_str!("answers.jsonl");
const DIFFERS: &str = include_str!("differs.txt");

/// The parts of an answer in which ours differs.
fn differences(case: &Json, ours: &serde_json::Map<String, Json>) -> String {
    let mut text = String::new();
    for key in ["compile", "type", "plan", "value", "error", "cost", "min", "max"] {
        let theirs = case.get(key);
        // A run that fails before it begins costs nothing, and a stopped one what it may.
        let unknown = key == "cost" && theirs.is_none();
        if ours.get(key) != theirs && !unknown {
            let shown = |value: Option<&Json>| {
                value.map_or("-".to_owned(), |v| v.as_str().map_or(v.to_string(), str::to_owned))
            };
            writeln!(text, "  {key}\n    theirs: {}\n    ours:   {}", shown(theirs), shown(ours.get(key)))
                .unwrap_or(());
        }
    }
    text
}

#[test]
fn answers_are_upstreams() {
    let known: BTreeSet<&str> = DIFFERS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let mut failures = String::new();
    let mut differing = BTreeSet::new();
    let mut count = 0;
    let mut named = BTreeMap::new();
    for line in ANSWERS.lines() {
        let mut case: Json = serde_json::from_str(line).unwrap();
        if let Some(name) = case["name"].as_str() {
            named.insert(name.to_owned(), case);
            continue;
        }
        for key in ["schema", "self"] {
            let inherited = case["with"].as_str().and_then(|with| named[with].get(key)).cloned();
            if let (None, Some(inherited)) = (case.get(key), inherited) {
                case[key] = inherited;
            }
        }
        let expression = case["expr"].as_str().unwrap_or_default();
        count += 1;
        let found = differences(&case, &answer(&case));
        if found.is_empty() {
            continue;
        }
        differing.insert(expression.to_owned());
        if !known.contains(expression) {
            write!(failures, "{expression}\n{found}").unwrap();
        }
    }
    assert!(failures.is_empty(), "of {count} answers, {} differ:\n{failures}", differing.len());
    let mended: Vec<&&str> = known.iter().filter(|expression| !differing.contains(**expression)).collect();
    assert!(mended.is_empty(), "take out of differs.txt, for these are the same now: {mended:#?}");
}
