//! SchedulingGates: a pod waits until every gate in its spec has been taken away.

use crate::framework::{Plugin, PreEnqueue, Rejection};
use crate::object::Pod;

pub(super) struct SchedulingGates;

impl Plugin for SchedulingGates {
    fn name(&self) -> &'static str {
        "SchedulingGates"
    }
}

impl PreEnqueue for SchedulingGates {
    fn pre_enqueue(&self, pod: &Pod) -> Result<(), Rejection> {
        let gates = &pod.wishes().gates;
        if gates.is_empty() {
            return Ok(());
        }
        Err(Rejection::unresolvable(format!("waiting for scheduling gates: [{}]", gates.join(" "))))
    }
}
