//! What strangers may send: nothing panics, overflows the stack, or runs far beyond its budget.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value as Json, json};
use windlass_cel::{Env, Error, Mode, PER_CALL_LIMIT, Schema, SchemaSizes, Type, Value, declare};

/// Compiles, estimates and runs an expression on data; returns what went wrong, if anything did, and the cost.
fn run(env: &Env, text: &str, data: &Json, schema: Option<&Json>, cost_max: u64) -> Result<u64, String> {
    let compiled = env.compile(text).map_err(|issues| issues.to_string())?;
    let estimate = compiled.estimate();
    assert!(estimate.min <= estimate.max, "{text}");
    let program = compiled.program().map_err(|error| error.to_string())?;
    let value =
        Value::from_json(data, schema.map(|schema| schema as &dyn Schema)).map_err(|error| error.to_string())?;
    let variables = [("self", value)];
    let evaluation = program.evaluate(&variables, cost_max);
    if evaluation.cost > cost_max {
        assert_eq!(evaluation.result.err(), Some(Error::Budget), "{text}");
        return Err(Error::Budget.to_string());
    }
    if let Ok(value) = &evaluation.result {
        // Both walk the value.
        let _: (String, Result<Json, Error>) = (value.to_string(), value.to_json());
    }
    evaluation.result.map(|_| evaluation.cost).map_err(|error| error.to_string())
}

fn untyped(text: &str) -> Result<u64, String> {
    run(&Env::new(Mode::New).variable("self", Type::Dyn), text, &json!({"a": [1]}), None, PER_CALL_LIMIT)
}

#[test]
fn long_expressions_are_refused() {
    let text = format!("'{}'", "é".repeat(99_998));
    assert_eq!(untyped(&text), Ok(0));
    let refused = untyped(&format!("{text} ")).unwrap_err();
    assert_eq!(refused, "ERROR: <input>:-1:0: expression code point size exceeds limit: size: 100001, limit 100000");
}

/// Wraps `inner` as often as fits into `length` characters.
fn nested(open: &str, inner: &str, close: &str, length: usize) -> String {
    let times = (length - inner.len()) / (open.len() + close.len()).max(1);
    format!("{}{inner}{}", open.repeat(times), close.repeat(times))
}

#[test]
fn deep_nesting_is_refused_or_runs() {
    let parts = [
        ("(", "1", ")"),
        ("[", "1", "]"),
        ("{1:", "1", "}"),
        ("-", "1", ""),
        ("- ", "1", ""),
        ("!", "true", ""),
        ("", "self", ".a"),
        ("", "self", ".?a"),
        ("", "self", "[0]"),
        ("", "self", "[?0]"),
        ("", "'a'", ".trim()"),
        ("", "1", " + 1"),
        ("", "true", " || true"),
        ("", "1", " == 1"),
        ("true ? ", "1", " : 1"),
        ("", "true", " ? true : true"),
        ("[1].map(x, ", "x", ")"),
        ("", "[1]", ".map(x, x)"),
        ("", "[1]", ".map(x, [x])"),
        ("", "[1]", ".filter(x, true)"),
        ("", "optional.of(1)", ".optMap(x, x)"),
        ("optional.of(", "1", ")"),
        ("[1].all(x, ", "true", ")"),
        ("dyn(", "1", ")"),
        ("type(", "1", ")"),
        ("a(", "1", ")"),
        ("[?", "optional.of(1)", "]"),
        ("'a'.matches('", "(", "')"),
    ];
    for length in [100, 400, 100_000] {
        for (open, inner, close) in parts {
            let _: Result<u64, String> = untyped(&nested(open, inner, close, length));
            // Cut off in the midst, which is an error of syntax.
            let _: Result<u64, String> = untyped(&nested(open, inner, "", length));
        }
    }
    assert_eq!(untyped(&nested("(", "1", ")", 400)), Ok(0));
    let deep = untyped(&nested("(", "1", ")", 2_000)).unwrap_err();
    assert!(deep.contains("expression recursion limit exceeded: 250"), "{deep}");
}

/// A list in which everything is there twice is twice as large on each level, at nearly no cost.
#[test]
fn values_that_share_parts_do_not_run_away() {
    let doubled = |times: usize, end: &str| format!("[[1]]{}{end}", ".map(l, [l, l])".repeat(times));
    for times in [10, 60] {
        let list = doubled(times, "");
        for text in [
            format!("{list} == {list}"),
            format!("sets.contains([{list}], [{list}])"),
            format!("'%s'.format([{list}])"),
            format!("dyn({list}).flatten(1000).size()"),
            format!("[{list}].indexOf({list})"),
            format!("[[1]]{}", ".map(l, l + l)".repeat(times)),
            list,
        ] {
            let _: Result<u64, String> = untyped(&text);
        }
    }
    let text = format!("{} == {}", doubled(60, ""), doubled(60, ""));
    assert_eq!(untyped(&text), Err(Error::Budget.to_string()));
}

#[test]
fn little_cost_makes_no_large_text() {
    let a = format!("'{}'", "a".repeat(20_000));
    for text in [
        format!("{a}.replace('', {a}).size()"),
        format!("{a}.replace('a', {a}).size()"),
        format!("lists.range(90000).map(x, 'a').join({a}).size()"),
        "lists.range(900000).distinct()".to_owned(),
        r"lists.range(100).all(x, 'a'.matches('\\pL{1000}' + string(x)) || true)".to_owned(),
        format!("'{}'.format([{a}, {}])", "%s".repeat(20_000), [a.as_str(); 2].join(", ")),
    ] {
        let failed = untyped(&text).unwrap_err();
        assert!(!failed.contains("Syntax"), "{failed}");
    }
    assert!(untyped(&format!("{a}.replace('a', 'bb').size()")).is_ok());
}

/// 150 of these took half a minute and gigabytes to compile, before anybody ran them.
#[test]
fn constant_patterns_have_a_common_budget() {
    let patterns = windlass_cel::Patterns::of_expressions();
    let env = |()| Env::new(Mode::New).variable("self", Type::String).patterns(patterns.clone());
    let planned = |text: &str| env(()).compile(text).map_err(|issues| issues.to_string()).map(|e| e.program());
    let results: Vec<_> = (0..150).map(|n| planned(&format!(r"self.matches('\\pL{{90}}{n}')")).unwrap()).collect();
    assert_eq!(results.iter().filter(|program| program.is_ok()).count(), 6);
    let error = results[149].as_ref().unwrap_err().to_string();
    assert_eq!(error, r"regular expressions of this definition are too large together: `\pL{90}149`");
    // The same is not charged again, in whatever it stands.
    assert!(planned(r"self.find('\\pL{90}0') == ''").unwrap().is_ok());
    let error = planned(r"self.matches('\\pL{900}')").unwrap_err();
    assert!(error.contains("invalid matches argument"), "{error}");
    let error = planned(r"self.find('\\pL{900}') == ''").unwrap().unwrap_err().to_string();
    assert_eq!(error, r"error parsing regexp: expression too large: `\pL{900}`");
}

#[test]
fn runs_stop_at_the_budget() {
    let env = Env::new(Mode::New).variable("self", Type::Dyn);
    let text = "[1, 2, 3].all(x, [1, 2, 3].all(y, x + y > 0))";
    let cost = run(&env, text, &Json::Null, None, 1_000).unwrap();
    assert_eq!(run(&env, text, &Json::Null, None, cost), Ok(cost));
    assert_eq!(run(&env, text, &Json::Null, None, cost - 1), Err(Error::Budget.to_string()));
    // Nothing absorbs the end of the budget.
    for text in ["true || X", "X || true", "[X, true].exists(x, x)", "optional.of(X).orValue(true)", "X ? true : true"]
    {
        let text = text.replace('X', "lists.range(100).all(x, x < 1000)");
        let needs = run(&env, &text, &Json::Null, None, 10_000).unwrap();
        for cost_max in 0..needs {
            assert_eq!(run(&env, &text, &Json::Null, None, cost_max), Err(Error::Budget.to_string()), "{text}");
        }
    }
}

/// Words and signs of the language, and others.
const WORDS: &[&str] = &[
    "self",
    ".",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "?",
    "a",
    "b",
    "x",
    "1",
    "0",
    "2u",
    "1.5",
    "-",
    "+",
    "*",
    "/",
    "%",
    "==",
    "!=",
    "<",
    ">=",
    "in",
    "&&",
    "||",
    "!",
    "'a'",
    "\"b\"",
    "b'c'",
    "r'\\d'",
    "true",
    "null",
    "size",
    "all",
    "exists",
    "map",
    "filter",
    "has",
    "optional",
    "of",
    "`a-b`",
    "if",
    "'''",
    "//",
    "\n",
    " ",
    "é",
    "\\",
    "0x",
    "1e",
    "$",
    ".?",
    "[?",
    "matches",
    "format",
    "cel",
    "bind",
    "quantity",
    "9223372036854775808",
    "timestamp",
    "duration",
    "\u{0}",
];

fn schema() -> Json {
    json!({"type": "object", "properties": {
        "a": {"type": "array", "maxItems": 5, "items": {"type": "integer"}},
        "b": {"type": "string", "maxLength": 10},
        "m": {"type": "object", "additionalProperties": {"type": "number"}},
        "t": {"type": "string", "format": "date-time"},
        "i": {"x-kubernetes-int-or-string": true},
        "u": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "s": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "o": {"type": "object", "properties": {"if": {"type": "boolean", "nullable": true}}},
    }})
}

const LEAVES: &[&str] = &[
    "self",
    "self.a",
    "self.b",
    "self.m",
    "self.t",
    "self.i",
    "self.u",
    "self.s",
    "self.o",
    "self.o.__if__",
    "x",
    "y",
    "1",
    "-1",
    "0",
    "2u",
    "1.5",
    "'a'",
    "'self.b'",
    "b'a'",
    "true",
    "false",
    "null",
    "[]",
    "{}",
    "duration('1h')",
    "timestamp('2020-01-01T00:00:00Z')",
    "quantity('1Gi')",
    "semver('1.2.3')",
    "ip('::1')",
    "cidr('10.0.0.0/8')",
    "url('https://a/b?c=d')",
    "optional.none()",
    "9223372036854775807",
    "-9223372036854775808",
    "'é😀'",
    "'%s'",
    "int",
    "self.a[0]",
    "self.b.size()",
    "lists.range(3)",
    "dyn(1)",
    "{'a': 1}",
    "[1, 2]",
    "['a', 'b']",
    "1e300",
    "'[a-z]+'",
];

const OPERATORS: &[&str] = &["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "in"];

const CALLS: &[&str] = &[
    "size",
    "string",
    "int",
    "uint",
    "double",
    "bytes",
    "bool",
    "type",
    "dyn",
    "duration",
    "timestamp",
    "isURL",
    "optional.of",
    "optional.ofNonZeroValue",
    "quantity",
    "isQuantity",
    "isIP",
    "isSemver",
    "!",
    "-",
    "lists.range",
];

const METHODS: &[&str] = &[
    "contains",
    "matches",
    "startsWith",
    "split",
    "join",
    "indexOf",
    "lastIndexOf",
    "charAt",
    "substring",
    "find",
    "findAll",
    "format",
    "orValue",
    "or",
    "add",
    "compareTo",
    "isGreaterThan",
    "flatten",
    "slice",
    "includes",
];

const PROPERTIES: &[&str] = &[
    "size()",
    "sum()",
    "max()",
    "min()",
    "isSorted()",
    "sort()",
    "distinct()",
    "reverse()",
    "flatten()",
    "trim()",
    "lowerAscii()",
    "upperAscii()",
    "value()",
    "hasValue()",
    "getHours()",
    "getMonth('Europe/Paris')",
    "getMilliseconds()",
    "asApproximateFloat()",
    "sign()",
    "major()",
    "getHost()",
    "ip()",
    "family()",
    "a",
    "b",
    "?a",
    "unwrapOpt()",
    "first()",
    "keys()",
];

const MACROS: &[&str] = &[
    "all(x, ",
    "exists(x, ",
    "exists_one(x, ",
    "filter(x, ",
    "map(x, ",
    "map(x, true, ",
    "all(x, y, ",
    "exists(x, y, ",
    "existsOne(x, y, ",
    "transformList(x, y, ",
    "transformMap(x, y, ",
    "optMap(x, ",
    "optFlatMap(x, ",
    "sortBy(x, ",
    "transformMapEntry(x, y, ",
];

/// Expressions that are well-formed, and often of right types.
fn expression() -> impl Strategy<Value = String> {
    select(LEAVES).prop_map(str::to_owned).prop_recursive(6, 60, 4, |one| {
        prop_oneof![
            (one.clone(), select(OPERATORS), one.clone())
                .prop_map(|(a, operator, b)| format!("({a}) {operator} ({b})")),
            (select(CALLS), one.clone()).prop_map(|(call, a)| format!("{call}({a})")),
            (one.clone(), select(METHODS), one.clone()).prop_map(|(a, method, b)| format!("({a}).{method}({b})")),
            (one.clone(), select(PROPERTIES)).prop_map(|(a, property)| format!("({a}).{property}")),
            (one.clone(), select(MACROS), one.clone()).prop_map(|(a, open, b)| format!("({a}).{open}{b})")),
            (one.clone(), one.clone(), one.clone()).prop_map(|(a, b, c)| format!("({a}) ? ({b}) : ({c})")),
            (one.clone(), one.clone()).prop_map(|(a, b)| format!("({a})[{b}]")),
            (one.clone(), one.clone()).prop_map(|(a, b)| format!("({a})[?{b}]")),
            vec(one.clone(), 0..4).prop_map(|all| format!("[{}]", all.join(", "))),
            (one.clone(), one).prop_map(|(a, b)| format!("{{{a}: {b}}}")),
        ]
    })
}

/// Data that may or may not fit the schema.
fn data() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        (-3..9_i64).prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        select(vec!["", "a", "2020-01-01T00:00:00Z", "1Gi", "10.0.0.1", "é"]).prop_map(Json::from),
    ];
    let any = leaf.prop_recursive(3, 12, 4, |inner| {
        let names = select(vec!["a", "b", "m", "t", "i", "u", "s", "o", "if", "x"]).prop_map(str::to_owned);
        let fields = vec((names, inner.clone()), 0..5);
        prop_oneof![
            vec(inner, 0..4).prop_map(Json::Array),
            fields.prop_map(|fields| Json::Object(fields.into_iter().collect())),
        ]
    });
    let fitting = json!({
        "a": [1, 2], "b": "abc", "m": {"x": 1.5}, "t": "2020-01-01T00:00:00Z", "i": "5%", "u": {"y": [1]}, "s": ["a"],
        "o": {"if": null},
    });
    prop_oneof![Just(fitting), any]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read(text in any::<String>(), bytes in vec(any::<u8>(), 0..80)) {
        let _: Result<u64, String> = untyped(&text);
        let _: Result<u64, String> = untyped(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_words_are_read(words in vec(select(WORDS), 0..25)) {
        let _: Result<u64, String> = untyped(&words.concat());
        let _: Result<u64, String> = untyped(&words.join(" "));
    }

    #[test]
    fn any_expression_runs_within_the_budget(text in expression(), data in data(), budget in 0..2_000_u64) {
        // What is free in the expression is bound around it.
        let text = format!("[1].map(x, {{'k': 'v'}}.transformList(y, z, {text}))");
        for mode in [Mode::New, Mode::Stored] {
            let _: Result<u64, String> = run(&Env::new(mode).variable("self", Type::Dyn), &text, &data, None, budget);
            let schema = schema();
            let shared: Arc<dyn Schema> = Arc::new(schema.clone());
            let sizes = SchemaSizes::default().variable("self", shared.clone());
            let env = Env::new(mode).variable("self", declare(shared, "self").unwrap()).sizes(Arc::new(sizes));
            let _: Result<u64, String> = run(&env, &text, &data, Some(&schema), budget);
        }
    }
}
