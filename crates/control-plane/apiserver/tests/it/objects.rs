//! Reading and writing objects: what clients of upstream rely on.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use windlass_auth::authentication::Bound;
use windlass_machinery::{Schema, protobuf};

use crate::harness::{TestServer, json as read};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const JSON: &[&str] = &["content-type: application/json"];

#[tokio::test(flavor = "multi_thread")]
async fn conditional_and_unconditional_updates() {
    let server = TestServer::start().await;
    let created = server.create(MAPS, &json!({"metadata": {"name": "a"}, "data": {"x": "1"}})).await;
    let path = format!("{MAPS}/a");
    let mut stale = created.clone();
    stale["data"]["x"] = json!("2");
    let (code, updated) = read(server.send(Method::PUT, &path, JSON, &stale.to_string()).await).await;
    assert_eq!(code, StatusCode::OK);
    assert_ne!(updated["metadata"]["resourceVersion"], created["metadata"]["resourceVersion"]);
    let (code, conflict) = read(server.send(Method::PUT, &path, JSON, &stale.to_string()).await).await;
    assert_eq!((code, conflict["reason"].as_str()), (StatusCode::CONFLICT, Some("Conflict")));
    assert_eq!(
        conflict["message"],
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the \
         latest version and try again"
    );
    let unconditional = json!({"metadata": {"name": "a"}, "data": {"x": "3"}});
    let (code, _) = read(server.send(Method::PUT, &path, JSON, &unconditional.to_string()).await).await;
    assert_eq!(code, StatusCode::OK);
    // What changes nothing does not make a new version.
    let (_, before) = server.get(&path).await;
    let (_, same) = read(server.send(Method::PUT, &path, JSON, &unconditional.to_string()).await).await;
    assert_eq!(same["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"]);
    let other = json!({"metadata": {"name": "a", "uid": "other"}});
    let (code, status) = read(server.send(Method::PUT, &path, JSON, &other.to_string()).await).await;
    assert_eq!(code, StatusCode::CONFLICT);
    assert!(status["message"].as_str().unwrap().contains("Precondition failed: UID in precondition: other"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_get_upstreams_answers() {
    let server = TestServer::start().await;
    let cases = [
        (
            MAPS,
            r#"{"metadata":{"name":"A_b"}}"#,
            422,
            "ConfigMap \"A_b\" is invalid: metadata.name: Invalid value: \"A_b\": a lowercase RFC 1123 subdomain must consist of",
        ),
        (
            MAPS,
            r#"{"metadata":{}}"#,
            422,
            "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required",
        ),
        (
            MAPS,
            r#"{"kind":"Secret","metadata":{"name":"a"}}"#,
            400,
            "Secret in version \"v1\" cannot be handled as a ConfigMap",
        ),
        (
            MAPS,
            r#"{"apiVersion":"v2","metadata":{"name":"a"}}"#,
            400,
            "ConfigMap in version \"v2\" cannot be handled as a ConfigMap: no kind \"ConfigMap\" is registered for version \"v2\" in scheme",
        ),
        (
            "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers",
            r#"{"apiVersion":"autoscaling/v1","kind":"HorizontalPodAutoscaler","metadata":{"name":"a"}}"#,
            400,
            "the API version in the data (autoscaling/v1) does not match the expected API version (autoscaling/v2)",
        ),
        (
            MAPS,
            r#"{"metadata":{"name":"a","namespace":"other"}}"#,
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        (
            MAPS,
            r#"{"metadata":{"name":"a","resourceVersion":"1"}}"#,
            500,
            "resourceVersion should not be set on objects to be created",
        ),
        (
            MAPS,
            r#"{"data":{"a":1}}"#,
            400,
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        ),
        (
            MAPS,
            "{",
            400,
            "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: unexpected end of JSON input ({)",
        ),
        (
            "/api/v1/namespaces/nowhere/configmaps",
            r#"{"metadata":{"name":"a"}}"#,
            404,
            "namespaces \"nowhere\" not found",
        ),
        ("/api/v1/namespaces/default/nonsense", "{}", 404, "the server could not find the requested resource"),
    ];
    for (path, body, code, message) in cases {
        let (found, status) = read(server.send(Method::POST, path, JSON, body).await).await;
        assert_eq!(found.as_u16(), code, "{body}: {status}");
        assert!(status["message"].as_str().unwrap().starts_with(message), "{body}: {status}");
        assert_eq!((&status["kind"], &status["status"]), (&json!("Status"), &json!("Failure")));
    }
    let (code, _) = read(server.send(Method::POST, MAPS, &["content-type: text/html"], "x").await).await;
    assert_eq!(code, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let (code, _) = read(server.send(Method::GET, MAPS, &["accept: text/html"], "").await).await;
    assert_eq!(code, StatusCode::NOT_ACCEPTABLE);
    let big = json!({"metadata": {"name": "a"}, "data": {"x": "x".repeat(4 << 20)}}).to_string();
    let (code, _) = read(server.send(Method::POST, MAPS, JSON, &big).await).await;
    assert_eq!(code, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_fields_are_warned_of_or_refused() {
    let server = TestServer::start().await;
    let body = r#"{"metadata":{"name":"a","labels":{"a":"1","a":"2"}},"spec":1}"#;
    let response = server.send(Method::POST, &format!("{MAPS}?fieldValidation=Strict"), JSON, body).await;
    let (code, status) = read(response).await;
    assert_eq!(code, StatusCode::BAD_REQUEST);
    assert_eq!(
        status["message"],
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: duplicate field \
         \"metadata.labels.a\", unknown field \"spec\""
    );
    let response = server.send(Method::POST, MAPS, JSON, body).await;
    let warnings: Vec<_> =
        response.headers().get_all("warning").iter().map(|w| windlass_http::header::text(w).into_owned()).collect();
    assert_eq!(warnings, [r#"299 - "duplicate field \"metadata.labels.a\"""#, r#"299 - "unknown field \"spec\"""#]);
    let (_, created) = read(response).await;
    assert!(created.get("spec").is_none());
    assert_eq!(created["metadata"]["labels"]["a"], "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_encodings() {
    let server = TestServer::start().await;
    let yaml = "metadata:\n  name: yam\ndata:\n  a: b\n";
    let response =
        server.send(Method::POST, MAPS, &["content-type: application/yaml", "accept: application/yaml"], yaml).await;
    assert_eq!(response.headers()["content-type"], "application/yaml");
    let (_, text) = read(response).await;
    assert!(text.as_str().unwrap().contains("kind: ConfigMap"), "{text}");
    let response =
        server.send(Method::GET, &format!("{MAPS}/yam"), &["accept: application/vnd.kubernetes.protobuf"], "").await;
    let bytes = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    let envelope = protobuf::open_envelope(&bytes).unwrap();
    assert_eq!((envelope.api_version, envelope.kind), ("v1", "ConfigMap"));
    let id = Schema::object_type("", "v1", "ConfigMap").unwrap();
    let object = protobuf::decode(Schema::builtin(), id, envelope.raw).unwrap();
    assert_eq!(object["data"]["a"], "b");
    let response =
        server.send(Method::GET, &format!("{MAPS}/none"), &["accept: application/vnd.kubernetes.protobuf"], "").await;
    let bytes = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    assert_eq!(protobuf::open_envelope(&bytes).unwrap().kind, "Status");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_list_are_of_one_moment() {
    let server = TestServer::start().await;
    for n in 0..5 {
        server.create(MAPS, &json!({"metadata": {"name": format!("m{n}")}})).await;
    }
    let names = |list: &Value| -> Vec<String> {
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["metadata"]["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let (_, first) = server.get(&format!("{MAPS}?limit=2")).await;
    assert_eq!(names(&first), ["m0", "m1"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    server.send(Method::DELETE, &format!("{MAPS}/m2"), &[], "").await;
    server.create(MAPS, &json!({"metadata": {"name": "m22"}})).await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    let (_, second) = server.get(&format!("{MAPS}?limit=10&continue={token}")).await;
    assert_eq!(names(&second), ["m2", "m3", "m4"]);
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    let revision = server.server.store().revision();
    server.server.store().compact(revision).await;
    let (code, expired) = server.get(&format!("{MAPS}?limit=10&continue={token}")).await;
    assert_eq!((code, expired["reason"].as_str()), (StatusCode::GONE, Some("Expired")));
    let token = expired["metadata"]["continue"].as_str().unwrap();
    let (_, rest) = server.get(&format!("{MAPS}?limit=10&continue={token}")).await;
    assert_eq!(names(&rest), ["m22", "m3", "m4"]);
    let (_, none) = server.get(&format!("{MAPS}?labelSelector=a%3Db")).await;
    assert_eq!(none["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn finalizers_hold_an_object() {
    let server = TestServer::start().await;
    server.create(MAPS, &json!({"metadata": {"name": "f", "finalizers": ["a/b"]}})).await;
    let path = format!("{MAPS}/f");
    let (code, held) = read(server.send(Method::DELETE, &path, &[], "").await).await;
    assert_eq!((code, held["kind"].as_str()), (StatusCode::OK, Some("ConfigMap")));
    assert!(held["metadata"]["deletionTimestamp"].is_string());
    let patch =
        |body: &'static str| server.send(Method::PATCH, &path, &["content-type: application/merge-patch+json"], body);
    let (code, _) = read(patch(r#"{"metadata":{"finalizers":["a/b","c/d"]}}"#).await).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
    let (code, _) = read(patch(r#"{"metadata":{"finalizers":null}}"#).await).await;
    assert_eq!(code, StatusCode::OK);
    assert_eq!(server.get(&path).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn propagation_becomes_a_finalizer() {
    let server = TestServer::start().await;
    for (name, policy, finalizer) in [("o", "Orphan", "orphan"), ("f", "Foreground", "foregroundDeletion")] {
        server.create(MAPS, &json!({"metadata": {"name": name}})).await;
        let path = format!("{MAPS}/{name}?propagationPolicy={policy}");
        let (_, held) = read(server.send(Method::DELETE, &path, &[], "").await).await;
        assert_eq!(held["metadata"]["finalizers"], json!([finalizer]));
    }
    server.create(MAPS, &json!({"metadata": {"name": "b"}})).await;
    let body = r#"{"propagationPolicy":"Background","preconditions":{"uid":"x"}}"#;
    let (code, _) = read(server.send(Method::DELETE, &format!("{MAPS}/b"), JSON, body).await).await;
    assert_eq!(code, StatusCode::CONFLICT);
    let (_, status) = read(server.send(Method::DELETE, &format!("{MAPS}/b"), &[], "").await).await;
    assert_eq!((status["status"].as_str(), status["details"]["name"].as_str()), (Some("Success"), Some("b")));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_generated() {
    let server = TestServer::start().await;
    let made = server.create(MAPS, &json!({"metadata": {"generateName": "web-"}})).await;
    let name = made["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("web-") && name.len() == 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn dry_runs_change_nothing() {
    let server = TestServer::start().await;
    let (code, made) =
        read(server.send(Method::POST, &format!("{MAPS}?dryRun=All"), JSON, r#"{"metadata":{"name":"d"}}"#).await)
            .await;
    assert_eq!((code, made["metadata"]["name"].as_str()), (StatusCode::CREATED, Some("d")));
    let read_before = r#"{"metadata":{"name":"d","resourceVersion":"5"}}"#;
    let (code, made) = read(server.send(Method::POST, &format!("{MAPS}?dryRun=All"), JSON, read_before).await).await;
    assert_eq!((code, &made["metadata"]["resourceVersion"]), (StatusCode::CREATED, &json!("5")), "no store refuses it");
    assert_eq!(server.get(&format!("{MAPS}/d")).await.0, StatusCode::NOT_FOUND);
    server.create(MAPS, &json!({"metadata": {"name": "d"}})).await;
    server.send(Method::DELETE, &format!("{MAPS}/d?dryRun=All"), &[], "").await;
    let patch = r#"{"data":{"a":"b"}}"#;
    let headers = &["content-type: application/merge-patch+json"];
    let (_, patched) = read(server.send(Method::PATCH, &format!("{MAPS}/d?dryRun=All"), headers, patch).await).await;
    assert_eq!(patched["data"]["a"], "b");
    assert!(server.get(&format!("{MAPS}/d")).await.1.get("data").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn collections_are_deleted_by_selection() {
    let server = TestServer::start().await;
    for n in 0..10 {
        let label = if n % 2 == 0 { "even" } else { "odd" };
        server.create(MAPS, &json!({"metadata": {"name": format!("c{n}"), "labels": {"n": label}}})).await;
    }
    server.send(Method::DELETE, &format!("{MAPS}?labelSelector=n%3Deven"), &[], "").await;
    let (_, left) = server.get(MAPS).await;
    assert_eq!(left["items"].as_array().unwrap().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_do_what() {
    let server = TestServer::start().await;
    let anonymous = server.send_as(Some(""), Method::GET, MAPS, &[], "");
    let (code, _) = read(server.send_as(Some("bad"), Method::GET, MAPS, &[], "").await).await;
    assert_eq!(code, StatusCode::UNAUTHORIZED);
    let jane = || server.send(Method::GET, MAPS, &["impersonate-user: jane"], "");
    let (code, status) = read(jane().await).await;
    assert_eq!(code, StatusCode::FORBIDDEN);
    assert_eq!(
        status["message"],
        "configmaps is forbidden: User \"jane\" cannot list resource \"configmaps\" in API group \"\" in the namespace \
         \"default\""
    );
    let (_, status) = read(anonymous.await).await;
    assert!(status["message"].as_str().unwrap().contains("User \"system:anonymous\" cannot list"));
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    server
        .create(&format!("{rbac}/roles"), &json!({"metadata": {"name": "r"}, "rules": [{"verbs": ["list"], "apiGroups": [""], "resources": ["configmaps"]}]}))
        .await;
    server
        .create(&format!("{rbac}/rolebindings"), &json!({"metadata": {"name": "b"}, "roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "jane"}]}))
        .await;
    assert_eq!(read(jane().await).await.0, StatusCode::OK);
}

/// Longer than what is written at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_list() {
    let server = TestServer::start().await;
    for number in 0..40 {
        let data = json!({"text": "x".repeat(10_000)});
        server.create(MAPS, &json!({"metadata": {"name": format!("m{number:02}")}, "data": data})).await;
    }
    let response = server.send(Method::GET, MAPS, &[], "").await;
    let length: usize = windlass_http::header::text(&response.headers()["content-length"]).parse().unwrap();
    let (_, list) = read(response).await;
    assert!(length > 400_000, "{length}");
    let names: Vec<&str> =
        list["items"].as_array().unwrap().iter().map(|map| map["metadata"]["name"].as_str().unwrap()).collect();
    let expected: Vec<String> = (0..40).map(|number| format!("m{number:02}")).collect();
    assert_eq!(names, expected);
    assert_eq!(list["kind"], "ConfigMapList");
    let (_, list) = read(server.send(Method::GET, "/api/v1/namespaces/none/configmaps", &[], "").await).await;
    assert_eq!(list["items"], json!([]));
}

/// Some kinds want to be told from which version an update was made.
#[tokio::test(flavor = "multi_thread")]
async fn updates_that_need_a_version() {
    const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    let server = TestServer::start().await;
    let lease = json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}});
    let created = server.create(LEASES, &lease).await;
    let put = async |object: &Value| {
        read(server.send(Method::PUT, &format!("{LEASES}/l"), JSON, &object.to_string()).await).await
    };
    let (code, status) = put(&lease).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        status["message"],
        "leases.coordination.k8s.io \"l\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update"
    );
    assert_eq!(put(&created).await.0, StatusCode::OK);
}

/// Who may write roles gives away no more than what they have.
/// What is in no namespace is not to be reached by a path with one: whoever may do everything in a namespace would do it everywhere.
#[tokio::test(flavor = "multi_thread")]
async fn kinds_of_the_cluster_are_in_no_namespace() {
    let server = TestServer::start().await;
    let rules = json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]);
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    server.create(&format!("{rbac}/roles"), &json!({"metadata": {"name": "all-here"}, "rules": rules})).await;
    let binding = |role: &str, kind: &str| {
        json!({"metadata": {"name": "bobs"}, "subjects": [{"kind": "User", "name": "bob"}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role}})
    };
    server.create(&format!("{rbac}/rolebindings"), &binding("all-here", "Role")).await;
    let mut tried = 0;
    for served in server.server.registry().iter().filter(|served| !served.resource.is_namespaced()) {
        let (kind, plural) = (&served.resource.kind, &served.resource.plural);
        let root = if kind.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", kind.group) };
        let collection = format!("{root}/{}/namespaces/default/{plural}", kind.version);
        if *plural == "namespaces" {
            // The path of a namespace itself.
            continue;
        }
        for user in ["impersonate-user: bob", "impersonate-user: bob\nimpersonate-group: system:masters"] {
            let mut headers: Vec<&str> = user.lines().collect();
            headers.push("content-type: application/json");
            let mut ask = async |method: Method, path: String, body: &str| {
                let (code, _) = read(server.send(method.clone(), &path, &headers, body).await).await;
                assert_eq!(code, StatusCode::NOT_FOUND, "{user} {method} {path}");
                tried += 1;
            };
            let object = binding("all-here", "ClusterRole").to_string();
            for method in [Method::GET, Method::POST, Method::DELETE] {
                ask(method, collection.clone(), &object).await;
            }
            for method in [Method::GET, Method::PUT, Method::DELETE] {
                ask(method, format!("{collection}/bobs"), &object).await;
            }
            for part in served.resource.subresources.iter().filter(|part| part.verbs().contains(&"get")) {
                ask(Method::GET, format!("{collection}/bobs/{}", part.name()), "").await;
            }
        }
    }
    assert!(tried > 200, "{tried}");
    let bindings = server.get("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/bobs").await;
    assert_eq!(bindings.0, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_are_not_escalated() {
    const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    let server = TestServer::start().await;
    let rule = |verbs: &[&str], group: &str, resource: &str| json!({"verbs": verbs, "apiGroups": [group], "resources": [resource]});
    let role = |name: &str, rules: Value| json!({"metadata": {"name": name}, "rules": rules});
    let binding = |name: &str, role: &str| {
        json!({"metadata": {"name": name}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
            "subjects": [{"kind": "User", "name": "jane"}]})
    };
    let janes = json!([
        rule(&["get", "list"], "", "pods"),
        rule(&["*"], "rbac.authorization.k8s.io", "roles"),
        rule(&["create"], "rbac.authorization.k8s.io", "rolebindings")
    ]);
    // All of RBAC is more than may be done with roles here: no escalation, no binding.
    let mut limited = janes.clone();
    limited[1]["verbs"] = json!(["create", "update", "get"]);
    server.create(&format!("{RBAC}/roles"), &role("janes", limited)).await;
    server.create(&format!("{RBAC}/rolebindings"), &binding("janes", "janes")).await;
    server.create(&format!("{RBAC}/roles"), &role("secrets", json!([rule(&["get"], "", "secrets")]))).await;
    let headers = ["impersonate-user: jane", "content-type: application/json"];
    let send = async |method: Method, path: &str, object: &Value| {
        read(server.send(method, &format!("{RBAC}/{path}"), &headers, &object.to_string()).await).await
    };
    let post = async |path: &str, object: &Value| send(Method::POST, path, object).await;

    let had = role("own", json!([rule(&["list"], "", "pods")]));
    assert_eq!(post("roles", &had).await.0, StatusCode::CREATED);
    let more = role("more", json!([rule(&["get", "delete"], "", "secrets")]));
    let (code, status) = post("roles", &more).await;
    assert_eq!(code, StatusCode::FORBIDDEN);
    assert_eq!(
        status["message"],
        "roles.rbac.authorization.k8s.io \"more\" is forbidden: user \"jane\" (groups=[\"system:authenticated\"]) is \
         attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"secrets\"], \
         Verbs:[\"get\" \"delete\"]}"
    );
    let grown = role("own", json!([rule(&["watch"], "", "pods")]));
    assert_eq!(send(Method::PUT, "roles/own", &grown).await.0, StatusCode::FORBIDDEN);
    assert_eq!(post("rolebindings", &binding("b", "own")).await.0, StatusCode::CREATED);
    assert_eq!(post("rolebindings", &binding("c", "secrets")).await.0, StatusCode::FORBIDDEN);
    assert_eq!(post("rolebindings", &binding("d", "none")).await.0, StatusCode::NOT_FOUND);

    // With the verbs for it, rights that one does not have can be given away.
    server.send(Method::PUT, &format!("{RBAC}/roles/janes"), JSON, &role("janes", janes).to_string()).await;
    assert_eq!(post("roles", &more).await.0, StatusCode::CREATED);
    assert_eq!(post("rolebindings", &binding("c", "secrets")).await.0, StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn service_accounts_and_their_tokens() {
    let server = TestServer::start().await;
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    let account = server.create(accounts, &json!({"metadata": {"name": "sa"}})).await;
    let request = json!({"spec": {"expirationSeconds": 600}});
    let issued = server.create(&format!("{accounts}/sa/token"), &request).await;
    let token = issued["status"]["token"].as_str().unwrap().to_owned();
    let (code, status) = read(server.send_as(Some(&token), Method::GET, MAPS, &[], "").await).await;
    assert_eq!(code, StatusCode::FORBIDDEN);
    assert!(status["message"].as_str().unwrap().contains("User \"system:serviceaccount:default:sa\" cannot list"));
    let review = json!({"spec": {"token": token}});
    let reviewed = server.create("/apis/authentication.k8s.io/v1/tokenreviews", &review).await;
    assert_eq!(reviewed["status"]["user"]["uid"], account["metadata"]["uid"]);
    let foreign = json!({"spec": {"token": token, "audiences": ["other"]}});
    let reviewed = server.create("/apis/authentication.k8s.io/v1/tokenreviews", &foreign).await;
    assert!(reviewed["status"].get("authenticated").is_none());
    let bound = json!({"spec": {"boundObjectRef": {"kind": "Secret", "apiVersion": "v1", "name": "none"}}});
    let (code, _) =
        read(server.send(Method::POST, &format!("{accounts}/sa/token"), JSON, &bound.to_string()).await).await;
    assert_eq!(code, StatusCode::NOT_FOUND);
    let secret = json!({"metadata": {"name": "held", "annotations": {"kubernetes.io/service-account.name": "sa"}},
        "type": "kubernetes.io/service-account-token"});
    server.create("/api/v1/namespaces/default/secrets", &secret).await;
    let uid = account["metadata"]["uid"].as_str().unwrap();
    let held = server.server.secret_token("default", Bound { name: "sa".into(), uid: uid.into() }, "held").unwrap();
    let (code, _) = read(server.send_as(Some(&held), Method::GET, MAPS, &[], "").await).await;
    assert_eq!(code, StatusCode::UNAUTHORIZED, "the Secret does not hold it");
    let data = json!({"stringData": {"token": held}}).to_string();
    let merge = &["content-type: application/merge-patch+json"];
    server.send(Method::PATCH, "/api/v1/namespaces/default/secrets/held", merge, &data).await;
    let (code, status) = read(server.send_as(Some(&held), Method::GET, MAPS, &[], "").await).await;
    assert_eq!(code, StatusCode::FORBIDDEN);
    assert!(status["message"].as_str().unwrap().contains("User \"system:serviceaccount:default:sa\" cannot list"));
    server.send(Method::DELETE, "/api/v1/namespaces/default/secrets/held", &[], "").await;
    let (code, _) = read(server.send_as(Some(&held), Method::GET, MAPS, &[], "").await).await;
    assert_eq!(code, StatusCode::UNAUTHORIZED);
    server.send(Method::DELETE, &format!("{accounts}/sa"), &[], "").await;
    let (code, _) = read(server.send_as(Some(&token), Method::GET, MAPS, &[], "").await).await;
    assert_eq!(code, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_about_access() {
    let server = TestServer::start().await;
    let reviews = "/apis/authorization.k8s.io/v1";
    let spec = json!({"spec": {"resourceAttributes": {"verb": "delete", "resource": "pods", "namespace": "default"}}});
    let own = server.create(&format!("{reviews}/selfsubjectaccessreviews"), &spec).await;
    assert_eq!(own["status"]["allowed"], true);
    let mut of_joe = spec.clone();
    of_joe["spec"]["user"] = json!("joe");
    let joes = server.create(&format!("{reviews}/subjectaccessreviews"), &of_joe).await;
    assert_eq!(joes["status"]["allowed"], false);
    let who = server.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", &json!({})).await;
    assert_eq!(who["status"]["userInfo"]["username"], "admin");
    let (code, _) = read(server.send(Method::POST, &format!("{reviews}/subjectaccessreviews"), JSON, "{}").await).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_mark_what_stays() {
    let server = TestServer::start().await;
    let delete = async |path: &str, body: &str| read(server.send(Method::DELETE, path, JSON, body).await).await;
    // What goes at once goes as it was.
    let services = "/api/v1/namespaces/default/services";
    server.create(services, &json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}})).await;
    let (_, gone) = delete(&format!("{services}/s"), "").await;
    assert_eq!((&gone["kind"], gone["metadata"].get("deletionTimestamp")), (&json!("Service"), None));
    // A dry run shows what would be.
    server.create(MAPS, &json!({"metadata": {"name": "m", "finalizers": ["a/b"]}})).await;
    let path = format!("{MAPS}/m");
    let (_, marked) = delete(&path, r#"{"dryRun":["All"]}"#).await;
    assert!(marked["metadata"]["deletionTimestamp"].is_string(), "{marked}");
    let (_, kept) = server.get(&path).await;
    assert_eq!(kept["metadata"].get("deletionTimestamp"), None);
    assert_eq!(kept["metadata"]["resourceVersion"], marked["metadata"]["resourceVersion"]);
    let (code, status) = delete(&path, r#"{"preconditions":{"uid":"x"}}"#).await;
    let expected = format!(
        "Operation cannot be fulfilled on ConfigMap \"m\": the UID in the precondition (x) does not match the UID in record ({}). \
         The object might have been deleted and then recreated",
        kept["metadata"]["uid"].as_str().unwrap()
    );
    assert_eq!((code, status["message"].as_str()), (StatusCode::CONFLICT, Some(expected.as_str())));
    // A namespace has no grace period.
    server.create("/api/v1/namespaces", &json!({"metadata": {"name": "n"}})).await;
    let (_, going) = delete("/api/v1/namespaces/n", "").await;
    assert_eq!(going["status"]["phase"], "Terminating");
    assert_eq!(going["metadata"].get("deletionGracePeriodSeconds"), None);
    let again = json!({"metadata": {"name": "n"}}).to_string();
    for path in ["/api/v1/namespaces", "/api/v1/namespaces?dryRun=All"] {
        let (code, status) = read(server.send(Method::POST, path, JSON, &again).await).await;
        let expected = "object is being deleted: namespaces \"n\" already exists";
        assert_eq!((code, status["message"].as_str()), (StatusCode::CONFLICT, Some(expected)));
    }
    let body = r#"{"status":{"phase":"Terminating"}}"#;
    let headers = &["content-type: application/merge-patch+json"];
    let response = server.send(Method::PATCH, "/api/v1/namespaces/default/status", headers, body).await;
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY, "it is not being deleted");
    // The cluster's own classes stay; jobs leave their pods behind, and say so.
    let class = json!({"metadata": {"name": "system-node-critical"}, "value": 2_000_001_000});
    server.send(Method::POST, "/apis/scheduling.k8s.io/v1/priorityclasses", JSON, &class.to_string()).await;
    let (code, status) = delete("/apis/scheduling.k8s.io/v1/priorityclasses/system-node-critical", "").await;
    assert_eq!(code, StatusCode::FORBIDDEN, "{status}");
    let jobs = "/apis/batch/v1/namespaces/default/jobs";
    let template = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}});
    for (name, body, warns) in [("a", "", true), ("b", r#"{"propagationPolicy":"Background"}"#, false)] {
        server.create(jobs, &json!({"metadata": {"name": name}, "spec": {"template": template}})).await;
        let response = server.send(Method::DELETE, &format!("{jobs}/{name}"), JSON, body).await;
        assert_eq!(response.headers().contains_key("warning"), warns, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_version_of_a_list_is_all_of_it() {
    let server = TestServer::start().await;
    for name in ["a", "b", "c"] {
        server.create(MAPS, &json!({"metadata": {"name": name}})).await;
    }
    let (_, list) = server.get(&format!("{MAPS}?limit=1&resourceVersion=0")).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 3);
    assert_eq!(list["metadata"].get("continue"), None);
}
