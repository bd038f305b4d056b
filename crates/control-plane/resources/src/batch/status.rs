//! What is wrong with the status of a Job: what contradicts itself, and what contradicts what was.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::condition;
use windlass_api::field::{Error, Errors, Path};
use windlass_machinery::tree::{items, number, text};

use super::validation::{count_indexes, is_indexed, parse_interval};
use crate::rules::{at, invalid_whole, is_true, non_negative_fields, object_at};

/// Whether a condition has a status.
fn has(status: &Value, kind: &str, value: &str) -> bool {
    condition::status_of(condition::list(status), kind) == Some(value)
}

fn is_finished(status: &Value) -> bool {
    has(status, "Complete", "True") || has(status, "Failed", "True")
}

pub(super) fn validate_status(errors: &mut Errors, object: &Value, old: &Value) {
    let path = Path::new("status");
    let null = Value::Null;
    let (status, before) = (object.get("status").unwrap_or(&null), old.get("status").unwrap_or(&null));
    let spec = object.get("spec").unwrap_or(&null);
    non_negative_fields(errors, status, &path, &["active", "succeeded", "failed", "ready", "terminating"]);
    validate_uncounted(errors, status, &path);
    validate_ends(errors, status, before, &path);
    validate_finished(errors, spec, status, before, &path);
    validate_indexes(errors, spec, status, before, &path);
    validate_pods(errors, status, before, &path);
    let is = |kind: &str| has(status, kind, "True");
    let conditions = path.child("conditions");
    if is("SuccessCriteriaMet") && is("Failed") {
        errors.push(invalid_whole(&conditions, "cannot set SuccessCriteriaMet=True and Failed=true conditions"));
    }
    if is("SuccessCriteriaMet") && is("FailureTarget") {
        let detail = "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions";
        errors.push(invalid_whole(&conditions, detail));
    }
    if object_at(spec, "successPolicy").is_some() && !is("SuccessCriteriaMet") && is("Complete") {
        let detail = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True";
        errors.push(invalid_whole(&conditions, detail));
    }
    validate_change(errors, spec, status, before, &path);
}

fn validate_uncounted(errors: &mut Errors, status: &Value, path: &Path<'_>) {
    let Some(uncounted) = object_at(status, "uncountedTerminatedPods") else { return };
    let path = path.child("uncountedTerminatedPods");
    let mut seen = BTreeSet::new();
    for field in ["succeeded", "failed"] {
        let path = path.child(field);
        for (index, uid) in items(uncounted, field).enumerate() {
            let uid = uid.as_str().unwrap_or("");
            if uid.is_empty() {
                errors.push(Error::invalid(&path.index(index), uid, "must not be empty"));
            } else if !seen.insert(uid) {
                errors.push(Error::duplicate(&path.index(index), uid));
            }
        }
    }
}

/// How a Job ends: completed at some time, or failed.
fn validate_ends(errors: &mut Errors, status: &Value, before: &Value, path: &Path<'_>) {
    let is = |kind: &str| has(status, kind, "True");
    let changed = |kind: &str| is(kind) != has(before, kind, "True");
    let differs = |field: &str| at(status, field) != at(before, field);
    let conditions = path.child("conditions");
    let completed = changed("Complete");
    if (completed || changed("Failed")) && is("Complete") && is("Failed") {
        errors.push(invalid_whole(&conditions, "cannot set Complete=True and Failed=true conditions"));
    }
    if (completed || changed("FailureTarget")) && is("Complete") && is("FailureTarget") {
        errors.push(invalid_whole(&conditions, "cannot set Complete=True and FailureTarget=true conditions"));
    }
    let time = |field: &str| at(status, field).and_then(Value::as_str).and_then(|at| at.parse::<Timestamp>().ok());
    let completion = path.child("completionTime");
    let shown = || status.get("completionTime").cloned().unwrap_or_default();
    if completed || differs("completionTime") {
        if at(status, "completionTime").is_some() && !is("Complete") {
            let detail = "cannot set completionTime when there is no Complete=True condition";
            errors.push(Error::invalid(&completion, shown(), detail));
        }
        if at(status, "completionTime").is_none() && is("Complete") {
            errors.push(Error::required(&completion, "completionTime is required for Complete jobs"));
        }
    }
    if (differs("startTime") || differs("completionTime"))
        && let (Some(start), Some(end)) = (time("startTime"), time("completionTime"))
        && end < start
    {
        errors.push(Error::invalid(&completion, shown(), "must be equal to or after `startTime`"));
    }
    if (changed("Failed") || differs("failedIndexes")) && is("Failed") && !is("FailureTarget") {
        let detail = "cannot set Failed=True condition without the FailureTarget=true condition";
        errors.push(invalid_whole(&conditions, detail));
    }
    if (completed || changed("SuccessCriteriaMet")) && is("Complete") && !is("SuccessCriteriaMet") {
        let detail = "cannot set Complete=True condition without the SuccessCriteriaMet=true condition";
        errors.push(invalid_whole(&conditions, detail));
    }
}

/// A Job that has ended has started, and has no pods left.
fn validate_finished(errors: &mut Errors, spec: &Value, status: &Value, before: &Value, path: &Path<'_>) {
    if !is_finished(status) {
        return;
    }
    let ended = !is_finished(before);
    let differs = |field: &str| at(status, field) != at(before, field);
    let active = number(status, "active");
    if (ended || differs("active")) && active > 0 {
        errors.push(Error::invalid(&path.child("active"), active, "active>0 is invalid for finished job"));
    }
    let never_runs = is_true(spec, "suspend") && at(spec, "completions").and_then(Value::as_i64) == Some(0);
    if (ended || differs("startTime")) && !never_runs && at(status, "startTime").is_none() {
        errors.push(Error::required(&path.child("startTime"), "startTime is required for finished job"));
    }
    if (ended || differs("uncountedTerminatedPods"))
        && let Some(uncounted) = object_at(status, "uncountedTerminatedPods")
        && items(uncounted, "succeeded").chain(items(uncounted, "failed")).next().is_some()
    {
        let path = path.child("uncountedTerminatedPods");
        errors.push(Error::invalid(&path, uncounted.clone(), "must be empty for finished job"));
    }
}

fn validate_indexes(errors: &mut Errors, spec: &Value, status: &Value, before: &Value, path: &Path<'_>) {
    let completions = at(spec, "completions").and_then(Value::as_i64);
    let per_index = at(spec, "backoffLimitPerIndex").is_some();
    let completed = text(status, "completedIndexes");
    let failed = at(status, "failedIndexes").and_then(Value::as_str);
    let completed_changed = completed != text(before, "completedIndexes");
    let failed_changed = failed != at(before, "failedIndexes").and_then(Value::as_str);
    let (completed_path, failed_path) = (path.child("completedIndexes"), path.child("failedIndexes"));
    if let Some(completions) = completions {
        if completed_changed && let Err(problem) = count_indexes(completed, completions) {
            let detail = format!("error parsing completedIndexes: {problem}");
            errors.push(Error::invalid(&completed_path, completed, detail));
        }
        if failed_changed
            && per_index
            && let Some(failed) = failed
            && let Err(problem) = count_indexes(failed, completions)
        {
            let detail = format!("error parsing failedIndexes: {problem}");
            errors.push(Error::invalid(&failed_path, failed, detail));
        }
    }
    if completed_changed && !completed.is_empty() && !is_indexed(spec) {
        let detail = "cannot set non-empty completedIndexes when non-indexed completion mode";
        errors.push(Error::invalid(&completed_path, completed, detail));
    }
    let Some(failed) = failed else { return };
    if failed_changed && !per_index {
        let detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null";
        errors.push(Error::invalid(&failed_path, failed, detail));
    }
    if let Some(completions) = completions
        && (completed_changed || failed_changed)
        && let Some(index) = overlap(completed, failed, completions)
    {
        let detail = format!("failedIndexes and completedIndexes overlap at index: {index}");
        errors.push(Error::invalid(&failed_path, failed, detail));
    }
}

/// The first index that is in both lists.
fn overlap(completed: &str, failed: &str, completions: i64) -> Option<i64> {
    let intervals = |text: &str| -> Vec<(i64, i64)> {
        text.split(',').filter_map(|interval| parse_interval(interval, completions).ok()).collect()
    };
    let failed = intervals(failed);
    let pairs = intervals(completed).into_iter().flat_map(|c| failed.iter().map(move |f| (c, *f)));
    pairs.filter(|(c, f)| c.0 <= f.1 && f.0 <= c.1).map(|(c, f)| c.0.max(f.0)).min()
}

fn validate_pods(errors: &mut Errors, status: &Value, before: &Value, path: &Path<'_>) {
    let differs = |field: &str| at(status, field) != at(before, field);
    let terminating = number(status, "terminating");
    let has_ended = is_finished(status);
    if (has_ended != is_finished(before) || differs("terminating")) && terminating > 0 && has_ended {
        let detail = "terminating>0 is invalid for finished job";
        errors.push(Error::invalid(&path.child("terminating"), terminating, detail));
    }
    let ready = number(status, "ready");
    let is_said = at(status, "ready").is_some();
    if is_said && (differs("ready") || differs("active")) && ready > number(status, "active") {
        errors.push(Error::invalid(&path.child("ready"), ready, "cannot set more ready pods than active"));
    }
}

/// What cannot be taken back.
fn validate_change(errors: &mut Errors, spec: &Value, status: &Value, before: &Value, path: &Path<'_>) {
    let is = |kind: &str| has(status, kind, "True");
    let was = |kind: &str| has(before, kind, "True");
    let conditions = path.child("conditions");
    for kind in ["Failed", "Complete", "FailureTarget"] {
        if was(kind) && !is(kind) {
            errors.push(invalid_whole(&conditions, format!("cannot disable the terminal {kind}=True condition")));
        }
    }
    let is_elastic = is_indexed(spec) && at(spec, "completions") == at(spec, "parallelism");
    for field in ["failed", "succeeded"] {
        let value = number(status, field);
        if value < number(before, field) && !(is_elastic && field == "succeeded") {
            let detail = format!("cannot decrease the {field} counter");
            errors.push(Error::invalid(&path.child(field), value, detail));
        }
    }
    if let (Some(now), Some(then)) = (at(status, "completionTime"), at(before, "completionTime"))
        && now != then
    {
        errors.push(Error::invalid(&path.child("completionTime"), now.clone(), "field is immutable"));
    }
    let resumes = was("Suspended") && has(status, "Suspended", "False");
    if let Some(then) = at(before, "startTime")
        && at(status, "startTime") != Some(then)
        && !resumes
        && !is_true(spec, "suspend")
    {
        let now = status.get("startTime").cloned().unwrap_or_default();
        let detail = "field is immutable for unsuspended job once set";
        errors.push(Error::invalid(&path.child("startTime"), now, detail));
    }
    if was("SuccessCriteriaMet") && !is("SuccessCriteriaMet") {
        errors.push(invalid_whole(&conditions, "cannot disable the SuccessCriteriaMet=True condition"));
    }
    if was("Complete") && !was("SuccessCriteriaMet") && is("SuccessCriteriaMet") {
        let detail = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions";
        errors.push(invalid_whole(&conditions, detail));
    }
}
