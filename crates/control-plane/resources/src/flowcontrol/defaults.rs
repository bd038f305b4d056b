//! The FlowSchemas and PriorityLevelConfigurations that a cluster begins with, `defaults.jsonl` (`cargo xtask facts`). Of each kind the
//! two `exempt` and `catch-all` are what they always are; the others belong to the user once they are there.

use std::sync::OnceLock;

use serde_json::Value;

use crate::first::First;

const DEFAULTS: &str = include_str!("defaults.jsonl");
/// What nobody may change: requests that are never held up, and those that nothing else is for.
const FIXED: [&str; 2] = ["exempt", "catch-all"];

fn all() -> &'static [Value] {
    static ALL: OnceLock<Vec<Value>> = OnceLock::new();
    ALL.get_or_init(|| DEFAULTS.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// Those of a kind.
pub(super) fn of_kind(kind: &str) -> Vec<First> {
    all().iter().filter(|object| object["kind"] == kind).cloned().map(First::once).collect()
}

/// Those of a kind that are what they always are, also before anybody has made them.
pub fn fixed(kind: &str) -> impl Iterator<Item = &'static Value> {
    let is_fixed = |object: &Value| FIXED.iter().any(|name| object["metadata"]["name"] == *name);
    all().iter().filter(move |object| object["kind"] == kind && is_fixed(object))
}

/// The spec of an object that must have this one.
pub(super) fn fixed_spec(kind: &str, name: &str) -> Option<&'static Value> {
    fixed(kind).find(|object| object["metadata"]["name"] == name).map(|object| &object["spec"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_has_its_level() {
        let names = |kind| -> Vec<Value> { of_kind(kind).into_iter().map(|first| first.object).collect() };
        let levels = names("PriorityLevelConfiguration");
        assert_eq!((levels.len(), names("FlowSchema").len()), (8, 11));
        for schema in names("FlowSchema") {
            let level = &schema["spec"]["priorityLevelConfiguration"]["name"];
            assert!(levels.iter().any(|found| found["metadata"]["name"] == *level), "{schema}");
        }
        assert!(fixed_spec("FlowSchema", "catch-all").is_some() && fixed_spec("FlowSchema", "probes").is_none());
    }
}
