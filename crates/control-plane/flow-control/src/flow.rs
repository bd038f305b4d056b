//! FlowSchemas: which requests are for one. Source: apiserver `pkg/util/flowcontrol/rule.go`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use windlass_auth::{Attributes, split_service_account};

use crate::figures::{Figures, FlowFigures};
use crate::level::Level;

/// A FlowSchema whose level there is.
pub(crate) struct Flow {
    pub name: Arc<str>,
    pub uid: Arc<str>,
    pub precedence: i64,
    pub level: Arc<Level>,
    pub figures: Arc<FlowFigures>,
    by: By,
    rules: Vec<Rules>,
}

/// What tells the flows of a schema apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Nothing,
    User,
    Namespace,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    matching_precedence: i64,
    priority_level_configuration: Reference,
    distinguisher_method: Option<Method>,
    rules: Option<Vec<Rules>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reference {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Method {
    #[serde(rename = "type")]
    by: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rules {
    subjects: Option<Vec<Subject>>,
    resource_rules: Option<Vec<ResourceRule>>,
    non_resource_rules: Option<Vec<PathRule>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Subject {
    kind: String,
    user: Named,
    group: Named,
    service_account: Named,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    namespace: String,
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ResourceRule {
    verbs: Vec<String>,
    api_groups: Vec<String>,
    resources: Vec<String>,
    cluster_scope: bool,
    namespaces: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PathRule {
    verbs: Vec<String>,
    #[serde(rename = "nonResourceURLs")]
    urls: Vec<String>,
}

impl Flow {
    /// `None` when there is no such level, or the object cannot be read.
    pub(crate) fn read(object: &Value, levels: &BTreeMap<String, Arc<Level>>, figures: &Figures) -> Option<Self> {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
        let spec: Spec = serde_json::from_value(object["spec"].clone())
            .map_err(|error| tracing::error!(name = text("name"), %error, "a FlowSchema cannot be read"))
            .ok()?;
        let level = levels.get(&spec.priority_level_configuration.name)?.clone();
        let by = match spec.distinguisher_method.as_ref().map(|method| method.by.as_str()) {
            Some("ByUser") => By::User,
            Some("ByNamespace") => By::Namespace,
            _ => By::Nothing,
        };
        let figures = Arc::new(FlowFigures::new(figures, &level.name, text("name")));
        let (name, uid, rules) = (text("name").into(), text("uid").into(), spec.rules.unwrap_or_default());
        Some(Self { name, uid, precedence: spec.matching_precedence, level, figures, by, rules })
    }

    pub(crate) fn is_for(&self, asked: &Attributes<'_>) -> bool {
        self.rules.iter().any(|rules| rules.hold(asked))
    }

    pub(crate) fn distinguisher<'a>(&self, asked: &Attributes<'a>) -> &'a str {
        match self.by {
            By::Nothing => "",
            By::User => &asked.user.name,
            By::Namespace => asked.namespace,
        }
    }
}

impl Rules {
    fn hold(&self, asked: &Attributes<'_>) -> bool {
        if !self.subjects.iter().flatten().any(|subject| subject.is(asked)) {
            return false;
        }
        if asked.resource.is_empty() {
            return self.non_resource_rules.iter().flatten().any(|rule| rule.holds(asked));
        }
        self.resource_rules.iter().flatten().any(|rule| rule.holds(asked))
    }
}

impl Subject {
    fn is(&self, asked: &Attributes<'_>) -> bool {
        match self.kind.as_str() {
            "User" => matches!(self.user.name.as_str(), "*") || self.user.name == asked.user.name,
            "Group" => self.group.name == "*" || asked.user.is_in(&self.group.name),
            "ServiceAccount" => {
                let wanted = &self.service_account;
                split_service_account(&asked.user.name).is_some_and(|(namespace, name)| {
                    namespace == wanted.namespace && (wanted.name == "*" || wanted.name == name)
                })
            }
            _ => false,
        }
    }
}

impl ResourceRule {
    fn holds(&self, asked: &Attributes<'_>) -> bool {
        has(&self.verbs, asked.verb)
            && has(&self.api_groups, asked.group)
            && has_resource(&self.resources, asked)
            && match asked.namespace {
                "" => self.cluster_scope,
                namespace => has(&self.namespaces, namespace),
            }
    }
}

impl PathRule {
    fn holds(&self, asked: &Attributes<'_>) -> bool {
        has(&self.verbs, asked.verb) && self.urls.iter().any(|url| is_below(url, asked.path))
    }
}

/// A star stands for everything when it stands alone.
fn has(list: &[String], wanted: &str) -> bool {
    matches!(list, [only] if only == "*") || list.iter().any(|one| one == wanted)
}

fn has_resource(list: &[String], asked: &Attributes<'_>) -> bool {
    if asked.subresource.is_empty() {
        return has(list, asked.resource);
    }
    let is = |one: &String| one.split_once('/') == Some((asked.resource, asked.subresource));
    matches!(list, [only] if only == "*") || list.iter().any(is)
}

/// An URL stands for itself and for what is below it, with or without a star at its end.
fn is_below(url: &str, path: &str) -> bool {
    if url == "*" || url == path {
        return true;
    }
    let prefix = url.strip_suffix('*').unwrap_or(url);
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use windlass_auth::User;

    use super::*;

    fn rules(subject: Value, rule: Value) -> Rules {
        let field = if rule.get("nonResourceURLs").is_some() { "nonResourceRules" } else { "resourceRules" };
        serde_json::from_value(json!({"subjects": [subject], field: [rule]})).unwrap()
    }

    #[test]
    fn whom_schemas_are_for() {
        let everything =
            json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true, "namespaces": ["*"]});
        let account = User::service_account("ns", "sa");
        let pod = Attributes { resource: "pods", namespace: "a", ..Attributes::of(&account, "get") };
        let subjects = [
            (json!({"kind": "User", "user": {"name": "*"}}), true),
            (json!({"kind": "User", "user": {"name": "jane"}}), false),
            (json!({"kind": "Group", "group": {"name": "system:serviceaccounts:ns"}}), true),
            (json!({"kind": "Group", "group": {"name": "x"}}), false),
            (json!({"kind": "ServiceAccount", "serviceAccount": {"namespace": "ns", "name": "*"}}), true),
            (json!({"kind": "ServiceAccount", "serviceAccount": {"namespace": "ns", "name": "other"}}), false),
            (json!({"kind": "ServiceAccount", "serviceAccount": {"namespace": "n", "name": "*"}}), false),
        ];
        for (subject, expected) in subjects {
            assert_eq!(rules(subject.clone(), everything.clone()).hold(&pod), expected, "{subject}");
        }
        let of_group = |rule: Value| rules(json!({"kind": "Group", "group": {"name": "*"}}), rule);
        let log = Attributes { subresource: "log", ..pod };
        let node = Attributes { resource: "nodes", ..Attributes::of(&account, "list") };
        let cases = [
            (
                json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "namespaces": ["a"]}),
                [true, false, false],
            ),
            (
                json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["pods/log"], "namespaces": ["*"]}),
                [false, true, false],
            ),
            (
                json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true}),
                [false, false, true],
            ),
        ];
        for (rule, expected) in cases {
            assert_eq!([&pod, &log, &node].map(|asked| of_group(rule.clone()).hold(asked)), expected, "{rule}");
        }
        let of_path = |url: &str, path: &str| {
            let rule = of_group(json!({"verbs": ["get"], "nonResourceURLs": [url]}));
            rule.hold(&Attributes { path, ..Attributes::of(&account, "get") })
        };
        assert!(
            of_path("*", "/x")
                && of_path("/livez", "/livez")
                && of_path("/livez/*", "/livez/ping")
                && of_path("/livez", "/livez/a")
        );
        assert!(!of_path("/livez", "/livezy") && !of_path("/livez/*", "/live"));
    }
}
