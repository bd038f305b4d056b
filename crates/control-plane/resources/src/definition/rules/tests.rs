//! Replays what upstream's code says of rules: `answers.jsonl` has schemas that are defined, and objects that are created and updated, with
//! errors and warnings. `conformance/facts/rules` records it.

use bytes::Bytes;
use serde_json::{Value, json};
use windlass_cel::Patterns;
use windlass_machinery::decode;
use windlass_machinery::tree::items;

use crate::apiextensions::custom_resource_definition;
use crate::custom::resources;
use crate::definition::Definition;

/// What we say otherwise: reading a date-time that the schema's format lets through, and Go's reader does not, gives another error here, or
/// none. The list only shrinks.
const DIFFER: [&str; 2] = ["a date-time in small letters", "a date-time that is none"];

const CASES: &str = include_str!("answers.jsonl");

/// A definition of cats, decoded and with defaults.
fn definition(schema: &Value) -> Value {
    let names = json!({"plural": "cats", "singular": "cat", "kind": "Cat", "listKind": "CatList"});
    let version = json!({"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}}});
    let made = json!({
        "metadata": {"name": "cats.example.com"},
        "spec": {"group": "example.com", "scope": "Cluster", "names": names, "versions": [version]},
        "status": {"storedVersions": ["v1"], "acceptedNames": names, "conditions": [{"type": "NamesAccepted", "status": "True"}]},
    });
    let kind = custom_resource_definition::resource();
    let mut made = decode::from_value(kind.object_type().schema, kind.object_type().id, made).unwrap().value;
    kind.strategy.set_defaults(&mut made);
    made
}

fn cat(object: &Value) -> Value {
    let mut object = object.clone();
    if object["metadata"].is_null() {
        object["metadata"] = json!({"name": "tom", "resourceVersion": "1", "uid": "u"});
    }
    object
}

/// Our errors and warnings.
fn judged(case: &Value) -> (Vec<String>, Vec<String>) {
    let (errors, warnings) = if let Some(schema) = case.get("define") {
        let strategy = custom_resource_definition::resource().strategy;
        let mut made = definition(schema);
        made["spec"]["versions"][0].as_object_mut().unwrap().remove("subresources");
        let errors = match case.get("was") {
            Some(was) => strategy.validate_update(&made, &definition(was)),
            None => strategy.validate(&made),
        };
        (errors, Vec::new())
    } else {
        let made = definition(&case["schema"]);
        let (read, bytes) =
            (serde_json::from_value::<Definition>(made.clone()).unwrap(), Bytes::from(made.to_string()));
        let strategy = resources(&read, &bytes).remove(0).strategy;
        let object = cat(&case["object"]);
        let old = case.get("old").map(cat);
        let mut errors = match &old {
            None => strategy.validate(&object),
            Some(old) if case["status"] == true => strategy.validate_status(&object, old),
            Some(old) => strategy.validate_update(&object, old),
        };
        strategy.validate_rules(&object, old.as_ref(), &mut errors);
        let warned = old.filter(|_| case["status"] != true);
        (errors, warned.map(|old| strategy.warnings(&object, Some(&old))).unwrap_or_default())
    };
    (texts(&errors), warnings)
}

fn texts(errors: &windlass_api::field::Errors) -> Vec<String> {
    errors.iter().map(|error| format!("{} {error}", error.kind.reason())).collect()
}

/// How our judgement of a case differs, if it does.
fn difference(case: &Value) -> Option<String> {
    let upstreams = |field| items(case, field).map(|said| said.as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let (mut errors, mut warnings) = judged(case);
    let (wanted, mut wanted_warnings) = (upstreams("errors"), upstreams("warnings"));
    if case["any_order"] == true {
        errors.sort();
        warnings.sort();
    }
    // Only requests for whole objects are answered with warnings.
    if case["status"] == true {
        wanted_warnings.clear();
    }
    let is_same = errors == wanted && warnings == wanted_warnings;
    let is_known = case["name"].as_str().is_some_and(|name| DIFFER.contains(&name));
    (is_same == is_known).then(|| {
        let mut case = case.clone();
        for field in ["errors", "warnings"] {
            case.as_object_mut().unwrap().remove(field);
        }
        let case: String = case.to_string().chars().take(1500).collect();
        format!("{case}\n--- upstream\n{wanted:#?} {wanted_warnings:#?}\n--- ours\n{errors:#?} {warnings:#?}\n")
    })
}

/// Rules that are constant cost nothing by upstream's count.
#[test]
fn no_number_of_rules_takes_forever() {
    let rules = vec![json!({"rule": "true"}); 2000];
    let schema = json!({"properties": {"list": {"type": "array", "items": {"type": "integer", "x-kubernetes-validations": rules}}}});
    let list: Vec<u32> = (0..20_000).collect();
    let found = errors(&schema, &json!({"list": list}), None);
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("validation failed due to running out of cost budget"), "{found:?}");
}

/// A long rule that every item breaks is shown a few times.
#[test]
fn errors_are_bounded() {
    let rule = format!("self == 0 || '{}' == ''", "x".repeat(50_000));
    let schema = json!({"properties": {"list": {"type": "array", "items": {"type": "integer", "x-kubernetes-validations": [{"rule": rule}]}}}});
    let list = vec![1; 100_000];
    let count = errors(&schema, &json!({"list": list}), None).len();
    assert!((10..40).contains(&count), "{count} errors");
}

/// Deep values that are wrong at every level are compared with the old ones, and forgiven.
#[test]
fn deep_values() {
    let (mut schema, mut object) = (json!({"type": "integer"}), json!(1));
    for _ in 0..50 {
        schema = json!({"type": "object", "properties": {"a": schema}, "x-kubernetes-validations": [{"rule": "!has(self.a)"}]});
        object = json!({"a": object});
    }
    assert_eq!(errors(&schema, &object, None).len(), 50);
    // The object itself has fields that the schema does not name, and counts as changed.
    assert_eq!(errors(&schema, &object, Some(&object)).len(), 1);
}

fn errors(schema: &Value, object: &Value, old: Option<&Value>) -> Vec<String> {
    let mut case = json!({"schema": schema, "object": object});
    if let Some(old) = old {
        case["old"] = old.clone();
    }
    judged(&case).0
}

#[test]
fn upstream_says_the_same() {
    let cases: Vec<Value> = CASES.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(cases.len() > 500, "{} cases", cases.len());
    let differences: Vec<String> = cases.iter().filter_map(difference).collect();
    assert!(
        differences.is_empty(),
        "{} of {} cases differ\n{}",
        differences.len(),
        cases.len(),
        differences.join("\n")
    );
}

/// A definition that was stored before there was a budget is served: its rules within it are held, the others are errors of its objects.
#[test]
fn rules_beyond_the_budget_are_errors_of_objects() {
    let rule = |number| json!({"rule": format!(r"self.name.matches('^\\pL{{90}}{number}$') || self.name == 'tom'")});
    let rules: Vec<Value> = (0..20).map(rule).collect();
    let name = json!({"type": "string"});
    let schema = json!({"type": "object", "properties": {"name": name}, "x-kubernetes-validations": rules});
    let (errors, _) = judged(&json!({"schema": schema, "object": {"name": "tom"}}));
    assert_eq!(errors.len(), 14, "six have room");
    let why = "rule compile error: program instantiation failed: regular expressions of this definition are too large together";
    assert!(errors.iter().all(|error| error.contains(why)), "{}", errors[0]);
}

mod any {
    use proptest::prelude::*;

    use super::super::{BUDGET, Rules};
    use super::*;
    use windlass_api::field::Path;

    const WORDS: &[&str] = &[
        "type",
        "object",
        "array",
        "string",
        "integer",
        "properties",
        "items",
        "additionalProperties",
        "nullable",
        "a",
        "set",
        "map",
        "x-kubernetes-validations",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-int-or-string",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-embedded-resource",
        "apiVersion",
        "kind",
        "metadata",
    ];

    /// Expressions that mean something to values of one type or another.
    const EXPRESSIONS: &[&str] = &[
        "self.a == 1",
        "self == oldSelf",
        "self.all(x, x == oldSelf[0])",
        "self.metadata.name == self.kind",
        "self > 3",
        "self.size() > 2",
        "has(self.a) && self.a.b == oldSelf.a",
        "oldSelf.hasValue()",
        "dyn(self) + dyn(self) == dyn(self)",
        "self + 'x'",
        "self.",
    ];

    fn leaves() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            prop::sample::select(WORDS).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ]
    }

    fn trees() -> impl Strategy<Value = Value> {
        leaves().prop_recursive(5, 40, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(prop::sample::select(WORDS), inner, 0..5)
                    .prop_map(|map| map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
            ]
        })
    }

    /// Schemas that have rules at every node.
    fn schemas() -> impl Strategy<Value = Value> {
        let expression = || prop::sample::select(EXPRESSIONS);
        let rule = (expression(), expression(), any::<bool>());
        let leaf = (prop::sample::select(&["object", "string", "integer", "array", ""]), trees())
            .prop_map(|(kind, more)| json!({"type": kind, "format": more.as_str().unwrap_or("date")}));
        let nested = leaf.prop_recursive(4, 24, 3, |inner| {
            prop_oneof![
                inner.clone().prop_map(|items| json!({"type": "array", "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["a"], "items": items})),
                inner.clone().prop_map(|values| json!({"type": "object", "additionalProperties": values})),
                (inner.clone(), inner).prop_map(|(a, kind)| json!({"type": "object",
                    "x-kubernetes-embedded-resource": true, "properties": {"a": a, "kind": kind}})),
            ]
        });
        (nested, prop::collection::vec(rule, 1..4)).prop_map(|(mut schema, rules)| {
            let rule = |(rule, message, optional)| {
                json!({"rule": rule, "messageExpression": message, "optionalOldSelf": optional, "fieldPath": ".a"})
            };
            set_rules(&mut schema, &rules.into_iter().map(rule).collect());
            schema
        })
    }

    fn set_rules(schema: &mut Value, rules: &Value) {
        schema["x-kubernetes-validations"] = rules.clone();
        for field in ["/items", "/additionalProperties", "/properties/a", "/properties/kind"] {
            schema.pointer_mut(field).into_iter().for_each(|below| set_rules(below, rules));
        }
    }

    fn evaluate(schema: &Value, object: &Value, old: &Value) {
        let Some(rules) = Rules::read(schema, true, &Patterns::of_expressions()) else { return };
        let mut budget = BUDGET;
        rules.validate(&Path::new("x"), object, Some(old), &mut budget);
        rules.validate(&Path::new("x"), object, None, &mut budget);
        assert!(budget <= BUDGET);
    }

    proptest! {
        #[test]
        fn any_tree_is_taken(schema in trees(), object in trees(), old in trees()) {
            evaluate(&schema, &object, &old);
        }

        #[test]
        fn any_schema_is_taken(schema in schemas(), object in trees(), old in trees()) {
            evaluate(&schema, &object, &old);
            judged(&json!({"define": schema}));
            judged(&json!({"schema": schema, "object": {"a": object}, "old": {"a": old}}));
        }
    }
}
