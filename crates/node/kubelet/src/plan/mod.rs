//! What is to be done for a pod, decided without doing anything.
//!
//! [`plan`] takes the pod, what the runtime shows of it, what probes say and what was tried before, and gives a [`Plan`]: which
//! sandbox to keep or make, which containers to kill and to start, and when to look again if nothing happens. It is level-based:
//! the same observation always gives the same plan, whatever happened in between.

mod backoff;
mod decide;
#[cfg(test)]
mod tests;

pub(crate) use backoff::BackOff;
pub(crate) use decide::{Input, KillReason, Plan, SandboxPlan, Wait, container_hash, plan, sandbox_need};
