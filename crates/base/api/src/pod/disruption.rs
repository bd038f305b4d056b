//! The condition of a pod that goes for a reason which is not its own: whoever counts its failures looks at this.

use k8s_openapi::api::core::v1::PodCondition;

use crate::condition::TRUE;

pub const DISRUPTION_TARGET: &str = "DisruptionTarget";

/// Says who sends a pod of this generation away, and why; without a generation (0) the condition has none. Its times are for who writes it.
pub fn disruption_target(reason: &str, message: &str, generation: i64) -> PodCondition {
    PodCondition {
        type_: DISRUPTION_TARGET.to_owned(),
        status: TRUE.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        observed_generation: Some(generation).filter(|generation| *generation > 0),
        ..PodCondition::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn as_it_is_written() {
        let mut written = json!({"type": "DisruptionTarget", "status": "True", "reason": "R", "message": "m"});
        assert_eq!(json!(disruption_target("R", "m", 0)), written);
        written["observedGeneration"] = json!(3);
        assert_eq!(json!(disruption_target("R", "m", 3)), written);
    }
}
