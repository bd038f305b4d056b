//! PrioritySort: pods of higher priority are scheduled first.

use crate::framework::{Plugin, QueueSort};
use crate::object::Pod;

pub(super) struct PrioritySort;

impl Plugin for PrioritySort {
    fn name(&self) -> &'static str {
        "PrioritySort"
    }
}

impl QueueSort for PrioritySort {
    fn rank(&self, pod: &Pod) -> i64 {
        -i64::from(pod.priority)
    }
}
