//! CronJobs as the controller sees them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use windlass_api::time::parse_rfc3339;
use windlass_api::{Meta, Timestamp};
use windlass_client::ObjectReference;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CronJob {
    pub metadata: Meta,
    pub spec: Spec,
    pub status: CronJobStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Spec {
    pub schedule: String,
    pub time_zone: Option<String>,
    pub suspend: bool,
    pub concurrency_policy: String,
    pub starting_deadline_seconds: Option<i64>,
    pub successful_jobs_history_limit: Option<i64>,
    pub failed_jobs_history_limit: Option<i64>,
    pub job_template: Template,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Template {
    pub metadata: Meta,
    pub spec: Value,
}

/// What is written; a time that is `None` is removed.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct CronJobStatus {
    pub active: Vec<Active>,
    pub last_schedule_time: Option<String>,
    pub last_successful_time: Option<String>,
}

/// A reference to a job that runs.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Active {
    pub api_version: String,
    pub kind: String,
    pub namespace: String,
    pub name: String,
    pub uid: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
}

impl From<ObjectReference> for Active {
    fn from(job: ObjectReference) -> Self {
        Self {
            api_version: job.api_version,
            kind: job.kind,
            namespace: job.namespace,
            name: job.name,
            uid: job.uid,
            resource_version: job.resource_version,
        }
    }
}

impl CronJob {
    /// From when on missed times count.
    pub(super) fn since(&self) -> Option<Timestamp> {
        let last = self.status.last_schedule_time.as_ref().or(self.metadata.creation_timestamp.as_ref())?;
        parse_rfc3339(last)
    }
}

impl CronJobStatus {
    pub(super) fn is_active(&self, uid: &str) -> bool {
        self.active.iter().any(|job| job.uid == uid)
    }

    pub(super) fn forget(&mut self, uid: &str) {
        self.active.retain(|job| job.uid != uid);
    }
}
