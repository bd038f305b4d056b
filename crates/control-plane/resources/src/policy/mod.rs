//! `policy/v1`: disruption.

pub(crate) mod pod_disruption_budget;
