//! Conditions: what an object's status says of it, one of each type, with the time of its last transition.
//!
//! Kinds write conditions with more or fewer times, and code meets them as trees, as k8s-openapi's structs or as the narrow
//! [`Condition`] here. One rule holds for all of them (API conventions, "Typical status properties"): a type occurs once, and
//! `lastTransitionTime` moves only when `status` does.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{NodeCondition, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::text::null_is_default;
use crate::time::{parse_rfc3339, rfc3339};

pub const TRUE: &str = "True";
pub const FALSE: &str = "False";
pub const UNKNOWN: &str = "Unknown";

/// A condition of any built-in kind. Times that its kind does not have are `None` and are not written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    #[serde(rename = "type")]
    pub kind: String,
    pub status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_probe_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_heartbeat_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_update_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub reason: String,
    #[serde(deserialize_with = "null_is_default")]
    pub message: String,
}

impl Condition {
    /// A condition without times: [`set`] gives it that of its transition.
    pub fn new(kind: &str, status: &str, reason: &str, message: impl Into<String>) -> Self {
        Self {
            kind: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.into(),
            ..Self::default()
        }
    }

    pub fn is_true(&self) -> bool {
        self.status == TRUE
    }

    /// The time since which the status is what it is.
    pub fn since(&self) -> Option<Timestamp> {
        self.last_transition_time.as_deref().and_then(parse_rfc3339)
    }
}

/// Anything that has a condition's fields.
pub trait AnyCondition: PartialEq {
    fn kind(&self) -> &str;
    fn status(&self) -> &str;
    /// Takes the time of the last transition of another condition; says whether that has one.
    fn keep_transition(&mut self, before: &Self) -> bool;
    fn set_transition(&mut self, at: Timestamp);
}

/// The conditions in the tree of a status.
pub fn list(status: &Value) -> &[Value] {
    status.get("conditions").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The conditions of a type, of which somebody may have written several.
pub fn all_of<'a, C: AnyCondition + 'a>(
    all: impl IntoIterator<Item = &'a C>,
    kind: &str,
) -> impl Iterator<Item = &'a C> {
    all.into_iter().filter(move |condition| condition.kind() == kind)
}

/// Returns the condition of a type.
pub fn find<'a, C: AnyCondition + 'a>(all: impl IntoIterator<Item = &'a C>, kind: &str) -> Option<&'a C> {
    all.into_iter().find(|condition| condition.kind() == kind)
}

/// Returns the status of the condition of a type: `True`, `False` or `Unknown`.
pub fn status_of<'a, C: AnyCondition + 'a>(all: impl IntoIterator<Item = &'a C>, kind: &str) -> Option<&'a str> {
    find(all, kind).map(C::status)
}

/// Whether the condition of a type is there with status True.
pub fn is_true<'a, C: AnyCondition + 'a>(all: impl IntoIterator<Item = &'a C>, kind: &str) -> bool {
    status_of(all, kind) == Some(TRUE)
}

/// Gives a condition its time of transition: that of the one before it when the status is the same, else `now`.
pub fn stamp<C: AnyCondition>(wanted: &mut C, before: Option<&C>, now: Timestamp) {
    let kept =
        before.filter(|before| before.status() == wanted.status()).is_some_and(|before| wanted.keep_transition(before));
    if !kept {
        wanted.set_transition(now);
    }
}

/// Puts a condition in the place of the one of its type, or behind all others, and [`stamp`]s it. Says whether anything changed.
pub fn set<C: AnyCondition>(all: &mut Vec<C>, mut wanted: C, now: Timestamp) -> bool {
    let place = all.iter_mut().find(|condition| condition.kind() == wanted.kind());
    stamp(&mut wanted, place.as_deref(), now);
    match place {
        Some(present) if *present == wanted => return false,
        Some(present) => *present = wanted,
        None => all.push(wanted),
    }
    true
}

impl AnyCondition for Condition {
    fn kind(&self) -> &str {
        &self.kind
    }

    fn status(&self) -> &str {
        &self.status
    }

    fn keep_transition(&mut self, before: &Self) -> bool {
        self.last_transition_time.clone_from(&before.last_transition_time);
        self.last_transition_time.is_some()
    }

    fn set_transition(&mut self, at: Timestamp) {
        self.last_transition_time = Some(rfc3339(at));
    }
}

impl AnyCondition for Value {
    fn kind(&self) -> &str {
        self["type"].as_str().unwrap_or_default()
    }

    fn status(&self) -> &str {
        self["status"].as_str().unwrap_or_default()
    }

    fn keep_transition(&mut self, before: &Self) -> bool {
        let since = before["lastTransitionTime"].as_str();
        if let Some(since) = since {
            self["lastTransitionTime"] = json!(since);
        }
        since.is_some()
    }

    fn set_transition(&mut self, at: Timestamp) {
        self["lastTransitionTime"] = json!(rfc3339(at));
    }
}

macro_rules! typed {
    ($($kind:ty),*) => {$(
        impl AnyCondition for $kind {
            fn kind(&self) -> &str {
                &self.type_
            }

            fn status(&self) -> &str {
                &self.status
            }

            fn keep_transition(&mut self, before: &Self) -> bool {
                self.last_transition_time.clone_from(&before.last_transition_time);
                self.last_transition_time.is_some()
            }

            fn set_transition(&mut self, at: Timestamp) {
                // `metav1.Time` has whole seconds.
                self.last_transition_time = Some(Time(Timestamp::from_second(at.as_second()).unwrap_or(at)));
            }
        }
    )*};
}

typed!(NodeCondition, PodCondition);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_time_moves_with_the_status_only() {
        let mut all = vec![Condition::new("A", TRUE, "Early", "a"), Condition::new("B", FALSE, "No", "b")];
        let since = |all: &[Condition]| find(all, "B").and_then(Condition::since).map(Timestamp::as_second);
        // status and reason wanted, at, whether that changes anything, since when
        let cases = [
            (FALSE, "No", 10, true, 10),
            (FALSE, "No", 20, false, 10),
            (FALSE, "StillNo", 30, true, 10),
            (TRUE, "Yes", 40, true, 40),
            (TRUE, "Yes", 50, false, 40),
            (UNKNOWN, "Yes", 60, true, 60),
        ];
        for (status, reason, now, changes, expected) in cases {
            let changed = set(&mut all, Condition::new("B", status, reason, "b"), at(now));
            assert_eq!((changed, since(&all)), (changes, Some(expected)), "{status} {reason}");
        }
        assert!(set(&mut all, Condition::new("C", TRUE, "", ""), at(70)));
        let kinds: Vec<&str> = all.iter().map(|condition| condition.kind.as_str()).collect();
        assert_eq!(kinds, ["A", "B", "C"]);
        assert!(is_true(&all, "C") && !is_true(&all, "B") && !is_true(&all, "D"));
    }

    #[test]
    fn trees_and_structs_follow_the_same_rule() {
        let tree = |status: &str| json!({"type": "Ready", "status": status, "extra": 1});
        let mut trees = vec![tree(FALSE)];
        set(&mut trees, tree(FALSE), at(1));
        set(&mut trees, tree(FALSE), at(2));
        assert_eq!(trees[0]["lastTransitionTime"], "1970-01-01T00:00:01Z");
        set(&mut trees, tree(TRUE), at(3));
        assert_eq!(trees[0]["lastTransitionTime"], "1970-01-01T00:00:03Z");
        assert_eq!(list(&json!({"conditions": trees})), trees);
        assert!(list(&Value::Null).is_empty());

        let pod =
            |status: &str| PodCondition { type_: "Ready".into(), status: status.into(), ..PodCondition::default() };
        let mut pods = vec![];
        set(&mut pods, pod(FALSE), at(1));
        set(&mut pods, pod(FALSE), at(2));
        assert_eq!(pods[0].last_transition_time, Some(Time(at(1))));
        assert_eq!(status_of(&pods, "Ready"), Some(FALSE));
    }
}
