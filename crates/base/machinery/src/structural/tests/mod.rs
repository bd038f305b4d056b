//! Upstream's answers to the cases of `cases.jsonl`, which `conformance/facts/structural` records, and what they cannot show.

use serde_json::Value;

use super::Structural;
use super::go_print::json;
use super::json_path::JsonPath;

const CASES: &str = include_str!("cases.jsonl");

/// What is wrong with our answer to a case.
fn difference(case: &Value) -> Option<String> {
    let mut upstreams: Vec<String> = ["errors", "found", "problem", "result"]
        .iter()
        .flat_map(|field| match &case[field] {
            Value::Null => Vec::new(),
            Value::Array(list) => list.iter().map(text).collect(),
            value => vec![text(value)],
        })
        .collect();
    let mut ours = answer(case);
    if case["any_order"] == true {
        ours.sort();
        upstreams.sort();
    }
    let (ours, upstreams) = (ours.join("\n"), upstreams.join("\n"));
    (ours != upstreams).then(|| format!("{case}\n--- upstream\n{upstreams}\n--- ours\n{ours}\n"))
}

fn answer(case: &Value) -> Vec<String> {
    if let Some(path) = case["path"].as_str() {
        return match JsonPath::parse(path) {
            Ok(path) => path.find(&case["in"]).into_iter().map(json).collect(),
            Err(problem) => vec![problem],
        };
    }
    let Some(object) = case.get("default") else { return validate(case) };
    let (schema, mut object) = (Structural::read(&case["schema"]), object.clone());
    schema.prune_nulls(&mut object);
    schema.set_defaults(&mut object);
    vec![json(&object)]
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| json(value), str::to_owned)
}

fn validate(case: &Value) -> Vec<String> {
    let schema = Structural::read(&case["schema"]);
    let errors = match case.get("old") {
        Some(old) if case["status"] == true => schema.validate_status_update(&case["object"], old),
        Some(old) => schema.validate_update(&case["object"], old),
        None => schema.validate(&case["object"]),
    };
    errors.iter().map(|error| format!("{} {error}", error.kind.reason())).collect()
}

#[test]
fn as_upstream_does() {
    let cases: Vec<Value> = CASES.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(cases.len() >= 150, "{} cases", cases.len());
    let differences: Vec<String> = cases.iter().filter_map(difference).collect();
    assert!(differences.is_empty(), "{} of {} cases\n{}", differences.len(), cases.len(), differences.join("\n"));
}

mod bounds {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// A schema for lists of many things, and an object with `count` items that are wrong in each of them.
    fn large(count: usize) -> (Structural, Value) {
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string", "maxLength": 0}},
            "map": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "required": ["z"], "properties": {
                    "k": {"type": "string", "enum": ["a"]},
                    "v": {"type": "integer", "anyOf": [{"minimum": 10_000_000}, {"multipleOf": 10_000_000}]}}}},
            "unique": {"type": "array", "uniqueItems": true, "items": {"type": "number", "maximum": -1.5}},
        }}}});
        let text = |n: usize| format!("item {n}");
        let map: Vec<Value> = (0..count).map(|n| json!({"k": text(n), "v": n + 1})).collect();
        let (set, unique): (Vec<String>, Vec<usize>) = ((0..count).map(text).collect(), (0..count).collect());
        (Structural::read(&schema), json!({"spec": {"set": set, "map": map, "unique": unique}}))
    }

    #[test]
    fn errors_are_bounded() {
        let (schema, object) = large(20_000);
        let errors = schema.validate(&object);
        assert!(errors.is_full() && errors.omitted() > 80_000, "{} and {}", errors.len(), errors.omitted());
    }

    #[test]
    fn whatever_is_unchanged_ratchets() {
        let (schema, object) = large(20_000);
        assert_eq!(schema.validate_update(&object, &object).len(), 0);
        let mut changed = object.clone();
        changed["spec"]["map"][7]["v"] = json!(3);
        let fields: Vec<_> =
            schema.validate_update(&changed, &object).iter().map(|error| error.field.clone()).collect();
        // The item has changed, and with it the object's integer; neither the keys nor the other lists have.
        assert_eq!(fields, ["<nil>", "spec.map[7].v", "spec.map[7].z"]);
    }

    #[test]
    fn annotations_of_embedded_resources_are_bounded() {
        let schema = json!({"properties": {"x": {"type": "object", "x-kubernetes-embedded-resource": true}}});
        let annotations = |bytes: usize| {
            let metadata = json!({"annotations": {"a": "x".repeat(bytes - 1)}});
            Structural::read(&schema).validate(&json!({"x": {"apiVersion": "v1", "kind": "K", "metadata": metadata}}))
        };
        assert_eq!(annotations(256 * 1024).len(), 0);
        let said = annotations(256 * 1024 + 1)[0].to_string();
        assert_eq!(said, "x.metadata.annotations: Too long: may not be more than 262144 bytes");
    }

    /// A few kilobytes of such patterns took half a minute and gigabytes.
    #[test]
    fn patterns_have_a_common_budget() {
        let properties: serde_json::Map<String, Value> = (0..200)
            .map(|number| {
                // Each stands there four times.
                let pattern = format!(r"\pL{{250}}{}$", number / 4);
                (format!("p{number:03}"), json!({"type": "string", "pattern": pattern}))
            })
            .collect();
        let object: Value = properties.keys().map(|name| (name.clone(), json!("a"))).collect();
        let schema = Structural::read(&json!({"type": "object", "properties": properties}));
        let errors = schema.validate(&object);
        let is_too_large = |error: &&windlass_api::field::Error| error.detail.contains("are too large together");
        let too_large = errors.iter().filter(is_too_large).count();
        assert_eq!(errors.iter().count(), 200);
        assert_eq!(too_large, 192, "two have room, at four places each");
    }

    #[test]
    fn an_unusable_pattern_matches_nothing() {
        let schema = Structural::read(&json!({"properties": {"x": {"type": "string", "pattern": "("}}}));
        let said = schema.validate(&json!({"x": "a"}))[0].to_string();
        let begin = "x: Invalid value: \"a\": x in body should match '(, but pattern is invalid: ";
        assert!(said.starts_with(begin), "{said}");
    }

    #[test]
    fn the_servers_own_fields_are_left_alone() {
        let schema = Structural::read(&json!({"properties": {
            "kind": {"type": "string", "default": "K"},
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "default": "n"}}},
            "x": {"type": "object", "properties": {"kind": {"type": "string", "default": "K"}}},
        }}));
        let mut object = json!({"metadata": {"name": null}, "x": {}});
        schema.prune_nulls(&mut object);
        schema.set_defaults(&mut object);
        assert_eq!(object, json!({"metadata": {"name": null}, "x": {"kind": "K"}}));
    }

    #[test]
    fn defaults_are_bounded() {
        let item = json!({"type": "object", "properties": {"x": {"type": "string", "default": "x".repeat(100_000)}}});
        let schema = Structural::read(&json!({"properties": {"list": {"type": "array", "items": item}}}));
        let defaulted = |items: usize| {
            let mut object = json!({"list": vec![json!({}); items]});
            schema.set_defaults(&mut object);
            object
        };
        let few = defaulted(100);
        assert!(!schema.lacks_defaults(&few, false) && few["list"][99]["x"].is_string());
        let many = defaulted(10_000);
        assert!(schema.lacks_defaults(&many, false) && many["list"][9_999] == json!({}));
        assert!(crate::tree::weight(&many, usize::MAX) < 20 << 20);
    }

    #[test]
    fn what_a_path_finds_is_bounded() {
        let deep = (0..100).fold(json!(["x"]), |inner, _| json!([inner, "y"]));
        let count = |path: &str| JsonPath::parse(path).unwrap().find(&deep).len();
        assert_eq!(count(".."), 202);
        assert!(count("...*...*") > 5_000 && count("...*...*...*...*...*") == 0);
    }

    #[test]
    fn schemas_are_small_and_shared() {
        fn is_shared<T: Send + Sync>() {}
        is_shared::<Structural>();
        is_shared::<JsonPath>();
        assert!(size_of::<Structural>() <= 72, "{}", size_of::<Structural>());
    }

    const WORDS: &[&str] = &[
        "type",
        "object",
        "array",
        "string",
        "integer",
        "number",
        "properties",
        "items",
        "additionalProperties",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "enum",
        "required",
        "pattern",
        "format",
        "date-time",
        "int32",
        "minimum",
        "multipleOf",
        "maxLength",
        "minItems",
        "maxProperties",
        "uniqueItems",
        "nullable",
        "default",
        "spec",
        "set",
        "map",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-int-or-string",
        "x-kubernetes-embedded-resource",
        "apiVersion",
        "kind",
        "metadata",
    ];

    /// Words of schemas, so that trees made of them mean something here and there.
    fn words() -> impl Strategy<Value = String> {
        prop_oneof![4 => prop::sample::select(WORDS).prop_map(str::to_owned), 1 => any::<String>()]
    }

    fn trees() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            words().prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 60, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(words(), inner, 0..5).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_tree_is_taken(schema in trees(), object in trees(), old in trees()) {
            let schema = Structural::read(&schema);
            schema.validate(&object);
            schema.validate_update(&object, &old);
            schema.validate_status_update(&object, &old);
            let mut pruned = object;
            schema.prune_nulls(&mut pruned);
            let once = pruned.clone();
            schema.prune_nulls(&mut pruned);
            prop_assert_eq!(&once, &pruned);
            schema.set_defaults(&mut pruned);
        }

        #[test]
        fn any_text_is_taken(text in r#"[-a-z0-9.:/%@<>\[\](){}?*+^$\\'", =!é\n]{0,24}"#, tree in trees()) {
            Structural::read(&json!({"type": "string", "pattern": text})).validate(&Value::from(text.as_str()));
            if let Ok(path) = JsonPath::parse(&text) {
                path.find(&tree);
            }
            for format in ["uri", "email", "hostname", "ipv4", "cidr", "mac", "uuid", "isbn", "creditcard", "byte",
                "rgbcolor", "date", "duration", "date-time"]
            {
                let schema = Structural::read(&json!({"type": "string", "format": format}));
                schema.validate(&Value::from(text.as_str()));
            }
        }
    }
}
