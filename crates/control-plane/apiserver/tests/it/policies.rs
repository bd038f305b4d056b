//! Admission policies as a client meets them: what is refused, warned of and changed, in upstream's words.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{TestServer, json as read};

const GROUP: &str = "/apis/admissionregistration.k8s.io/v1";
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const JSON: &[&str] = &["content-type: application/json"];
const MERGE: &[&str] = &["content-type: application/merge-patch+json"];

/// Sends an object; gives the code, the answer and the texts of its warnings.
async fn send(server: &TestServer, method: Method, path: &str, object: &Value) -> (StatusCode, Value, Vec<String>) {
    let headers = if method == Method::PATCH { MERGE } else { JSON };
    let response = server.send(method, path, headers, &object.to_string()).await;
    let all = response.headers().get_all("warning");
    let warnings = all.iter().map(|text| windlass_http::header::text(text).into_owned()).collect();
    let (code, answer) = read(response).await;
    (code, answer, warnings)
}

async fn create(server: &TestServer, path: &str, object: &Value) -> (StatusCode, Value) {
    let (code, answer, _) = send(server, Method::POST, path, object).await;
    (code, answer)
}

/// What policies are about: resources as `group/version/resource`.
fn about(resource: &str) -> Value {
    let parts: Vec<&str> = resource.splitn(3, '/').collect();
    json!({"resourceRules": [{"operations": ["CREATE", "UPDATE"], "apiGroups": [parts[0]], "apiVersions": [parts[1]], "resources": [parts[2]]}]})
}

/// Creates a validating policy, and a binding of it.
async fn validate(server: &TestServer, name: &str, mut spec: Value, resource: &str, binding: Value) {
    spec["matchConstraints"] = about(resource);
    server
        .create(&format!("{GROUP}/validatingadmissionpolicies"), &json!({"metadata": {"name": name}, "spec": spec}))
        .await;
    let mut bound = json!({"policyName": name, "validationActions": ["Deny"]});
    bound.as_object_mut().unwrap().extend(binding.as_object().unwrap().clone());
    let path = format!("{GROUP}/validatingadmissionpolicybindings");
    server.create(&path, &json!({"metadata": {"name": format!("{name}-binding")}, "spec": bound})).await;
}

/// Creates a mutating policy, and a binding of it.
async fn mutate(server: &TestServer, name: &str, resource: &str, mutation: Value) {
    let spec = json!({"matchConstraints": about(resource), "reinvocationPolicy": "Never", "mutations": [mutation]});
    server
        .create(&format!("{GROUP}/mutatingadmissionpolicies"), &json!({"metadata": {"name": name}, "spec": spec}))
        .await;
    let path = format!("{GROUP}/mutatingadmissionpolicybindings");
    server.create(&path, &json!({"metadata": {"name": name}, "spec": {"policyName": name}})).await;
}

fn deployment(name: &str, replicas: i64) -> Value {
    let labels = json!({"app": name});
    json!({"metadata": {"name": name}, "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_are_refused() {
    let server = TestServer::start().await;
    let validations = json!([
        {"expression": "variables.replicas > 1", "messageExpression": "'wants more than ' + string(variables.replicas)"},
        {"expression": "namespaceObject.metadata.name == 'default'"}]);
    let variables = json!([{"name": "replicas", "expression": "object.spec.replicas"}]);
    let spec = json!({"variables": variables, "validations": validations});
    validate(&server, "replicas", spec, "apps/v1/deployments", json!({})).await;
    let (code, status) = create(&server, DEPLOYMENTS, &deployment("one", 1)).await;
    let why = "ValidatingAdmissionPolicy 'replicas' with binding 'replicas-binding' denied request: wants more than 1";
    assert_eq!((code, &status["reason"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("Invalid")), "{status}");
    assert_eq!(status["message"], json!(format!("deployments.apps \"one\" is forbidden: {why}")));
    let details = json!({"name": "one", "group": "apps", "kind": "deployments", "causes": [{"message": why}]});
    assert_eq!(status["details"], details);
    server.create(DEPLOYMENTS, &deployment("two", 2)).await;
    let path = format!("{DEPLOYMENTS}/two");
    let (code, status, _) = send(&server, Method::PATCH, &path, &json!({"spec": {"replicas": 1}})).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY, "{status}");
    // Deletions are not what the policy is about.
    assert_eq!(send(&server, Method::DELETE, &path, &json!({})).await.0, StatusCode::OK);
    // What is taken away counts no longer.
    send(&server, Method::DELETE, &format!("{GROUP}/validatingadmissionpolicybindings/replicas-binding"), &json!({}))
        .await;
    server.create(DEPLOYMENTS, &deployment("one", 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_objects_of_any_kind() {
    let server = TestServer::start().await;
    let schema = json!({"type": "object", "properties": {"max": {"type": "integer", "default": 1}}});
    let definition = json!({"metadata": {"name": "limits.example.com"}, "spec": {"group": "example.com", "scope": "Cluster",
        "names": {"plural": "limits", "kind": "Limit"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}});
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let spec = json!({"paramKind": {"apiVersion": "example.com/v1", "kind": "Limit"},
        "validations": [{"expression": "size(object.data) <= params.max"}]});
    let reference =
        json!({"paramRef": {"name": "all", "parameterNotFoundAction": "Deny"}, "validationActions": ["Deny"]});
    validate(&server, "limit", spec, "/v1/configmaps", reference).await;
    let map = |name: &str, entries: Value| json!({"metadata": {"name": name}, "data": entries});
    let refusal = async |name: &str| {
        let (code, answer) = create(&server, CONFIG_MAPS, &map(name, json!({"a": "", "b": ""}))).await;
        (code, answer["message"].as_str().unwrap_or_default().to_owned())
    };
    let said = |why: &str| format!("configmaps \"m\" is forbidden: ValidatingAdmissionPolicy 'limit' {why}");
    let unknown = said(
        "denied request: failed to configure policy: failed to find resource referenced by paramKind: 'example.com/v1, Kind=Limit'",
    );
    assert_eq!(refusal("m").await, (StatusCode::UNPROCESSABLE_ENTITY, unknown));
    server.create(definitions, &definition).await;
    let key = windlass_api::ObjectKey::new("", "limits.example.com");
    let is_established = |found: &Value| {
        let conditions = found["status"]["conditions"].as_array().into_iter().flatten();
        conditions.filter(|one| one["type"] == "Established").any(|one| one["status"] == "True")
    };
    let resource = windlass_api::resource::CUSTOM_RESOURCE_DEFINITIONS;
    server.cluster().until(&resource, &key, "a definition that is established", is_established).await;
    let absent = said(
        "with binding 'limit-binding' denied request: failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction",
    );
    assert_eq!(refusal("m").await, (StatusCode::UNPROCESSABLE_ENTITY, absent));
    server
        .create(
            "/apis/example.com/v1/limits",
            &json!({"apiVersion": "example.com/v1", "kind": "Limit", "metadata": {"name": "all"}}),
        )
        .await;
    let broken =
        said("with binding 'limit-binding' denied request: failed expression: size(object.data) <= params.max");
    assert_eq!(refusal("m").await, (StatusCode::UNPROCESSABLE_ENTITY, broken));
    send(&server, Method::PATCH, "/apis/example.com/v1/limits/all", &json!({"max": 2})).await;
    assert_eq!(refusal("m").await, (StatusCode::CREATED, String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_versions_are_seen_as_the_one_that_a_policy_names() {
    let server = TestServer::start().await;
    let expression = "object.apiVersion == 'autoscaling/v1' && object.spec.targetCPUUtilizationPercentage < 50 && request.requestKind.version == 'v2'";
    let spec = json!({"validations": [{"expression": expression, "message": "too much"}]});
    let warns = json!({"validationActions": ["Warn"]});
    validate(&server, "cpu", spec, "autoscaling/v1/horizontalpodautoscalers", warns).await;
    let scaler = |name: &str, percent: i64| {
        json!({"metadata": {"name": name}, "spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent}}}]}})
    };
    let path = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";
    let (code, answer, warnings) = send(&server, Method::POST, path, &scaler("little", 40)).await;
    assert_eq!((code, warnings), (StatusCode::CREATED, Vec::new()), "{answer}");
    let (code, answer, warnings) = send(&server, Method::POST, path, &scaler("much", 60)).await;
    let warning =
        "299 - \"Validation failed for ValidatingAdmissionPolicy 'cpu' with binding 'cpu-binding': too much\"";
    assert_eq!((code, warnings), (StatusCode::CREATED, vec![warning.to_owned()]), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_changed() {
    let server = TestServer::start().await;
    let apply =
        |expression: &str| json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}});
    mutate(&server, "replicas", "apps/v1/deployments", apply("Object{spec: Object.spec{replicas: 1337}, metadata: Object.metadata{annotations: {'mutated-by': 'policy'}}}")).await;
    let created = server.create(DEPLOYMENTS, &deployment("d", 1)).await;
    assert_eq!(
        (&created["spec"]["replicas"], &created["metadata"]["annotations"]["mutated-by"]),
        (&json!(1337), &json!("policy"))
    );
    // What policies do nobody manages.
    let managed = created["metadata"]["managedFields"].to_string();
    assert!(!managed.contains("mutated-by"), "{managed}");
    let patch = json!({"patchType": "JSONPatch", "jsonPatch": {"expression": "[JSONPatch{op: 'add', path: '/data/' + jsonpatch.escapeKey('x/y'), value: object.metadata.name}]"}});
    mutate(&server, "name", "/v1/configmaps", patch).await;
    let (code, status) = create(&server, CONFIG_MAPS, &json!({"metadata": {"name": "empty"}})).await;
    assert_eq!((code, &status["reason"]), (StatusCode::FORBIDDEN, &json!("Invalid")), "{status}");
    let (code, status) = create(&server, CONFIG_MAPS, &json!({"metadata": {"name": "m"}, "data": {"a": "1"}})).await;
    // Validation looks at what policies have made.
    let invalid = "ConfigMap \"m\" is invalid: data[x/y]: Invalid value: \"x/y\": a valid config key must consist of alphanumeric characters";
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(status["message"].as_str().unwrap().starts_with(invalid), "{status}");
}

/// What a policy may change of an object is not where it is stored: that was decided, and authorized, before.
#[tokio::test(flavor = "multi_thread")]
async fn objects_stay_where_they_were_sent() {
    let server = TestServer::start().await;
    let moved = json!({"patchType": "JSONPatch", "jsonPatch": {"expression":
        "[JSONPatch{op: 'replace', path: '/metadata/namespace', value: 'kube-system'}]"}});
    mutate(&server, "moved", "/v1/configmaps", moved).await;
    let (code, status) = create(&server, CONFIG_MAPS, &json!({"metadata": {"name": "m"}})).await;
    assert_eq!(code, StatusCode::BAD_REQUEST);
    let message = "the namespace of the provided object does not match the namespace sent on the request";
    assert_eq!(status["message"], message);
    for namespace in ["default", "kube-system"] {
        let (code, _) = server.get(&format!("/api/v1/namespaces/{namespace}/configmaps/m")).await;
        assert_eq!(code, StatusCode::NOT_FOUND);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_objects_are_seen_as_what_clients_send() {
    let server = TestServer::start().await;
    let scale = json!({"validations": [{"expression": "object.kind == 'Scale' && oldObject.spec.replicas == 1 && object.spec.replicas < 5", "message": "too many"}]});
    validate(&server, "scale", scale, "apps/v1/deployments/scale", json!({})).await;
    let only_in = json!({"validations": [{"expression": "object.kind == 'Binding' && object.target.name == 'n1' && request.kind.kind == 'Binding'", "message": "elsewhere"}]});
    validate(&server, "bind", only_in, "/v1/pods/binding", json!({})).await;
    server.create(DEPLOYMENTS, &deployment("d", 1)).await;
    let path = format!("{DEPLOYMENTS}/d/scale");
    let (code, status, _) = send(&server, Method::PATCH, &path, &json!({"spec": {"replicas": 5}})).await;
    let why = "deployments.apps \"d\" is forbidden: ValidatingAdmissionPolicy 'scale' with binding 'scale-binding' denied request: too many";
    assert_eq!((code, &status["message"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(why)));
    let doubled = json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{spec: Object.spec{replicas: 4}}"}});
    mutate(&server, "four", "apps/v1/deployments/scale", doubled).await;
    let (code, scale, _) = send(&server, Method::PATCH, &path, &json!({"spec": {"replicas": 2}})).await;
    assert_eq!((code, &scale["spec"]["replicas"]), (StatusCode::OK, &json!(4)), "{scale}");
    server.create("/api/v1/namespaces/default/serviceaccounts", &json!({"metadata": {"name": "default"}})).await;
    let pods = "/api/v1/namespaces/default/pods";
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    server.create(pods, &pod).await;
    let bind = |node: &str| json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": node}});
    let path = format!("{pods}/p/binding");
    let (code, status) = create(&server, &path, &bind("n2")).await;
    let why = "pods \"p\" is forbidden: ValidatingAdmissionPolicy 'bind' with binding 'bind-binding' denied request: elsewhere";
    assert_eq!((code, &status["message"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(why)));
    assert_eq!(create(&server, &path, &bind("n1")).await.0, StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_a_binding_can_read_its_parameters() {
    let server =
        TestServer::start_with(windlass_apiserver::http::REQUEST_TIMEOUT, windlass_auth::User::new("jane", &["team"]))
            .await;
    let [(_, admin), _] = server.clients();
    let spec = json!({"matchConstraints": about("/v1/configmaps"), "validations": [{"expression": "true"}],
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}});
    let policy = json!({"metadata": {"name": "p"}, "spec": spec});
    // Jane may do everything, until she may only write what admission is configured by.
    let policies = format!("{GROUP}/validatingadmissionpolicies");
    server.create(&policies, &policy).await;
    let roles = windlass_api::GroupVersionResource::of("rbac.authorization.k8s.io", "v1", "clusterroles");
    let rules = json!({"rules": [{"apiGroups": ["admissionregistration.k8s.io"], "resources": ["*"], "verbs": ["*"]}]});
    let all = windlass_api::ObjectKey::new("", "all");
    admin.patch(&roles, &all, windlass_client::OBJECT, &rules).await.unwrap();
    let binding = |reference: Value| json!({"metadata": {"name": "b"}, "spec": {"policyName": "p", "validationActions": ["Deny"], "paramRef": reference}});
    let path = format!("{GROUP}/validatingadmissionpolicybindings");
    let named = binding(json!({"name": "secret", "namespace": "default", "parameterNotFoundAction": "Deny"}));
    let (code, status) = create(&server, &path, &named).await;
    let why = "ValidatingAdmissionPolicyBinding.admissionregistration.k8s.io \"b\" is invalid: spec.paramRef: Forbidden: user &{jane  [team system:authenticated] map[]} does not have \"get\" permission on the object referenced by paramRef";
    assert_eq!((code, &status["message"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(why)));
    let mut other = policy.clone();
    other["metadata"]["name"] = json!("q");
    let (code, status) = create(&server, &policies, &other).await;
    let why = "ValidatingAdmissionPolicy.admissionregistration.k8s.io \"q\" is invalid: spec.paramKind: Forbidden: user &{jane  [team system:authenticated] map[]} must have \"get\" permission on all objects of the referenced paramKind (kind=ConfigMap, apiVersion=v1)";
    assert_eq!((code, &status["message"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(why)));
    let (code, status) = create(&server, &path, &binding(json!(null))).await;
    assert_eq!(code, StatusCode::CREATED, "{status}");
}

/// What a subresource is asked with and nobody stores: it is validated before validating admission, which sees what the server has filled in.
#[tokio::test(flavor = "multi_thread")]
async fn requests_for_tokens_are_whole() {
    let server = TestServer::start().await;
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    let account = server.create(accounts, &json!({"metadata": {"name": "robot"}})).await;
    let expression = "object.spec.expirationSeconds == 3600 && object.spec.audiences.size() == 1 \
                      && object.metadata.name == 'robot' && has(object.metadata.uid)";
    let validations = json!([{"expression": expression, "message": "not as it should be"}]);
    validate(&server, "tokens", json!({"validations": validations}), "/v1/serviceaccounts/token", json!({})).await;
    let path = format!("{accounts}/robot/token");
    let (code, token) = create(&server, &path, &json!({"spec": {}})).await;
    assert_eq!(code, StatusCode::CREATED, "{token}");
    assert_eq!(token["metadata"]["uid"], account["metadata"]["uid"]);
    let (code, status) = create(&server, &path, &json!({"spec": {"expirationSeconds": 700}})).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(status["message"].as_str().unwrap().ends_with("denied request: not as it should be"), "{status}");
    let (_, status) = create(&server, &path, &json!({"spec": {"expirationSeconds": 1}})).await;
    assert!(
        status["message"].as_str().unwrap().contains("may not specify a duration less than 10 minutes"),
        "{status}"
    );
    let other = json!({"metadata": {"uid": "7"}, "spec": {}});
    let (code, status) = create(&server, &path, &other).await;
    assert_eq!(code, StatusCode::CONFLICT);
    assert!(
        status["message"].as_str().unwrap().contains("the UID in the token request (7) does not match"),
        "{status}"
    );
}
