//! What is wrong with the specification of a Job, its own or that in a CronJob.
//!
//! Source: upstream `pkg/apis/batch/validation/validation.go`.

use std::collections::BTreeSet;

use serde_json::Value;
use windlass_api::condition;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_machinery::tree::{items, number, text};

use crate::apps::validation::{complain_of_labels, matches_template, parse_selector, shown_selector};
use crate::go_form::invalid_structure;
use crate::pod_spec::validation::validate_template;
use crate::pod_spec::warnings;
use crate::rules::{
    at, complain, domain_prefixed_path, immutable, immutable_structure, invalid_whole, is_true, label_selector,
    non_negative, non_negative_fields, object_at, supported,
};

const MOST_RULES: usize = 20;
const MOST_EXIT_CODES: usize = 255;
const MOST_INDEXES_BYTES: usize = 64 * 1024;
const MOST_PARALLEL_INDEXED: i64 = 100_000;
const MANY_COMPLETIONS: i64 = 100_000;
const MOST_WITH_MANY_COMPLETIONS: i64 = 10_000;

/// What the writer of a Job's specification at a path of an object should know although it is valid.
pub(super) fn spec_warnings(object: &Value, old: Option<&Value>, path: &str) -> Vec<String> {
    let generation = |object: &Value| number(&object["metadata"], "generation");
    if old.is_some_and(|old| generation(old) == generation(object)) {
        return Vec::new();
    }
    let spec = object.pointer(&format!("/{}", path.replace('.', "/"))).unwrap_or(&Value::Null);
    let is_large =
        number(spec, "completions") > MANY_COMPLETIONS && number(spec, "parallelism") > MOST_WITH_MANY_COMPLETIONS;
    let of_size = (is_large && text(spec, "completionMode") == "Indexed").then(|| {
        format!(
            "{path}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, \
             Kubernetes might not be able to track completedIndexes when a big number of indexes fail"
        )
    });
    of_size.into_iter().chain(warnings::of_template(object, old, &format!("{path}.template"))).collect()
}

/// The specification of a Job itself, with its selector.
pub(super) fn validate_job_spec(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    validate_work(errors, spec, path);
    let selector = object_at(spec, "selector");
    match selector {
        None => errors.push(Error::required(&path.child("selector"), "")),
        Some(selector) => label_selector(errors, &path.child("selector"), Some(selector)),
    }
    let template = spec.get("template").unwrap_or(&Value::Null);
    if let Some(selector) = parse_selector(selector)
        && !matches_template(&selector, template)
    {
        complain_of_labels(errors, template, &path.child("template"));
    }
}

/// The specification in the template of a CronJob: the Job's selector will be generated.
pub(super) fn validate_job_template(errors: &mut Errors, template: &Value, path: &Path<'_>) {
    let (spec, path) = (template.get("spec").unwrap_or(&Value::Null), path.child("spec"));
    validate_work(errors, spec, &path);
    if let Some(selector) = object_at(spec, "selector") {
        let detail = "`selector` will be auto-generated";
        errors.push(Error::invalid(&path.child("selector"), shown_selector(Some(selector)), detail));
    }
    if is_true(spec, "manualSelector") {
        errors.push(Error::not_supported(&path.child("manualSelector"), true, &["nil", "false"]));
    }
}

fn validate_work(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    const NUMBERS: [&str; 7] = [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ];
    non_negative_fields(errors, spec, path, &NUMBERS);
    if at(spec, "maxFailedIndexes").is_some() && at(spec, "backoffLimitPerIndex").is_none() {
        errors.push(Error::required(&path.child("backoffLimitPerIndex"), "when maxFailedIndexes is specified"));
    }
    if let Some(manager) = at(spec, "managedBy").and_then(Value::as_str) {
        let path = path.child("managedBy");
        domain_prefixed_path(errors, &path, manager);
        if manager.len() > 63 {
            errors.push(Error::too_long(&path, 63));
        }
    }
    validate_indexes(errors, spec, path);
    if let Some(policy) = object_at(spec, "podFailurePolicy") {
        validate_failure_policy(errors, spec, policy, &path.child("podFailurePolicy"));
    }
    if let Some(policy) = object_at(spec, "successPolicy") {
        let path = path.child("successPolicy");
        match is_indexed(spec) {
            true => validate_success_policy(errors, spec, policy, &path),
            false => errors.push(invalid_structure(
                &path,
                "batch.v1.SuccessPolicy",
                policy,
                "requires indexed completion mode",
            )),
        }
    }
    if let Some(policy) = at(spec, "podReplacementPolicy").and_then(Value::as_str) {
        let has_failure_policy = object_at(spec, "podFailurePolicy").is_some();
        let allowed: &[&str] = if has_failure_policy { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
        supported(errors, &path.child("podReplacementPolicy"), policy, allowed);
    }
    let (template, path_of_template) = (spec.get("template").unwrap_or(&Value::Null), path.child("template"));
    validate_template(errors, template, &path_of_template);
    let path_of_spec = path_of_template.child("spec");
    let path = path_of_spec.child("restartPolicy");
    let policy = template.pointer("/spec/restartPolicy").and_then(Value::as_str).unwrap_or("");
    match policy {
        "Always" | "" => errors.push(Error::required(&path, "valid values: \"OnFailure\", \"Never\"")),
        "OnFailure" if object_at(spec, "podFailurePolicy").is_some() => {
            let detail = "only \"Never\" is supported when podFailurePolicy is specified";
            errors.push(Error::invalid(&path, policy, detail));
        }
        policy => supported(errors, &path, policy, &["OnFailure", "Never"]),
    }
}

pub(super) fn is_indexed(spec: &Value) -> bool {
    text(spec, "completionMode") == "Indexed"
}

fn validate_indexes(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    let number = |field: &str| at(spec, field).and_then(Value::as_i64);
    if let Some(mode) = at(spec, "completionMode").and_then(Value::as_str) {
        supported(errors, &path.child("completionMode"), mode, &["NonIndexed", "Indexed"]);
    }
    let mut at_most = |field: &str, most: i64, detail: String| {
        if let Some(value) = number(field).filter(|value| *value > most) {
            errors.push(Error::invalid(&path.child(field), value, detail));
        }
    };
    if is_indexed(spec) {
        if number("completions").is_none() {
            errors.push(Error::required(&path.child("completions"), "when completion mode is Indexed"));
        }
        let mut at_most = |field: &str, most: i64, detail: String| {
            if let Some(value) = number(field).filter(|value| *value > most) {
                errors.push(Error::invalid(&path.child(field), value, detail));
            }
        };
        let detail = format!("must be less than or equal to {MOST_PARALLEL_INDEXED} when completion mode is Indexed");
        at_most("parallelism", MOST_PARALLEL_INDEXED, detail);
        if let Some(completions) = number("completions") {
            at_most("maxFailedIndexes", completions, "must be less than or equal to completions".to_owned());
        }
        let detail = format!("must be less than or equal to {MANY_COMPLETIONS}");
        at_most("maxFailedIndexes", MANY_COMPLETIONS, detail);
        if number("completions").is_some_and(|n| n > MANY_COMPLETIONS) && number("backoffLimitPerIndex").is_some() {
            let detail = format!(
                "must be less than or equal to {MOST_WITH_MANY_COMPLETIONS} when completions are above {MANY_COMPLETIONS} and \
                 used with backoff limit per index"
            );
            at_most("parallelism", MOST_WITH_MANY_COMPLETIONS, detail.clone());
            at_most("maxFailedIndexes", MOST_WITH_MANY_COMPLETIONS, detail);
            if number("maxFailedIndexes").is_none() {
                let detail = format!("must be specified when completions is above {MANY_COMPLETIONS}");
                errors.push(Error::required(&path.child("maxFailedIndexes"), detail));
            }
        }
    } else if text(spec, "completionMode") == "NonIndexed" {
        for field in ["backoffLimitPerIndex", "maxFailedIndexes"] {
            at_most(field, i64::MIN, "requires indexed completion mode".to_owned());
        }
    }
}

fn validate_failure_policy(errors: &mut Errors, spec: &Value, policy: &Value, path: &Path<'_>) {
    const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];
    let pod = spec.pointer("/template/spec").unwrap_or(&Value::Null);
    let containers = items(pod, "containers").chain(items(pod, "initContainers"));
    let containers: BTreeSet<&str> = containers.map(|container| text(container, "name")).collect();
    let path = path.child("rules");
    let count = items(policy, "rules").count();
    if count > MOST_RULES {
        errors.push(Error::too_many(&path, count, MOST_RULES));
    }
    for (index, rule) in items(policy, "rules").enumerate() {
        let path = path.index(index);
        let action_path = path.child("action");
        match text(rule, "action") {
            "" => {
                let detail = "valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]";
                errors.push(Error::required(&action_path, detail));
            }
            "FailIndex" if at(spec, "backoffLimitPerIndex").is_none() => {
                let detail = "requires the backoffLimitPerIndex to be set";
                errors.push(Error::invalid(&action_path, "FailIndex", detail));
            }
            action => supported(errors, &action_path, action, &ACTIONS),
        }
        let exit_codes = object_at(rule, "onExitCodes");
        if let Some(exit_codes) = exit_codes {
            validate_exit_codes(errors, exit_codes, &path.child("onExitCodes"), &containers);
        }
        let conditions = items(rule, "onPodConditions").count();
        validate_conditions(errors, rule, &path.child("onPodConditions"));
        match (exit_codes, conditions) {
            (Some(_), 1..) => {
                let detail = "specifying both OnExitCodes and OnPodConditions is not supported";
                errors.push(invalid_whole(&path, detail));
            }
            (None, 0) => {
                let detail = "specifying one of OnExitCodes and OnPodConditions is required";
                errors.push(invalid_whole(&path, detail));
            }
            _ => {}
        }
    }
}

fn validate_conditions(errors: &mut Errors, rule: &Value, path: &Path<'_>) {
    let count = items(rule, "onPodConditions").count();
    if count > MOST_RULES {
        errors.push(Error::too_many(path, count, MOST_RULES));
    }
    for (index, pattern) in items(rule, "onPodConditions").enumerate() {
        let path = path.index(index);
        let kind = text(pattern, "type");
        complain(errors, &path.child("type"), kind, names::qualified_name(kind));
        match text(pattern, "status") {
            "" => {
                let detail = "valid values: [\"False\" \"True\" \"Unknown\"]";
                errors.push(Error::required(&path.child("status"), detail));
            }
            status => supported(errors, &path.child("status"), status, &["False", "True", "Unknown"]),
        }
    }
}

fn validate_exit_codes(errors: &mut Errors, requirement: &Value, path: &Path<'_>, containers: &BTreeSet<&str>) {
    let operator = text(requirement, "operator");
    match operator {
        "" => errors.push(Error::required(&path.child("operator"), "valid values: [\"In\" \"NotIn\"]")),
        operator => supported(errors, &path.child("operator"), operator, &["In", "NotIn"]),
    }
    if let Some(name) = at(requirement, "containerName").and_then(Value::as_str)
        && !containers.contains(name)
    {
        let detail = "must be one of the container or initContainer names in the pod template";
        errors.push(Error::invalid(&path.child("containerName"), name, detail));
    }
    let path = path.child("values");
    let values: Vec<i64> = items(requirement, "values").map(|value| value.as_i64().unwrap_or(0)).collect();
    let shown = || requirement.get("values").cloned().unwrap_or_default();
    if values.is_empty() {
        errors.push(Error::invalid(&path, shown(), "at least one value is required"));
    } else if values.len() > MOST_EXIT_CODES {
        errors.push(Error::too_many(&path, values.len(), MOST_EXIT_CODES));
    }
    let mut seen = BTreeSet::new();
    for (index, value) in values.iter().enumerate() {
        if operator == "In" && *value == 0 {
            errors.push(Error::invalid(&path.index(index), *value, "must not be 0 for the In operator"));
        }
        if !seen.insert(*value) {
            errors.push(Error::duplicate(&path.index(index), *value));
        }
    }
    if !values.is_sorted() {
        errors.push(Error::invalid(&path, shown(), "must be ordered"));
    }
}

fn validate_success_policy(errors: &mut Errors, spec: &Value, policy: &Value, path: &Path<'_>) {
    let path = path.child("rules");
    let count = items(policy, "rules").count();
    if count == 0 {
        let detail = "at least one rules must be specified when the successPolicy is specified";
        errors.push(Error::required(&path, detail));
    }
    if count > MOST_RULES {
        errors.push(Error::too_many(&path, count, MOST_RULES));
    }
    // Their absence is complained of already.
    let completions = at(spec, "completions").and_then(Value::as_i64).unwrap_or(i64::MAX);
    for (index, rule) in items(policy, "rules").enumerate() {
        let path = path.index(index);
        let indexes = at(rule, "succeededIndexes").and_then(Value::as_str);
        let count = at(rule, "succeededCount").and_then(Value::as_i64);
        if indexes.is_none() && count.is_none() {
            let detail = "at least one of succeededCount or succeededIndexes must be specified";
            errors.push(Error::required(&path, detail));
        }
        let mut total = 0;
        if let Some(indexes) = indexes {
            let path = path.child("succeededIndexes");
            if indexes.len() > MOST_INDEXES_BYTES {
                errors.push(Error::too_long(&path, MOST_INDEXES_BYTES));
            }
            match count_indexes(indexes, completions) {
                Ok(count) => total = count,
                Err(problem) => {
                    let detail = format!("error parsing succeededIndexes: {problem}");
                    errors.push(Error::invalid(&path, indexes, detail));
                }
            }
        }
        if let Some(count) = count {
            let path = path.child("succeededCount");
            non_negative(errors, &path, count);
            if count > completions {
                let detail =
                    format!("must be less than or equal to {completions} (the number of specified completions)");
                errors.push(Error::invalid(&path, count, detail));
            }
            if indexes.is_some() && count > total {
                let detail = format!(
                    "must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"
                );
                errors.push(Error::invalid(&path, count, detail));
            }
        }
    }
}

/// The number of indexes in a list of intervals: `1,3-5`.
pub(super) fn count_indexes(text: &str, completions: i64) -> Result<i64, String> {
    let (mut last, mut total) = (None, 0);
    for interval in text.split(',').filter(|_| !text.is_empty()) {
        let (start, end) = parse_interval(interval, completions)?;
        if let Some(last) = last.filter(|last| *last >= start) {
            return Err(format!("non-increasing order, previous: {last}, current: {start}"));
        }
        total += end - start + 1;
        last = Some(end);
    }
    Ok(total)
}

pub(super) fn parse_interval(text: &str, completions: i64) -> Result<(i64, i64), String> {
    let parse = |part: &str| {
        let number: i64 = part.parse().map_err(|_| format!("cannot convert string to integer for index: {part:?}"))?;
        if number >= completions { Err(format!("too large index: {part:?}")) } else { Ok(number) }
    };
    let parts: Vec<&str> = text.split('-').collect();
    match parts[..] {
        [only] => parse(only).map(|index| (index, index)),
        [start, end] => {
            let (start, end) = (parse(start)?, parse(end)?);
            if start >= end {
                return Err(format!("non-increasing order, previous: {start}, current: {end}"));
            }
            Ok((start, end))
        }
        _ => Err(format!(
            "the fragment {text:?} violates the requirement that an index interval can have at most two parts separated by \
             '-'"
        )),
    }
}

/// What an update of a Job may not change.
pub(super) fn validate_job_update(errors: &mut Errors, object: &Value, old: &Value, path: &Path<'_>) {
    let (spec, old_spec) = (&object["spec"], &old["spec"]);
    let fixed = |errors: &mut Errors, field: &str| {
        immutable(errors, &path.child(field), at(spec, field), at(old_spec, field));
    };
    if !is_indexed(spec) {
        fixed(errors, "completions");
    } else if let Some(completions) = at(spec, "completions")
        && Some(completions) != at(old_spec, "completions")
        && Some(completions) != at(spec, "parallelism")
    {
        let detail = "can only be modified in tandem with spec.parallelism";
        errors.push(Error::invalid(&path.child("completions"), completions.clone(), detail));
    }
    fixed(errors, "selector");
    validate_template_update(errors, spec, old, path);
    let structure = |errors: &mut Errors, field: &str, type_name: &str| {
        immutable_structure(errors, &path.child(field), type_name, at(spec, field), at(old_spec, field));
    };
    fixed(errors, "completionMode");
    structure(errors, "podFailurePolicy", "batch.v1.PodFailurePolicy");
    fixed(errors, "backoffLimitPerIndex");
    fixed(errors, "managedBy");
    structure(errors, "successPolicy", "batch.v1.SuccessPolicy");
}

/// The template is fixed but for where pods of a suspended Job are placed, and what resources they ask for.
fn validate_template_update(errors: &mut Errors, spec: &Value, old: &Value, path: &Path<'_>) {
    let null = Value::Null;
    let template = spec.get("template").unwrap_or(&null);
    let mut before = old.pointer("/spec/template").cloned().unwrap_or_default();
    let status = old.get("status").unwrap_or(&null);
    let is_suspended = is_true(&old["spec"], "suspend");
    let is_at_rest = at(status, "startTime").is_none() || condition::is_true(condition::list(status), "Suspended");
    let is_active = at(status, "active").and_then(Value::as_i64).is_some_and(|active| active != 0);
    let path = path.child("template");
    if !(is_suspended && is_at_rest && !is_active) {
        immutable_structure(errors, &path, "core.v1.PodTemplateSpec", Some(template), Some(&before));
        return;
    }
    let pod = template.get("spec").unwrap_or(&null);
    let node_affinity = pod.pointer("/affinity/nodeAffinity").cloned();
    if let Some(pod_before) = before.get_mut("spec").and_then(Value::as_object_mut) {
        for field in ["nodeSelector", "tolerations", "schedulingGates"] {
            match pod.get(field) {
                Some(value) => pod_before.insert(field.to_owned(), value.clone()),
                None => pod_before.remove(field),
            };
        }
        let mut affinity = pod_before.remove("affinity").and_then(|affinity| affinity.as_object().cloned());
        let affinity_now = pod.get("affinity").and_then(Value::as_object);
        if affinity.is_some() || affinity_now.is_some() {
            let affinity = affinity.get_or_insert_default();
            match node_affinity {
                Some(node_affinity) => affinity.insert("nodeAffinity".to_owned(), node_affinity),
                None => affinity.remove("nodeAffinity"),
            };
        }
        if let Some(affinity) = affinity.filter(|affinity| !affinity.is_empty() || affinity_now.is_some()) {
            pod_before.insert("affinity".to_owned(), Value::Object(affinity));
        }
        for field in ["containers", "initContainers"] {
            keep_resources(pod_before, pod, field);
        }
    }
    let (pod_before, pod) = (before.get("spec"), template.get("spec"));
    immutable_structure(errors, &path.child("spec"), "core.v1.PodSpec", pod, pod_before);
}

fn keep_resources(before: &mut serde_json::Map<String, Value>, pod: &Value, field: &str) {
    let Some(Value::Array(before)) = before.get_mut(field) else { return };
    if before.len() != items(pod, field).count() {
        return;
    }
    for (container, now) in before.iter_mut().zip(items(pod, field)) {
        if text(container, "name") == text(now, "name")
            && let Some(container) = container.as_object_mut()
        {
            match now.get("resources") {
                Some(resources) => container.insert("resources".to_owned(), resources.clone()),
                None => container.remove("resources"),
            };
        }
    }
}
