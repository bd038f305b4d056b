//! Discovery: which groups, versions and resources there are, in the old form (a document for each level) and in the aggregated
//! one (a single document).

use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};
use windlass_api::{GroupVersionKind, Status};
use windlass_machinery::digest;
use windlass_resources::{Resource, SchemaRef};

use super::PageRequest;
use super::documents::Documents;
use super::groups::Groups;
use super::version_document::verbs;
use crate::aggregation::api_service::{Listed, ListedGroup};
use crate::message::response::Body;
use crate::registry::{Registry, Served};

type Answer = Result<Response<Body>, Status>;

/// The version of aggregated discovery that the client likes best; `None` when it wants the old form.
fn aggregated_form(request: &PageRequest<'_>) -> Option<&'static str> {
    request.accept().split(',').find_map(|choice| {
        let mut parts = choice.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let parameters: Vec<&str> = parts.collect();
        let has = |parameter: &str| parameters.contains(&parameter);
        if !has("as=APIGroupDiscoveryList") || !has("g=apidiscovery.k8s.io") {
            // What stands before is liked better.
            return matches!(media_type, "application/json" | "*/*").then_some(None);
        }
        ["v2", "v2beta1"].into_iter().find(|version| has(&format!("v={version}"))).map(Some)
    })?
}

/// `/api`
pub(super) fn core_versions(
    groups: &Groups<'_>,
    documents: &Documents,
    address: &str,
    request: &PageRequest<'_>,
) -> Answer {
    if let Some(form) = aggregated_form(request) {
        return Ok(aggregated(groups, documents, request, form, |group| group.is_empty()));
    }
    let tree = json!({"versions": ["v1"], "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]});
    request.document_of_core("APIVersions", tree)
}

/// `/apis`
pub(super) fn groups(groups: &Groups<'_>, documents: &Documents, request: &PageRequest<'_>) -> Answer {
    if let Some(form) = aggregated_form(request) {
        return Ok(aggregated(groups, documents, request, form, |group| !group.is_empty()));
    }
    let named = groups.listed().into_iter().filter(|(name, _)| !name.is_empty());
    let groups: Vec<Value> = named.map(|group| group_tree(&group)).collect();
    request.object(&GroupVersionKind::of("", "v1", "APIGroupList"), json!({"groups": groups}))
}

/// `/apis/GROUP`
pub(super) fn group(groups: &Groups<'_>, request: &PageRequest<'_>, name: &str) -> Option<Answer> {
    let tree = group_tree(&groups.group(name)?);
    Some(request.object(&GroupVersionKind::of("", "v1", "APIGroup"), tree))
}

fn group_tree((name, versions): &ListedGroup<()>) -> Value {
    let version = |listed: &Listed<()>| {
        let version = &listed.version;
        json!({"groupVersion": format!("{name}/{version}"), "version": version})
    };
    let versions: Vec<Value> = versions.iter().map(version).collect();
    json!({"name": name, "versions": versions, "preferredVersion": versions.first()})
}

/// `/api/v1`, `/apis/GROUP/VERSION`
pub(super) fn resources(registry: &Registry, request: &PageRequest<'_>, group: &str, version: &str) -> Option<Answer> {
    let mut list: Vec<Value> = Vec::new();
    let mut is_custom = false;
    for served in registry.of(group, version) {
        is_custom = served.resource.is_custom();
        list.extend(resource_entries(served));
    }
    if list.is_empty() {
        return None;
    }
    // Built-in subresources stand by the alphabet, too.
    list.sort_by(|a, b| sort_key(a, is_custom).cmp(sort_key(b, is_custom)));
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let tree = json!({"groupVersion": group_version, "resources": list});
    Some(match group {
        "" => request.document_of_core("APIResourceList", tree),
        _ => request.object(&GroupVersionKind::of("", "v1", "APIResourceList"), tree),
    })
}

/// What an entry is sorted by: its name, or for a custom resource's that of the resource, whose subresources have an order of their own.
fn sort_key(entry: &Value, is_custom: bool) -> &str {
    let name = entry["name"].as_str().unwrap_or_default();
    if is_custom { name.split('/').next().unwrap_or(name) } else { name }
}

/// A resource and its subresources in the old form.
fn resource_entries(served: &Served) -> Vec<Value> {
    let resource = &served.resource;
    let mut entry = json!({
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.is_namespaced(),
        "kind": resource.kind.kind,
        "verbs": verbs(resource),
    });
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
    if resource.verbs.has("update") {
        entry["storageVersionHash"] = json!(storage_version_hash(resource));
    }
    let mut entries = vec![entry];
    for subresource in &resource.subresources {
        let mut entry = json!({
            "name": format!("{}/{}", resource.plural, subresource.name()),
            "singularName": "",
            "namespaced": resource.is_namespaced(),
            "kind": resource.kind.kind,
            "verbs": subresource.verbs(),
        });
        if let Some(kind) = subresource.kind(&resource.kind) {
            entry["kind"] = json!(kind.kind);
            if kind.group != resource.kind.group || kind.version != resource.kind.version {
                entry["group"] = json!(kind.group);
                entry["version"] = json!(kind.version);
            }
        }
        entries.push(entry);
    }
    entries
}

/// Tells clients when stored objects would have to be migrated: it depends on group, version and kind of what is stored.
fn storage_version_hash(resource: &Resource) -> String {
    let kind = &resource.kind;
    let version = match &resource.schema {
        SchemaRef::Builtin(_) => &*kind.version,
        SchemaRef::Custom(schema) => schema.stored_version(),
    };
    digest::base64(format!("{}/{version}/{}", kind.group, kind.kind).as_bytes(), 8)
}

fn aggregated(
    groups: &Groups<'_>,
    documents: &Documents,
    request: &PageRequest<'_>,
    form: &str,
    wanted: impl Fn(&str) -> bool,
) -> Response<Body> {
    let make = || {
        let items: Vec<Value> = groups.documents(wanted).into_iter().map(aggregated_group).collect();
        let list = json!({
            "kind": "APIGroupDiscoveryList",
            "apiVersion": format!("apidiscovery.k8s.io/{form}"),
            "metadata": {},
            "items": items,
        });
        Bytes::from(list.to_string())
    };
    let (name, version) = (format!("{} {form}", request.path), groups.version());
    let text = documents.get(&name, &version, make);
    let tag = documents.get(&format!("{name} tag"), &version, || digest::hex(&text).to_uppercase().into());
    let tag = String::from_utf8_lossy(&tag);
    let content_type = format!("application/json;g=apidiscovery.k8s.io;v={form};as=APIGroupDiscoveryList");
    request.cached(&content_type, text, &tag)
}

fn aggregated_group((name, versions): ListedGroup<Value>) -> Value {
    let versions: Vec<Value> = versions.into_iter().map(|listed| listed.value).collect();
    let metadata = if name.is_empty() { json!({}) } else { json!({"name": name}) };
    json!({"metadata": metadata, "versions": versions})
}
