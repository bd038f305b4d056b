//! CronJob: a Job at set times.

use jiff::Timestamp;
use serde_json::Value;
use windlass_machinery::tree::{child, set, set_text};

use super::job::set_job_spec_defaults;
use crate::columns::{self, length, or_none, since, word};
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
