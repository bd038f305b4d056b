//! Match conditions and what they see, as upstream has it.

use std::borrow::Cow;

use serde_json::{Value, json};
use windlass_api::{GroupVersionKind, GroupVersionResource};
use windlass_auth::User;
use windlass_cel::Patterns;

use super::{Inputs, MatchConditions, Variables, Versioned, Write};
use crate::fake::Fake;
use crate::matching::Matched;
use crate::reinvocation::Reinvocation;
use crate::review::{Operation, Review};

/// Does something with the inputs of an update of a config map.
fn with_inputs<T>(cluster: &Fake, work: impl FnOnce(&Inputs<'_>) -> T) -> T {
    let (kind, resource) =
        (GroupVersionKind::of("", "v1", "ConfigMap"), GroupVersionResource::of("", "v1", "configmaps"));
    let mut new = json!({"metadata": {"name": "c", "namespace": "n"}, "data": {"a": "1"}});
    let old = json!({"metadata": {"name": "c", "namespace": "n"}, "data": {"a": "2"}});
    let review = Review {
        operation: Operation::Update,
        kind: &kind,
        resource: &resource,
        subresource: "",
        namespace: "n",
        name: "c",
        user: &User::new("jane", &["admins"]),
        object: Some(&mut new),
        old: Some(&old),
        dry_run: true,
        options: &json!({"kind": "UpdateOptions", "fieldManager": "me"}),
        warnings: cluster,
        reinvocation: Reinvocation::default(),
    };
    let matched = Matched { resource: Cow::Borrowed(&resource), kind: Cow::Borrowed(&kind) };
    let object = review.object.as_deref().map(Cow::Borrowed);
    let versioned = Versioned { matched, object, old: Some(Cow::Borrowed(&old)) };
    work(&Inputs::of(&Write::of(&review, &versioned, cluster)))
}

fn evaluated(policy: Option<&str>, conditions: &[&str]) -> Result<bool, String> {
    let conditions: Vec<Value> =
        conditions.iter().map(|expression| json!({"name": "c", "expression": expression})).collect();
    let webhook = json!({"matchConditions": conditions, "failurePolicy": policy});
    let cluster = Fake { verbs: vec!["get"], ..Fake::default() };
    with_inputs(&cluster, |inputs| {
        MatchConditions::of_webhook(&webhook, &Patterns::of_expressions()).evaluate(inputs, &Variables::default())
    })
}

#[test]
fn match_conditions() {
    let missing = "expression 'object.data.b == \"\"' resulted in error: no such key: b";
    let cases: [(&[&str], Result<bool, &str>); 9] = [
        (&[], Ok(true)),
        (&["object.data.a == '1'", "oldObject.data.a == '2'"], Ok(true)),
        (&["object.data.a == '1'", "false"], Ok(false)),
        (&["object.data.b == \"\"", "false"], Ok(false)),
        (&["object.data.b == \"\"", "true"], Err(missing)),
        (&["object.data.b == \"\"", "object.data.b == \"\""], Err(missing)),
        (&["object == oldObject"], Ok(false)),
        (&["object.kind == 'ConfigMap' && object.apiVersion == 'v1' && object.metadata.name == 'c'"], Ok(true)),
        (&["namespaceObject == null"], Ok(true)),
    ];
    for (conditions, expected) in cases {
        assert_eq!(evaluated(None, conditions), expected.map_err(str::to_owned), "{conditions:?}");
        let ignored = evaluated(Some("Ignore"), conditions);
        assert_eq!(ignored, Ok(expected == Ok(true)), "{conditions:?}");
    }
    let both = evaluated(None, &["object.data.b == \"\"", "true || object.x", "object.data.b == '1' && true"]);
    assert_eq!(
        both.unwrap_err(),
        format!("[{missing}, expression 'object.data.b == '1' && true' resulted in error: no such key: b]")
    );
}

#[test]
fn what_conditions_see() {
    let all_true = [
        "request.operation == 'UPDATE' && request.dryRun",
        "request.kind.kind == 'ConfigMap' && request.resource.resource == 'configmaps' && request.requestKind.group == ''",
        "request.name == 'c' && request.namespace == 'n' && !has(request.subResource)",
        "request.userInfo.username == 'jane' && 'admins' in request.userInfo.groups",
        "request.options.fieldManager == 'me'",
        "authorizer.group('').resource('pods').namespace('n').check('get').allowed()",
        "!authorizer.requestResource.check('delete').allowed()",
        "authorizer.requestResource.check('delete').reason() == 'nobody may'",
        "size(object) == 4 && 'metadata' in object && has(object.kind) && !has(object.spec)",
        "object.map(field, field).exists(field, field == 'data')",
    ];
    for expression in all_true {
        assert_eq!(evaluated(None, &[expression]), Ok(true), "{expression}");
    }
    let faults = [
        ("1 + 1", "compilation error: must evaluate to bool but got int"),
        (
            "variables.a == 1",
            "compilation error: compilation failed: ERROR: <input>:1:1: undeclared reference to 'variables' (in container '')\n | variables.a == 1\n | ^",
        ),
        (
            "params.a == 1",
            "compilation error: compilation failed: ERROR: <input>:1:1: undeclared reference to 'params' (in container '')\n | params.a == 1\n | ^",
        ),
        (
            "request.uid == ''",
            "compilation error: compilation failed: ERROR: <input>:1:8: undefined field 'uid'\n | request.uid == ''\n | .......^",
        ),
    ];
    for (expression, expected) in faults {
        assert_eq!(evaluated(None, &[expression]).unwrap_err(), expected);
    }
}

#[test]
fn conditions_have_a_budget() {
    let ten = "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]";
    let costly = &*format!("{ten}.all(a, {ten}.all(b, {ten}.all(c, {ten}.all(d, a + b + c + d > 0))))");
    let spent = "validation failed due to running out of cost budget, no further validation rules will be run";
    assert_eq!(evaluated(None, &[costly]), Ok(true));
    assert_eq!(evaluated(None, &[costly; 64]).unwrap_err(), spent);
    assert_eq!(evaluated(Some("Ignore"), &[costly; 64]), Ok(false));
}

#[test]
fn variables_are_evaluated_when_they_are_named() {
    use windlass_cel::admission::{Declarations, Environment};
    let long: Vec<Value> = (0..600)
        .map(|number| {
            let expression = if number == 0 { "1".to_owned() } else { format!("variables.v{} + 1", number - 1) };
            json!({"name": format!("v{number}"), "expression": expression})
        })
        .collect();
    let own = json!([
        {"name": "one", "expression": "1"},
        {"name": "two", "expression": "variables.one + 1"},
        {"name": "broken", "expression": "object.data.absent"},
        {"name": "wrong", "expression": "1 + ''"},
        {"name": "list", "expression": "[variables.two]"},
    ]);
    let told = |variables: &Value, expression: &str| {
        let spec = json!({"variables": variables, "matchConditions": [{"name": "c", "expression": expression}]});
        let mut environment = Environment::of_policy(Patterns::of_expressions());
        let declarations = Declarations { params: true, authorizer: true };
        let variables = Variables::compile(&spec, &mut environment, declarations);
        let conditions = MatchConditions::compile(&spec, &environment, declarations);
        with_inputs(&Fake::default(), |inputs| conditions.evaluate(inputs, &variables))
    };
    assert_eq!(told(&own, "variables.two == 2 && variables.list == [2] && params == null"), Ok(true));
    assert_eq!(told(&own, "variables.two == 2 || variables.broken == ''"), Ok(true));
    let why = told(&own, "variables.broken == ''").unwrap_err();
    assert_eq!(
        why,
        "expression 'variables.broken == ''' resulted in error: composited variable \"broken\" fails to evaluate: no such key: absent"
    );
    let why = told(&own, "variables.wrong == 1").unwrap_err();
    assert!(why.contains("composited variable \"wrong\" fails to compile: compilation failed: ERROR: <input>:1:3: found no matching overload"), "{why}");
    let why = told(&own, "variables.three == 1").unwrap_err();
    assert!(why.contains("undefined field 'three'"), "{why}");
    let why = told(&own, "variables.list == 1").unwrap_err();
    assert!(why.contains("found no matching overload for '_==_' applied to '(list(int), int)'"), "{why}");
    let own = json!([{"name": "a", "expression": "1"}, {"name": "a", "expression": "variables.a + 1"}]);
    let why = told(&own, "variables.a == 2").unwrap_err();
    assert!(why.contains("composited variable \"a\" fails to evaluate: it leads to itself"), "{why}");
    let long = Value::from(long);
    assert_eq!(told(&long, "variables.v300 == 301"), Ok(true));
    let why = told(&long, "variables.v599 == 600").unwrap_err();
    assert!(why.contains("too many variables lead to each other"), "{why}");
}
