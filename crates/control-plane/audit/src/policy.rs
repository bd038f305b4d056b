//! The policy: which requests are recorded, and how much of each.
//!
//! Rules are tried in their order, and the first that is for a request decides. What no rule is for is not recorded.

mod matching;
mod validation;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use windlass_api::field::Errors;
use windlass_api::text::aggregate;
use windlass_auth::Attributes;

use crate::event::{Level, Stage};

const API_VERSION: &str = "audit.k8s.io/v1";

/// Why a file is no policy.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    #[error("failed decoding: {0}")]
    Syntax(String),
    #[error("unknown group version field {api_version}, Kind={kind} in policy")]
    Kind { api_version: String, kind: String },
    #[error("{}", aggregate(.0))]
    Invalid(Errors),
    #[error("loaded illegal policy with 0 rules")]
    Empty,
}

/// What is recorded of which requests.
#[derive(Debug)]
pub struct Policy {
    rules: Vec<Rule>,
    omit_stages: Stages,
    omit_managed_fields: bool,
}

/// How much of one request is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub level: Level,
    pub omit_stages: Stages,
    pub omit_managed_fields: bool,
}

/// A set of stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stages(u8);

impl Stages {
    pub(crate) fn has(self, stage: Stage) -> bool {
        self.0 & (1 << stage as u8) != 0
    }

    fn of(names: &[String]) -> Self {
        let known = Stage::ALL.into_iter().filter(|stage| names.iter().any(|name| name == stage.name()));
        Self(known.fold(0, |bits, stage| bits | 1 << stage as u8))
    }

    fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[derive(Debug)]
struct Rule {
    verdict: Verdict,
    who: Written,
}

/// A policy as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Document {
    api_version: String,
    kind: String,
    #[serde(rename = "metadata")]
    _metadata: IgnoredAny,
    rules: Vec<Written>,
    omit_stages: Vec<String>,
    omit_managed_fields: bool,
    #[serde(flatten)]
    unknown: BTreeMap<String, IgnoredAny>,
}

/// A rule as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Written {
    level: String,
    users: Vec<String>,
    user_groups: Vec<String>,
    verbs: Vec<String>,
    resources: Vec<GroupResources>,
    namespaces: Vec<String>,
    #[serde(rename = "nonResourceURLs")]
    non_resource_urls: Vec<String>,
    omit_stages: Vec<String>,
    omit_managed_fields: Option<bool>,
    #[serde(flatten)]
    unknown: BTreeMap<String, IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct GroupResources {
    group: String,
    resources: Vec<String>,
    resource_names: Vec<String>,
    #[serde(flatten)]
    unknown: BTreeMap<String, IgnoredAny>,
}

impl Policy {
    /// Reads a policy from YAML or JSON. Fields that it should not have are named in this program's log; they do not count.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let document: Document = serde_saphyr::from_str(text)
            .map_err(|error: serde_saphyr::Error| PolicyError::Syntax(error.without_snippet().to_string()))?;
        if document.api_version != API_VERSION || document.kind != "Policy" {
            return Err(PolicyError::Kind { api_version: document.api_version, kind: document.kind });
        }
        let unknown = document.unknown_fields();
        if !unknown.is_empty() {
            tracing::warn!(?unknown, "the audit policy has fields that mean nothing and are ignored");
        }
        let errors = validation::check(&document);
        if !errors.is_empty() {
            return Err(PolicyError::Invalid(errors));
        }
        if document.rules.is_empty() {
            return Err(PolicyError::Empty);
        }
        Ok(document.compiled())
    }

    pub(crate) fn judge(&self, asked: &Attributes<'_>) -> Verdict {
        let rule = self.rules.iter().find(|rule| matching::is_for(&rule.who, asked));
        rule.map_or(
            Verdict {
                level: Level::None,
                omit_stages: self.omit_stages,
                omit_managed_fields: self.omit_managed_fields,
            },
            |rule| rule.verdict,
        )
    }
}

impl Document {
    fn unknown_fields(&self) -> Vec<&str> {
        let of_rules = self.rules.iter().flat_map(|rule| {
            let of_resources = rule.resources.iter().flat_map(|resources| resources.unknown.keys());
            rule.unknown.keys().chain(of_resources)
        });
        self.unknown.keys().chain(of_rules).map(String::as_str).collect()
    }

    fn compiled(self) -> Policy {
        let (omit_stages, omit_managed_fields) = (Stages::of(&self.omit_stages), self.omit_managed_fields);
        let rule = |who: Written| Rule {
            verdict: Verdict {
                level: validation::level(&who.level).unwrap_or_default(),
                omit_stages: omit_stages.and(Stages::of(&who.omit_stages)),
                omit_managed_fields: who.omit_managed_fields.unwrap_or(omit_managed_fields),
            },
            who,
        };
        Policy { rules: self.rules.into_iter().map(rule).collect(), omit_stages, omit_managed_fields }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Policy::parse(text).unwrap_err().to_string()
    }

    fn of(rules: &str) -> String {
        format!("apiVersion: audit.k8s.io/v1\nkind: Policy\n{rules}")
    }

    #[test]
    fn what_is_no_policy() {
        let cases = [
            ("rules: []", "loaded illegal policy with 0 rules"),
            ("rules: [{}]", "rules[0].level: Required value"),
            (
                "rules: [{level: metadata}]",
                r#"rules[0].level: Unsupported value: "metadata": supported values: "None", "Metadata", "Request", "RequestResponse""#,
            ),
            (
                "rules: [{level: None, nonResourceURLs: ['logs', '/l*g']}]",
                concat!(
                    r#"[rules[0].nonResourceURLs[0]: Invalid value: "logs": non-resource URL rules must begin with a '/' character, "#,
                    r#"rules[0].nonResourceURLs[1]: Invalid value: "/l*g": non-resource URL wildcards '*' must be the final character of the rule]"#
                ),
            ),
            (
                "rules: [{level: None, nonResourceURLs: ['/'], namespaces: [a]}]",
                r#"rules[0].nonResourceURLs: Invalid value: ["/"]: rules cannot apply to both regular resources and non-resource URLs"#,
            ),
            (
                "rules: [{level: None, resources: [{resourceNames: [a]}]}]",
                r#"rules[0].resources.resourceNames: Invalid value: ["a"]: using resourceNames requires at least one resource"#,
            ),
            (
                "rules: [{level: None}]\nomitStages: [foo]",
                r#"omitStages[0]: Invalid value: "foo": allowed stages are RequestReceived,ResponseStarted,ResponseComplete,Panic"#,
            ),
        ];
        for (rules, expected) in cases {
            assert_eq!(refusal(&of(rules)), expected, "{rules}");
        }
        let group = refusal(&of("rules: [{level: None, resources: [{group: rbac.authorization.k8s.io/v1}]}]"));
        assert!(
            group.starts_with("rules[0].resources.group: Invalid value: \"rbac.authorization.k8s.io/v1\":"),
            "{group}"
        );
        assert!(
            refusal("kind: Policy\napiVersion: audit.k8s.io/v1beta1\nrules: [{level: None}]")
                .starts_with("unknown group version")
        );
        assert!(refusal("rules: 1").starts_with("failed decoding: "));
    }

    #[test]
    fn rules_add_to_what_the_policy_says() {
        let text = of("omitStages: [RequestReceived]\nomitManagedFields: true\nrules:\n\
                       - {level: Request, verbs: [get], omitStages: [Panic], omitManagedFields: false, unknown: 1}\n\
                       - {level: Metadata, verbs: [list]}\n");
        let policy = Policy::parse(&text).unwrap();
        let user = windlass_auth::User::new("u", &[]);
        let judged = |verb| policy.judge(&Attributes::of(&user, verb));
        let first = judged("get");
        assert_eq!((first.level, first.omit_managed_fields), (Level::Request, false));
        assert!(first.omit_stages.has(Stage::RequestReceived) && first.omit_stages.has(Stage::Panic));
        let second = judged("list");
        assert_eq!((second.level, second.omit_managed_fields), (Level::Metadata, true));
        assert!(second.omit_stages.has(Stage::RequestReceived) && !second.omit_stages.has(Stage::Panic));
        assert_eq!(judged("watch").level, Level::None);
    }
}
