//! `batch/v1`: work that ends.

pub(crate) mod cron_job;
pub(crate) mod job;
mod status;
mod validation;
