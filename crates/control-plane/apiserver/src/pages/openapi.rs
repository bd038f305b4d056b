//! OpenAPI: `/openapi/v3` (an index, and a document for each group and version) and `/openapi/v2` (one document, as JSON or
//! protobuf). Documents are made when they are asked for, and kept for a while; clients keep them by their hash.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use serde_json::{Map, Value, json};
use windlass_api::{GroupVersionKind, Status};
use windlass_machinery::openapi::{Dialect, custom_list, custom_name, custom_schema, schemas, v2_protobuf};
use windlass_machinery::schema::TypeId;
use windlass_machinery::{Schema, digest};
use windlass_resources::{Resource, SchemaRef, Subresource, Verbs};

use super::documents::Documents;
use super::{PageRequest, version};
use crate::aggregation::Aggregation;
use crate::aggregation::openapi::V3;
use crate::message::response::Body;
use crate::registry::{Registry, Served};

type Answer = Result<Response<Body>, Status>;

const V2_PROTOBUF: [&str; 2] = [
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
];
const V3_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v3";

fn info() -> Value {
    json!({"title": "Kubernetes", "version": version::VERSION})
}

fn security() -> Value {
    json!({"BearerToken": {"type": "apiKey", "name": "authorization", "in": "header", "description": "Bearer Token authentication"}})
}

/// `/openapi/v3`
pub(super) fn v3_index(registry: &Registry, aggregation: &Aggregation, request: &PageRequest<'_>) -> Answer {
    let mut paths = Map::new();
    for (name, group) in registry.groups() {
        for (version, resources) in group.versions {
            let path = document_path(name, version);
            let url = format!("/openapi/v3/{path}?hash={}", document_hash(name, version, &resources));
            paths.insert(path, json!({"serverRelativeURL": url}));
        }
    }
    for remote in aggregation.routes().remotes() {
        let path = document_path(&remote.group, &remote.version);
        let url = match aggregation.documents(remote).openapi.v3 {
            None => continue,
            Some(V3::Served(url)) => url.to_string(),
            Some(V3::Converted(document)) => {
                format!("/openapi/v3/{path}?hash={}", digest::hex(&document).to_uppercase())
            }
        };
        paths.insert(path, json!({"serverRelativeURL": url}));
    }
    let text = json!({"paths": paths}).to_string();
    let tag = digest::hex(text.as_bytes()).to_uppercase();
    Ok(request.cached("application/json", Bytes::from(text), &tag))
}

fn document_path(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

/// A document depends on the program, on which resources there are, and on their definitions.
fn document_hash(group: &str, version: &str, resources: &[&Arc<Served>]) -> String {
    let mut text = format!("{} {group}/{version}", version::VERSION);
    for served in resources {
        text.push_str(&format!(" {}", served.resource.plural));
        if let SchemaRef::Custom(schema) = &served.resource.schema {
            text.push_str(&format!("@{}", schema.revision()));
        }
    }
    digest::hex(text.as_bytes()).to_uppercase()
}

/// `/openapi/v3/apis/GROUP/VERSION`
pub(super) fn v3(
    (registry, aggregation): (&Registry, &Aggregation),
    documents: &Documents,
    request: &PageRequest<'_>,
    (group, version): (&str, &str),
) -> Option<Answer> {
    if let Some(document) = aggregation.converted_openapi(group, version) {
        let tag = digest::hex(&document).to_uppercase();
        return Some(Ok(request.cached("application/json", document, &tag)));
    }
    let resources: Vec<&Arc<Served>> = registry.of(group, version).collect();
    if resources.is_empty() {
        return None;
    }
    if request.accept().contains(V3_PROTOBUF) && !request.accept().contains("application/json") {
        return Some(Err(Status::not_acceptable("application/json")));
    }
    let tag = document_hash(group, version, &resources);
    let make = || {
        let document = json!({
            "openapi": "3.0.0",
            "info": info(),
            "paths": paths(&resources, Dialect::V3),
            "components": {"schemas": definitions(&resources, Dialect::V3), "securitySchemes": security()},
        });
        Bytes::from(document.to_string())
    };
    let bytes = documents.get(&document_path(group, version), &tag, make);
    Some(Ok(request.cached("application/json", bytes, &tag)))
}

/// `/openapi/v2`
pub(super) fn v2(
    registry: &Registry,
    aggregation: &Aggregation,
    documents: &Documents,
    request: &PageRequest<'_>,
) -> Answer {
    let resources: Vec<&Arc<Served>> = registry.iter().collect();
    let accept = request.accept();
    let is_protobuf = V2_PROTOBUF.iter().any(|name| accept.contains(*name));
    // The older name has a character that media types may not have; it is asked for and never answered with.
    let content_type = if is_protobuf { V2_PROTOBUF[1] } else { "application/json" };
    let tag = v2_hash(content_type, &resources, aggregation);
    let make = || {
        let mut document = json!({
            "swagger": "2.0",
            "info": info(),
            "paths": paths(&resources, Dialect::V2),
            "definitions": definitions(&resources, Dialect::V2),
            "parameters": {},
            "securityDefinitions": security(),
            "security": [{"BearerToken": []}],
        });
        aggregation.add_openapi(&mut document);
        Bytes::from(if is_protobuf { v2_protobuf(&document) } else { document.to_string().into_bytes() })
    };
    Ok(request.cached(content_type, documents.get(content_type, &tag, make), &tag))
}

/// What the document of everything follows from.
fn v2_hash(content_type: &str, resources: &[&Arc<Served>], aggregation: &Aggregation) -> String {
    let mut text = format!("{} {content_type}", version::VERSION);
    for served in resources {
        let kind = &served.resource.kind;
        text.push_str(&format!(" {}/{}/{}", kind.group, kind.version, served.resource.plural));
        if let SchemaRef::Custom(schema) = &served.resource.schema {
            text.push_str(&format!("@{}", schema.revision()));
        }
    }
    for etag in aggregation.openapi_etags() {
        text.push_str(&format!(" {etag}"));
    }
    digest::hex(text.as_bytes()).to_uppercase()
}

fn definitions(resources: &[&Arc<Served>], dialect: Dialect) -> Map<String, Value> {
    let builtin = Schema::builtin();
    let mut roots: Vec<TypeId> = Vec::new();
    let mut kinds: Vec<(String, GroupVersionKind)> = Vec::new();
    let mut add = |kind: &GroupVersionKind| {
        if let Some(id) = Schema::object_type(&kind.group, &kind.version, &kind.kind) {
            roots.push(id);
            kinds.push((builtin.get(id).name.clone().into_owned(), kind.clone()));
        }
    };
    for served in resources {
        let resource = &served.resource;
        add(&resource.kind);
        if resource.verbs.has("watch") {
            add(&list_kind(resource));
        }
        resource
            .subresources
            .iter()
            .filter_map(|subresource| subresource.kind(&resource.kind))
            .for_each(|kind| add(&kind));
    }
    for meta in ["DeleteOptions", "Status"] {
        add(&GroupVersionKind::of("", "v1", meta));
    }
    // What lists and objects of custom kinds refer to.
    for name in ["ObjectMeta", "ListMeta"] {
        roots.extend(Schema::object_type("", "v1", name));
    }
    let mut all = schemas(builtin, roots, dialect);
    for served in resources {
        if let SchemaRef::Custom(schema) = &served.resource.schema {
            let resource = &served.resource;
            let (kind, list) = (&resource.kind, list_kind(resource));
            let mut schema = custom_schema(&schema.openapi(), dialect);
            let mut of_list = custom_list(kind, &list.kind, &resource.plural, dialect);
            let selectable = resource.selectable.iter().map(|field| json!({"fieldPath": field.name}));
            let selectable: Vec<Value> = selectable.collect();
            if !selectable.is_empty() {
                schema["x-kubernetes-selectable-fields"] = json!(selectable);
                of_list["x-kubernetes-selectable-fields"] = json!(selectable);
            }
            all.insert(custom_name(kind), schema);
            all.insert(custom_name(&list), of_list);
            kinds.extend([(custom_name(kind), kind.clone()), (custom_name(&list), list)]);
        }
    }
    for (name, kind) in kinds {
        if let Some(definition) = all.get_mut(&name) {
            let entry = json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
            match definition.get_mut("x-kubernetes-group-version-kind").and_then(Value::as_array_mut) {
                Some(list) if list.contains(&entry) => {}
                Some(list) => list.push(entry),
                None => definition["x-kubernetes-group-version-kind"] = json!([entry]),
            }
        }
    }
    all.into_iter().collect()
}

fn list_kind(resource: &Resource) -> GroupVersionKind {
    GroupVersionKind { kind: resource.list_kind.clone(), ..resource.kind.clone() }
}

fn paths(resources: &[&Arc<Served>], dialect: Dialect) -> Map<String, Value> {
    let mut paths = Map::new();
    for served in resources {
        let resource = &served.resource;
        let root = format!("/{}", document_path(&resource.kind.group, &resource.kind.version));
        let scoped = match resource.is_namespaced() {
            true => format!("{root}/namespaces/{{namespace}}/{}", resource.plural),
            false => format!("{root}/{}", resource.plural),
        };
        let writer = PathWriter { resource, dialect };
        if resource.is_namespaced() && resource.verbs.question().is_none() {
            paths.insert(format!("{root}/{}", resource.plural), writer.all_namespaces());
        }
        paths.insert(scoped.clone(), writer.collection());
        if resource.verbs.question().is_some() {
            continue;
        }
        paths.insert(format!("{scoped}/{{name}}"), writer.object());
        for subresource in &resource.subresources {
            let path = format!("{scoped}/{{name}}/{}", subresource.name());
            paths.insert(path, writer.subresource(*subresource));
        }
    }
    paths
}

/// Writes the operations of one resource.
struct PathWriter<'a> {
    resource: &'a Resource,
    dialect: Dialect,
}

/// Query parameters: name and whether it is a number or a yes or no.
const WRITE_PARAMETERS: &[(&str, &str)] =
    &[("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string")];
const PATCH_PARAMETERS: &[(&str, &str)] =
    &[("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string"), ("force", "boolean")];
const DELETE_PARAMETERS: &[(&str, &str)] = &[
    ("dryRun", "string"),
    ("gracePeriodSeconds", "integer"),
    ("orphanDependents", "boolean"),
    ("propagationPolicy", "string"),
];
const LIST_PARAMETERS: &[(&str, &str)] = &[
    ("allowWatchBookmarks", "boolean"),
    ("continue", "string"),
    ("fieldSelector", "string"),
    ("labelSelector", "string"),
    ("limit", "integer"),
    ("resourceVersion", "string"),
    ("resourceVersionMatch", "string"),
    ("sendInitialEvents", "boolean"),
    ("timeoutSeconds", "integer"),
    ("watch", "boolean"),
];

impl PathWriter<'_> {
    fn all_namespaces(&self) -> Value {
        let mut get =
            self.operation("list", "list", &format!("For{}", "AllNamespaces"), &list_kind(self.resource), None);
        get["operationId"] = json!(format!("list{}{}ForAllNamespaces", self.version_name(), self.resource.kind.kind));
        get["parameters"] = self.query(LIST_PARAMETERS);
        json!({"get": get, "parameters": self.path_parameters(&[])})
    }

    fn collection(&self) -> Value {
        let names: &[&str] = if self.resource.is_namespaced() { &["namespace"] } else { &[] };
        let mut path = json!({"parameters": self.path_parameters(names)});
        if self.resource.verbs.question().is_none() {
            let mut get = self.operation("list", "list", "", &list_kind(self.resource), None);
            get["parameters"] = self.query(LIST_PARAMETERS);
            path["get"] = get;
        }
        if self.resource.verbs != Verbs::ReadOnly {
            let mut post = self.operation("post", "create", "", &self.resource.kind, Some(&self.resource.kind));
            self.add_query(&mut post, WRITE_PARAMETERS);
            path["post"] = post;
        }
        if self.resource.verbs.has("deletecollection") {
            let status = GroupVersionKind::of("", "v1", "Status");
            let mut delete = self.operation("deletecollection", "deleteCollection", "", &status, None);
            delete["x-kubernetes-group-version-kind"] = self.kind_extension(&self.resource.kind);
            delete["parameters"] = self.query(&[DELETE_PARAMETERS, LIST_PARAMETERS].concat());
            path["delete"] = delete;
        }
        path
    }

    fn object(&self) -> Value {
        let names: &[&str] = if self.resource.is_namespaced() { &["name", "namespace"] } else { &["name"] };
        let kind = &self.resource.kind;
        let mut path = json!({"parameters": self.path_parameters(names)});
        path["get"] = self.operation("get", "read", "", kind, None);
        if self.resource.verbs.has("update") {
            let mut put = self.operation("put", "replace", "", kind, Some(kind));
            self.add_query(&mut put, WRITE_PARAMETERS);
            path["put"] = put;
            let mut patch = self.operation("patch", "patch", "", kind, None);
            self.add_query(&mut patch, PATCH_PARAMETERS);
            path["patch"] = patch;
            let options = GroupVersionKind::of("", "v1", "DeleteOptions");
            let status = GroupVersionKind::of("", "v1", "Status");
            let mut delete = self.operation("delete", "delete", "", &status, Some(&options));
            delete["x-kubernetes-group-version-kind"] = self.kind_extension(kind);
            self.add_query(&mut delete, DELETE_PARAMETERS);
            path["delete"] = delete;
        }
        path
    }

    fn subresource(&self, subresource: Subresource) -> Value {
        let names: &[&str] = if self.resource.is_namespaced() { &["name", "namespace"] } else { &["name"] };
        let own = subresource.kind(&self.resource.kind);
        let kind = own.as_ref().unwrap_or(&self.resource.kind);
        let name = subresource.name();
        let suffix = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
        let mut path = json!({"parameters": self.path_parameters(names)});
        for verb in subresource.verbs() {
            let (method, action, word, body) = match *verb {
                "get" => ("get", "get", "read", None),
                "update" => ("put", "put", "replace", Some(kind)),
                "patch" => ("patch", "patch", "patch", None),
                "create" => ("post", "post", "create", Some(kind)),
                _ => ("delete", "delete", "delete", None),
            };
            let mut operation = self.operation(action, word, &suffix, kind, body);
            match *verb {
                _ if name == "proxy" => {}
                "update" | "create" => self.add_query(&mut operation, WRITE_PARAMETERS),
                "patch" => self.add_query(&mut operation, PATCH_PARAMETERS),
                _ => {}
            }
            path[method] = operation;
        }
        path
    }

    fn operation(
        &self,
        action: &str,
        word: &str,
        suffix: &str,
        answer: &GroupVersionKind,
        body: Option<&GroupVersionKind>,
    ) -> Value {
        let resource = self.resource;
        let kind = &resource.kind.kind;
        let scope = if resource.is_namespaced() { "Namespaced" } else { "" };
        let (word, collection) = word.strip_suffix("Collection").map_or((word, ""), |word| (word, "Collection"));
        let id = format!("{word}{}{collection}{scope}{kind}{suffix}", self.version_name());
        let description = match action {
            "list" => format!("list or watch objects of kind {kind}"),
            "deletecollection" => format!("delete collection of {kind}"),
            _ => format!("{} {}", verb_in_words(word), object_in_words(kind, suffix)),
        };
        let about = if action == "list" { &resource.kind } else { answer };
        let mut operation = json!({
            "description": description,
            "operationId": id,
            "tags": [self.tag()],
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": self.kind_extension(about),
        });
        let reference = self.reference(answer);
        let body = body.map(|kind| self.reference(kind));
        match self.dialect {
            Dialect::V2 => {
                operation["produces"] = json!(self.media_types());
                operation["consumes"] = json!(["*/*"]);
                operation["schemes"] = json!(["https"]);
                operation["responses"] =
                    json!({"200": {"description": "OK", "schema": reference}, "401": {"description": "Unauthorized"}});
                if let Some(body) = body {
                    operation["parameters"] = json!([{"in": "body", "name": "body", "required": true, "schema": body}]);
                }
            }
            Dialect::V3 => {
                let content = |schema: &Value| -> Map<String, Value> {
                    let types = self.media_types().iter();
                    types.map(|name| ((*name).to_owned(), json!({"schema": schema}))).collect()
                };
                operation["responses"] = json!({"200": {"description": "OK", "content": content(&reference)}, "401": {"description": "Unauthorized"}});
                if let Some(body) = body {
                    operation["requestBody"] = json!({"content": {"*/*": {"schema": body}}, "required": true});
                }
            }
        }
        operation
    }

    fn reference(&self, kind: &GroupVersionKind) -> Value {
        match Schema::object_type(&kind.group, &kind.version, &kind.kind) {
            Some(id) => self.dialect.reference(&Schema::builtin().get(id).name),
            None if kind.group == self.resource.kind.group => self.dialect.reference(&custom_name(kind)),
            None => json!({"type": "object"}),
        }
    }

    /// The forms in which objects travel.
    fn media_types(&self) -> &'static [&'static str] {
        const ALL: &[&str] = &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
        if self.resource.is_custom() { &ALL[..2] } else { ALL }
    }

    fn kind_extension(&self, kind: &GroupVersionKind) -> Value {
        json!({"group": kind.group, "version": kind.version, "kind": kind.kind})
    }

    fn parameter(&self, name: &str, place: &str, kind: &str) -> Value {
        let mut parameter = json!({"name": name, "in": place});
        if place == "path" {
            parameter["required"] = json!(true);
        }
        match self.dialect {
            Dialect::V2 => {
                parameter["type"] = json!(kind);
                parameter["uniqueItems"] = json!(true);
            }
            Dialect::V3 => parameter["schema"] = json!({"type": kind, "uniqueItems": true}),
        }
        parameter
    }

    fn path_parameters(&self, names: &[&str]) -> Value {
        let mut all: Vec<Value> = names.iter().map(|name| self.parameter(name, "path", "string")).collect();
        all.push(self.parameter("pretty", "query", "string"));
        Value::Array(all)
    }

    fn query(&self, parameters: &[(&str, &str)]) -> Value {
        let mut seen = Vec::new();
        let mut all = Vec::new();
        for (name, kind) in parameters {
            if !seen.contains(name) {
                seen.push(name);
                all.push(self.parameter(name, "query", kind));
            }
        }
        Value::Array(all)
    }

    fn add_query(&self, operation: &mut Value, parameters: &[(&str, &str)]) {
        let Value::Array(query) = self.query(parameters) else { return };
        match operation.get_mut("parameters").and_then(Value::as_array_mut) {
            Some(list) => list.extend(query),
            None => operation["parameters"] = Value::Array(query),
        }
    }

    /// `apps_v1`, `rbacAuthorization_v1`
    fn tag(&self) -> String {
        let name = self.version_name();
        let version = &self.resource.kind.version;
        let group = &name[..name.len() - version.len()];
        format!("{}{}_{version}", group[..1].to_lowercase(), &group[1..])
    }

    /// `AppsV1`, `RbacAuthorizationV1`
    fn version_name(&self) -> String {
        let kind = &self.resource.kind;
        let group =
            if kind.group.is_empty() { "core" } else { kind.group.strip_suffix(".k8s.io").unwrap_or(&kind.group) };
        group
            .split('.')
            .chain([&*kind.version])
            .map(|part| format!("{}{}", part[..1].to_uppercase(), &part[1..]))
            .collect()
    }
}

fn verb_in_words(word: &str) -> &str {
    match word {
        "read" => "read the specified",
        "replace" => "replace the specified",
        "patch" => "partially update the specified",
        "create" => "create a",
        "delete" => "delete a",
        other => other,
    }
}

fn object_in_words(kind: &str, suffix: &str) -> String {
    if suffix.is_empty() { kind.to_owned() } else { format!("{kind}'s {}", suffix.to_lowercase()) }
}
