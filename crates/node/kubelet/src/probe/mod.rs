//! Probes: whether containers have started, live and are ready.
//!
//! A running container has a task for each probe that it declares ([`Probers`]). A task asks ([`check`]), counts successes and
//! failures up to the thresholds, and notes its verdict in [`Verdicts`]; the pod's worker reads them and decides. A task ends
//! with its container; liveness and startup end when the pod begins to end.

pub(crate) mod check;
mod grpc;
pub(crate) mod http;
mod prober;
mod verdicts;

pub(crate) use prober::{ProbeContext, Probers};
pub(crate) use verdicts::{Kind, Verdicts};
