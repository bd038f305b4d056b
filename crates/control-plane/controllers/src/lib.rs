//! The controllers: each brings one part of the cluster to where its objects say it should be.
//!
//! A controller is a file, or a folder with its pure decisions apart. It watches through shared informers, puts the keys of what may
//! need work into a queue, and works on a key by reading, deciding and writing. It acts as the service account of its name in
//! `kube-system`, and the roles of these accounts say what it may do. A controller that writes waits until its own cache shows the
//! write, so that its next decision is never made on what was before.

mod certificates;
mod cluster_role_aggregation;
mod context;
mod cron_job;
mod daemon_set;
mod deployment;
mod disruption;
mod endpoints;
mod garbage_collector;
mod hash;
mod history;
mod int_or_percent;
mod job;
mod namespace;
mod namespaces;
mod node;
mod owners;
mod pod_control;
mod pod_gc;
mod pods;
mod replica_set;
mod resource_quota;
mod root_ca;
mod run;
mod selectors;
mod service_account;
mod service_account_tokens;
mod stateful_set;
mod status;
mod storage_version_migrator;
mod ttl_after_finished;
mod validating_admission_policy_status;
mod volume;
mod waking;
mod write;

pub use context::{ClientOf, Context};
pub use run::{Options, run};
pub use service_account_tokens::{SecretToken, SignToken};

use selectors::{selector_of_map, selector_of_structure};
