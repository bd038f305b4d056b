//! `batch/v1`: work that ends.

pub(crate) mod cron_job;
pub(crate) mod job;
mod schedule;
mod status;
mod validation;
