//! What a namespace's labels ask for.

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};

use super::level::{Level, LevelVersion, Version};

pub(super) const ENFORCE: [&str; 2] =
    ["pod-security.kubernetes.io/enforce", "pod-security.kubernetes.io/enforce-version"];
pub(super) const AUDIT: [&str; 2] = ["pod-security.kubernetes.io/audit", "pod-security.kubernetes.io/audit-version"];
pub(super) const WARN: [&str; 2] = ["pod-security.kubernetes.io/warn", "pod-security.kubernetes.io/warn-version"];

/// The levels of a namespace's modes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Pods beyond it are refused.
    pub enforce: LevelVersion,
    /// Pods beyond it would be noted in an audit log.
    pub audit: LevelVersion,
    /// Of pods beyond it, and of templates for such, the client is warned.
    pub warn: LevelVersion,
}

impl Policy {
    /// The policy of a namespace. Where a label cannot be read, enforcement is at its strictest, and the other modes are off.
    pub(super) fn of(namespace: &Value, defaults: Self) -> (Self, Errors) {
        let labels = &namespace["metadata"]["labels"];
        let (mut policy, mut errors) = (defaults, Errors::new());
        let enforced = read(labels, ENFORCE, Level::Restricted, &mut policy.enforce, &mut errors);
        read(labels, AUDIT, Level::Privileged, &mut policy.audit, &mut errors);
        read(labels, WARN, Level::Privileged, &mut policy.warn, &mut errors);
        // Who enforces a level is warned at it, so that templates are not silent about pods that will be refused.
        let [level, version] = WARN.map(|label| labels.get(label).is_some());
        if enforced && !level && policy.enforce.level > policy.warn.level {
            policy.warn.level = policy.enforce.level;
            if !version {
                policy.warn.version = policy.enforce.version;
            }
        }
        (policy, errors)
    }

    pub(super) fn is_fully_privileged(&self) -> bool {
        self.modes().iter().all(|mode| mode.level == Level::Privileged)
    }

    pub(super) fn is_equivalent(&self, other: &Self) -> bool {
        self.modes().into_iter().zip(other.modes()).all(|(one, two)| one.is_equivalent(two))
    }

    fn modes(&self) -> [LevelVersion; 3] {
        [self.enforce, self.audit, self.warn]
    }
}

/// Reads the two labels of a mode. Says whether there is a level that can be read.
fn read(labels: &Value, keys: [&str; 2], otherwise: Level, into: &mut LevelVersion, errors: &mut Errors) -> bool {
    let (path, [level, version]) = (Path::new("metadata"), keys);
    let path = path.child("labels");
    let text = |key: &str| labels.get(key).and_then(Value::as_str);
    let mut is_read = false;
    if let Some(given) = text(level) {
        let parsed = Level::parse(given);
        is_read = parsed.is_ok();
        into.level = parsed.unwrap_or(otherwise);
        errors.extend(parsed.err().map(|why| Error::invalid(&path.key(level), given, why)));
    }
    if let Some(given) = text(version) {
        let parsed = Version::parse(given);
        into.version = parsed.unwrap_or_default();
        errors.extend(parsed.err().map(|why| Error::invalid(&path.key(version), given, why)));
    }
    is_read
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn modes(labels: Value) -> ([String; 3], Vec<String>) {
        let (policy, errors) = Policy::of(&json!({"metadata": {"labels": labels}}), Policy::default());
        (policy.modes().map(|mode| mode.to_string()), errors.iter().map(ToString::to_string).collect())
    }

    /// Labels without their common beginning, and the levels that they make.
    type Case<'a> = (&'a [(&'a str, &'a str)], [&'a str; 3]);

    #[test]
    fn labels() {
        let latest = "privileged:latest";
        let name = |mode: &str| format!("pod-security.kubernetes.io/{mode}");
        let cases: [Case<'_>; 7] = [
            (&[], [latest, latest, latest]),
            (&[("enforce", "baseline")], ["baseline:latest", latest, "baseline:latest"]),
            (&[("enforce", "restricted"), ("enforce-version", "v1.2")], ["restricted:v1.2", latest, "restricted:v1.2"]),
            (
                &[("enforce", "restricted"), ("enforce-version", "v1.2"), ("warn-version", "v1.3")],
                ["restricted:v1.2", latest, "restricted:v1.3"],
            ),
            (&[("enforce", "restricted"), ("warn", "baseline")], ["restricted:latest", latest, "baseline:latest"]),
            (&[("enforce", "restricted"), ("warn", "privileged")], ["restricted:latest", latest, latest]),
            (&[("audit", "baseline"), ("audit-version", "v1.9")], [latest, "baseline:v1.9", latest]),
        ];
        for (labels, expected) in cases {
            let labels: Value = labels.iter().map(|(mode, value)| (name(mode), json!(value))).collect();
            assert_eq!(modes(labels.clone()), (expected.map(str::to_owned), Vec::new()), "{labels}");
        }
    }

    #[test]
    fn what_cannot_be_read() {
        let (modes, errors) = modes(json!({
            "pod-security.kubernetes.io/enforce": "strict", "pod-security.kubernetes.io/audit": "x",
            "pod-security.kubernetes.io/warn": "", "pod-security.kubernetes.io/warn-version": "1.2"}));
        assert_eq!(modes, ["restricted:latest", "privileged:latest", "privileged:latest"]);
        let level = "must be one of privileged, baseline, restricted";
        assert_eq!(
            errors,
            [
                format!("metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"strict\": {level}"),
                format!("metadata.labels[pod-security.kubernetes.io/audit]: Invalid value: \"x\": {level}"),
                format!("metadata.labels[pod-security.kubernetes.io/warn]: Invalid value: \"\": {level}"),
                "metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: \"1.2\": must be \"latest\" or \
                 \"v1.x\""
                    .to_owned(),
            ]
        );
    }
}
