//! `kubernetes.io/enforce-mountable-secrets`: pods of a service account with this annotation use the Secrets that it lists, and no
//! others. In upstream's words.

use std::collections::HashSet;

use serde_json::Value;
use windlass_machinery::tree::{items, text};

const ANNOTATION: &str = "kubernetes.io/enforce-mountable-secrets";
/// The spellings that Go takes for true.
const TRUE: [&str; 6] = ["1", "t", "T", "TRUE", "true", "True"];

/// Whether the account limits its pods.
pub(super) fn are_enforced(account: &Value) -> bool {
    let value = account["metadata"]["annotations"].get(ANNOTATION).and_then(Value::as_str);
    value.is_some_and(|value| TRUE.contains(&value))
}

/// Why a new pod may not use what it does.
pub(super) fn problem_of_pod(account: &Value, spec: &Value) -> Option<String> {
    let (name, mountable) = (text(&account["metadata"], "name"), names(account, "secrets"));
    let of_volume = |volume: &Value| {
        let secret = text(volume.get("secret")?, "secretName");
        (!mountable.contains(secret)).then(|| {
            format!("volume with secret.secretName=\"{secret}\" is not allowed because service account {name} does not reference that secret")
        })
    };
    let pull = names(account, "imagePullSecrets");
    let of_pull = |(index, reference): (usize, &Value)| {
        let secret = text(reference, "name");
        (!pull.contains(secret)).then(|| {
            format!("imagePullSecrets[{index}].name=\"{secret}\" is not allowed because service account {name} does not reference that imagePullSecret")
        })
    };
    items(spec, "volumes")
        .find_map(of_volume)
        .or_else(|| problem_of_containers(account, spec, "initContainers", "init container"))
        .or_else(|| problem_of_containers(account, spec, "containers", "container"))
        .or_else(|| items(spec, "imagePullSecrets").enumerate().find_map(of_pull))
}

/// Why ephemeral containers may not use what they do.
pub(super) fn problem_of_ephemeral_containers(account: &Value, spec: &Value) -> Option<String> {
    problem_of_containers(account, spec, "ephemeralContainers", "ephemeral container")
}

fn problem_of_containers(account: &Value, spec: &Value, list: &str, kind: &str) -> Option<String> {
    let (account_name, mountable) = (text(&account["metadata"], "name"), names(account, "secrets"));
    items(spec, list).find_map(|container| {
        let refuse = |how: String, secret: &str| {
            (!mountable.contains(secret)).then(|| {
                format!(
                    "{kind} {} with {how} referencing secret.secretName=\"{secret}\" is not allowed because service account \
                     {account_name} does not reference that secret",
                    text(container, "name")
                )
            })
        };
        let of_env = |env: &Value| {
            let secret = text(env.pointer("/valueFrom/secretKeyRef")?, "name");
            refuse(format!("envVar {}", text(env, "name")), secret)
        };
        let of_source = |source: &Value| refuse("envFrom".to_owned(), text(source.get("secretRef")?, "name"));
        items(container, "env").find_map(of_env).or_else(|| items(container, "envFrom").find_map(of_source))
    })
}

fn names<'a>(account: &'a Value, list: &str) -> HashSet<&'a str> {
    items(account, list).map(|reference| text(reference, "name")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn account(value: &str) -> Value {
        json!({"metadata": {"name": "robot", "annotations": {ANNOTATION: value}},
            "secrets": [{"name": "mine"}], "imagePullSecrets": [{"name": "pull"}]})
    }

    #[test]
    fn who_limits() {
        assert!(["true", "1", "T"].iter().all(|value| are_enforced(&account(value))));
        assert!(["false", "", "yes", "tRue"].iter().all(|value| !are_enforced(&account(value))));
        assert!(!are_enforced(&json!({"metadata": {"name": "robot"}})));
    }

    #[test]
    fn what_is_limited() {
        let env = |secret: &str| json!([{"name": "E", "valueFrom": {"secretKeyRef": {"name": secret, "key": "k"}}}]);
        let from = |secret: &str| json!([{"secretRef": {"name": secret}}]);
        let cases = [
            (
                json!({"volumes": [{"name": "v", "secret": {"secretName": "mine"}}, {"name": "w", "emptyDir": {}}],
                "containers": [{"name": "c", "env": env("mine"), "envFrom": from("mine")}],
                "imagePullSecrets": [{"name": "pull"}]}),
                "",
            ),
            (
                json!({"volumes": [{"name": "v", "secret": {"secretName": "theirs"}}]}),
                "volume with secret.secretName=\"theirs\" is not",
            ),
            (
                json!({"initContainers": [{"name": "i", "env": env("theirs")}]}),
                "init container i with envVar E referencing secret.secretName=\"theirs\"",
            ),
            (
                json!({"containers": [{"name": "c", "envFrom": from("theirs")}]}),
                "container c with envFrom referencing secret.secretName=\"theirs\"",
            ),
            (
                json!({"imagePullSecrets": [{"name": "pull"}, {"name": "mine"}]}),
                "imagePullSecrets[1].name=\"mine\" is not allowed",
            ),
            (json!({"containers": [], "ephemeralContainers": [{"name": "e", "env": env("theirs")}]}), ""),
        ];
        for (spec, expected) in cases {
            let problem = problem_of_pod(&account("true"), &spec).unwrap_or_default();
            assert!(
                if expected.is_empty() { problem.is_empty() } else { problem.starts_with(expected) },
                "{spec}: {problem}"
            );
        }
        let spec = json!({"ephemeralContainers": [{"name": "e", "env": env("theirs")}]});
        assert!(
            problem_of_ephemeral_containers(&account("true"), &spec)
                .unwrap()
                .starts_with("ephemeral container e with envVar E")
        );
    }
}
