//! Webhooks of admission and conversion: asked over HTTPS, believed within bounds.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{Method, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use windlass_api::ObjectKey;
use windlass_api::resource::CUSTOM_RESOURCE_DEFINITIONS;

use crate::harness::{TestServer, json as read};
use crate::webhook_server::WebhookServer;

const MUTATING: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
const VALIDATING: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const V1: &str = "/apis/example.com/v1/namespaces/default/cats";
const V2: &str = "/apis/example.com/v2/namespaces/default/cats";
const JSON: &[&str] = &["content-type: application/json"];

async fn post(server: &TestServer, path: &str, object: &Value) -> (StatusCode, Value) {
    read(server.send(Method::POST, path, JSON, &object.to_string()).await).await
}

/// A configuration of one webhook about resources of the core group and of example.com.
fn configuration(client: &Value, resources: &[&str], more: &Value) -> Value {
    let rules = json!([{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": resources}]);
    let mut webhook = json!({"name": "w.x.io", "clientConfig": client, "rules": rules, "sideEffects": "None", "admissionReviewVersions": ["v1"]});
    webhook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"metadata": {"name": "conf"}, "webhooks": [webhook]})
}

fn map(name: &str, data: &Value) -> Value {
    json!({"metadata": {"name": name}, "data": data})
}

/// The answer to an AdmissionReview.
fn review(asked: &Value, mut response: Value) -> Value {
    response["uid"] = asked["request"]["uid"].clone();
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response})
}

fn set_data(key: &str) -> Value {
    let patch = json!([{"op": "add", "path": format!("/data/{key}"), "value": "set"}]);
    json!({"allowed": true, "patchType": "JSONPatch", "patch": BASE64.encode(patch.to_string())})
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_are_changed_and_refused() {
    for has_http2 in [true, false] {
        let server = TestServer::start().await;
        let hook = WebhookServer::start(has_http2, |target, asked| {
            let is_bad = asked["request"]["object"]["data"]["bad"].is_string();
            match target {
                "/mutate?timeout=10s" => review(asked, set_data("hook")),
                "/validate?timeout=10s" if is_bad => review(
                    asked,
                    json!({"allowed": false, "status": {"message": "it is bad", "code": 403, "reason": "Bad"}}),
                ),
                "/validate?timeout=10s" => review(asked, json!({"allowed": true, "warnings": ["mind it"]})),
                other => panic!("{other}"),
            }
        })
        .await;
        server.create(MUTATING, &configuration(&hook.client_config("/mutate"), &["configmaps"], &json!({}))).await;
        server.create(VALIDATING, &configuration(&hook.client_config("/validate"), &["configmaps"], &json!({}))).await;
        let created = server.send(Method::POST, MAPS, JSON, &map("a", &json!({"a": "b"})).to_string()).await;
        assert_eq!(created.headers()["warning"], "299 - \"mind it\"");
        let (_, created) = read(created).await;
        assert_eq!(created["data"], json!({"a": "b", "hook": "set"}));
        let (code, refused) = post(&server, MAPS, &map("b", &json!({"bad": "1"}))).await;
        assert_eq!(code, StatusCode::FORBIDDEN);
        assert_eq!(refused["message"], "admission webhook \"w.x.io\" denied the request: it is bad");
        assert_eq!(refused["reason"], "Bad");
        let other = post(&server, "/api/v1/namespaces/default/secrets", &json!({"metadata": {"name": "s"}})).await;
        assert_eq!(other.0, StatusCode::CREATED, "nobody is asked");
        assert_eq!(hook.connections(), 1, "all calls share a connection");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_that_cannot_be_asked() {
    let server = TestServer::start().await;
    let hook = WebhookServer::start(true, |_, asked| review(asked, json!({"allowed": true}))).await;
    let untrusted = json!({"url": hook.client_config("")["url"]});
    let url = untrusted["url"].as_str().unwrap().to_owned();
    let absent = json!({"service": {"namespace": "default", "name": "absent", "path": "/x"}});
    let failed = "Internal error occurred: failed calling webhook \"w.x.io\": failed to call webhook: ";
    let cases = [
        (
            untrusted,
            format!(
                "{failed}Post \"{url}/?timeout=10s\": tls: failed to verify certificate: x509: certificate signed by unknown authority"
            ),
        ),
        (
            absent,
            format!("{failed}Post \"https://absent.default.svc:443/x?timeout=10s\": service \"absent\" not found"),
        ),
    ];
    for (client, message) in cases {
        server.create(VALIDATING, &configuration(&client, &["configmaps"], &json!({}))).await;
        let (code, refused) = post(&server, MAPS, &map("a", &json!({}))).await;
        assert_eq!((code, &refused["message"]), (StatusCode::INTERNAL_SERVER_ERROR, &json!(message)));
        // What stops everything can itself be taken away.
        let removed = server.send(Method::DELETE, &format!("{VALIDATING}/conf"), &[], "").await;
        assert_eq!(removed.status(), StatusCode::OK);
    }
    let ignored =
        configuration(&json!({"url": "https://localhost:1/"}), &["configmaps"], &json!({"failurePolicy": "Ignore"}));
    server.create(VALIDATING, &ignored).await;
    server.create(MAPS, &map("a", &json!({}))).await;
}

/// Services lead to their endpoints; a connection to a pod is a write like any other.
#[tokio::test(flavor = "multi_thread")]
async fn services_and_connections() {
    let server = TestServer::start().await;
    let asked: Arc<Mutex<Vec<Value>>> = Arc::default();
    let seen = asked.clone();
    let hook = WebhookServer::start(true, move |_, asked| {
        seen.lock().push(asked["request"].clone());
        review(asked, json!({"allowed": false}))
    })
    .await;
    // The certificate is for another name, which is what the client says: it has reached the endpoint.
    let service = json!({"metadata": {"name": "hook"}, "spec": {"ports": [{"port": 443, "targetPort": hook.port()}]}});
    server.create("/api/v1/namespaces/default/services", &service).await;
    let slice = json!({"metadata": {"name": "hook", "labels": {"kubernetes.io/service-name": "hook"}}, "addressType": "IPv4",
        "ports": [{"port": hook.port()}], "endpoints": [{"addresses": ["127.0.0.1"]}]});
    let path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    let (code, refused) = post(&server, path, &slice).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY, "no slice leads to loopback: {refused}");
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    server.create("/api/v1/namespaces/default/serviceaccounts", &json!({"metadata": {"name": "default"}})).await;
    server.create("/api/v1/namespaces/default/pods", &pod).await;
    server.create(VALIDATING, &configuration(&hook.client_config("/"), &["pods/attach", "*/scale"], &json!({}))).await;
    let attach = "/api/v1/namespaces/default/pods/p/attach?stdin=true&container=c";
    let refused = server.send(Method::POST, attach, &[], "").await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let asked = asked.lock();
    let [connect] = asked.as_slice() else { panic!("{asked:?}") };
    let options = json!({"kind": "PodAttachOptions", "apiVersion": "v1", "stdin": true, "stdout": true, "stderr": true, "container": "c"});
    assert_eq!((&connect["operation"], &connect["object"]), (&json!("CONNECT"), &options));
    assert_eq!((&connect["subResource"], &connect["options"]), (&json!("attach"), &Value::Null));
}

/// The definition of cats, which have their lives as text in version 2.
fn cats(client: &Value, stored: &str) -> Value {
    let version = |name: &str, lives: &str| {
        let properties =
            json!({"spec": {"type": "object", "properties": {"lives": {"type": lives}, "mood": {"type": "string"}}}});
        let schema = json!({"openAPIV3Schema": {"type": "object", "properties": properties}});
        let mut fields = json!([{"jsonPath": ".spec.lives"}]);
        if name == "v2" {
            fields.as_array_mut().unwrap().push(json!({"jsonPath": ".spec.mood"}));
        }
        json!({"name": name, "served": true, "storage": name == stored, "schema": schema, "selectableFields": fields})
    };
    let conversion =
        json!({"strategy": "Webhook", "webhook": {"clientConfig": client, "conversionReviewVersions": ["v1"]}});
    json!({"metadata": {"name": "cats.example.com"}, "spec": {"group": "example.com", "scope": "Namespaced",
        "names": {"plural": "cats", "kind": "Cat"}, "versions": [version("v1", "integer"), version("v2", "string")], "conversion": conversion}})
}

/// Converts cats, as text or as a number.
fn convert(asked: &Value) -> Value {
    let wanted = &asked["request"]["desiredAPIVersion"];
    let converted = asked["request"]["objects"].as_array().unwrap().iter().map(|object| {
        let mut object = object.clone();
        assert_ne!(object["apiVersion"], *wanted);
        object["apiVersion"] = wanted.clone();
        let lives = &object["spec"]["lives"];
        object["spec"]["lives"] = match lives.as_str() {
            Some(text) => text.parse::<u64>().unwrap().into(),
            None => lives.to_string().into(),
        };
        object
    });
    let response = json!({"uid": asked["request"]["uid"], "result": {"status": "Success"}, "convertedObjects": converted.collect::<Vec<_>>()});
    json!({"kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1", "response": response})
}

async fn define(server: &TestServer, definition: &Value) {
    server.create(DEFINITIONS, definition).await;
    let key = ObjectKey::new("", "cats.example.com");
    let is_served = |found: &Value| {
        let conditions = found["status"]["conditions"].as_array().into_iter().flatten();
        conditions.filter(|found| found["type"] == "Established").any(|found| found["status"] == "True")
    };
    server.cluster().until(&CUSTOM_RESOURCE_DEFINITIONS, &key, "an established definition", is_served).await;
}

fn cat(version: &str, name: &str, lives: Value) -> Value {
    json!({"apiVersion": format!("example.com/{version}"), "kind": "Cat", "metadata": {"name": name}, "spec": {"lives": lives}})
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_resources_are_converted() {
    let server = TestServer::start().await;
    let hook = WebhookServer::start(true, |_, asked| convert(asked)).await;
    define(&server, &cats(&hook.client_config("/convert"), "v1")).await;
    let two = server.create(V2, &cat("v2", "tom", json!("9"))).await;
    assert_eq!((&two["apiVersion"], &two["spec"]["lives"]), (&json!("example.com/v2"), &json!("9")));
    server.create(V1, &cat("v1", "jerry", json!(7))).await;
    let (_, one) = server.get(&format!("{V1}/tom")).await;
    assert_eq!((&one["apiVersion"], &one["spec"]["lives"]), (&json!("example.com/v1"), &json!(9)));
    assert_eq!(one["metadata"]["resourceVersion"], two["metadata"]["resourceVersion"]);
    let lives = |list: &Value| -> Vec<Value> {
        list["items"].as_array().unwrap().iter().map(|cat| cat["spec"]["lives"].clone()).collect()
    };
    assert_eq!(lives(&server.get(V1).await.1), [json!(7), json!(9)]);
    assert_eq!(lives(&server.get(V2).await.1), [json!("7"), json!("9")]);
    assert_eq!(lives(&server.get(&format!("{V2}?fieldSelector=spec.lives%3D9")).await.1), [json!("9")]);
    // The stored version changes; what is stored already says what it is.
    let patch = json!([{"op": "replace", "path": "/spec/versions/0/storage", "value": false}, {"op": "replace", "path": "/spec/versions/1/storage", "value": true}]);
    let patched = server
        .send(
            Method::PATCH,
            &format!("{DEFINITIONS}/cats.example.com"),
            &["content-type: application/json-patch+json"],
            &patch.to_string(),
        )
        .await;
    assert_eq!(patched.status(), StatusCode::OK);
    server.create(V1, &cat("v1", "spike", json!(1))).await;
    assert_eq!(lives(&server.get(V1).await.1), [json!(7), json!(1), json!(9)]);
    assert_eq!(lives(&server.get(V2).await.1), [json!("7"), json!("1"), json!("9")]);
    // A change through one version is seen through the other.
    let merge = json!({"spec": {"lives": "3"}}).to_string();
    let changed =
        server.send(Method::PATCH, &format!("{V2}/tom"), &["content-type: application/merge-patch+json"], &merge).await;
    assert_eq!(changed.status(), StatusCode::OK);
    assert_eq!(server.get(&format!("{V1}/tom")).await.1["spec"]["lives"], 3);
    let (_, watched) = server.get(&format!("{V1}?watch=true&timeoutSeconds=1&fieldSelector=spec.lives%3D3")).await;
    assert!(watched["object"]["metadata"]["name"] == "tom", "{watched}");
    let deleted = read(server.send(Method::DELETE, &format!("{V1}/tom"), &[], "").await).await;
    assert_eq!(deleted.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn conversions_that_go_wrong() {
    let server = TestServer::start().await;
    let hook = WebhookServer::start(true, |_, asked| {
        let mut answer = convert(asked);
        answer["response"]["convertedObjects"][0]["metadata"]["name"] = json!("other");
        answer
    })
    .await;
    define(&server, &cats(&hook.client_config("/convert"), "v1")).await;
    let why = "conversion webhook for example.com/v2, Kind=Cat returned invalid converted object at index 0: must have the same name: tom != other";
    let (code, refused) = post(&server, V2, &cat("v2", "tom", json!("9"))).await;
    assert_eq!((code, &refused["message"]), (StatusCode::INTERNAL_SERVER_ERROR, &json!(why)));
    // The stored version needs no webhook.
    server.create(V1, &cat("v1", "tom", json!(9))).await;
    assert_eq!(server.get(&format!("{V1}/tom")).await.0, StatusCode::OK);
    assert_eq!(server.get(V2).await.0, StatusCode::INTERNAL_SERVER_ERROR);
}
