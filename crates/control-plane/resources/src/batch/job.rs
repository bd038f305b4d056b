//! Job: pods that run to completion.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use windlass_api::field::{Error, Errors, Path};
use windlass_api::{condition, names, time};
use windlass_machinery::tree::{child, items_mut, put, set, set_text, text};

use super::status::validate_status;
use super::validation::{is_indexed, spec_warnings, validate_job_spec, validate_job_update};
use crate::apps::validation::{name_warning, parse_selector, shown_selector};
use crate::columns::{self, count};
use crate::pod_spec::set_template_defaults;
use crate::rules::{at, is_true, object_at};
use crate::{Moment, Resource, Strategy, Subresource};

/// Labels by which a Job knows its pods, each in its old and its prefixed spelling.
pub(super) const JOB_NAME_LABELS: [&str; 2] = ["job-name", "batch.kubernetes.io/job-name"];
pub(super) const CONTROLLER_UID_LABELS: [&str; 2] = ["controller-uid", "batch.kubernetes.io/controller-uid"];

pub(crate) fn resource() -> Resource {
    Resource::namespaced("batch", "v1", "Job", "jobs")
        .categories(&["all"])
        .subresources(&[Subresource::Status])
        .counts_generations()
        .selectable_or("status.successful", "/status/succeeded", "0")
        .columns(columns::list(&[
            "Name",
            "Status",
            "Completions",
            "Duration",
            "Age",
            "+Containers",
            "+Images",
            "+Selector",
        ]))
        .strategy(Job)
}

struct Job;

impl Strategy for Job {
    fn unselectable(&self, field: &str) -> Option<String> {
        Some(format!("field label {field:?} not supported for Job"))
    }

    fn set_defaults(&self, object: &mut Value) {
        let spec = child(object, "spec");
        set_job_spec_defaults(spec);
        let is_absent = |field: &str| spec.get(field).is_none_or(Value::is_null);
        if is_absent("completions") && is_absent("parallelism") {
            put(spec, "completions", 1);
        }
        set(spec, "parallelism", 1);
        let per_index = spec.get("backoffLimitPerIndex").is_some_and(|limit| !limit.is_null());
        set(spec, "backoffLimit", if per_index { i32::MAX } else { 6 });
        set(spec, "completionMode", "NonIndexed");
        set(spec, "suspend", false);
        let has_policy = spec.get("podFailurePolicy").is_some_and(Value::is_object);
        set(spec, "podReplacementPolicy", if has_policy { "Failed" } else { "TerminatingOrFailed" });
        set(spec, "manualSelector", false);
        let labels = object.pointer("/spec/template/metadata/labels").cloned();
        let own = object.pointer("/metadata/labels").and_then(Value::as_object);
        if let Some(labels) = labels.filter(|_| own.is_none_or(serde_json::Map::is_empty)) {
            put(child(object, "metadata"), "labels", labels);
        }
    }

    fn prepare_create(&self, object: &mut Value, _moment: Moment) {
        if object.pointer("/spec/manualSelector") != Some(&Value::Bool(true)) {
            generate_selector(object);
        }
    }

    fn validate(&self, object: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_generated_selector(&mut errors, object);
        validate_job_spec(&mut errors, &object["spec"], &Path::new("spec"));
        validate_host_names(&mut errors, object);
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let (mut errors, path) = (Errors::new(), Path::new("spec"));
        validate_job_spec(&mut errors, &object["spec"], &path);
        validate_job_update(&mut errors, object, old, &path);
        validate_host_names(&mut errors, object);
        errors
    }

    fn validate_status(&self, object: &Value, old: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_status(&mut errors, object, old);
        errors
    }

    fn warnings(&self, object: &Value, old: Option<&Value>) -> Vec<String> {
        name_warning(object, old).into_iter().chain(spec_warnings(object, old, "spec")).collect()
    }

    fn deletion_warning(&self) -> Option<&'static str> {
        Some(
            "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set \
             propagationPolicy=Orphan to suppress this warning",
        )
    }

    fn orphans_by_default(&self) -> bool {
        true
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let [names, images] = columns::containers(object.pointer("/spec/template/spec"));
        vec![
            columns::name(object),
            Value::from(state(object)),
            Value::from(completions(object)),
            Value::from(duration(object, now)),
            columns::age(object, now),
            names,
            images,
            columns::selector(object.pointer("/spec/selector")),
        ]
    }
}

/// Defaults of a Job's specification in a Job as in a CronJob's template; the others depend on each other, and are a Job's
/// alone.
pub(super) fn set_job_spec_defaults(spec: &mut Value) {
    set_template_defaults(child(spec, "template"));
    if let Some(policy) = spec.get_mut("podFailurePolicy") {
        for rule in items_mut(policy, "rules") {
            for pattern in items_mut(rule, "onPodConditions") {
                set_text(pattern, "status", "True");
            }
        }
    }
}

/// Labels the pods with the Job's name and uid, and selects them by the uid. What the author has labelled stays; validation
/// finds what contradicts.
fn generate_selector(object: &mut Value) {
    let name = text(&object["metadata"], "name").to_owned();
    let uid = text(&object["metadata"], "uid").to_owned();
    // A Job that has taken its labels from the template gets these as well.
    let labels = |pointer: &str| object.pointer(pointer).filter(|labels| !labels.is_null());
    let shares = labels("/metadata/labels") == labels("/spec/template/metadata/labels");
    let spec = child(object, "spec");
    let labels = child(child(child(spec, "template"), "metadata"), "labels");
    for label in JOB_NAME_LABELS {
        set(labels, label, name.as_str());
    }
    for label in CONTROLLER_UID_LABELS {
        set(labels, label, uid.as_str());
    }
    let labels = labels.clone();
    let selector = child(child(spec, "selector"), "matchLabels");
    set(selector, CONTROLLER_UID_LABELS[1], json!(uid));
    if shares {
        put(child(object, "metadata"), "labels", labels);
    }
}

/// Whether the labels are those by which the Job knows its pods.
fn validate_generated_selector(errors: &mut Errors, job: &Value) {
    let spec = job.get("spec").unwrap_or(&Value::Null);
    let Some(selector) = object_at(spec, "selector").filter(|_| !is_true(spec, "manualSelector")) else { return };
    let (name, uid) = (columns::word(job, "/metadata/name"), columns::word(job, "/metadata/uid"));
    let expected = [
        (CONTROLLER_UID_LABELS[0], uid),
        (JOB_NAME_LABELS[0], name),
        (CONTROLLER_UID_LABELS[1], uid),
        (JOB_NAME_LABELS[1], name),
    ];
    let (root, none) = (Path::new("spec"), Map::new());
    let labels = spec.pointer("/template/metadata/labels").and_then(Value::as_object).unwrap_or(&none);
    let (template, key) = (root.child("template"), "labels");
    let path = template.child("metadata");
    for (label, value) in expected {
        let path = path.child(key);
        match labels.get(label).and_then(Value::as_str) {
            None => {
                let detail = format!("must be '{value}'");
                errors.push(Error::required(&path.key(label), detail));
            }
            Some(found) if found != value => {
                errors.push(Error::invalid(&path.key(label), labels.clone(), format!("must be '{value}'")));
            }
            Some(_) => {}
        }
    }
    let labels: std::collections::BTreeMap<String, String> =
        expected.into_iter().map(|(label, value)| (label.to_owned(), value.to_owned())).collect();
    if parse_selector(Some(selector)).is_some_and(|selector| !selector.matches(&labels)) {
        let detail = "`selector` not auto-generated";
        errors.push(Error::invalid(&root.child("selector"), shown_selector(Some(selector)), detail));
    }
}

/// The pods of an indexed Job have its name and their index as host name.
fn validate_host_names(errors: &mut Errors, job: &Value) {
    let spec = job.get("spec").unwrap_or(&Value::Null);
    let Some(completions) = at(spec, "completions").and_then(Value::as_i64).filter(|completions| *completions > 0)
    else {
        return;
    };
    let name = columns::word(job, "/metadata/name");
    let host = format!("{name}-{}", completions - 1);
    if is_indexed(spec) && !names::dns1123_label(&host).is_empty() {
        let detail = format!("will not able to create pod with invalid DNS label: {host}");
        errors.push(Error::invalid(&Path::new("metadata").child("name"), name, detail));
    }
}

fn has_condition(job: &Value, kind: &str) -> bool {
    job.get("status").is_some_and(|status| condition::is_true(condition::list(status), kind))
}

fn state(job: &Value) -> &'static str {
    let is_deleted = job["metadata"].get("deletionTimestamp").is_some();
    let states = [
        ("Complete", has_condition(job, "Complete")),
        ("Failed", has_condition(job, "Failed")),
        ("Terminating", is_deleted),
        ("Suspended", has_condition(job, "Suspended")),
        ("FailureTarget", has_condition(job, "FailureTarget")),
        ("SuccessCriteriaMet", has_condition(job, "SuccessCriteriaMet")),
    ];
    states.into_iter().find(|(_, holds)| *holds).map_or("Running", |(state, _)| state)
}

fn completions(job: &Value) -> String {
    let succeeded = count(job, "/status/succeeded");
    let parallelism = count(job, "/spec/parallelism");
    match job.pointer("/spec/completions").and_then(Value::as_i64) {
        Some(wanted) => format!("{succeeded}/{wanted}"),
        None if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        None => format!("{succeeded}/1"),
    }
}

fn duration(job: &Value, now: Timestamp) -> String {
    let at = |pointer: &str| time::parse_rfc3339(columns::word(job, pointer));
    match (at("/status/startTime"), at("/status/completionTime")) {
        (None, _) => String::new(),
        (Some(start), end) => columns::human_duration(end.unwrap_or(now).as_second() - start.as_second()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_job() {
        let mut job = json!({"metadata": {"name": "j", "uid": "u"}, "spec": {"template": {"metadata": {"labels": {"a": "b"}}, "spec": {}}}});
        Job.set_defaults(&mut job);
        Job.prepare_create(&mut job, Moment { now: Timestamp::UNIX_EPOCH });
        let spec = &job["spec"];
        assert_eq!(job["metadata"]["labels"], spec["template"]["metadata"]["labels"]);
        assert_eq!(
            (&spec["completions"], &spec["parallelism"], &spec["backoffLimit"]),
            (&json!(1), &json!(1), &json!(6))
        );
        assert_eq!(spec["selector"], json!({"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}}));
        assert_eq!(
            spec["template"]["metadata"]["labels"],
            json!({"a": "b", "job-name": "j", "batch.kubernetes.io/job-name": "j", "controller-uid": "u",
                "batch.kubernetes.io/controller-uid": "u"})
        );
    }
}
