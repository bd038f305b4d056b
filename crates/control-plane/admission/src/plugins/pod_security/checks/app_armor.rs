//! AppArmor profiles: a pod may choose among those of its node, and may not do without.

use serde_json::Value;

use super::wording::{Sorted, plural, quoted, setters};
use super::{Check, Pod, Violation, given, name};
use windlass_api::well_known::annotation::APP_ARMOR_PREFIX;

pub(super) const PROFILE: Check = Check::new("appArmorProfile", &[(0, profile)]);

fn profile(pod: Pod<'_>) -> Option<Violation> {
    let mut values = Sorted::new();
    let mut is_bad = |object: &Value| {
        let bad = forbidden_type(object);
        values.extend(bad.map(str::to_owned));
        bad.is_some()
    };
    let pod_is_bad = is_bad(pod.spec);
    let bad: Vec<&str> = pod.containers().filter(|container| is_bad(container)).map(name).collect();
    let annotations = forbidden_annotations(pod.metadata);
    let mut who: Vec<String> = setters(pod_is_bad, &bad).into_iter().collect();
    if !annotations.is_empty() {
        who.push(plural("annotation", "annotations", annotations.len()).to_owned());
    }
    if who.is_empty() {
        return None;
    }
    let all: Vec<&str> = values.iter().chain(&annotations).map(String::as_str).collect();
    let reason = plural("forbidden AppArmor profile", "forbidden AppArmor profiles", all.len());
    let detail = format!("{} must not set AppArmor profile type to {}", who.join(" and "), quoted(all));
    Some(Violation::new(reason, detail))
}

fn forbidden_type(object: &Value) -> Option<&str> {
    let profile = given(&object["securityContext"], "appArmorProfile")?;
    let kind = profile["type"].as_str().unwrap_or_default();
    (!matches!(kind, "RuntimeDefault" | "Localhost")).then_some(kind)
}

fn forbidden_annotations(metadata: &Value) -> Sorted {
    let annotations = metadata["annotations"].as_object().into_iter().flatten();
    annotations
        .filter_map(|(key, value)| Some((key, value.as_str()?)))
        .filter(|(key, value)| key.starts_with(APP_ARMOR_PREFIX) && !is_allowed(value))
        .map(|(key, value)| format!("{key}={value:?}"))
        .collect()
}

fn is_allowed(profile: &str) -> bool {
    matches!(profile, "" | "runtime/default") || profile.starts_with("localhost/")
}
