//! CronJob: a Job at set times.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use windlass_api::cron::{Schedule, time_zone};
use windlass_api::field::{Error, Errors, Path};
use windlass_machinery::tree::{child, set, set_text, text};

use super::job::set_job_spec_defaults;
use super::validation::{spec_warnings, validate_job_template};
use crate::apps::validation::name_warning;
use crate::columns::{self, length, or_none, since, word};
use crate::rules::{at, non_negative_fields, required, required_of};
use crate::{Resource, Strategy, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("batch", "v1", "CronJob", "cronjobs")
        .short_names(&["cj"])
        .categories(&["all"])
        .subresources(&[Subresource::Status])
        .counts_generations()
        .columns(columns::list(&[
            "Name",
            "Schedule",
            "Timezone",
            "Suspend:boolean",
            "Active:integer",
            "Last Schedule",
            "Age",
            "+Containers",
            "+Images",
            "+Selector",
        ]))
        .strategy(CronJob)
}

struct CronJob;

impl Strategy for CronJob {
    fn set_defaults(&self, object: &mut Value) {
        let spec = child(object, "spec");
        set_text(spec, "concurrencyPolicy", "Allow");
        set(spec, "suspend", false);
        set(spec, "successfulJobsHistoryLimit", 3);
        set(spec, "failedJobsHistoryLimit", 1);
        set_job_spec_defaults(child(child(spec, "jobTemplate"), "spec"));
    }

    fn validate(&self, object: &Value) -> Errors {
        let mut errors = Errors::new();
        let spec = object.get("spec").unwrap_or(&Value::Null);
        validate_spec(&mut errors, spec, None);
        let name = word(object, "/metadata/name");
        if name.len() > LONGEST_NAME {
            let detail = format!("must be no more than {LONGEST_NAME} characters");
            errors.push(Error::invalid(&Path::new("metadata").child("name"), name, detail));
        }
        require_schedule(&mut errors, spec);
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let mut errors = Errors::new();
        let spec = object.get("spec").unwrap_or(&Value::Null);
        validate_spec(&mut errors, spec, old.get("spec"));
        require_schedule(&mut errors, spec);
        errors
    }

    fn warnings(&self, object: &Value, old: Option<&Value>) -> Vec<String> {
        let of_job = spec_warnings(object, old, "spec.jobTemplate.spec");
        // A new one with a zone is refused.
        let has_zone = old.is_some() && word(object, "/spec/schedule").contains("TZ");
        let of_zone = "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see \
                       https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details";
        name_warning(object, old).into_iter().chain(of_job).chain(has_zone.then(|| of_zone.to_owned())).collect()
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let job = object.pointer("/spec/jobTemplate/spec").unwrap_or(&Value::Null);
        let [names, images] = columns::containers(job.pointer("/template/spec"));
        let suspend = match object.pointer("/spec/suspend").and_then(Value::as_bool) {
            Some(true) => "True",
            Some(false) => "False",
            None => "<unset>",
        };
        let last = object.pointer("/status/lastScheduleTime").filter(|at| !at.is_null());
        let last = last.map_or("<none>".to_owned(), |at| since(Some(at), now));
        vec![
            columns::name(object),
            Value::from(word(object, "/spec/schedule")),
            or_none(Some(word(object, "/spec/timeZone"))),
            Value::from(suspend),
            Value::from(length(object, "/status/active")),
            Value::from(last),
            columns::age(object, now),
            names,
            images,
            columns::selector(job.get("selector")),
        ]
    }
}

/// The Jobs' names add the time to it.
const LONGEST_NAME: usize = 52;

fn validate_spec(errors: &mut Errors, spec: &Value, old: Option<&Value>) {
    let path = Path::new("spec");
    let schedule = text(spec, "schedule");
    let zone = at(spec, "timeZone").and_then(Value::as_str);
    if !schedule.is_empty() {
        let path = path.child("schedule");
        if let Err(problem) = Schedule::parse(schedule, TimeZone::UTC) {
            errors.push(Error::invalid(&path, schedule, problem.to_string()));
        }
        let had_zone = old.is_some_and(|old| text(old, "schedule").contains("TZ"));
        match (schedule.contains("TZ"), had_zone) {
            (true, true) if zone.is_some() => {
                let detail = "cannot use both timeZone field and TZ or CRON_TZ in schedule";
                errors.push(Error::invalid(&path, schedule, detail));
            }
            (true, false) => {
                let detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
                errors.push(Error::invalid(&path, schedule, detail));
            }
            _ => {}
        }
    }
    non_negative_fields(errors, spec, &path, &["startingDeadlineSeconds"]);
    if let Some(zone) = zone.filter(|_| old.is_none_or(|old| at(old, "timeZone") != at(spec, "timeZone"))) {
        validate_time_zone(errors, &path.child("timeZone"), zone);
    }
    let policies = ["Allow", "Forbid", "Replace"];
    required_of(errors, &path.child("concurrencyPolicy"), text(spec, "concurrencyPolicy"), &policies);
    validate_job_template(errors, spec.get("jobTemplate").unwrap_or(&Value::Null), &path.child("jobTemplate"));
    non_negative_fields(errors, spec, &path, &["successfulJobsHistoryLimit", "failedJobsHistoryLimit"]);
}

fn require_schedule(errors: &mut Errors, spec: &Value) {
    required(errors, spec, &Path::new("spec"), "schedule");
}

fn validate_time_zone(errors: &mut Errors, path: &Path<'_>, zone: &str) {
    if zone.is_empty() {
        errors.push(Error::invalid(path, zone, "timeZone must be nil or non-empty string"));
        return;
    }
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || ".-_+".contains(c);
    let is_valid = |part: &str| {
        !part.is_empty() && part != "." && part != ".." && !part.starts_with('-') && part.chars().all(is_allowed)
    };
    if !zone.split('/').all(is_valid) {
        errors.push(Error::invalid(path, zone, format!("unknown time zone {zone}")));
        return;
    }
    if zone.eq_ignore_ascii_case("local") {
        let detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        errors.push(Error::invalid(path, zone, detail));
    }
    if zone != "Local"
        && let Err(problem) = time_zone(zone)
    {
        errors.push(Error::invalid(path, zone, problem.to_string()));
    }
}
