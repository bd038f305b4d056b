//! Details of answers, as the differential run has heard them from upstream.

use http::{Method, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use windlass_api::{GroupVersionResource, ObjectKey};
use windlass_apiserver::FlowSchemas;
use windlass_machinery::{Schema, protobuf};

use crate::harness::{TestServer, json as read};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const CONTROLLERS: &str = "/api/v1/namespaces/default/replicationcontrollers";
const JSON: &[&str] = &["content-type: application/json"];
const MERGE: &[&str] = &["content-type: application/merge-patch+json"];
const TABLE: &[&str] = &["accept: application/json;as=Table;v=v1;g=meta.k8s.io"];
const TABLE_OR_WHOLE: &[&str] =
    &["accept: application/json;as=Table;v=v1;g=meta.k8s.io,application/json", "content-type: application/json"];

fn controller() -> Value {
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    json!({"metadata": {"name": "rc"}, "spec": {"replicas": 2, "selector": {"a": "b"}, "template": template}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scale_has_a_table_and_leaves_no_time() {
    let server = TestServer::start().await;
    server.create(CONTROLLERS, &controller()).await;
    let scale = format!("{CONTROLLERS}/rc/scale");
    let (code, table) = read(server.send(Method::GET, &scale, TABLE, "").await).await;
    assert_eq!(code, StatusCode::OK);
    let names: Vec<_> = table["columnDefinitions"].as_array().unwrap().iter().map(|column| &column["name"]).collect();
    assert_eq!(names, ["Name", "Desired", "Available", "Age"]);
    assert_eq!(table["rows"][0]["cells"].as_array().unwrap()[..3], [json!("rc"), json!(2), json!(0)]);
    let (code, _) = read(server.send(Method::PATCH, &scale, MERGE, r#"{"spec": {"replicas": 4}}"#).await).await;
    assert_eq!(code, StatusCode::OK);
    let (_, object) = server.get(&format!("{CONTROLLERS}/rc")).await;
    let managers = object["metadata"]["managedFields"].as_array().unwrap();
    let of_scale = managers.iter().find(|entry| entry["subresource"] == "scale").unwrap();
    assert!(of_scale.get("time").is_none(), "{of_scale}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_nothing() {
    let server = TestServer::start().await;
    let limits = "/api/v1/namespaces/default/limitranges";
    let ask = async |path: &str, headers: &[&str]| read(server.send(Method::GET, path, headers, "").await).await.1;
    assert!(ask(limits, TABLE).await["rows"].is_null(), "a kind without columns of its own");
    assert_eq!(ask(CONTROLLERS, TABLE).await["rows"], json!([]));
    let partial = ask(CONTROLLERS, &["accept: application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"]).await;
    assert!(partial["items"].is_null(), "{partial}");
    let (code, review) = read(
        server.send(Method::POST, "/apis/authentication.k8s.io/v1/selfsubjectreviews", TABLE_OR_WHOLE, "{}").await,
    )
    .await;
    assert_eq!((code, &review["kind"]), (StatusCode::CREATED, &json!("SelfSubjectReview")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused() {
    let server = TestServer::start().await;
    let future = "resourceVersion=99999999999999&resourceVersionMatch=Exact";
    let (_, all) = server.get(&format!("{MAPS}?{future}")).await;
    assert_eq!(all["details"]["retryAfterSeconds"], 1);
    let (code, one) = server.get(&format!("{MAPS}?{future}&fieldSelector=metadata.name=a")).await;
    assert_eq!((code, &one["details"]["retryAfterSeconds"]), (StatusCode::GATEWAY_TIMEOUT, &Value::Null));
    let patch = server.send(Method::PATCH, &format!("{MAPS}/a"), &["content-type: application/nope"], "{}").await;
    let (code, status) = read(patch).await;
    assert_eq!((code, &status["details"]), (StatusCode::UNSUPPORTED_MEDIA_TYPE, &json!({})));
    let (_, status) = server.get("/api/v1/componentstatuses?watch=1").await;
    assert_eq!(status["message"], "watch is not supported on resources of kind \"componentstatuses\"");
    let other = r#"{"preconditions": {"uid": "nope"}}"#;
    let (code, status) = read(server.send(Method::DELETE, "/api/v1/namespaces/default", JSON, other).await).await;
    assert_eq!((code, &status["details"]["kind"]), (StatusCode::CONFLICT, &json!("namespaces")));
    let message = status["message"].as_str().unwrap();
    assert!(message.contains("Precondition failed: UID in precondition: nope, UID in object meta: "), "{message}");
    let rules = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let (code, review) =
        read(server.send(Method::POST, rules, JSON, r#"{"spec": {"namespace": "default"}}"#).await).await;
    assert_eq!((code, review["metadata"].get("managedFields")), (StatusCode::CREATED, None));
    let event = json!({"metadata": {"name": "Bad_Name!"}, "involvedObject": {"namespace": "other"}}).to_string();
    let (_, status) = read(server.send(Method::POST, "/api/v1/namespaces/default/events", JSON, &event).await).await;
    assert_eq!(status["details"]["causes"].as_array().map(Vec::len), Some(1), "the name is looked at last: {status}");
    let event = json!({"metadata": {"name": "e"}, "regarding": {"namespace": "other"}}).to_string();
    let events = "/apis/events.k8s.io/v1/namespaces/default/events";
    let (code, status) = read(server.send(Method::POST, events, JSON, &event).await).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(status["details"].get("group").is_none(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deprecated_resource_says_so_whatever_comes() {
    let server = TestServer::start().await;
    let endpoints = "/api/v1/namespaces/default/endpoints";
    let warns = async |method: Method, path: &str, headers: &[&str]| {
        server.send(method, path, headers, "{}").await.headers().contains_key("warning")
    };
    assert!(warns(Method::GET, &format!("{endpoints}?limit=x"), &[]).await);
    assert!(warns(Method::POST, endpoints, &["content-type: text/plain"]).await);
    assert!(!warns(Method::POST, &format!("{endpoints}/e"), JSON).await, "there is no such route");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_creations_that_upstream_allows() {
    let server = TestServer::start().await;
    let made = server.create("/api/v1/namespaces/default/limitranges", &json!({"spec": {"limits": []}})).await;
    assert_eq!(made["metadata"]["name"], made["metadata"]["uid"]);
    let budget = json!({"metadata": {"name": "Bad_Name!"}, "spec": {"minAvailable": 1}});
    server.create("/apis/policy/v1/namespaces/default/poddisruptionbudgets", &budget).await;
    let role = json!({"metadata": {"name": "r"}, "rules": []}).to_string();
    let path = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles/r";
    for expected in [StatusCode::CREATED, StatusCode::OK] {
        assert_eq!(read(server.send(Method::PUT, path, JSON, &role).await).await.0, expected);
    }
}

/// Who looks after FlowSchemas owns its condition and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_flow_schemas_status_is_applied() {
    let server = TestServer::start().await;
    let keeper = tokio::spawn(FlowSchemas::new(&server.server).keep());
    let schema = json!({"metadata": {"name": "f"}, "spec": {"matchingPrecedence": 9000, "priorityLevelConfiguration": {"name": "none"}}});
    server.create("/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas", &schema).await;
    let schemas = GroupVersionResource::of("flowcontrol.apiserver.k8s.io", "v1", "flowschemas");
    let is_looked_at = |found: &Value| found["status"]["conditions"][0]["status"] == "True";
    let found = server.cluster().until(&schemas, &ObjectKey::new("", "f"), "a dangling schema", is_looked_at).await;
    keeper.abort();
    let managers = found["metadata"]["managedFields"].as_array().unwrap();
    let of_status = managers.iter().find(|entry| entry["subresource"] == "status").unwrap();
    assert_eq!(of_status["operation"], "Apply");
    assert!(of_status["fieldsV1"]["f:status"]["f:conditions"].get(".").is_none(), "{of_status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dry_runs_have_tables() {
    let server = TestServer::start().await;
    server.create(CONTROLLERS, &controller()).await;
    let path = format!("{CONTROLLERS}/rc?dryRun=All");
    let (_, stored) = server.get(&format!("{CONTROLLERS}/rc")).await;
    let version = stored["metadata"]["resourceVersion"].clone();
    let (code, table) = read(server.send(Method::PUT, &path, TABLE_OR_WHOLE, &controller().to_string()).await).await;
    assert_eq!(
        (code, &table["kind"], &table["metadata"]["resourceVersion"]),
        (StatusCode::OK, &json!("Table"), &version)
    );
    assert_eq!(table["rows"][0]["cells"][0], "rc");
    let partial = ["accept: application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", MERGE[0]];
    let (_, partial) = read(server.send(Method::PATCH, &path, &partial, "{}").await).await;
    assert_eq!(partial["kind"], "PartialObjectMetadata");
    let templates = "/api/v1/namespaces/default/podtemplates";
    server.create(templates, &json!({"metadata": {"name": "t"}, "template": controller()["spec"]["template"]})).await;
    let (_, gone) = read(server.send(Method::DELETE, &format!("{templates}/t?dryRun=All"), &[], "").await).await;
    assert_eq!(gone["kind"], "PodTemplate");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there() {
    let server = TestServer::start().await;
    let (code, _) = read(server.send(Method::PATCH, &format!("{MAPS}/none"), MERGE, "[]").await).await;
    assert_eq!(code, StatusCode::NOT_FOUND, "the patch is not read");
    let (code, _) = read(server.send(Method::POST, "/api/v2", JSON, "{}").await).await;
    assert_eq!(code, StatusCode::NOT_FOUND);
    let response = server.send(Method::GET, "/openapi/v3/nope", &[], "").await;
    assert_eq!((response.status(), response.headers().get("content-type")), (StatusCode::NOT_FOUND, None));
    let driver = json!({"metadata": {"name": "d", "finalizers": ["a/b"]}, "spec": {"attachRequired": false}});
    let drivers = "/apis/storage.k8s.io/v1/csidrivers";
    let made = server.create(drivers, &driver).await;
    let (_, held) = read(server.send(Method::DELETE, &format!("{drivers}/d"), &[], "").await).await;
    assert_eq!(held["metadata"].get("generation"), made["metadata"].get("generation"));
}

/// Lists that go out object by object say the same as short ones, in every form.
#[tokio::test(flavor = "multi_thread")]
async fn long_lists_in_pieces() {
    let server = TestServer::start().await;
    for name in ["a", "b", "c", "d", "e", "f"] {
        let data = json!({"long": name.repeat(900_000), "short": "rows: []\n\"items\":[]"});
        server.create(MAPS, &json!({"metadata": {"name": name}, "data": data})).await;
    }
    let (_, plain) = server.get(MAPS).await;
    let plain_items = plain["items"].as_array().unwrap();
    let ask = async |accept: &str| {
        let response = server.send(Method::GET, MAPS, &[&format!("accept: {accept}")], "").await;
        assert_eq!(response.status(), StatusCode::OK, "{accept}");
        response.into_body().collect().await.unwrap().to_bytes()
    };
    let yaml = windlass_machinery::yaml::parse(&ask("application/yaml").await).unwrap().value;
    assert!(yaml == plain, "the list as YAML");
    for suffix in ["", ";pretty=1"] {
        let table: Value =
            serde_json::from_slice(&ask(&format!("application/json;as=Table;v=v1;g=meta.k8s.io{suffix}")).await)
                .unwrap();
        let names: Vec<&Value> = table["rows"].as_array().unwrap().iter().map(|row| &row["cells"][0]).collect();
        assert_eq!(names, ["a", "b", "c", "d", "e", "f"]);
        assert_eq!((&table["kind"], &table["metadata"]), (&json!("Table"), &plain["metadata"]));
    }
    let rows =
        windlass_machinery::yaml::parse(&ask("application/yaml;as=Table;v=v1;g=meta.k8s.io").await).unwrap().value;
    assert_eq!(rows["rows"].as_array().unwrap().len(), 6);
    let partial = ask("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io").await;
    let partial: Value = serde_json::from_slice(&partial).unwrap();
    assert_eq!(partial["items"][5]["metadata"], plain_items[5]["metadata"]);
    let bytes = ask("application/vnd.kubernetes.protobuf").await;
    let envelope = protobuf::open_envelope(&bytes).unwrap();
    assert_eq!((envelope.kind, envelope.api_version), ("ConfigMapList", "v1"));
    let id = Schema::object_type("", "v1", "ConfigMapList").unwrap();
    let list = protobuf::decode(Schema::builtin(), id, envelope.raw).unwrap();
    assert_eq!(list["metadata"]["resourceVersion"], plain["metadata"]["resourceVersion"]);
    for (item, expected) in list["items"].as_array().unwrap().iter().zip(plain_items) {
        assert!(item["data"] == expected["data"] && item["metadata"]["uid"] == expected["metadata"]["uid"]);
    }
    assert_eq!(list["items"].as_array().unwrap().len(), 6);
}

/// An update may create an object of some kinds, but not one that it says is another, or of a version that is none.
#[tokio::test(flavor = "multi_thread")]
async fn updates_of_what_is_not_there() {
    let server = TestServer::start().await;
    let path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/l";
    let put = async |metadata: Value| {
        let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata});
        let (code, answer) = read(server.send(Method::PUT, path, JSON, &lease.to_string()).await).await;
        (code.as_u16(), answer["message"].as_str().unwrap_or_default().to_owned())
    };
    let (code, message) = put(json!({"name": "l", "uid": "u"})).await;
    assert!(code == 409 && message.contains("UID in precondition: u, UID in object meta: "), "{message}");
    let nonsense = "strconv.ParseUint: parsing \"x\": invalid syntax";
    assert_eq!(put(json!({"name": "l", "resourceVersion": "x"})).await, (500, nonsense.to_owned()));
    assert_eq!(server.get(path).await.0, StatusCode::NOT_FOUND);
    assert_eq!(put(json!({"name": "l"})).await.0, 201);
    for (path, message) in [
        ("/apis/batch/v1/jobs?fieldSelector=nope.nope%3Dx", "field label \"nope.nope\" not supported for Job"),
        (
            "/apis/networking.k8s.io/v1/ipaddresses?fieldSelector=nope.nope%3Dx",
            "\"nope.nope\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
        ),
    ] {
        assert_eq!(server.get(path).await.1["message"], message);
    }
}
