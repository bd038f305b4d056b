//! Custom resources: defined, served, changed and taken away again.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use windlass_api::resource::CUSTOM_RESOURCE_DEFINITIONS;
use windlass_api::{GroupVersionResource, ObjectKey};

use crate::harness::{TestServer, json as read};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const CATS: &str = "/apis/example.com/v1/namespaces/default/cats";
const JSON: &[&str] = &["content-type: application/json"];
const MERGE: &[&str] = &["content-type: application/merge-patch+json"];
const APPLY: &[&str] = &["content-type: application/apply-patch+yaml"];

/// The definition of cats, with more in its one version.
fn cats(version: &Value) -> Value {
    let schema = json!({"openAPIV3Schema": {"type": "object", "required": ["spec"], "properties": {
        "spec": {"type": "object", "required": ["name"], "properties": {
            "name": {"type": "string", "maxLength": 10},
            "lives": {"type": "integer", "default": 9, "minimum": 0},
            "friends": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "since": {"type": "string"}}}}}},
        "status": {"type": "object", "properties": {"mood": {"type": "string"}, "lives": {"type": "integer"}}}}}});
    let mut v1 = json!({"name": "v1", "served": true, "storage": true, "schema": schema});
    v1.as_object_mut().unwrap().extend(version.as_object().unwrap().clone());
    json!({
        "metadata": {"name": "cats.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced",
            "names": {"plural": "cats", "kind": "Cat", "shortNames": ["ct"], "categories": ["all"]}, "versions": [v1]},
    })
}

fn cat(name: &str) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Cat", "metadata": {"name": name}, "spec": {"name": name}})
}

/// Creates a definition, and waits until it is established.
async fn define(server: &TestServer, definition: &Value) {
    let created = server.create(DEFINITIONS, definition).await;
    let name = created["metadata"]["name"].as_str().unwrap();
    until(server, &CUSTOM_RESOURCE_DEFINITIONS, &ObjectKey::new("", name), |found| is(found, "Established", "True"))
        .await;
}

/// Waits until an object is as it should be; null stands for one that is not there.
async fn until(
    server: &TestServer,
    resource: &GroupVersionResource,
    key: &ObjectKey,
    is: impl Fn(&Value) -> bool,
) -> Value {
    server.cluster().until(resource, key, "an object as it should be", is).await
}

fn is(object: &Value, condition: &str, status: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.filter(|found| found["type"] == condition).any(|found| found["status"] == status)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_is_served() {
    let server = TestServer::start().await;
    assert_eq!(server.get(CATS).await.0, StatusCode::NOT_FOUND);
    define(&server, &cats(&json!({}))).await;
    let (_, definition) = server.get(&format!("{DEFINITIONS}/cats.example.com")).await;
    let names = json!({"plural": "cats", "singular": "cat", "kind": "Cat", "listKind": "CatList", "shortNames": ["ct"], "categories": ["all"]});
    assert_eq!(
        (&definition["status"]["acceptedNames"], &definition["status"]["storedVersions"]),
        (&names, &json!(["v1"]))
    );
    let (_, resources) = server.get("/apis/example.com/v1").await;
    assert_eq!(resources["resources"][0]["name"], "cats");
    assert_eq!(resources["resources"][0]["shortNames"], json!(["ct"]));
    let (code, nothing) = server.get("/apis/example.com/v1/dogs").await;
    assert_eq!((code, nothing), (StatusCode::NOT_FOUND, json!("404 page not found\n")));
    let (_, group) = server.get("/apis/example.com").await;
    assert_eq!(group["preferredVersion"]["groupVersion"], "example.com/v1");
    let created = server.create(CATS, &cat("tom")).await;
    assert_eq!((&created["kind"], &created["apiVersion"]), (&json!("Cat"), &json!("example.com/v1")));
    assert_eq!((&created["spec"]["lives"], &created["metadata"]["generation"]), (&json!(9), &json!(1)));
    let (_, list) = server.get(CATS).await;
    assert_eq!((&list["kind"], &list["items"][0]["kind"]), (&json!("CatList"), &json!("Cat")), "each says what it is");
    assert_eq!(list["items"][0]["spec"], json!({"name": "tom", "lives": 9}));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_objects_are_refused() {
    let server = TestServer::start().await;
    define(&server, &cats(&json!({}))).await;
    let cases = [
        (
            json!({"spec": {"name": "x", "lives": "9"}}),
            422,
            "spec.lives: Invalid value: \"string\": spec.lives in body must be of type integer: \"string\"",
        ),
        (
            json!({"spec": {"name": "x", "lives": -1}}),
            422,
            "spec.lives: Invalid value: -1: spec.lives in body should be greater than or equal to 0",
        ),
        (json!({"spec": {}}), 422, "spec.name: Required value"),
        (json!({}), 422, "spec: Required value"),
        (json!({"spec": {"name": "much too long a name"}}), 422, "spec.name: Too long: may not be more than 10 bytes"),
        (
            json!({"spec": {"name": "x", "friends": [{"name": "a"}, {"name": "a"}]}}),
            422,
            "spec.friends[1]: Duplicate value: {\"name\":\"a\"}",
        ),
        (json!({"metadata": {"name": "A_b"}, "spec": {"name": "x"}}), 422, "metadata.name: Invalid value: \"A_b\""),
        (
            json!({"apiVersion": "example.com/v2", "spec": {"name": "x"}}),
            400,
            "does not match the expected API version (example.com/v1)",
        ),
        (json!({"kind": "Dog", "spec": {"name": "x"}}), 422, "kind: Invalid value: \"Dog\": must be Cat"),
        (json!({"kind": "", "spec": {"name": "x"}}), 400, "Object 'Kind' is missing in"),
    ];
    for (change, code, message) in cases {
        let mut object = cat("tom");
        object.as_object_mut().unwrap().remove("spec");
        object.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let (status, answer) = read(server.send(Method::POST, CATS, JSON, &object.to_string()).await).await;
        assert_eq!(status.as_u16(), code, "{change}: {answer}");
        assert!(answer["message"].as_str().unwrap().contains(message), "{change}: {}", answer["message"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_fields_are_pruned() {
    let server = TestServer::start().await;
    define(&server, &cats(&json!({}))).await;
    let mut tom = cat("tom");
    tom["spec"]["tail"] = json!({"length": 3});
    let path = format!("{CATS}?fieldValidation=Strict");
    let (code, answer) = read(server.send(Method::POST, &path, JSON, &tom.to_string()).await).await;
    assert_eq!(code, StatusCode::BAD_REQUEST);
    assert!(
        answer["message"].as_str().unwrap().contains("strict decoding error: unknown field \"spec.tail\""),
        "{answer}"
    );
    let response = server.send(Method::POST, CATS, JSON, &tom.to_string()).await;
    let warnings: Vec<String> = response
        .headers()
        .get_all("warning")
        .iter()
        .map(|value| windlass_http::header::text(value).into_owned())
        .collect();
    assert_eq!(warnings, ["299 - \"unknown field \\\"spec.tail\\\"\""]);
    let (_, created) = read(response).await;
    assert_eq!(created["spec"], json!({"name": "tom", "lives": 9}));
}

#[tokio::test(flavor = "multi_thread")]
async fn patches_and_apply() {
    let server = TestServer::start().await;
    define(&server, &cats(&json!({}))).await;
    server.create(CATS, &cat("tom")).await;
    let path = format!("{CATS}/tom");
    let (code, merged) = read(server.send(Method::PATCH, &path, MERGE, r#"{"spec":{"lives":7}}"#).await).await;
    assert_eq!(
        (code, &merged["spec"]["lives"], &merged["metadata"]["generation"]),
        (StatusCode::OK, &json!(7), &json!(2))
    );
    let strategic = &["content-type: application/strategic-merge-patch+json"];
    let (code, refused) = read(server.send(Method::PATCH, &path, strategic, "{}").await).await;
    assert_eq!(code, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{refused}");
    let apply = async |manager: &str, friends: Value| {
        let mut object = cat("tom");
        object["spec"] = json!({"name": "tom", "friends": friends});
        let path = format!("{path}?fieldManager={manager}&force=true");
        let (code, applied) = read(server.send(Method::PATCH, &path, APPLY, &object.to_string()).await).await;
        assert_eq!(code, StatusCode::OK, "{applied}");
        applied["spec"]["friends"].clone()
    };
    apply("one", json!([{"name": "jerry"}])).await;
    assert_eq!(apply("two", json!([{"name": "spike"}])).await, json!([{"name": "jerry"}, {"name": "spike"}]));
    assert_eq!(apply("one", json!([])).await, json!([{"name": "spike"}]), "each owns its items");
}

#[tokio::test(flavor = "multi_thread")]
async fn status_and_scale() {
    let server = TestServer::start().await;
    let scale = json!({"specReplicasPath": ".spec.lives", "statusReplicasPath": ".status.lives"});
    define(&server, &cats(&json!({"subresources": {"status": {}, "scale": scale}}))).await;
    let mut tom = cat("tom");
    tom["status"] = json!({"mood": "good"});
    let created = server.create(CATS, &tom).await;
    assert_eq!(created.get("status"), None, "the status is not the creator's");
    let path = format!("{CATS}/tom/status");
    let patch = r#"{"spec":{"lives":1},"status":{"mood":"bad","lives":8}}"#;
    let (_, patched) = read(server.send(Method::PATCH, &path, MERGE, patch).await).await;
    assert_eq!((&patched["status"]["mood"], &patched["spec"]["lives"]), (&json!("bad"), &json!(9)));
    assert_eq!(patched["metadata"]["generation"], 1);
    let path = format!("{CATS}/tom/scale");
    let (_, found) = server.get(&path).await;
    assert_eq!(
        (&found["kind"], &found["spec"], &found["status"]),
        (&json!("Scale"), &json!({"replicas": 9}), &json!({"replicas": 8}))
    );
    let (_, scaled) = read(server.send(Method::PATCH, &path, MERGE, r#"{"spec":{"replicas":3}}"#).await).await;
    assert_eq!(scaled["spec"]["replicas"], 3);
    assert_eq!(server.get(&format!("{CATS}/tom")).await.1["spec"]["lives"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_enforced() {
    let server = TestServer::start().await;
    let mut definition = cats(&json!({"subresources": {"status": {}}}));
    let schema = &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    schema["x-kubernetes-validations"] = json!([{"rule": "self.metadata.name == self.spec.name && self.kind == 'Cat'", "message": "a cat has one name"}]);
    schema["properties"]["spec"]["x-kubernetes-validations"] = json!([
        {"rule": "self.lives <= oldSelf.lives", "message": "nobody gets a life back", "reason": "FieldValueForbidden", "fieldPath": ".lives"},
        {"rule": "self.lives < 10", "messageExpression": "self.name + ' has too many lives'"}]);
    schema["properties"]["status"]["x-kubernetes-validations"] = json!([{"rule": "self.mood != 'bad'"}]);
    let mut broken = definition.clone();
    broken["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"][1]["rule"] =
        json!("self.tail == 1");
    let (code, refused) = read(server.send(Method::POST, DEFINITIONS, JSON, &broken.to_string()).await).await;
    let place = "spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations[1].rule: Invalid value: {\"Rule\":\"self.tail == 1\"";
    let why = "compilation failed: ERROR: <input>:1:5: undefined field 'tail'\n | self.tail == 1\n | ....^";
    let said = refused["message"].as_str().unwrap();
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY, "{refused}");
    assert!(said.contains(place) && said.contains(why), "{said}");

    define(&server, &definition).await;
    let said = async |method: Method, path: &str, change: Value| {
        let mut object = cat("tom");
        object.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let headers = if method == Method::PATCH { MERGE } else { JSON };
        let (code, answer) = read(server.send(method, path, headers, &object.to_string()).await).await;
        (code.as_u16(), answer["message"].as_str().unwrap_or_default().to_owned())
    };
    let tom = format!("{CATS}/tom");
    let spec = |lives: i64| json!({"spec": {"name": "tom", "lives": lives}});
    let (code, message) = said(Method::POST, CATS, spec(12)).await;
    assert_eq!(
        (code, message.as_str()),
        (422, "Cat.example.com \"tom\" is invalid: spec: Invalid value: tom has too many lives")
    );
    let (code, message) = said(Method::POST, CATS, json!({"spec": {"name": "jerry"}})).await;
    assert_eq!(
        (code, message.as_str()),
        (422, "Cat.example.com \"tom\" is invalid: <nil>: Invalid value: a cat has one name")
    );
    let (_, message) = said(Method::POST, CATS, json!({"spec": {"name": "tom", "lives": "x"}})).await;
    assert!(
        message.contains(
            "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid"
        ),
        "{message}"
    );
    assert_eq!(said(Method::POST, CATS, spec(7)).await.0, 201);
    let (code, message) = said(Method::PATCH, &tom, spec(8)).await;
    assert_eq!(
        (code, message.as_str()),
        (422, "Cat.example.com \"tom\" is invalid: spec.lives: Forbidden: nobody gets a life back")
    );
    assert_eq!(said(Method::PATCH, &tom, spec(6)).await.0, 200);
    let (code, message) = said(Method::PATCH, &format!("{tom}/status"), json!({"status": {"mood": "bad"}})).await;
    assert_eq!(
        (code, message.as_str()),
        (422, "Cat.example.com \"tom\" is invalid: status: Invalid value: failed rule: self.mood != 'bad'")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_rule_finds_unchanged_is_a_warning() {
    let server = TestServer::start().await;
    let definition = cats(&json!({}));
    define(&server, &definition).await;
    server.create(CATS, &cat("tom")).await;
    let rules = json!([{"rule": "self.lives < 9", "message": "no cat has so many"}]);
    let patch = json!([{"op": "add", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/x-kubernetes-validations", "value": rules}]);
    let path = format!("{DEFINITIONS}/cats.example.com");
    let (code, answer) = read(
        server.send(Method::PATCH, &path, &["content-type: application/json-patch+json"], &patch.to_string()).await,
    )
    .await;
    assert_eq!(code, StatusCode::OK, "{answer}");
    let label = r#"{"metadata":{"labels":{"a":"b"}}}"#;
    let response = server.send(Method::PATCH, &format!("{CATS}/tom"), MERGE, label).await;
    let warnings: Vec<String> = response
        .headers()
        .get_all("warning")
        .iter()
        .map(|value| windlass_http::header::text(value).into_owned())
        .collect();
    assert_eq!(
        (response.status(), warnings),
        (StatusCode::OK, vec!["299 - \"spec: Invalid value: no cat has so many\"".to_owned()])
    );
    let (code, _) =
        read(server.send(Method::PATCH, &format!("{CATS}/tom"), MERGE, r#"{"spec":{"name":"cat"}}"#).await).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY, "what is touched has to follow the rule");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_belong_to_the_first() {
    let server = TestServer::start().await;
    define(&server, &cats(&json!({}))).await;
    let mut other = cats(&json!({}));
    other["metadata"]["name"] = json!("felines.example.com");
    other["spec"]["names"] = json!({"plural": "felines", "kind": "Cat", "shortNames": ["ct"]});
    server.create(DEFINITIONS, &other).await;
    let key = ObjectKey::new("", "felines.example.com");
    let refused = until(&server, &CUSTOM_RESOURCE_DEFINITIONS, &key, |found| is(found, "NamesAccepted", "False")).await;
    assert_eq!(refused["status"]["conditions"][0]["reason"], "ListKindConflict");
    assert!(is(&refused, "Established", "False"));
    assert_eq!(server.get("/apis/example.com/v1/namespaces/default/felines").await.0, StatusCode::NOT_FOUND);
    server.send(Method::DELETE, &format!("{DEFINITIONS}/cats.example.com"), JSON, "").await;
    until(&server, &CUSTOM_RESOURCE_DEFINITIONS, &key, |found| is(found, "Established", "True")).await;
    assert_eq!(server.get("/apis/example.com/v1/namespaces/default/felines").await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_go_before_their_definition() {
    let server = TestServer::start().await;
    define(&server, &cats(&json!({}))).await;
    let mut held = cat("held");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    server.create(CATS, &held).await;
    server.create(CATS, &cat("tom")).await;
    let path = format!("{DEFINITIONS}/cats.example.com");
    let (code, going) = read(server.send(Method::DELETE, &path, JSON, "").await).await;
    assert!(code == StatusCode::OK && is(&going, "Terminating", "True"), "{going}");
    let resource = GroupVersionResource::of("example.com", "v1", "cats");
    until(&server, &resource, &ObjectKey::new("default", "tom"), Value::is_null).await;
    let (code, refused) = read(server.send(Method::POST, CATS, JSON, &cat("new").to_string()).await).await;
    assert_eq!(code, StatusCode::FORBIDDEN);
    let why = "create not allowed while custom resource definition is terminating";
    assert!(refused["message"].as_str().unwrap().contains(why), "{refused}");
    assert_eq!(server.get(&path).await.0, StatusCode::OK, "it waits for its last object");
    server.send(Method::PATCH, &format!("{CATS}/held"), MERGE, r#"{"metadata":{"finalizers":null}}"#).await;
    let key = ObjectKey::new("", "cats.example.com");
    until(&server, &CUSTOM_RESOURCE_DEFINITIONS, &key, Value::is_null).await;
    assert_eq!(server.get(CATS).await.0, StatusCode::NOT_FOUND);
    assert_eq!(server.get("/apis/example.com").await.0, StatusCode::NOT_FOUND);
}

/// Clients that prefer protobuf fall back to JSON.
#[tokio::test(flavor = "multi_thread")]
async fn protobuf_is_of_metadata_alone() {
    let server = TestServer::start().await;
    define(&server, &cats(&json!({}))).await;
    server.create(CATS, &cat("tom")).await;
    let kind_of = async |accept: &str| {
        let response = server.send(Method::GET, CATS, &[&format!("accept: {accept}")], "").await;
        let kind = windlass_http::header::text(&response.headers()["content-type"]).into_owned();
        (response.status().as_u16(), kind)
    };
    const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
    assert_eq!(kind_of(&format!("{PROTOBUF},application/json")).await, (200, "application/json".to_owned()));
    assert_eq!(kind_of(PROTOBUF).await.0, 406);
    let metadata = format!("{PROTOBUF};as=PartialObjectMetadataList;v=v1;g=meta.k8s.io");
    assert_eq!(kind_of(&metadata).await, (200, PROTOBUF.to_owned()));
    let sent = &[&*format!("content-type: {PROTOBUF}")];
    assert_eq!(server.send(Method::POST, CATS, sent, "k8s").await.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_and_selectable_fields() {
    let server = TestServer::start().await;
    let columns = json!([{"name": "Lives", "type": "integer", "jsonPath": ".spec.lives", "priority": 1}]);
    let selectable = json!([{"jsonPath": ".spec.name"}]);
    define(&server, &cats(&json!({"additionalPrinterColumns": columns, "selectableFields": selectable}))).await;
    server.create(CATS, &cat("tom")).await;
    server.create(CATS, &cat("felix")).await;
    let accept = &["accept: application/json;as=Table;v=v1;g=meta.k8s.io"];
    let (_, table) = read(server.send(Method::GET, CATS, accept, "").await).await;
    let names: Vec<&str> =
        table["columnDefinitions"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!((names, &table["rows"][1]["cells"]), (vec!["Name", "Lives"], &json!(["tom", 9])));
    assert_eq!(table["metadata"].get("continue"), None);
    let (_, found) = server.get(&format!("{CATS}?fieldSelector=spec.name%3Dtom")).await;
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    assert_eq!(found["metadata"]["continue"], "", "a list without a type leaves nothing out");
    let (_, openapi) = server.get("/openapi/v3/apis/example.com/v1").await;
    let schema = &openapi["components"]["schemas"]["com.example.v1.Cat"];
    assert_eq!(schema["x-kubernetes-selectable-fields"], json!([{"fieldPath": "spec.name"}]));
    let (code, refused) = server.get(&format!("{CATS}?fieldSelector=spec.lives%3D9")).await;
    assert_eq!((code, &refused["message"]), (StatusCode::BAD_REQUEST, &json!("field label not supported: spec.lives")));
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_read_by_the_schema_of_now() {
    let server = TestServer::start().await;
    define(&server, &cats(&json!({}))).await;
    server.create(CATS, &cat("tom")).await;
    let path = format!("{DEFINITIONS}/cats.example.com");
    let change = json!([
        {"op": "remove", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/lives"},
        {"op": "add", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/color", "value": {"type": "string", "default": "grey"}},
        {"op": "add", "path": "/spec/versions/-", "value": {"name": "v2", "served": true, "storage": false,
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}},
    ]);
    let json_patch = &["content-type: application/json-patch+json"];
    let (code, changed) = read(server.send(Method::PATCH, &path, json_patch, &change.to_string()).await).await;
    assert_eq!(code, StatusCode::OK, "{changed}");
    let (_, tom) = server.get(&format!("{CATS}/tom")).await;
    assert_eq!(tom["spec"], json!({"name": "tom", "color": "grey"}));
    let (_, list) = server.get(CATS).await;
    assert_eq!(list["items"][0]["spec"], json!({"name": "tom", "color": "grey"}));
    let (_, other) = server.get("/apis/example.com/v2/namespaces/default/cats/tom").await;
    assert_eq!((&other["apiVersion"], &other["spec"]), (&json!("example.com/v2"), &json!({"name": "tom", "lives": 9})));
    let (_, group) = server.get("/apis/example.com").await;
    assert_eq!(group["preferredVersion"]["version"], "v2", "the greater number");
}

#[tokio::test(flavor = "multi_thread")]
async fn built_in_kinds_stay_what_they_are() {
    let server = TestServer::start().await;
    let maps = server.create("/apis/events.k8s.io/v1/namespaces/default/events", &json!({
        "metadata": {"name": "e"}, "eventTime": "2026-01-01T00:00:00.000000Z", "action": "a", "reason": "r", "type": "Normal",
        "reportingController": "example.com/c", "reportingInstance": "i", "regarding": {"namespace": "default"},
    })).await;
    assert_eq!(maps["metadata"]["name"], "e");
    let mut events = cats(&json!({}));
    events["metadata"] =
        json!({"name": "events.events.k8s.io", "annotations": {"api-approved.kubernetes.io": "unapproved, a test"}});
    events["spec"]["group"] = json!("events.k8s.io");
    events["spec"]["names"] = json!({"plural": "events", "kind": "Happening"});
    events["spec"]["versions"][0]["name"] = json!("v9");
    define(&server, &events).await;
    let (_, definition) = server.get(&format!("{DEFINITIONS}/events.events.k8s.io")).await;
    assert!(is(&definition, "KubernetesAPIApprovalPolicyConformant", "False"), "{definition}");
    assert_eq!(server.get("/apis/events.k8s.io/v9/events").await.0, StatusCode::NOT_FOUND);
    server.send(Method::DELETE, &format!("{DEFINITIONS}/events.events.k8s.io"), JSON, "").await;
    let key = ObjectKey::new("", "events.events.k8s.io");
    until(&server, &CUSTOM_RESOURCE_DEFINITIONS, &key, Value::is_null).await;
    assert_eq!(server.get("/apis/events.k8s.io/v1/namespaces/default/events/e").await.0, StatusCode::OK);
}

/// A default of each of many small items makes a large object of a small one: it is refused, and what is stored already can be read and removed.
#[tokio::test(flavor = "multi_thread")]
async fn defaults_have_a_bound() {
    let server = TestServer::start().await;
    let schema = |default: &Value| {
        let item = json!({"type": "object", "properties": {"x": {"type": "string", "default": default}}});
        json!({"schema": {"openAPIV3Schema": {"type": "object", "properties": {"list": {"type": "array", "items": item}}}}})
    };
    let definition = cats(&schema(&json!("small")));
    define(&server, &definition).await;
    let many: Vec<Value> = (0..2_000).map(|_| json!({})).collect();
    let cat =
        |name: &str| json!({"apiVersion": "example.com/v1", "kind": "Cat", "metadata": {"name": name}, "list": many});
    server.create(CATS, &cat("before")).await;
    let large = json!({"spec": cats(&schema(&json!("x".repeat(100_000))))["spec"]});
    let merge = &["content-type: application/merge-patch+json"];
    let path = format!("{DEFINITIONS}/cats.example.com");
    let response = server.send(Method::PATCH, &path, merge, &large.to_string()).await;
    assert_eq!(response.status(), StatusCode::OK);
    let response =
        server.send(Method::POST, CATS, &["content-type: application/json"], &cat("after").to_string()).await;
    let (code, status) = crate::harness::json(response).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY, "{status}");
    assert!(
        status["message"].as_str().unwrap().ends_with("the defaults of its fields are too large together"),
        "{status}"
    );
    let (code, _) = server.get(&format!("{CATS}/before")).await;
    assert_eq!(code, StatusCode::OK);
    let response =
        server.send(Method::PATCH, &format!("{CATS}/before"), merge, r#"{"metadata":{"labels":{"a":"b"}}}"#).await;
    assert_eq!(response.status(), StatusCode::OK, "what was stored before can be changed");
    let response = server.send(Method::DELETE, &format!("{CATS}/before"), &[], "").await;
    assert_eq!(response.status(), StatusCode::OK);
}

/// As Gateway API has it: what is created has no status, so none is stored, and who reads it gets the default.
#[tokio::test(flavor = "multi_thread")]
async fn a_status_has_its_default_when_it_is_read() {
    let server = TestServer::start().await;
    let mut definition = cats(&json!({"subresources": {"status": {}}}));
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["default"] =
        json!({"mood": "unknown"});
    define(&server, &definition).await;
    assert_eq!(server.create(CATS, &cat("tom")).await["status"]["mood"], "unknown");
    let tom = format!("{CATS}/tom");
    assert_eq!(server.get(&tom).await.1["status"]["mood"], "unknown");
    assert_eq!(server.get(CATS).await.1["items"][0]["status"]["mood"], "unknown");
    let change = r#"{"spec":{"lives":8}}"#;
    assert_eq!(server.send(Method::PATCH, &tom, MERGE, change).await.status(), StatusCode::OK);
    assert_eq!(server.get(&tom).await.1["status"]["mood"], "unknown");
}

/// Custom resources have no routes: the verb alone decides.
#[tokio::test(flavor = "multi_thread")]
async fn methods_that_no_route_refuses() {
    let server = TestServer::start().await;
    define(&server, &cats(&json!({"subresources": {"status": {}}}))).await;
    let tom = format!("{CATS}/tom");
    let body = cat("tom").to_string();
    let ask = async |method: &str, path: &str, headers: &[&str]| {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let (code, answer) = read(server.send(method, path, headers, &body).await).await;
        (code.as_u16(), answer["message"].as_str().unwrap_or_default().to_owned())
    };
    // The path's name is nobody's.
    assert_eq!(ask("POST", &format!("{CATS}/jerry"), JSON).await.0, 201);
    assert_eq!(ask("HEAD", &tom, &[]).await.0, 200);
    assert_eq!(ask("HEAD", CATS, &[]).await.0, 200);
    let unsupported = |verb: &str| (405, format!("{verb} is not supported on resources of kind \"cats.example.com\""));
    assert_eq!(ask("OPTIONS", &tom, &[]).await, unsupported(""));
    assert_eq!(ask("POST", &format!("{tom}/status"), JSON).await, unsupported("create"));
    assert_eq!(ask("PATCH", CATS, MERGE).await, (400, "name must be provided".to_owned()));
    assert_eq!(ask("PATCH", CATS, JSON).await.0, 415);
    assert_eq!(ask("PUT", CATS, JSON).await, (400, "name must be provided".to_owned()));
    assert_eq!(ask("POST", "/apis/example.com/v1/cats", JSON).await.0, 404);
    assert_eq!(ask("GET", &format!("{tom}/nope"), &[]).await.0, 404);
    let (code, message) = ask("GET", &tom, &["accept: text/html"]).await;
    assert_eq!(code, 406);
    assert!(message.starts_with("only the following media types are accepted"), "{message}");
}

/// What is wrong with the metadata keeps rules from being asked, as what is wrong with the rest does.
#[tokio::test(flavor = "multi_thread")]
async fn rules_are_not_asked_of_objects_without_a_name() {
    let server = TestServer::start().await;
    let mut definition = cats(&json!({}));
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["x-kubernetes-validations"] =
        json!([{"rule": "self.spec.name != 'nope'"}]);
    define(&server, &definition).await;
    let unnamed = json!({"apiVersion": "example.com/v1", "kind": "Cat", "spec": {"name": "nope"}}).to_string();
    let (code, answer) = read(server.send(Method::POST, CATS, JSON, &unnamed).await).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
    let message = answer["message"].as_str().unwrap();
    assert!(message.contains("name or generateName is required") && message.contains("were not checked"), "{message}");
    assert!(!message.contains("failed rule"), "{message}");
}
