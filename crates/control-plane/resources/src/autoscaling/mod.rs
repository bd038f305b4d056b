//! `autoscaling/v1` and `v2`: scaling. The same objects in two versions; v2 is stored.

pub(crate) mod horizontal_pod_autoscaler;
pub(crate) mod horizontal_pod_autoscaler_v1;
mod metrics_v1;
mod validation;
