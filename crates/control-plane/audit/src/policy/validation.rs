//! What a policy may say. Source: apiserver `pkg/apis/audit/validation`.

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;

use super::{Document, GroupResources, Written};
use crate::event::{Level, Stage};

const LEVELS: [Level; 4] = [Level::None, Level::Metadata, Level::Request, Level::RequestResponse];

/// The level of a name.
pub(super) fn level(name: &str) -> Option<Level> {
    LEVELS.into_iter().find(|level| level.name() == name)
}

pub(super) fn check(policy: &Document) -> Errors {
    let mut errors = Errors::new();
    check_stages(&policy.omit_stages, &Path::new("omitStages"), &mut errors);
    for (index, rule) in policy.rules.iter().enumerate() {
        check_rule(rule, &Path::new("rules").index(index), &mut errors);
    }
    errors
}

fn check_rule(rule: &Written, path: &Path<'_>, errors: &mut Errors) {
    let of_level = path.child("level");
    match (rule.level.as_str(), level(&rule.level)) {
        ("", _) => errors.push(Error::required(&of_level, "")),
        (name, None) => errors.push(Error::not_supported(&of_level, name, &LEVELS.map(Level::name))),
        (_, Some(_)) => {}
    }
    check_urls(&rule.non_resource_urls, &path.child("nonResourceURLs"), errors);
    for resources in &rule.resources {
        check_resources(resources, &path.child("resources"), errors);
    }
    check_stages(&rule.omit_stages, &path.child("omitStages"), errors);
    let is_of_resources = !rule.resources.is_empty() || !rule.namespaces.is_empty();
    if is_of_resources && !rule.non_resource_urls.is_empty() {
        let why = "rules cannot apply to both regular resources and non-resource URLs";
        errors.push(Error::invalid(&path.child("nonResourceURLs"), list(&rule.non_resource_urls), why));
    }
}

fn check_urls(urls: &[String], path: &Path<'_>, errors: &mut Errors) {
    for (index, url) in urls.iter().enumerate().filter(|(_, url)| *url != "*") {
        let path = path.index(index);
        if !url.starts_with('/') {
            let why = "non-resource URL rules must begin with a '/' character";
            errors.push(Error::invalid(&path, url.as_str(), why));
        }
        let mut but_last = url.chars();
        but_last.next_back();
        if but_last.as_str().contains('*') {
            let why = "non-resource URL wildcards '*' must be the final character of the rule";
            errors.push(Error::invalid(&path, url.as_str(), why));
        }
    }
}

fn check_resources(written: &GroupResources, path: &Path<'_>, errors: &mut Errors) {
    let group = written.group.as_str();
    if !matches!(group, "" | "*") {
        let problems = names::dns1123_subdomain(group);
        if !problems.is_empty() {
            errors.push(Error::invalid(&path.child("group"), group, problems.join(",")));
        }
    }
    if !written.resource_names.is_empty() && written.resources.is_empty() {
        let why = "using resourceNames requires at least one resource";
        errors.push(Error::invalid(&path.child("resourceNames"), list(&written.resource_names), why));
    }
}

fn check_stages(stages: &[String], path: &Path<'_>, errors: &mut Errors) {
    for (index, stage) in stages.iter().enumerate() {
        if !Stage::ALL.iter().any(|known| known.name() == stage) {
            let why = format!("allowed stages are {}", Stage::ALL.map(Stage::name).join(","));
            errors.push(Error::invalid(&path.index(index), stage.as_str(), why));
        }
    }
}

fn list(values: &[String]) -> Value {
    Value::from(values.to_vec())
}
